"""What a classification dataset's entry holds, and the published settings, its defaults."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from attention_dynamics.corpus import BaseCorpus, PublishedRun

# What a reader gives of each sentence: its text, and its label from 0, or None for another class.
Examples = Iterator[tuple[str, int | None]]

RUNS = (
    PublishedRun("Normal_A", 20, calculate_grad=True),
    PublishedRun("Normal_B", 13),
    PublishedRun("Normal_C", 14),
    PublishedRun("Normal_D", 15),
    PublishedRun("Normal_E", 16),
    PublishedRun("Normal_F", 17),
    PublishedRun("uniform", 12, uniform=True),
)


@dataclass(frozen=True, kw_only=True)
class Corpus(BaseCorpus):
    """A dataset of sentences with labels.

    Attributes
    ----------
    read : ``(paths of the files, "train" or "test", seed)`` to that split's examples
    labels : the name of label 0, of label 1, ...; empty if the processed file has them
    sample : default number of sentences drawn from each split; None for all
    """

    read: Callable[[list[Path], str, int], Examples]
    labels: tuple[str, ...]
    sample: int | None = None
    runs: tuple[PublishedRun, ...] = RUNS
    train: str = "--steps 4000 --save_every 250 --custom_saves 0,10,50,100,150,200,250"
    iterations: tuple[int, ...] = (0, 10, 50, 100, 150, 200, *range(250, 4000, 250), 3999)
    embedding: str = "--epochs 60 --lr 0.00015"

    @property
    def training_files(self) -> tuple[str, ...]:
        return tuple(f"{name}_train.json" for name in self.names)
