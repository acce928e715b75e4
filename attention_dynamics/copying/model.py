"""The copiers: an encoder, a decoder, and one attention head between them or several.

There are two ways to compute the same. ``nn.LSTM``, ``nn.GRU`` (on a CPU :func:`gru.gru`) and
:func:`products.linear` are fast for one model. :func:`stepwise` is plain matrix products, which
``torch.vmap`` can compute for many models at once; a model takes it if its attribute ``fused`` is
false.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attention_dynamics.kernels.gru import gru
from attention_dynamics.kernels.products import linear

VERSION = 1  # of the mathematics: raise it when the same settings give other learning curves
SPECIALS = 2  # tokens after the vocabulary's own: </s>, then <s>


class Output(NamedTuple):
    """What a copier computes for a batch of sequences, given the tokens before each one."""

    logits: Tensor  # (batch, length, n_vocab + 2)
    alpha: Tensor  # (batch, length, source length), with heads (batch, length, heads, ...)


class Copier(nn.Module):
    """Sequence copying with single-head attention: the translator's, in small.

    One embedding serves source and target. With decoder states ``d``, encoder states ``h``:
    attention logits ``(W_a d_t + b_a) . h_s``, softmax over the source (or all logits 0, uniform);
    context ``c_t = W_c sum(alpha_ts h_s) + b_c``;
    ``p = softmax(W_o tanh(W [d_t; c_t] + b) + b_o)``. The decoder starts from the encoder's final
    state; from the mean of both directions' with ``bi``.

    Tokens are 0 to ``n_vocab - 1``, then </s>, which ends a sequence, and <s>.

    Two controls: with ``no_context`` the context is 0, so that the decoder has the encoder's final
    state alone; with ``no_bias`` the linear layers have no biases.
    """

    def __init__(
        self,
        n_vocab: int,
        hidden_dim: int,
        bi: bool = False,
        uniform: bool = False,
        no_context: bool = False,
        no_bias: bool = False,
    ):
        super().__init__()
        self.n_vocab, self.uniform, self.no_context = n_vocab, uniform, no_context
        self.fused = True
        self.embedding = nn.Embedding(n_vocab + SPECIALS, hidden_dim)
        self.encoder = nn.LSTM(hidden_dim, hidden_dim, bidirectional=bi)
        self.decoder = nn.LSTM(hidden_dim, hidden_dim)
        width = 2 * hidden_dim if bi else hidden_dim
        bias = not no_bias
        self.query = nn.Linear(hidden_dim, width, bias)  # W_a, b_a
        self.context = nn.Linear(width, hidden_dim, bias)  # W_c, b_c
        self.combine = nn.Linear(2 * hidden_dim, hidden_dim, bias)  # W, b
        self.output = nn.Linear(hidden_dim, n_vocab + SPECIALS, bias)  # W_o, b_o

    def forward(self, source: Tensor) -> Output:
        """Tokens (batch, length), to be copied; the decoder reads <s> and all but the last."""
        encoded, (h, c) = recur(self.encoder, self.embedding(source), None, self.fused)
        state = (h.mean(dim=0, keepdim=True), c.mean(dim=0, keepdim=True))  # over directions
        inputs = shifted(source, start=self.n_vocab + 1)
        decoded, _ = recur(self.decoder, self.embedding(inputs), state, self.fused)
        multiply = linear if self.fused else F.linear
        queries = multiply(decoded, self.query.weight, self.query.bias)
        logits = queries @ encoded.transpose(1, 2)  # (batch, length, source length)
        alpha = (torch.zeros_like(logits) if self.uniform else logits).softmax(dim=2)
        if self.no_context:
            context = torch.zeros_like(decoded)  # (batch, length, hidden)
        else:
            context = multiply(alpha @ encoded, self.context.weight, self.context.bias)
        both = torch.cat([decoded, context], dim=2)
        combined = torch.tanh(multiply(both, self.combine.weight, self.combine.bias))
        return Output(self.output(combined), alpha)


class Head(nn.Module):
    """An attention head: its query projection and its context projection, with their biases."""

    def __init__(self, hidden_dim: int):
        super().__init__()
        self.query = nn.Linear(hidden_dim, hidden_dim)
        self.context = nn.Linear(hidden_dim, hidden_dim)


class MultiHeadCopier(nn.Module):
    """Sequence copying with several attention heads (paper, section 5.2).

    GRU encoder and decoder, an embedding each; every head attends as in :class:`Copier`, and their
    contexts are averaged. ``p = softmax(W_o tanh(W [c_t; d_t] + b) + b_o)``.

    The heads are made last, so that a seed gives the same base whatever their number.
    """

    def __init__(self, n_vocab: int, hidden_dim: int, n_heads: int):
        super().__init__()
        self.n_vocab, self.fused = n_vocab, True
        self.source_embedding = nn.Embedding(n_vocab + SPECIALS, hidden_dim)
        self.target_embedding = nn.Embedding(n_vocab + SPECIALS, hidden_dim)
        self.encoder = nn.GRU(hidden_dim, hidden_dim)
        self.decoder = nn.GRU(hidden_dim, hidden_dim)
        self.combine = nn.Linear(2 * hidden_dim, hidden_dim)  # W, b
        self.output = nn.Linear(hidden_dim, n_vocab + SPECIALS)  # W_o, b_o
        self.heads = nn.ModuleList(Head(hidden_dim) for _ in range(n_heads))

    def forward(self, source: Tensor) -> Output:
        """Tokens (batch, length), to be copied; the decoder reads <s> and all but the last."""
        encoded, state = recur(self.encoder, self.source_embedding(source), None, self.fused)
        inputs = self.target_embedding(shifted(source, start=self.n_vocab + 1))
        decoded, _ = recur(self.decoder, inputs, state, self.fused)
        multiply = linear if self.fused else F.linear
        # All heads at once: their queries stand side by side, as so many more target positions.
        heads: list[Any] = list(self.heads)
        queries = multiply(
            decoded,
            torch.cat([head.query.weight for head in heads]),
            torch.cat([head.query.bias for head in heads]),
        )
        # (batch, length * heads, ...)
        queries = queries.unflatten(2, (len(heads), -1)).flatten(1, 2)
        alpha = (queries @ encoded.transpose(1, 2)).softmax(dim=2)
        attended = (alpha @ encoded).unflatten(1, (-1, len(heads))).flatten(2, 3)
        # the sum of the heads' contexts is one product with their projections side by side
        projections = torch.cat([head.context.weight for head in heads], dim=1)
        biases = torch.stack([head.context.bias for head in heads]).sum(dim=0)
        context = multiply(attended, projections, biases) / len(heads)  # (batch, length, hidden)
        both = torch.cat([context, decoded], dim=2)
        combined = torch.tanh(multiply(both, self.combine.weight, self.combine.bias))
        return Output(self.output(combined), alpha.unflatten(1, (-1, len(heads))))


AnyCopier = Copier | MultiHeadCopier


def nll(logits: Tensor, source: Tensor) -> Tensor:
    """Mean negative log-likelihood of a token of ``source``, which is to be copied."""
    return F.cross_entropy(logits.flatten(0, 1), source.flatten())


def shifted(source: Tensor, start: int) -> Tensor:
    """The decoder's inputs: <s>, and the sequence without its last token."""
    return torch.cat([torch.full_like(source[:, :1], start), source[:, :-1]], dim=1)


