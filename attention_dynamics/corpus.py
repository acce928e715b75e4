"""What the stages, bash scripts, explorer and report need to know of a dataset of either task."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from attention_dynamics import cli
from attention_dynamics.files.download import PublicFile


@dataclass(frozen=True)
class PublishedRun:
    """A training run of the grid, and whether its evaluation computes Delta."""

    name: str
    seed: int
    uniform: bool = False
    calculate_grad: bool = False


@dataclass(frozen=True, kw_only=True)
class BaseCorpus:
    """The part of a table's entry that both tasks have.

    Attributes
    ----------
    name : as in ``--dataset``, in the names of files, and in results
    files : what ``prepare_data.py`` downloads; empty for generated data
    other_names : names that are accepted too; results keep the name that was asked for
    published : it is one of the paper's, so the bash scripts run it when no dataset is named
    runs : the training runs
    train : flags of every training run
    iterations : the evaluated ones, rising
    evaluate : flags of ``eval_dump.py``
    embedding : flags of ``embedding_beta.py``
    authors : the figures that the authors report, by their keys in results (top 5% match, test or
        validation sentences, the first performance); a ξ of None is never reached
    """

    name: str
    files: tuple[PublicFile, ...] = ()
    other_names: tuple[str, ...] = ()
    published: bool = False
    runs: tuple[PublishedRun, ...]
    train: str
    iterations: tuple[int, ...]
    evaluate: str = ""
    embedding: str = ""
    authors: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.other_names)

    def find_file(self, folder: Path, *endings: str) -> Path | None:
        """The first ``<name><ending>`` in ``folder``, under the dataset's own name or another."""
        paths = (folder / f"{name}{ending}" for name in self.names for ending in endings)
        return next((path for path in paths if path.exists()), None)


CorpusT = TypeVar("CorpusT", bound=BaseCorpus)


def find(table: Mapping[str, CorpusT], name: str) -> CorpusT:
    """The table's entry for ``name``, called by that name: ``SMS`` finds ``SNS`` as ``SMS``.

    Raises
    ------
    InputError
        where no dataset has the name; it says which names are known.
    """
    for corpus in table.values():
        if name in corpus.names:
            others = tuple(other for other in corpus.names if other != name)
            return replace(corpus, name=name, other_names=others)
    raise cli.unknown("dataset", name, cli.known_names(table))
