"""How long copying takes: copiers of several lengths, vocabularies and kinds of repetition.

Every setting trains a few seeds until both times are known: the first evaluated step with a token
accuracy over one threshold (the model *copies*), and the first with an attention accuracy over
another (it *attends* to what it copies). Some copiers reach the first without the second. A time
that has not come by the last evaluation is censored: all that is known is that it is later.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from attention_dynamics import cli
from attention_dynamics.copying.histories import History, first_over
from attention_dynamics.copying.many import Task, train_all
from attention_dynamics.copying.model import build_copier
from attention_dynamics.copying.settings import Repeating, Settings
from attention_dynamics.copying.ways import Way

# kinds of repetition in the training data; the fit compares the others with the first
REPETITION = {
    "tokens": "tokens drawn with replacement",
    "none": "no token twice in a sequence",
    "sequences": "tokens with replacement, and some sequences come again",
}
TIMES = {"copies": "token_accuracy", "attends": "attention_accuracy"}  # and whose threshold ends it


class Cell(NamedTuple):
    """A setting of the grid; its seeds differ in initial weights and data alone."""

    repetition: str
    vocab: int
    length: int

    @property
    def name(self) -> str:
        return f"{self.repetition}-vocab{self.vocab}-length{self.length}"


@dataclass(frozen=True)
class Timing:
    """One model's times.

    Attributes
    ----------
    copies, attends : updates until then; None if censored at ``last``
    last : updates after which training would end in any case
    token_accuracy, attention_accuracy : at the end of training
    """

    cell: Cell
    seed: int
    copies: int | None
    attends: int | None
    last: int
    token_accuracy: float
    attention_accuracy: float


@dataclass(frozen=True)
class Experiment:
    """What all settings of the grid have in common.

    Attributes
    ----------
    training : the fields of :class:`Settings` that do not differ between cells
    repeating : the fields that :class:`Repeating` adds
    model : sizes of :func:`model.build_copier`
    thresholds : of ``TIMES``
    folder : keeps the learning curve of every model
    """

    training: dict[str, Any]
    repeating: dict[str, Any]
    model: dict[str, Any]
    thresholds: dict[str, float]
    folder: Path
    seeds: int

    def settings(self, cell: Cell) -> Settings:
        given = {"n_vocab": cell.vocab, "length": cell.length, **self.training}
        if cell.repetition == "sequences":
            return Repeating(no_rep=False, **given, **self.repeating)
        return Settings(no_rep=cell.repetition == "none", **given)

    def timing(self, cell: Cell, seed: int, history: History) -> Timing:
        at = {
            name: first_over(history, column, self.thresholds[name])
            for name, column in TIMES.items()
        }
        return Timing(
            cell,
            seed,
            copies=at["copies"],
            attends=at["attends"],
            last=self.settings(cell).evaluations[-1],
            token_accuracy=history["token_accuracy"][-1],
            attention_accuracy=history["attention_accuracy"][-1],
        )


def cells_of(repetition: list[str], vocabs: list[int], lengths: list[int]) -> list[Cell]:
    """The grid, without sequences longer than the vocabulary where no token may come twice."""
    cells = [
        Cell(kind, vocab, length)
        for kind in REPETITION
        if kind in repetition
        for vocab in sorted(set(vocabs))
        for length in sorted(set(lengths))
    ]
    return [cell for cell in cells if cell.repetition != "none" or cell.length <= cell.vocab]


def both_known(history: History, thresholds: dict[str, float]) -> bool:
    """Whether training can end: both times have come."""
    return all(
        first_over(history, column, thresholds[name]) is not None for name, column in TIMES.items()
    )


def measure(experiment: Experiment, way: Way, cells: list[Cell]) -> Iterator[list[Timing]]:
    """Train the seeds of each cell, and yield their timings. What is finished is not trained again.

    Raises
    ------
    InputError
        if a file in the experiment's folder is damaged or of other settings.
    """
    thresholds = {f"{name}_over": value for name, value in experiment.thresholds.items()}
    stop = partial(both_known, thresholds=experiment.thresholds)
    for cell in cells:
        build = partial(build_copier, n_vocab=cell.vocab, **experiment.model)
        tasks = {
            f"seed{seed}": Task(partial(build, seed), seed) for seed in range(experiment.seeds)
        }
        trained: list[str] = []
        histories = train_all(
            tasks,
            experiment.settings(cell),
            way,
            experiment.folder / cell.name,
            experiment.model | thresholds,
            stop,
            finished=lambda name, _, trained=trained: trained.append(name),  # type: ignore[misc]
        )
        found = [
            experiment.timing(cell, seed, histories[f"seed{seed}"])
            for seed in range(experiment.seeds)
        ]
        times = "   ".join(f"{name} {shown(found, name)}" for name in TIMES)
        kept = "" if trained else "   (finished before)"
        cli.say(f"{cell.repetition:<10}vocab {cell.vocab:<4} length {cell.length:<4} {times}{kept}")
        yield found


def shown(timings: list[Timing], time: str) -> str:
    """``280 340 >1500``: the seeds' times, in the order of the seeds."""
    times = [(getattr(timing, time), timing.last) for timing in timings]
    return " ".join(f">{last}" if at is None else str(at) for at, last in times)
