"""The classifier with single-head attention (paper, section 2 and appendix)."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attention_dynamics.classification.encoders import ENCODERS
from attention_dynamics.training import interventions
from attention_dynamics.training.runs import load_model_config

# Of the mathematics: raise it when the same seed or the same weights give other numbers. It is
# recorded with every run and dump, so that old results are not taken for new ones.
VERSION = 1


class Output(NamedTuple):
    """What the classifier finds in a batch; ``total`` counts the tokens of all its sentences."""

    alpha: Tensor  # (total,), sums to 1 within each sentence
    beta: Tensor  # each token's evidence: (total,), for label 1; of K > 2 labels (total, K)
    score: Tensor  # (batch,), the logit of p(y = 1); of K > 2 labels (batch, K), their logits


class Classifier(nn.Module):
    """Embedding, encoder, attention, and a score that the attention averages.

    Sentences of a batch stand end to end, so that no work goes into padding. With
    ``h = BiLSTM(E[t])`` (or another of ``ENCODERS``): attention logits
    ``a = w2 . ReLU(W1 h + b1) + b2``, ``alpha = softmax(a)`` over the sentence's tokens (or
    ``1 / L``, uniform), evidence ``beta = u . h + c``, score ``s = sum(alpha * beta)`` and
    ``p(y = 1) = sigmoid(s)``. More than two labels have a ``u``, a ``c`` and a score each, and
    ``p(y) = softmax(s)``.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        h_dim: int,
        intermediate_dim: int,
        uniform: bool,
        encoder: str = "bilstm",
        n_labels: int = 2,
    ):
        super().__init__()
        self.uniform = uniform
        self.other: tuple[Classifier, bool] | None = None  # a tuple: its weights are not this one's
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        layer: Any = ENCODERS[encoder](embed_dim, h_dim)
        self.lstm = layer  # the published encoder's name in checkpoints
        self.attention = nn.Sequential(
            nn.Linear(layer.width, intermediate_dim),
            nn.ReLU(),
            nn.Linear(intermediate_dim, 1),
        )
        self.evidence = nn.Linear(layer.width, n_logits(n_labels))

    def forward(self, tokens: Tensor, lengths: Tensor) -> Output:
        """``tokens`` (total,), ``lengths`` (batch,) on the CPU."""
        return self.from_embedded(self.embedding(tokens), lengths, self.given(tokens, lengths))

    def attend_as(self, other: "Classifier", shuffle: bool) -> None:
        """Have the attention of ``other`` from now on, shuffled in each sentence if asked for."""
        self.other = (other, shuffle)

    @torch.no_grad()
    def given(self, tokens: Tensor, lengths: Tensor) -> Tensor | None:
        """α (total,) of the model that this one attends as; None if it attends as itself."""
        if self.other is None:
            return None
        other, shuffle = self.other
        alpha = other(tokens, lengths).alpha
        if not shuffle:
            return alpha
        mask = token_mask(lengths, tokens.device)
        rows = alpha.new_zeros(mask.shape).masked_scatter(mask, alpha)
        return interventions.shuffled(rows, lengths)[mask]

    def from_embedded(
        self, embedded: Tensor, lengths: Tensor, given: Tensor | None = None
    ) -> Output:
        """The same from embeddings (total, embed_dim), and α if it is not this model's own."""
        hidden = self.lstm(embedded, lengths)  # (total, width)
        beta = self.evidence(hidden)  # (total, 1), or (total, K) of K > 2 labels

        # one sentence per row, so that its tokens can be summed over
        mask = token_mask(lengths, embedded.device)
        if given is not None:
            padded_alpha = given.new_zeros(mask.shape).masked_scatter(mask, given)
        elif self.uniform:
            padded_alpha = mask.to(embedded.dtype) / mask.sum(dim=1, keepdim=True)
        else:
            logits = self.attention(hidden).squeeze(1)
            padded_logits = logits.new_full(mask.shape, float("-inf")).masked_scatter(mask, logits)
            padded_alpha = padded_logits.softmax(dim=1)
        padded_beta = beta.new_zeros(*mask.shape, beta.shape[1])
        padded_beta = padded_beta.masked_scatter(mask[:, :, None], beta)
        score = (padded_alpha[:, :, None] * padded_beta).sum(dim=1)
        return Output(padded_alpha[mask], beta.squeeze(1), score.squeeze(1))


def token_mask(lengths: Tensor, device: torch.device) -> Tensor:
    """(batch, longest), true at the tokens of sentences of these lengths."""
    return (torch.arange(int(lengths.max())) < lengths[:, None]).to(device)


def n_logits(n_labels: int) -> int:
    """The logits of so many labels: one of two, the other being 0; else one each."""
    return 1 if n_labels == 2 else n_labels


def nll(score: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy (batch,): the negative log-likelihood of the labels.

    Of two labels ``score`` is (batch,), and ``labels`` may be between 0 and 1.
    """
    if score.dim() == 2:
        return F.cross_entropy(score, labels, reduction="none")
    return F.binary_cross_entropy_with_logits(score, labels.to(score.dtype), reduction="none")


def predict(score: Tensor) -> Tensor:
    """The label with the highest probability: int64 (batch,)."""
    return score.argmax(dim=1) if score.dim() == 2 else (score > 0).long()


CONFIG_FIELDS: dict[str, type] = {
    "h_dim": int,
    "intermediate_dim": int,
    "embed_dim": int,
    "b_size": int,
}


def load_config(path: Path) -> dict[str, Any]:
    """Sizes of the model, and the batch size: ``configs/model.json``. Perhaps an encoder."""
    return load_model_config(path, CONFIG_FIELDS, {"encoder": list(ENCODERS)})


def build(config: dict[str, Any], vocab_size: int, uniform: bool, n_labels: int = 2) -> Classifier:
    """The classifier of a configuration, with PyTorch's initial weights."""
    sizes = {name: config[name] for name in ("embed_dim", "h_dim", "intermediate_dim")}
    encoder = config.get("encoder", "bilstm")
    return Classifier(vocab_size, **sizes, uniform=uniform, encoder=encoder, n_labels=n_labels)
