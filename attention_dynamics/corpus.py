"""What the stages, bash scripts, explorer and report need to know of a dataset of either task."""

import argparse
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.files.download import PublicFile

# Keys of a configuration that change the attention in training: training/interventions.py.
INTERVENTIONS = (
    "attention_from",
    "attention_until",
    "attention_lr",
    "attend_to",
    "shuffle_attention",
)


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
    own : it is a user's own: its files make it a dataset, and what was saved is evaluated
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
    own: bool = False
    runs: tuple[PublishedRun, ...]
    train: str
    iterations: tuple[int, ...]
    evaluate: str = ""
    embedding: str = ""
    authors: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.other_names)

    @property
    def taken(self) -> tuple[str, ...]:
        """Names that no dataset of a user can have."""
        return self.names

    @property
    def training_files(self) -> tuple[str, ...]:
        """Names that its processed training file may have in the data folder."""
        raise NotImplementedError

    @property
    def make(self) -> str:
        """What to do about processed data that is missing or damaged, for messages."""
        source = " --source FILE" if self.own else ""
        return f'run "python prepare_data.py --dataset {self.name}{source}"'

    def find_file(self, folder: Path, *endings: str) -> Path | None:
        """The first ``<name><ending>`` in ``folder``, under the dataset's own name or another."""
        paths = (folder / f"{name}{ending}" for name in self.names for ending in endings)
        return next((path for path in paths if path.exists()), None)


CorpusT = TypeVar("CorpusT", bound=BaseCorpus)
NAME = r"\w[\w.+-]*"  # of a user's own dataset
# These have a meaning in bash scripts, in data/ or in the Snakefile.
RESERVED = (
    *("classification", "translation", "copying", "all", "downloads"),
    *("prepare", "train", "evaluate", "gather", "embedding", "logistic", "collect", "plot"),
    *("explore", "copy", "plot_copying", "report"),
)


class Datasets(dict[str, CorpusT], Generic[CorpusT]):
    """The datasets of a task: the entries of its table by name, and an entry for any other.

    A name that is not in the table is a dataset if it has its files: those that ``prepare_data.py``
    made of a user's own data, or a dump.

    Attributes
    ----------
    own : of a name, the entry of a user's own dataset
    ending : what its name is followed by in the path of its training file in the data folder
    """

    def __init__(self, corpora: Iterable[CorpusT], own: Callable[[str], CorpusT], ending: str):
        super().__init__((corpus.name, corpus) for corpus in corpora)
        self.own, self.ending = own, ending

    def names(self, data_dir: Path | None = None, outputs_dir: Path | None = None) -> list[str]:
        """The names in the table, then those of the datasets that have files in these folders."""
        known = [name for corpus in self.values() for name in corpus.names]
        taken = {name for corpus in self.values() for name in corpus.taken}
        found = {
            path.relative_to(folder).as_posix().removesuffix(ending)
            for folder, ending in ((data_dir, self.ending), (outputs_dir, "_logs.pkl"))
            if folder is not None
            for path in folder.glob(f"*{ending}")
        }
        return known + sorted(name for name in found - taken if re.fullmatch(NAME, name))

    def find(
        self, name: str, data_dir: Path | None = None, outputs_dir: Path | None = None
    ) -> CorpusT:
        """The entry for ``name``, called by that name: ``SMS`` finds ``SNS`` as ``SMS``.

        Raises
        ------
        InputError
            where no dataset has the name; it says which names are known.
        """
        for corpus in self.values():
            if name in corpus.names:
                others = tuple(other for other in corpus.names if other != name)
                return replace(corpus, name=name, other_names=others)
        known = self.names(data_dir, outputs_dir)
        if name in known:
            return self.own(name)
        own = f"your own data: python prepare_data.py --dataset {name} --source FILE"
        raise InputError(f"{cli.unknown('dataset', name, known)}; {own}")

    def check_new(self, name: str) -> None:
        """Raise an InputError if a user's own dataset cannot have this name."""
        taken = {t.lower(): t for corpus in self.values() for t in corpus.taken}
        if name.lower() in taken:
            raise InputError(
                f"--dataset {name}: did you mean {taken[name.lower()]}? Your own data need another "
                "name"
            )
        # it becomes a part of file names and of commands
        if not re.fullmatch(NAME, name) or len(os.fsencode(name)) > 100 or name in RESERVED:
            raise InputError(
                f"--dataset {name}: choose a name of letters, digits and _ . + - for your data, "
                f"of at most 100 bytes, which begins with a letter or digit and is not "
                f"{' or '.join(RESERVED)}"
            )


def add_dataset(
    parser: cli.Parser, table: Datasets[Any], several: bool = False, new: bool = False
) -> None:
    """``--dataset NAME`` or ``--datasets NAME …``; the name is kept as it was typed.

    A name is known if it is in the table, or has files in ``--data_dir`` or ``--outputs_dir``,
    as far as the parser has these flags.

    Parameters
    ----------
    new : the script makes datasets, so with ``--source`` a name may be new
    """

    def check(args: argparse.Namespace) -> None:
        folders = {key: getattr(args, key, None) for key in ("data_dir", "outputs_dir")}
        for name in args.datasets if several else [args.dataset]:
            if not new or name in table.names():
                table.find(name, **folders)
            elif args.source:
                table.check_new(name)
            else:  # no data of that name are asked for again without their source
                table.find(name)

    known = ", ".join(table.names())
    parser.add_argument(
        "--datasets" if several else "--dataset",
        required=True,
        nargs="+" if several else None,
        metavar="NAME",
        help=f"{'from' if several else 'one of'} {known}, or your own (docs/own_data.md)",
    )
    parser.checks.append(check)


def refuse_flags(args: argparse.Namespace, *flags: str) -> None:
    """Raise an InputError if flags for a user's own data are given for a dataset of the table."""
    if given := [f"--{flag}" for flag in flags if getattr(args, flag) is not None]:
        raise InputError(
            f"{' '.join(given)}: only for your own data, under a new name; {args.dataset} is read "
            "as published"
        )
