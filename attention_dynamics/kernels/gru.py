"""A GRU layer over sequences of one length, fast in training on a CPU.

``nn.GRU`` does not use oneDNN there, and its backward pass multiplies for the weights' gradient at
each step of time. Here a step is one product and a few operations in place, the gradient is written
out, and that of the weights is one product for all steps.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

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
    outputs = _Steps.apply(projected, state[0], weight_hh, bias_hh)
    return outputs, outputs[-1:]


class _Steps(Function):
    """All steps of time: ``h' = (1 - z) n + z h`` with

    ``r, z = sigmoid(projected + W h + b)`` and ``n = tanh(projected + r (W h + b))``.

    Gates lie side by side as in PyTorch's weights: r, z, n.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        hidden = weight.shape[1]
        states = h.new_empty(len(projected) + 1, *h.shape)
        states[0] = h
        gates = torch.empty_like(projected)
        recurrent_n = torch.empty_like(states[1:])  # W h + b for n
        for t in range(len(projected)):
            recurrent = product(states[t], weight, bias)
            recurrent_n[t] = recurrent[:, 2 * hidden :]
            r, z, n = gates[t].chunk(3, dim=1)
            rz = gates[t, :, : 2 * hidden]
            torch.add(projected[t, :, : 2 * hidden], recurrent[:, : 2 * hidden], out=rz).sigmoid_()
            torch.addcmul(projected[t, :, 2 * hidden :], r, recurrent_n[t], out=n).tanh_()
            torch.lerp(n, states[t], z, out=states[t + 1])
        ctx.save_for_backward(states, gates, recurrent_n, weight)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        states, gates, recurrent_n, weight = ctx.saved_tensors
        hidden = weight.shape[1]
        d_projected = torch.empty_like(gates)
        d_recurrent = torch.empty_like(gates)
        d_h = torch.zeros_like(states[0])
        for t in reversed(range(len(gates))):
            r, z, n = gates[t].chunk(3, dim=1)
            d_r, d_z, d_n = d_projected[t].chunk(3, dim=1)
            d_h += grad[t]
            torch.sub(states[t], n, out=d_z).mul_(d_h)
            past = d_h * z
            torch.sub(d_h, past, out=d_n)
            d_n.addcmul_(d_n * n, n, value=-1)  # tanh' = 1 - n^2
            torch.mul(d_n, recurrent_n[t], out=d_r)
            rz, d_rz = gates[t, :, : 2 * hidden], d_projected[t, :, : 2 * hidden]
            d_rz *= rz
            d_rz.addcmul_(d_rz, rz, value=-1)  # sigmoid' = r (1 - r)
            d_recurrent[t, :, : 2 * hidden] = d_rz
            torch.mul(d_n, r, out=d_recurrent[t, :, 2 * hidden :])
            d_h = past.add_(product(d_recurrent[t], weight.T))
        d_recurrent = d_recurrent.flatten(0, 1)
        d_weight = product_of_columns(d_recurrent, states[:-1].flatten(0, 1))
        return d_projected, d_h, d_weight, d_recurrent.sum(dim=0)
