"""Matrix products without gradients, by the fastest library at hand."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def multiplier(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """The function ``x -> x @ weight.T`` of ``x`` (rows, features), for one weight and many ``x``.

    PyTorch multiplies float32 on a CPU by MKL, which uses no more than half of an AMD processor.
    oneDNN uses all of it, but wants its own layout: worth the conversion of ``x`` where the weight
    is converted once.
    """
    if weight.is_cuda or weight.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return lambda x: x @ weight.T
    prepared = weight.contiguous().to_mkldnn()
    return lambda x: F.linear(x.contiguous().to_mkldnn(), prepared).to_dense()
