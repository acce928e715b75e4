"""The classifier with single-head attention (paper, section 2 and appendix)."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attention_dynamics.classification.encoders import ENCODERS
from attention_dynamics.training.runs import load_model_config

# Of the mathematics: raise it when the same seed or the same weights give other numbers. It is
# recorded with every run and dump, so that old results are not taken for new ones.
VERSION = 1


class Output(NamedTuple):
    """What the classifier finds in a batch; ``total`` counts the tokens of all its sentences."""

    alpha: Tensor  # (total,), sums to 1 within each sentence
    beta: Tensor  # (total,), each token's evidence for label 1
    score: Tensor  # (batch,), the logit of p(y = 1)


class Classifier(nn.Module):
    """Embedding, encoder, attention, and a score that the attention averages.

    Sentences of a batch stand end to end, so that no work goes into padding. With
    ``h = BiLSTM(E[t])`` (or another of ``ENCODERS``): attention logits
    ``a = w2 . ReLU(W1 h + b1) + b2``, ``alpha = softmax(a)`` over the sentence's tokens (or
    ``1 / L``, uniform), evidence ``beta = u . h + c``, score ``s = sum(alpha * beta)`` and
    ``p(y = 1) = sigmoid(s)``.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        h_dim: int,
        intermediate_dim: int,
        uniform: bool,
        encoder: str = "bilstm",
    ):
        super().__init__()
        self.uniform = uniform
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        layer: Any = ENCODERS[encoder](embed_dim, h_dim)
        self.lstm = layer  # the published encoder's name in checkpoints
        self.attention = nn.Sequential(
            nn.Linear(layer.width, intermediate_dim),
            nn.ReLU(),
            nn.Linear(intermediate_dim, 1),
        )
        self.evidence = nn.Linear(layer.width, 1)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Output:
        """``tokens`` (total,), ``lengths`` (batch,) on the CPU."""
        return self.from_embedded(self.embedding(tokens), lengths)

    def from_embedded(self, embedded: Tensor, lengths: Tensor) -> Output:
        """The same from embeddings (total, embed_dim)."""
        hidden = self.lstm(embedded, lengths)  # (total, width)
        beta = self.evidence(hidden).squeeze(1)

        # one sentence a row, so that its tokens can be summed over
        mask = (torch.arange(int(lengths.max())) < lengths[:, None]).to(embedded.device)
        if self.uniform:
            padded_alpha = mask.to(embedded.dtype) / mask.sum(dim=1, keepdim=True)
        else:
            logits = self.attention(hidden).squeeze(1)
            padded_logits = logits.new_full(mask.shape, float("-inf")).masked_scatter(mask, logits)
            padded_alpha = padded_logits.softmax(dim=1)
        padded_beta = beta.new_zeros(mask.shape).masked_scatter(mask, beta)
        score = (padded_alpha * padded_beta).sum(dim=1)
        return Output(padded_alpha[mask], beta, score)


def nll(score: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy (batch,); with labels of 0 or 1, their negative log-likelihood."""
    return F.binary_cross_entropy_with_logits(score, labels.to(score.dtype), reduction="none")


CONFIG_FIELDS: dict[str, type] = {
    "h_dim": int,
    "intermediate_dim": int,
    "embed_dim": int,
    "b_size": int,
}


def load_config(path: Path) -> dict[str, Any]:
    """Sizes of the model, and the batch size: ``configs/model.json``. Perhaps an encoder."""
    return load_model_config(path, CONFIG_FIELDS, {"encoder": list(ENCODERS)})


def build(config: dict[str, Any], vocab_size: int, uniform: bool) -> Classifier:
    """The classifier of a configuration, with PyTorch's initial weights."""
    sizes = {name: config[name] for name in ("embed_dim", "h_dim", "intermediate_dim")}
    return Classifier(vocab_size, **sizes, uniform=uniform, encoder=config.get("encoder", "bilstm"))
