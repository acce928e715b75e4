"""A GRU layer, fast in training on a CPU, over sequences of one length or of different ones.

``nn.GRU`` does not use oneDNN there, and its backward pass multiplies for the weights' gradient at
each step of time. Here a step is one product and a few operations in place, the gradient is written
out, and that of the weights is one product for all steps.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from attention_dynamics.kernels.plain import packed
from attention_dynamics.kernels.products import linear, multiplier, product, product_of_columns

# To prepare a weight takes about as long as this many steps gain by it.
FEW_STEPS = 8


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


def of_steps(weight: Tensor, bias: Tensor | None, n_steps: int) -> Callable[[Tensor], Tensor]:
    """``x -> product(x, weight, bias)``; the weight is prepared once if there are enough steps."""
    if n_steps < FEW_STEPS:
        return lambda x: product(x, weight, bias)
    return multiplier(weight, bias)


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
        before, *afters = states.split([len(h), *counts])
        before.copy_(h)
        gates = torch.empty_like(projected)
        r_z, n_gate = gates.split([2 * hidden, hidden], dim=1)
        r_gate, z_gate = r_z.chunk(2, dim=1)
        recurrent_n = []  # W h + b for n
        times_weight = of_steps(weight, bias, len(counts))
        for after, x_rz, x_n, rz, r, z, n in zip(
            afters,
            *(x.split(counts) for x in projected.split([2 * hidden, hidden], dim=1)),
            *(x.split(counts) for x in (r_z, r_gate, z_gate, n_gate)),
        ):
            before = before[: len(after)]
            h_rz, h_n = times_weight(before).split([2 * hidden, hidden], dim=1)
            torch.add(x_rz, h_rz, out=rz).sigmoid_()
            torch.addcmul(x_n, r, h_n, out=n).tanh_()
            torch.lerp(n, before, z, out=after)
            recurrent_n.append(h_n)
            before = after
        ctx.counts = counts
        ctx.save_for_backward(states, gates, torch.cat(recurrent_n), weight)
        return states[len(h) :]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients by the gates are those by ``h'`` times what is made here for all steps."""
        states, gates, recurrent_n, weight = ctx.saved_tensors
        counts: list[int] = ctx.counts
        first = counts[0]
        r, z, n = gates.chunk(3, dim=1)
        earlier = [states[:first], *states[first:].split(counts)[:-1]]
        before = torch.cat([rows[:count] for rows, count in zip(earlier, counts)])
        # d h' / d (what n is the tanh of); then d h' / d (W h + b), of r, z and n
        to_n = (1 - z) * (1 - n * n)
        to_recurrent = gates.new_empty(len(gates), 3, gates.shape[1] // 3)
        torch.mul(to_n, r, out=to_recurrent[:, 2])
        torch.mul(to_recurrent[:, 2] * (1 - r), recurrent_n, out=to_recurrent[:, 0])
        torch.mul((before - n) * z, 1 - z, out=to_recurrent[:, 1])

        d_states = torch.empty_like(n)  # d h' of each step
        d_recurrent = torch.empty_like(to_recurrent)
        d_h = grad.new_zeros(first, grad.shape[1])
        times_weight = of_steps(weight.T, None, len(counts))
        steps = zip(*(x.split(counts) for x in (grad, z, to_recurrent, d_states, d_recurrent)))
        for grad_t, z_t, to_recurrent_t, d_state, d_gates in reversed(list(steps)):
            past = d_h[: len(d_state)]
            torch.add(grad_t, past, out=d_state)
            torch.mul(d_state[:, None], to_recurrent_t, out=d_gates)
            torch.addcmul(times_weight(d_gates.flatten(1)), d_state, z_t, out=past)
        d_recurrent = d_recurrent.flatten(1)
        d_projected = d_recurrent.clone()
        torch.mul(d_states, to_n, out=d_projected[:, -grad.shape[1] :])
        d_weight = product_of_columns(d_recurrent, before)
        return d_projected, d_h, d_weight, d_recurrent.sum(dim=0), None
