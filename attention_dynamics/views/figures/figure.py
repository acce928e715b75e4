"""What a figure is, and what it is drawn from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attention_dynamics.analysis.task import Task


@dataclass(frozen=True)
class Material:
    """What there is to draw for one dataset.

    Attributes
    ----------
    key, summary : of the collected results: (dataset, metric, split, performance), and its value
    dump : of the dataset
    sentence : the number of the evaluated sentence to draw
    iterations : the checkpoints to draw it at
    """

    task: Task
    key: tuple[str, str, str, str]
    summary: dict[str, Any]
    dump: dict[str, Any]
    sentence: int
    iterations: list[int]


@dataclass(frozen=True)
class Figure:
    """An entry of the table of figures; its files are ``<dataset>_<name>.png`` and so on.

    Attributes
    ----------
    caption : for the report
    draw : gives a figure of matplotlib
    from_results : it shows collected results, so it is as old as they are
    """

    name: str
    caption: str
    draw: Callable[[Material], Any]
    from_results: bool = False
