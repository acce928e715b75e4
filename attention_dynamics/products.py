"""Matrix products by the fastest library at hand.

PyTorch multiplies float32 on a CPU by MKL, which uses no more than half of an AMD processor.
oneDNN uses all of it.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# PyTorch's compiler calls this one; it takes and gives tensors in the usual layout.
ONE_DNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
# For narrower matrices oneDNN is the slower one.
NARROWEST = 64


def multiplier(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """The function ``x -> x @ weight.T`` of ``x`` (rows, features), for one weight and many ``x``.

    Without gradients. oneDNN wants its own layout here: worth the conversion of ``x`` where the
    weight is converted once.
    """
    if weight.is_cuda or weight.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return lambda x: x @ weight.T
    prepared = weight.contiguous().to_mkldnn()
    return lambda x: F.linear(x.contiguous().to_mkldnn(), prepared).to_dense()


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear`` of ``x`` (rows, features), without a gradient."""
    if x.is_cuda or x.dtype != torch.float32 or not ONE_DNN or min(weight.shape) < NARROWEST:
        return F.linear(x, weight, bias)
    if not weight.T.is_contiguous():
        weight = weight.contiguous()  # of a slice oneDNN would take seconds
    return torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, bias, "none", [], "")


def product_of_columns(a: Tensor, b: Tensor) -> Tensor:
    """``a.T @ b`` of two matrices with the same rows, without a gradient."""
    if a.shape[1] < b.shape[1]:
        return product(a.T, b.T)  # the narrower one is copied
    return product(b.T, a.T).T


class _Linear(Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            product(grad, weight.T) if of_x else None,
            product_of_columns(grad, x) if of_weight else None,
            grad.sum(dim=0) if of_bias else None,
        )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear`` of ``x`` (..., features), with a gradient, which has none itself."""
    if x.is_cuda:
        return F.linear(x, weight, bias)
    return _Linear.apply(x.flatten(0, -2), weight, bias).unflatten(0, x.shape[:-1])
