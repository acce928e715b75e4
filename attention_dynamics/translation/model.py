"""The translator with single-head attention (paper, section 2 and appendix)."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attention_dynamics.kernels.dropout import dropout
from attention_dynamics.kernels.products import full_rows, gradients, linear, product
from attention_dynamics.training import interventions
from attention_dynamics.training.runs import load_model_config
from attention_dynamics.translation.encoders import ENCODERS

# Of the mathematics: raise it when the same seed or the same weights give other numbers. It is
# recorded with every run and dump, so that old results are not taken for new ones.
VERSION = 2


class Encoded(NamedTuple):
    """Source sentences, padded: what the decoder needs of them.

    An attention logit ``(W_a d_t + b_a) . h_s`` is ``d_t . (W_a^T h_s) + b_a . h_s``. The context
    ``W_c sum(alpha_ts h_s) + b_c`` is ``sum(alpha_ts (W_c h_s + b_c))``, since α sums to 1. What
    depends on ``h_s`` alone is the same for every target token, so it is computed once.
    """

    keys: Tensor  # (batch, source length, hidden), W_a^T h_s
    key_biases: Tensor  # (batch, source length), b_a . h_s
    values: Tensor  # (batch, source length, hidden), W_c h_s + b_c
    mask: Tensor  # (batch, source length), true at tokens
    state: tuple[Tensor, Tensor]  # the decoder's first (h, c): (layers, batch, hidden) each


class Output(NamedTuple):
    """What the translator finds in a batch, given the target tokens before each one.

    ``pairs`` counts source tokens times predicted target tokens, summed over sentences: for each
    sentence, for each predicted token in order, its source tokens.
    """

    alpha: Tensor  # (pairs,), sums to 1 for each predicted token
    logits: Tensor  # (predicted tokens of all sentences, vocabulary)


class Translator(nn.Module):
    """Encoder, decoder, and attention that meets the decoder only at its output.

    One embedding serves both languages. Encoder: layers of bidirectional LSTMs, or another of
    ``ENCODERS``, which also gives the decoder's first state. Decoder: layers of LSTMs over the
    target, with dropout between them. With decoder states ``d``, encoder states ``h``: attention
    logits ``(W_a d_t + b_a) . h_s``, softmax over the source tokens (or all logits 0, uniform);
    context ``c_t = W_c sum(alpha_ts h_s) + b_c``; output ``o_t = ReLU(W_f [d_t; c_t] + b_f)`` and
    ``p = softmax(W_o o_t + b_o)``.
    """

    encoder: Any
    decoder: Any  # a list of nn.LSTM, one for each layer

    def __init__(
        self,
        vocab_size: int,
        h_dim: int,
        n_layers: int,
        dropout: float,
        uniform: bool,
        encoder: str = "bilstm",
    ):
        super().__init__()
        self.uniform = uniform
        self.other: tuple[Translator, bool] | None = None  # a tuple: its weights are not this one's
        self.dropout = dropout
        self.embedding = nn.Embedding(vocab_size, h_dim)
        self.encoder = ENCODERS[encoder](h_dim, n_layers, dropout)
        # Not one nn.LSTM of several layers: set_rng_state does not restore the random state of
        # its dropout on CUDA, and a resumed run must match an uninterrupted one.
        self.decoder = nn.ModuleList(nn.LSTM(h_dim, h_dim) for _ in range(n_layers))
        self.query = nn.Linear(h_dim, self.encoder.width)  # W_a, b_a
        self.context = nn.Linear(self.encoder.width, h_dim)  # W_c, b_c
        self.combine = nn.Linear(2 * h_dim, h_dim)  # W_f, b_f
        self.output = nn.Linear(h_dim, vocab_size)  # W_o, b_o

    def forward(
        self, source: Tensor, source_lengths: Tensor, target: Tensor, target_lengths: Tensor
    ) -> Output:
        """Tokens (total,) with <s> and </s>; lengths (batch,) on the CPU."""
        given = self.given(source, source_lengths, target, target_lengths)
        embedded = self.embedding(source)
        return self.from_embedded(embedded, source_lengths, target, target_lengths, given)

    def attend_as(self, other: "Translator", shuffle: bool) -> None:
        """Have the attention of ``other``, which is in eval mode, from now on.

        ``shuffle`` : shuffled in each sentence
        """
        self.other = (other, shuffle)

    @torch.no_grad()
    def given(
        self, source: Tensor, source_lengths: Tensor, target: Tensor, target_lengths: Tensor
    ) -> Tensor | None:
        """α (batch, target length, source length) of the model that this one attends as.

        None if it attends as itself. Arguments as in forward.
        """
        if self.other is None:
            return None
        other, _ = self.other
        encoded = other.encode(other.embedding(source), source_lengths)
        inputs, lengths = without_last(target, target_lengths)
        decoded, _ = other.decode(padded(inputs, lengths), encoded.state)
        return self.attend_as_other(decoded, encoded)

    def attend_as_other(self, decoded: Tensor, encoded: Encoded) -> Tensor:
        """α of the model that this one attends as, from that model's own states."""
        assert self.other is not None
        other, shuffle = self.other
        alpha = other.attend(decoded, encoded)
        return interventions.shuffled(alpha, encoded.mask.sum(dim=1).cpu()) if shuffle else alpha

    def from_embedded(
        self,
        embedded: Tensor,
        source_lengths: Tensor,
        target: Tensor,
        target_lengths: Tensor,
        given: Tensor | None = None,
    ) -> Output:
        """The same from embeddings (total, hidden) of the source tokens, and from :meth:`given`."""
        encoded = self.encode(embedded, source_lengths)
        inputs, lengths = without_last(target, target_lengths)
        decoded, _ = self.decode(padded(inputs, lengths), encoded.state)
        # (batch, target length, source length)
        alpha = self.attend(decoded, encoded) if given is None else given
        context = alpha @ encoded.values
        mask = token_mask(lengths, target.device)
        logits = self.predict(tokens_of(decoded, mask), tokens_of(context, mask))
        return Output(alpha[mask[:, :, None] & encoded.mask[:, None, :]], logits)

    def losses(
        self, source: Tensor, source_lengths: Tensor, target: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Negative log-likelihood of each predicted token (tokens,); arguments as in forward.

        For training: the logits and their gradient share one piece of memory.
        """
        given = self.given(source, source_lengths, target, target_lengths)
        inputs, lengths = without_last(target, target_lengths)
        # one look-up: the gradient by the embedding, as large as the vocabulary, is made once
        source, inputs = self.embedding(torch.cat([source, inputs])).split(
            [len(source), len(inputs)]
        )
        encoded = self.encode(source, source_lengths)
        decoded, _ = self.decoder_states(padded(inputs, lengths).transpose(0, 1), encoded.state)
        decoded = decoded.transpose(0, 1)
        alpha = self.attend(decoded, encoded) if given is None else given
        context = alpha @ encoded.values
        mask = token_mask(lengths, source.device)
        combined = self.combined(tokens_of(decoded, mask), tokens_of(context, mask))
        predicted = without_first(target, target_lengths)
        losses = TokenLosses.apply(
            full_rows(combined), self.output.weight, self.output.bias, full_rows(predicted)
        )
        return losses[: len(predicted)]

    def encode(self, embedded: Tensor, lengths: Tensor) -> Encoded:
        """From embeddings (total, hidden) of the source tokens."""
        hidden, state = self.encoder_states(embedded, lengths)
        keys = linear(hidden, self.query.weight.T)
        values = linear(hidden, self.context.weight, self.context.bias)
        return Encoded(
            padded(keys, lengths),
            padded(hidden @ self.query.bias, lengths),
            padded(values, lengths),
            token_mask(lengths, embedded.device),
            state,
        )

    def encoder_states(
        self, embedded: Tensor, lengths: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """States (total, width) of the source tokens, and the decoder's first state."""
        return self.encoder(embedded, lengths)

    def decode(
        self, inputs: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Decoder states (batch, length, hidden) of input tokens (batch, length), and the last."""
        output, state = self.decoder_states(self.embedding(inputs.T), state)
        return output.transpose(0, 1), state

    def decoder_states(
        self, embedded: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Decoder states (length, batch, hidden) of embedded inputs, and the last (h, c)."""
        output, finals = embedded, []
        for layer, (lstm, h, c) in enumerate(zip(self.decoder, *state)):
            if layer > 0:
                output = dropout(output, self.dropout, self.training)
            output, final = lstm(output, (h[None], c[None]))
            finals.append(final)
        h, c = (torch.cat(parts) for parts in zip(*finals))
        return output, (h, c)

    def attend(self, decoded: Tensor, encoded: Encoded) -> Tensor:
        """α (batch, target length, source length) of decoder states; 0 where there is no token."""
        if self.uniform:
            logits = decoded.new_zeros(*decoded.shape[:2], encoded.mask.shape[1])
        else:
            logits = torch.baddbmm(
                encoded.key_biases[:, None, :], decoded, encoded.keys.transpose(1, 2)
            )
        return logits.masked_fill(~encoded.mask[:, None, :], float("-inf")).softmax(dim=2)

    def predict(self, decoded: Tensor, context: Tensor) -> Tensor:
        """Logits (..., vocabulary) of decoder states and contexts (..., hidden)."""
        return linear(self.combined(decoded, context), self.output.weight, self.output.bias)

    def combined(self, decoded: Tensor, context: Tensor) -> Tensor:
        """o_t (..., hidden) of decoder states and contexts (..., hidden)."""
        both = torch.cat([decoded, context], dim=-1)
        return F.relu(linear(both, self.combine.weight, self.combine.bias))


class TokenLosses(torch.autograd.Function):
    """-log softmax(W_o o_t + b_o) at the target tokens.

    The logits, far larger than all else in a training step, become probabilities and then their
    own gradient in place: memory that is new costs as much time as the product that fills it.
    """

    @staticmethod
    def forward(
        ctx: Any, combined: Tensor, weight: Tensor, bias: Tensor, predicted: Tensor
    ) -> Tensor:
        """o_t (tokens, hidden), W_o (vocabulary, hidden), b_o (vocabulary,), target tokens
        (tokens,) -> (tokens,).
        """
        logits = product(combined, weight, bias)
        log_probs = log_probs_in_place(logits, predicted)
        ctx.save_for_backward(combined, weight, predicted, logits)
        return -log_probs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_losses: Tensor) -> tuple[Tensor | None, ...]:
        combined, weight, predicted, probs = ctx.saved_tensors
        by_logits = probs.mul_(by_losses[:, None])
        by_logits[torch.arange(len(predicted)), predicted] -= by_losses
        return *gradients(combined, weight, by_logits), by_logits.sum(dim=0), None


def log_probs_in_place(logits: Tensor, predicted: Tensor) -> Tensor:
    """log softmax at the tokens ``predicted`` (tokens,); ``logits`` (tokens, vocabulary) become
    their softmax.

    It is the logit less log(sum(exp(logits))), which is the largest logit less the log of the
    largest probability. Exact where the token's own probability underflows.
    """
    chosen = logits.gather(1, predicted[:, None])[:, 0]
    largest = logits.amax(dim=1)
    torch.softmax(logits, dim=1, out=logits)
    return chosen - largest + logits.amax(dim=1).log()


def token_mask(lengths: Tensor, device: torch.device) -> Tensor:
    """(batch, longest), true at the tokens of sentences of these lengths."""
    return (torch.arange(int(lengths.max())) < lengths[:, None]).to(device)


def padded(flat: Tensor, lengths: Tensor) -> Tensor:
    """Sentences end to end (total, ...) as rows of a batch (batch, longest, ...), 0 after each."""
    longest = int(lengths.max())
    places = token_mask(lengths, torch.device("cpu")).flatten().nonzero().squeeze(1)
    rows = flat.new_zeros(len(lengths) * longest, *flat.shape[1:])
    return rows.index_copy(0, places.to(flat.device), flat).unflatten(0, (len(lengths), longest))


def tokens_of(rows: Tensor, mask: Tensor) -> Tensor:
    """The inverse of :func:`padded`."""
    return rows.flatten(0, 1).index_select(0, mask.flatten().nonzero().squeeze(1))


def without_last(tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The decoder's inputs: each sentence (end to end) without its last token."""
    keep = torch.ones(len(tokens), dtype=torch.bool)
    keep[lengths.cumsum(0) - 1] = False
    return tokens[keep.to(tokens.device)], lengths - 1


def without_first(tokens: Tensor, lengths: Tensor) -> Tensor:
    """What the decoder predicts: each sentence (end to end) without its first token."""
    keep = torch.ones(len(tokens), dtype=torch.bool)
    keep[lengths.cumsum(0) - lengths] = False
    return tokens[keep.to(tokens.device)]


def nll(logits: Tensor, predicted: Tensor) -> Tensor:
    """Negative log-likelihood of the target tokens (tokens,) under ``logits``: (tokens,)."""
    return F.cross_entropy(logits, predicted, reduction="none")


CONFIG_FIELDS: dict[str, type] = {"h_dim": int, "dropout": float, "n_layers": int, "b_size": int}


def load_config(path: Path) -> dict[str, Any]:
    """Sizes, dropout, batch size: ``configs/model.json``. Perhaps an encoder."""
    return load_model_config(path, CONFIG_FIELDS, {"encoder": list(ENCODERS)})


def build(config: dict[str, Any], vocab_size: int, uniform: bool) -> Translator:
    """The translator of a configuration, with PyTorch's initial weights."""
    h_dim, n_layers, dropout = (config[name] for name in ("h_dim", "n_layers", "dropout"))
    encoder = config.get("encoder", "bilstm")
    return Translator(vocab_size, h_dim, n_layers, dropout, uniform, encoder)
