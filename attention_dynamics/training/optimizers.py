"""The optimizers, by the name that ``--optimizer`` gives them."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from attention_dynamics import cli

# Each takes the parameters and lr. "fused" updates them in one pass, on a CPU too.
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": lambda parameters, lr: torch.optim.Adam(parameters, lr=lr, fused=True),
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, fused=True),
}


def add_flags(parser: cli.Parser, lr: float = 0.001) -> None:
    """``--optimizer`` and ``--lr``; ``lr`` is the default learning rate."""
    parser.add_argument("--optimizer", choices=list(OPTIMIZERS), default="adam", help="optimizer")
    parser.add_argument("--lr", type=cli.positive_float, default=lr, help="learning rate")


def build(settings: dict[str, Any], parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    """The optimizer that ``settings["optimizer"]`` and ``settings["lr"]`` ask for."""
    return OPTIMIZERS[settings["optimizer"]](list(parameters), lr=settings["lr"])
