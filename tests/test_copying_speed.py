"""The fast products and the fast GRU give what PyTorch's own give, with gradients."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from attention_dynamics.copying.model import stepwise
from attention_dynamics.kernels import products
from attention_dynamics.kernels.gru import gru

DOUBLE, SINGLE = torch.float64, torch.float32


def both(function, plain, inputs, rtol, atol):
    """Results and gradients of two functions of the same tensors."""
    outputs = [f(*inputs) for f in (function, plain)]
    outputs = [output if isinstance(output, tuple) else (output,) for output in outputs]
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(o.shape, generator=generator, dtype=o.dtype) for o in outputs[0]]
    for ours, theirs in zip(*outputs):
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)
    gradients = [torch.autograd.grad(output, inputs, weights) for output in outputs]
    for ours, theirs in zip(*gradients):
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize(
    "shape", [(3, 5, 70, 96), (40, 2, 96, 70), (1, 1, 64, 64), (2, 3, 5, 7), (6, 7, 128, 40)]
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(DOUBLE, 1e-12), (SINGLE, 1e-4)])
def test_linear(shape, dtype, tolerance):
    batch, length, features, out_features = shape
    torch.manual_seed(0)
    x = torch.randn(batch, length, features, dtype=dtype, requires_grad=True)
    weight = torch.randn(out_features, features, dtype=dtype, requires_grad=True)
    bias = torch.randn(out_features, dtype=dtype, requires_grad=True)
    both(products.linear, F.linear, [x, weight, bias], tolerance, tolerance)
    both(products.linear, F.linear, [x, weight], tolerance, tolerance)
    turned = x.detach().transpose(0, 1).requires_grad_()  # not contiguous
    both(products.linear, F.linear, [turned, weight], tolerance, tolerance)


def test_linear_leaves_out_gradients_that_nobody_asks_for():
    x, weight = torch.randn(4, 70), torch.randn(80, 70, requires_grad=True)
    (products.linear(x, weight) ** 2).sum().backward()
    assert x.grad is None and weight.grad is not None


def test_product_takes_slices():
    """Neither contiguous nor the transpose of something contiguous."""
    torch.manual_seed(0)
    x, wide = torch.randn(80, 300)[:, 100:200], torch.randn(90, 300)
    for weight in (wide[:, 50:150], wide[:, :100], torch.randn(200, 90)[50:150].T):
        expected = x.double() @ weight.double().T
        torch.testing.assert_close(products.product(x, weight), expected.float(), rtol=0, atol=1e-4)
    a, b = torch.randn(100, 300)[:, 30:110], torch.randn(100, 300)[:, :70]
    for left, right in ((a, b), (b, a)):
        expected = left.double().T @ right.double()
        found = products.product_of_columns(left, right)
        torch.testing.assert_close(found, expected.float(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("length", "batch", "features", "hidden"), [(7, 5, 4, 3), (1, 1, 6, 8)])
@pytest.mark.parametrize("with_state", [False, True])
def test_gru(length, batch, features, hidden, with_state):
    torch.manual_seed(0)
    rnn = nn.GRU(features, hidden).double()
    inputs = torch.randn(length, batch, features, dtype=DOUBLE, requires_grad=True)
    leaves = [inputs, *rnn.parameters()]
    if with_state:
        leaves.append(torch.randn(1, batch, hidden, dtype=DOUBLE, requires_grad=True))

    def run(function):
        return lambda inputs, *rest: function(inputs, rest[-1] if with_state else None)

    for plain in (rnn, partial(stepwise, rnn)):
        both(run(partial(gru, rnn)), run(plain), leaves, 1e-12, 1e-12)


def test_gru_in_single_precision_at_sizes_that_onednn_takes():
    torch.manual_seed(0)
    rnn = nn.GRU(64, 96)
    inputs = torch.randn(9, 6, 64, requires_grad=True)
    both(lambda x, *_: gru(rnn, x), lambda x, *_: rnn(x), [inputs, *rnn.parameters()], 1e-4, 1e-4)
