"""Matrix products by the fastest library at hand.

PyTorch multiplies float32 on a CPU by MKL, which uses no more than half of an AMD processor.
oneDNN uses all of it: PyTorch has it for float32 in ``torch.ops.mkldnn`` alone.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# PyTorch's compiler calls this one; it takes and gives tensors in the usual layout.
ONE_DNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
# For narrower matrices oneDNN is the slower one.
NARROWEST = 64
# oneDNN makes a program for each new shape, in about 0.5 ms, and keeps the last 1,024 of them.
# Batches differ in their number of tokens, so almost every batch would need a new program.
ROWS = 16


# The layout of a prepared weight is chosen for this number of rows.
FEW_ROWS = 32


def by_onednn(weight: Tensor) -> bool:
    on_cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
    return ONE_DNN and on_cpu and min(weight.shape) >= NARROWEST


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear`` of ``x`` (..., features) and ``weight`` (outputs, features).

    Without a gradient: :func:`linear` has one.
    """
    if not by_onednn(weight):
        return F.linear(x, weight, bias)
    if not weight.T.is_contiguous():
        weight = weight.contiguous()  # of a slice oneDNN would take seconds
    return torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, bias, "none", [], "")


def product_of_columns(a: Tensor, b: Tensor) -> Tensor:
    """``a.T @ b`` of two matrices with the same rows, without a gradient."""
    if a.shape[1] < b.shape[1]:
        return product(a.T, b.T)  # the narrower one is copied
    return product(b.T, a.T).T


def multiplier(weight: Tensor, bias: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    """The function ``x -> product(x, weight, bias)``, for one weight and many ``x``.

    The weight is put into oneDNN's own layout once, not each time: of few rows, a fifth of the
    time or more.
    """
    if not by_onednn(weight):
        return lambda x: F.linear(x, weight, bias)
    prepared = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), FEW_ROWS)
    return lambda x: torch.ops.mkldnn._linear_pointwise(
        x.contiguous(), prepared, bias, "none", [], ""
    )


def gradients(
    x: Tensor, weight: Tensor, by_output: Tensor, needed: tuple[bool, ...] = (True, True)
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients by ``x`` and ``weight``, from those by ``product(x, weight)``."""
    by_x = product(by_output, weight.T) if needed[0] else None
    flat, flat_x = by_output.flatten(0, -2), x.flatten(0, -2)
    by_weight = product_of_columns(flat, flat_x) if needed[1] else None
    return by_x, by_weight


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_output: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        by_bias = by_output.flatten(0, -2).sum(dim=0) if ctx.needs_input_grad[2] else None
        return *gradients(x, weight, by_output, ctx.needs_input_grad), by_bias


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear`` of ``x`` (..., features), with a gradient, which has none itself."""
    if x.is_cuda:
        return F.linear(x, weight, bias)
    if x.dim() != 2:
        return _Linear.apply(x, weight, bias)
    return _Linear.apply(full_rows(x), weight, bias)[: len(x)]


def full_rows(x: Tensor) -> Tensor:
    """``x`` (rows, ...), followed by zeros up to a multiple of ``ROWS``."""
    return F.pad(x, (*[0, 0] * (x.dim() - 1), 0, -len(x) % ROWS))
