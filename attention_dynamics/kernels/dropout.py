"""Dropout."""

import torch
from torch import Tensor
from torch.nn import functional as F


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """:func:`torch.nn.functional.dropout`, which draws five times as slowly on a CPU."""
    if not training or p == 0:
        return x
    if x.is_cuda:
        return F.dropout(x, p)
    return x * ((torch.rand_like(x) >= p) / (1 - p))
