"""A GRU layer, fast in training on a CPU, over sequences of one length or of different ones.

``nn.GRU`` does not use oneDNN there, and its backward pass multiplies for the weights' gradient at
each step of time. Here a step is one product and a few operations in place, the gradient is written
out, and that of the weights is one product for all steps.
"""

from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from attention_dynamics.kernels.plain import packed
from attention_dynamics.kernels.products import linear, product, product_of_columns


def gru(rnn: nn.GRU, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What the one-layer, one-directional ``rnn`` gives for ``inputs`` (length, batch, features).

    The plain way is ``rnn`` itself, or step by step :func:`copying.model.stepwise`.

    Returns
    -------
    outputs : (length, batch, hidden)
    state : the final one, (1, batch, hidden)
    """
    weight_ih, weight_hh, bias_ih, bias_hh = rnn.parameters()
    projected = linear(inputs, weight_ih, bias_ih)
    if state is None:
        state = projected.new_zeros(1, inputs.shape[1], rnn.hidden_size)
    counts = [inputs.shape[1]] * len(inputs)
    outputs = _Steps.apply(projected.flatten(0, 1), state[0], weight_hh, bias_hh, counts)
    outputs = outputs.view(*inputs.shape[:2], -1)
    return outputs, outputs[-1:]


def bigru(rnn: nn.GRU, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """One layer of a bidirectional GRU over sentences of different lengths.

    The plain way is :func:`attention_dynamics.kernels.plain.packed`, which is used on CUDA.

    Parameters
    ----------
    rnn : a bidirectional GRU of one layer, whose weights are used
    inputs : (total, features), the sentences end to end
    lengths : int64 (batch,) on the CPU, each at least 1; their sum is ``total``

    Returns
    -------
    outputs : (total, 2 * hidden), at each token the forward and the backward state
    state : (2, batch, hidden), the final states of the two directions
    """
    if rnn.num_layers != 1 or not rnn.bidirectional:
        raise ValueError("bigru is for a bidirectional GRU of one layer")
    if inputs.is_cuda:
        return packed(rnn, inputs, lengths)
    # The longest sentence first: at each step those under way are the first ones.
    sorted_lengths, order = torch.sort(lengths, descending=True, stable=True)
    first = (lengths.cumsum(0) - lengths)[order]  # where each sentence starts in ``inputs``
    step = torch.arange(int(sorted_lengths[0]))[:, None]
    under_way = step < sorted_lengths  # (time, sentences)
    counts = under_way.sum(dim=1).tolist()
    weights = list(rnn.parameters())
    outputs = []
    for places, direction in (
        ((first + step)[under_way], weights[:4]),
        ((first + sorted_lengths - 1 - step)[under_way], weights[4:]),
    ):
        weight_ih, weight_hh, bias_ih, bias_hh = direction
        projected = linear(inputs.index_select(0, places), weight_ih, bias_ih)
        state = projected.new_zeros(len(lengths), rnn.hidden_size)
        output = _Steps.apply(projected, state, weight_hh, bias_hh, counts)
        outputs.append(output.index_select(0, places.argsort()))
    last = lengths.cumsum(0) - 1
    finals = [outputs[0][last], outputs[1][last - lengths + 1]]
    return torch.cat(outputs, dim=1), torch.stack(finals)


class _Steps(Function):
    """All steps of time: ``h' = (1 - z) n + z h`` with

    ``r, z = sigmoid(projected + W h + b)`` and ``n = tanh(projected + r (W h + b))``.

    Gates lie side by side as in PyTorch's weights: r, z, n. The sequences' rows stand step after
    step, ``counts[t]`` of them at step t: those of the first sequences, as the others have ended.
    """

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, h: Tensor, weight: Tensor, bias: Tensor, counts: list[int]
    ) -> Tensor:
        hidden = weight.shape[1]
        states = h.new_empty(len(h) + len(projected), hidden)  # the first, then those of each step
        states[: len(h)] = h
        gates = torch.empty_like(projected)
        recurrent_n = h.new_empty(len(projected), hidden)  # W h + b for n
        past, start = 0, 0  # where the rows before this step are in ``states``; its own in the rest
        for n_rows in counts:
            rows = slice(start, start + n_rows)
            before = states[past : past + n_rows]
            after = states[len(h) + start : len(h) + start + n_rows]
            recurrent = product(before, weight, bias)
            recurrent_n[rows] = recurrent[:, 2 * hidden :]
            r, z, n = gates[rows].chunk(3, dim=1)
            rz = gates[rows, : 2 * hidden]
            torch.add(projected[rows, : 2 * hidden], recurrent[:, : 2 * hidden], out=rz).sigmoid_()
            torch.addcmul(projected[rows, 2 * hidden :], r, recurrent_n[rows], out=n).tanh_()
            torch.lerp(n, before, z, out=after)
            past, start = len(h) + start, start + n_rows
        ctx.counts = counts
        ctx.save_for_backward(states, gates, recurrent_n, weight)
        return states[len(h) :]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        states, gates, recurrent_n, weight = ctx.saved_tensors
        counts: list[int] = ctx.counts
        hidden = weight.shape[1]
        d_projected = torch.empty_like(gates)
        d_recurrent = torch.empty_like(gates)
        d_states = states.new_zeros(counts[0], hidden)
        starts = [0, *accumulate(counts)]
        befores = [states[:0]] * len(counts)  # the states that each step starts from
        for t in reversed(range(len(counts))):
            rows = slice(starts[t], starts[t + 1])
            past = counts[0] + starts[t - 1] if t > 0 else 0
            before = befores[t] = states[past : past + counts[t]]
            d_h = d_states[: counts[t]]
            r, z, n = gates[rows].chunk(3, dim=1)
            d_r, d_z, d_n = d_projected[rows].chunk(3, dim=1)
            d_h += grad[rows]
            torch.sub(before, n, out=d_z).mul_(d_h)
            to_past = d_h * z
            torch.sub(d_h, to_past, out=d_n)
            d_n.addcmul_(d_n * n, n, value=-1)  # tanh' = 1 - n^2
            torch.mul(d_n, recurrent_n[rows], out=d_r)
            rz, d_rz = gates[rows, : 2 * hidden], d_projected[rows, : 2 * hidden]
            d_rz *= rz
            d_rz.addcmul_(d_rz, rz, value=-1)  # sigmoid' = r (1 - r)
            d_recurrent[rows, : 2 * hidden] = d_rz
            torch.mul(d_n, r, out=d_recurrent[rows, 2 * hidden :])
            torch.add(to_past, product(d_recurrent[rows], weight.T), out=d_h)
        d_weight = product_of_columns(d_recurrent, torch.cat(befores))
        return d_projected, d_states, d_weight, d_recurrent.sum(dim=0), None
