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


def load(optimizer: torch.optim.Optimizer, state: dict[str, Any], settings: dict[str, Any]) -> None:
    """Load a saved state, after comparing it with what this optimizer would save.

    A fused update writes as many numbers as a parameter has: into a state of fewer it would write
    past the end.

    Raises
    ------
    ValueError
        if a key, a shape, a layout or a dtype differs.
    """
    own = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if state.keys() != own.keys() or state["param_groups"] != own["param_groups"]:
        raise ValueError("the groups of parameters differ")
    example = torch.zeros(1, requires_grad=True)  # what a state holds of a parameter
    example.grad = torch.zeros(1)
    trial = build(settings, [example])
    trial.step()
    expected = trial.state_dict()["state"].get(0, {})
    for index, values in state["state"].items():
        if type(index) is not int or not 0 <= index < len(parameters):
            raise ValueError(f"there is no parameter {index}")
        if values.keys() != expected.keys():
            raise ValueError(f"the state of parameter {index} has other keys")
        for key, like in expected.items():
            value = values[key]
            if not isinstance(like, Tensor) or not isinstance(value, Tensor):
                same = value is None and like is None
            else:
                shape = parameters[index].shape if like.dim() else like.shape
                same = value.shape == shape and value.dtype == like.dtype
                same = same and value.layout == torch.strided and value.is_contiguous()
            if not same:
                raise ValueError(f"{key} of parameter {index} is not one of it")
    optimizer.load_state_dict(state)


def build(
    settings: dict[str, Any], parameters: Iterable[Tensor], attention: Iterable[Tensor] = ()
) -> torch.optim.Optimizer:
    """The optimizer that ``settings["optimizer"]`` and ``settings["lr"]`` ask for.

    With ``settings["attention_lr"]``, the parameters that are in ``attention`` have that learning
    rate.
    """
    groups: list[Any] = list(parameters)
    if "attention_lr" in settings:
        own = list(attention)
        rest = [p for p in groups if not any(p is other for other in own)]
        groups = [{"params": rest}, {"params": own, "lr": settings["attention_lr"]}]
    return OPTIMIZERS[settings["optimizer"]](groups, lr=settings["lr"])
