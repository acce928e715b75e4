"""What a figure is, and what it is drawn from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attention_dynamics.analysis.task import Task
from attention_dynamics.views.drawing import Rows, Style

SENTENCES = {"test": "test sentences", "val": "validation sentences", "train": "training sentences"}
MEASURES = {"acc": "accuracy", "bleu": "BLEU"}


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
    rows : all that is drawn, a dict for each row of ``<dataset>_<name>.csv``
    draw : gives a figure of matplotlib, from the rows alone, so that it can be drawn again from the
        CSV. Sizes and colours that it does not name are those of the style and width asked for
    from_results : it shows collected results, so it is as old as they are
    """

    name: str
    caption: str
    rows: Callable[[Material], Rows]
    draw: Callable[[Rows, Style], Any]
    from_results: bool = False


def sentences_and_measure(performance: str) -> tuple[str, str]:
    """``("test sentences", "accuracy")`` of ``test_acc``: on what, and what was measured."""
    split, _, measure = performance.partition("_")
    return SENTENCES.get(split, split), MEASURES.get(measure, measure)
