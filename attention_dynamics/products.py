"""Matrix products by the fastest library at hand.

PyTorch multiplies float32 on a CPU by MKL, which uses no more than half of an AMD processor.
oneDNN uses all of it: PyTorch has it for float32 in ``torch.ops.mkldnn`` alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

# oneDNN makes a program for each new shape, in about 0.5 ms, and keeps the last 1,024 of them.
# With batches of any number of tokens there would be ever new ones.
ROWS = 16


def by_onednn(weight: Tensor) -> bool:
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
    )


def product(x: Tensor, weight: Tensor) -> Tensor:
    """``x @ weight.T`` of ``x`` (..., features) and ``weight`` (outputs, features).

    Without a gradient: :func:`linear` has one.
    """
    if not by_onednn(weight):
        return x @ weight.T
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


def multiplier(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """The function ``x -> product(x, weight)``, for one weight and many ``x``.

    The weight is put into oneDNN's own layout once, not each time.
    """
    if not by_onednn(weight):
        return lambda x: x @ weight.T
    prepared = weight.contiguous().to_mkldnn()
    return lambda x: torch.ops.mkldnn._linear_pointwise(x, prepared, None, "none", [], "")


class Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        return gradients(x, weight, gradient, ctx.needs_input_grad)


def gradients(
    x: Tensor, weight: Tensor, by_output: Tensor, needed: tuple[bool, ...] = (True, True)
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients by ``x`` and ``weight``, from those by ``product(x, weight)``."""
    flat, flat_x = by_output.flatten(0, -2), x.flatten(0, -2)
    by_x = product(by_output, weight.T) if needed[0] else None
    by_weight = product(flat.T, flat_x.T) if needed[1] else None
    return by_x, by_weight


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """``x @ weight.T``, as :func:`torch.nn.functional.linear` gives it, and its gradients."""
    if x.dim() != 2:
        return Linear.apply(x, weight)
    return Linear.apply(full_rows(x), weight)[: len(x)]


def full_rows(x: Tensor) -> Tensor:
    """``x`` (rows, ...), followed by zeros up to a multiple of ``ROWS``."""
    return F.pad(x, (*[0, 0] * (x.dim() - 1), 0, -len(x) % ROWS))