def recur(rnn: nn.LSTM | nn.GRU, inputs: Tensor, state: Any, fused: bool) -> tuple[Tensor, Any]:
    """Run a recurrent layer over ``inputs`` (batch, length, features).

    Parameters
    ----------
    state : what it starts from, as the module takes it; None for zeros
    fused : by the module's own code, not by :func:`stepwise`

    Returns
    -------
    outputs : (batch, length, directions * hidden)
    state : the final one, (directions, batch, hidden); of an LSTM a pair (h, c) of them
    """
    inputs = inputs.transpose(0, 1)  # time first
    if not fused:
        outputs, state = stepwise(rnn, inputs, state)
    elif isinstance(rnn, nn.GRU) and not inputs.is_cuda:
        outputs, state = gru(rnn, inputs, state)
    else:
        outputs, state = rnn(inputs, state)
    return outputs.transpose(0, 1), state


def stepwise(rnn: nn.LSTM | nn.GRU, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
    """What the one-layer ``rnn`` gives for ``inputs`` (length, batch, features), step by step."""
    is_lstm = isinstance(rnn, nn.LSTM)
    parts = (state if is_lstm else (state,)) if state is not None else ()
    outputs, finals = [], []
    for direction in range(2 if rnn.bidirectional else 1):
        suffix = "_l0" + ("_reverse" if direction else "")
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = [getattr(rnn, name + suffix) for name in names]
        if parts:
            start = [part[direction] for part in parts]
        else:
            zeros = torch.zeros_like(inputs[0, :, :1]).expand(-1, rnn.hidden_size)
            start = [zeros, zeros] if is_lstm else [zeros]
        cell = _lstm_steps if is_lstm else _gru_steps
        output, final = cell(inputs.flip(0) if direction else inputs, start, *weights)
        outputs.append(output.flip(0) if direction else output)
        finals.append(final)
    state = [torch.stack(part) for part in zip(*finals)]
    return torch.cat(outputs, dim=2), tuple(state) if is_lstm else state[0]


def _lstm_steps(inputs: Tensor, start: list[Tensor], *weights: Tensor) -> tuple[Tensor, Any]:
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    h, c = start
    outputs = []
    for projected in (inputs @ weight_ih.T + (bias_ih + bias_hh)).unbind(0):
        i, f, g, o = (projected + h @ weight_hh.T).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return torch.stack(outputs), (h, c)


def _gru_steps(inputs: Tensor, start: list[Tensor], *weights: Tensor) -> tuple[Tensor, Any]:
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    (h,) = start
    outputs = []
    for projected in (inputs @ weight_ih.T + bias_ih).unbind(0):
        recurrent = h @ weight_hh.T + bias_hh
        input_r, input_z, input_n = projected.chunk(3, dim=1)
        hidden_r, hidden_z, hidden_n = recurrent.chunk(3, dim=1)
        n = torch.tanh(input_n + (input_r + hidden_r).sigmoid() * hidden_n)
        h = torch.lerp(n, h, (input_z + hidden_z).sigmoid())  # (1 - z) n + z h
        outputs.append(h)
    return torch.stack(outputs), (h,)


@contextlib.contextmanager
def _seeded(*seeds: int) -> Iterator[None]:
    """Let torch draw from ``seeds`` for a while. Different seeds give unrelated streams."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]))
        yield


BASES, HEADS = 1, 2  # streams of random numbers: seed 0 of a base and of a head are unrelated


def build_copier(seed: int, embedding_std: float = 1.0, **sizes: Any) -> Copier:
    """A copier with PyTorch's initial weights, drawn on the CPU from ``seed``.

    ``embedding_std`` is the standard deviation of the embeddings (PyTorch's default is 1). If they
    are small, states differ little at first, so attention is near uniform, as the paper's account
    of training assumes.
    """
    with _seeded(BASES, seed):
        model = Copier(**sizes)
    with torch.no_grad():
        model.embedding.weight.mul_(embedding_std)
    return model


def build_multihead(
    base_seed: int, head_seeds: tuple[int, ...], n_vocab: int, hidden_dim: int
) -> MultiHeadCopier:
    """The base of ``base_seed`` with a head from each of ``head_seeds``; drawn on the CPU.

    A head is a function of its own seed: the same in any place of any combination.
    """
    with _seeded(BASES, base_seed):
        model = MultiHeadCopier(n_vocab, hidden_dim, len(head_seeds))
    for head, seed in zip(model.heads, head_seeds):
        with _seeded(HEADS, seed):
            head.load_state_dict(Head(hidden_dim).state_dict())
    return model
