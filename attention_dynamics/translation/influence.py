"""Gradient influence Δ of every source token on every target token, from one forward pass.

``delta_tl = -d NLL_t / d m_l``, where ``m_l = 1`` multiplies the embedding of source token ``l``:
that is ``-<d NLL_t / d e_l, e_l>``. Each target token needs a backward pass of its own. But a
backward pass is linear, and all of a sentence's run along the same forward pass; so here they run
together, as a batch. At each step of an LSTM the same few coefficients serve all of them, and no
gradient of a weight is computed. Another encoder than the published one runs on a copy of the
sentence for each target token, with one backward pass for all copies. A model of another class has
the plain way.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.kernels.products import multiplier
from attention_dynamics.translation import plain
from attention_dynamics.translation.data import Pairs
from attention_dynamics.translation.encoders.bilstm import BiLSTM
from attention_dynamics.translation.model import Translator

# Source tokens x target tokens x sentences in a batch, at most: bounds the memory, to about
# 1 GB at 256 hidden units.
PAIRS_AT_ONCE = 1 << 15
# The same, in the copies of sentences that another encoder runs on.
TOKENS_AT_ONCE = 1 << 12


class Pass(NamedTuple):
    """One direction of one LSTM layer over sentences of equal length, and its derivatives.

    All but the last two are (length, sentences, ...).
    """

    projected: Tensor  # (..., 4 * hidden), W_ih x
    outputs: Tensor  # (..., hidden)
    cell_to_gates: Tensor  # (..., 3, hidden), d c / d (input, forget, cell gate before its sigmoid)
    output_to_gate: Tensor  # (..., hidden), d h / d (output gate before its sigmoid)
    output_to_cell: Tensor  # (..., hidden), d h / d c
    forget: Tensor  # (..., hidden), d c / d (c one step before)
    state: tuple[Tensor, Tensor]  # the final (h, c): (sentences, hidden) each
    weights: tuple[Tensor, Tensor]  # W_ih, W_hh


def run_lstm(
    lstm: nn.LSTM, suffix: str, inputs: Tensor, state: tuple[Tensor, Tensor] | None = None
) -> Pass:
    """Run a layer in one direction, ``suffix`` such as ``l0`` or ``l0_reverse``, over ``inputs``
    (length, sentences, features) in the order in which it reads them.
    """
    weight_ih, weight_hh = (getattr(lstm, f"weight_{kind}_{suffix}") for kind in ("ih", "hh"))
    bias = getattr(lstm, f"bias_ih_{suffix}") + getattr(lstm, f"bias_hh_{suffix}")
    projected = inputs @ weight_ih.T
    if state is None:
        zeros = inputs.new_zeros(inputs.shape[1], lstm.hidden_size)
        state = (zeros, zeros)
    hidden, cell = state
    outputs, cells, gates = [], [cell], []
    for step in projected + bias:
        i, f, g, o = (step + hidden @ weight_hh.T).chunk(4, dim=1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        cell = f * cell + i * g
        hidden = o * cell.tanh()
        outputs.append(hidden)
        cells.append(cell)
        gates.append(torch.stack([i, f, g, o]))
    i, f, g, o = torch.stack(gates, dim=1)  # (length, sentences, hidden) each
    tanh_cell = torch.stack(cells[1:]).tanh()
    return Pass(
        projected=projected,
        outputs=torch.stack(outputs),
        cell_to_gates=torch.stack(
            [g * i * (1 - i), torch.stack(cells[:-1]) * f * (1 - f), i * (1 - g * g)], dim=2
        ),
        output_to_gate=tanh_cell * o * (1 - o),
        output_to_cell=o * (1 - tanh_cell * tanh_cell),
        forget=f,
        state=(hidden, cell),
        weights=(weight_ih, weight_hh),
    )


def run_back(
    run: Pass,
    d_outputs: Tensor,
    d_state: Tensor,
    at_step: Callable[[int, int, Tensor], None],
    causal: bool = False,
) -> None:
    """Back through a layer, once for each of ``losses`` losses.

    Parameters
    ----------
    d_outputs : (length, losses, sentences, hidden), gradients of the losses by the outputs
    d_state : (2, losses, sentences, hidden), gradients by the final h and c; at the end, those by
        the first h and c stand there
    at_step : is given the step, the first loss that depends on it, and the gradients by ``W_ih x``
        (losses from the first one * sentences, 4 * hidden), to be used at once
    causal : loss ``k`` depends on the steps up to ``k`` alone
    """
    length, losses, sentences, hidden_size = d_outputs.shape
    times_weight = multiplier(run.weights[1].T)  # d_gates @ W_hh
    d_hidden, d_cell = d_state
    d_gates = d_outputs.new_empty(losses, sentences, 4, hidden_size)
    for step in reversed(range(length)):
        first = step if causal else 0
        d_h, d_c, gates = d_hidden[first:], d_cell[first:], d_gates[first:]
        d_h += d_outputs[step, first:]
        d_c.addcmul_(d_h, run.output_to_cell[step])
        torch.mul(d_c[:, :, None], run.cell_to_gates[step], out=gates[:, :, :3])
        torch.mul(d_h, run.output_to_gate[step], out=gates[:, :, 3])
        d_c *= run.forget[step]
        gates = gates.view(-1, 4 * hidden_size)
        at_step(step, first, gates)
        d_h.copy_(times_weight(gates).view(d_h.shape))


def to_inputs(run: Pass, d_inputs: Tensor) -> Callable[[int, int, Tensor], None]:
    """For :func:`run_back`: writes the gradients by the layer's inputs into ``d_inputs``
    (length, losses, sentences, features).
    """
    times_weight = multiplier(run.weights[0].T)  # d_gates @ W_ih

    def at_step(step: int, first: int, gates: Tensor) -> None:
        d_input = d_inputs[step, first:]
        d_input += times_weight(gates).view(d_input.shape)

    return at_step


def to_multipliers(run: Pass, delta: Tensor) -> Callable[[int, int, Tensor], None]:
    """For :func:`run_back`: writes the gradients by multipliers of the layer's inputs into
    ``delta`` (length, losses, sentences).

    ``<d NLL / d x, x>`` is ``<d NLL / d (W_ih x), W_ih x>``.
    """

    def at_step(step: int, first: int, gates: Tensor) -> None:
        gates = gates.view(-1, delta.shape[2], gates.shape[1])
        delta[step, first:] += torch.einsum("ksg,sg->ks", gates, run.projected[step])

    return at_step


@torch.no_grad()
def influence_of_equal_lengths(model: Translator, source: Tensor, target: Tensor) -> Tensor:
    """Δ of sentences whose sources are equally long.

    Parameters
    ----------
    source : tokens (sentences, source length)
    target : tokens (sentences, target length), with <s>, </s> and anything after that

    Returns
    -------
    (sentences, target length - 1, source length); to be ignored after </s>
    """
    # forward: time first, (length, sentences, hidden)
    embedded = model.embedding(source)
    written_out = type(model.encoder) is BiLSTM
    if written_out:
        encoder, hidden, states = run_bilstm(model.encoder, embedded)
    else:
        lengths = torch.full((len(source),), source.shape[1])
        hidden, (h, c) = model.encoder(embedded.flatten(0, 1), lengths)
        hidden, states = hidden.unflatten(0, source.shape), list(zip(h, c))
    layer_input = model.embedding(target[:, :-1].T)
    decoder = []
    for lstm, state in zip(model.decoder, states):
        decoder.append(run_lstm(lstm, "l0", layer_input, state))
        layer_input = decoder[-1].outputs
    decoded = layer_input.transpose(0, 1)  # (sentences, target length, hidden)

    # from each loss to the decoder state and the encoder states that it reads
    query, values = model.query(decoded), model.context(hidden)
    if model.other is not None:
        lengths, target_lengths = (torch.full((len(x),), x.shape[1]) for x in (source, target))
        given = model.given(source.flatten(), lengths, target.flatten(), target_lengths)
        assert given is not None
        alpha = given
    elif model.uniform:
        alpha = query.new_full((*query.shape[:2], hidden.shape[1]), 1 / hidden.shape[1])
    else:
        alpha = (query @ hidden.transpose(1, 2)).softmax(dim=2)
    combined = model.combine(torch.cat([decoded, alpha @ values], dim=2)).relu()
    d_logits = model.output(combined).softmax(dim=2)
    d_logits.scatter_add_(
        2, target[:, 1:, None], d_logits.new_full((1,), -1).expand_as(target[:, 1:, None])
    )
    d_combined = (d_logits @ model.output.weight) * (combined > 0)
    d_decoded, d_context = (d_combined @ model.combine.weight).chunk(2, dim=2)
    d_context = d_context @ model.context.weight  # by sum(alpha_ts h_s)
    d_alpha = d_context @ hidden.transpose(1, 2)
    d_attention = alpha * (d_alpha - (alpha * d_alpha).sum(dim=2, keepdim=True))
    if model.uniform or model.other is not None:  # α is a constant
        d_attention.zero_()
    d_decoded = d_decoded + (d_attention @ hidden) @ model.query.weight

    # gradients are (length, losses, sentences, ...); loss k is that of target token k
    n_source, n_target = source.shape[1], target.shape[1] - 1
    sentences, hidden_size = len(source), decoded.shape[2]
    d_outputs = decoded.new_zeros(n_target, n_target, sentences, hidden_size)
    d_outputs.diagonal().copy_(d_decoded.permute(0, 2, 1))
    d_states: list[Tensor] = []
    for run in reversed(decoder):
        d_state = decoded.new_zeros(2, n_target, sentences, hidden_size)
        d_inputs = torch.zeros_like(d_outputs)
        at_step = to_inputs(run, d_inputs) if run is not decoder[0] else lambda *_: None
        run_back(run, d_outputs, d_state, at_step, causal=True)
        d_outputs = d_inputs
        d_states.insert(0, d_state)

    # (source length, losses, sentences, width)
    d_outputs = alpha.permute(2, 1, 0)[..., None] * d_context.transpose(0, 1)
    d_outputs.addcmul_(d_attention.permute(2, 1, 0)[..., None], query.transpose(0, 1))
    if not written_out:
        d_hidden = d_outputs.permute(1, 2, 0, 3)
        return through_encoder(model.encoder, embedded, d_hidden, torch.stack(d_states))
    # two directions, 2 * hidden
    delta = decoded.new_zeros(n_source, n_target, sentences)
    for layer, (forward, backward) in reversed(list(enumerate(encoder))):
        d_inputs = torch.zeros_like(d_outputs) if layer > 0 else delta
        for run, flip, d_output in zip((forward, backward), (False, True), d_outputs.chunk(2, 3)):
            d_input, d_output = (x.flip(0) if flip else x for x in (d_inputs, d_output))
            at_step = (to_inputs if layer > 0 else to_multipliers)(run, d_input)
            # the decoder's first state is the mean of the directions' final ones
            run_back(run, d_output, d_states[layer] / 2, at_step)
            d_inputs = d_input.flip(0) if flip else d_input
        d_outputs = d_inputs
    return -d_outputs.permute(2, 1, 0)


def run_bilstm(
    encoder: BiLSTM, embedded: Tensor
) -> tuple[list[tuple[Pass, Pass]], Tensor, list[tuple[Tensor, Tensor]]]:
    """Both passes of each layer over ``embedded`` (sentences, length, features), the states
    (sentences, length, 2 * hidden), and the decoder's first (h, c) of each layer.
    """
    layer_input = embedded.transpose(0, 1)
    passes, states = [], []
    for lstm in encoder:
        forward = run_lstm(lstm, "l0", layer_input)
        backward = run_lstm(lstm, "l0_reverse", layer_input.flip(0))
        passes.append((forward, backward))
        h, c = ((f + b) / 2 for f, b in zip(forward.state, backward.state))
        states.append((h, c))
        layer_input = torch.cat([forward.outputs, backward.outputs.flip(0)], dim=2)
    return passes, layer_input.transpose(0, 1), states


def through_encoder(
    encoder: nn.Module, embedded: Tensor, d_hidden: Tensor, d_states: Tensor
) -> Tensor:
    """Δ (sentences, losses, source length), from gradients by all that an encoder gives.

    Sentences do not touch one another in an encoder. So it runs on a copy of a sentence for each
    loss, as one batch: one backward pass then gives the gradients of all losses.

    Parameters
    ----------
    embedded : (sentences, source length, features)
    d_hidden : (losses, sentences, source length, width), by the states
    d_states : (layers, 2, losses, sentences, hidden), by the first h and c
    """
    sentences, n_source, _ = embedded.shape
    at_once = max(1, TOKENS_AT_ONCE // (sentences * n_source))
    found = []
    for by_hidden, by_states in zip(d_hidden.split(at_once), d_states.split(at_once, dim=2)):
        copies = embedded.expand(len(by_hidden), -1, -1, -1).flatten(0, 2)
        lengths = torch.full((len(by_hidden) * sentences,), n_source)
        by_h, by_c = by_states.flatten(2, 3).unbind(1)
        # cuDNN has no backward pass for a model in eval mode
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            copies = copies.requires_grad_()
            hidden, (h, c) = encoder(copies, lengths)
            results = [(hidden, by_hidden.flatten(0, 2)), (h, by_h), (c, by_c)]
            outputs, gradients = zip(*(pair for pair in results if pair[0].requires_grad))
            (gradient,) = torch.autograd.grad(outputs, copies, gradients)
        products = -(gradient * copies.detach()).sum(dim=1)
        found.append(products.view(len(by_hidden), sentences, n_source))
    return torch.cat(found).transpose(0, 1)


def is_written_out(model: Translator) -> bool:
    """Whether the passes here are those of the model: unchanged, and its decoder of LSTM layers."""
    layers = [*model.decoder, *(model.encoder if type(model.encoder) is BiLSTM else ())]
    return type(model) is Translator and all(type(layer) is nn.LSTM for layer in layers)


def gradient_influence(
    model: Translator, pairs: Pairs, device: torch.device, batch_size: int
) -> np.ndarray:
    """Δ of every pair of source token and predicted token: (pairs,), sentence after sentence.

    ``batch_size`` sentences whose sources are equally long, at most, are computed together. Of a
    model that :func:`is_written_out` is not true of, Δ is that of :mod:`plain`.
    """
    if not is_written_out(model):
        return plain.gradient_influence(model, pairs, device)
    n_source, n_target = pairs.source.lengths, pairs.target.lengths
    sizes = n_source * (n_target - 1)
    delta = Ragged(np.empty(sizes.sum(), dtype=np.float32), offsets_of(sizes))
    for rows in batches_of_equal_source(n_source, n_target, batch_size):
        batch = pairs.take(rows)
        source = torch.from_numpy(batch.source.values.reshape(len(rows), -1)).to(device)
        target = np.zeros((len(rows), n_target[rows].max()), dtype=np.int64)
        real = np.arange(target.shape[1]) < n_target[rows, None]
        target[real] = batch.target.values
        found = influence_of_equal_lengths(model, source, torch.from_numpy(target).to(device))
        delta.values[delta.indices(rows)] = found.cpu().numpy()[real[:, 1:]].reshape(-1)
    return delta.values


def batches_of_equal_source(
    n_source: np.ndarray, n_target: np.ndarray, batch_size: int
) -> list[np.ndarray]:
    """Rows in batches of one source length and like target lengths."""
    order = np.lexsort((-n_target, -n_source))
    batches, start = [], 0
    while start < len(order):
        longest = order[start]
        count = min(batch_size, max(1, PAIRS_AT_ONCE // (n_source[longest] * n_target[longest])))
        rows = order[start : start + count]
        rows = rows[n_source[rows] == n_source[longest]]
        batches.append(rows)
        start += len(rows)
    return batches
