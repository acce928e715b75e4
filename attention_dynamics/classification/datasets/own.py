"""A user's own sentences and labels, from csv, tsv or jsonl files."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from attention_dynamics.classification.datasets.corpus import Corpus, Examples
from attention_dynamics.classification.datasets.readers import part_of
from attention_dynamics.cli import InputError
from attention_dynamics.files import tabular

TEXT = ("text", "sentence", "review", "content", "comment", "message", "tweet", "document", "body")
LABEL = ("label", "class", "category", "sentiment", "polarity", "target", "y")
TEST = ("test", "valid", "val", "dev")  # what the test file may be called
SPLIT = 0.8  # share of training sentences where there is no test file


@dataclass(frozen=True)
class Options:
    """Flags of ``prepare_data.py``: the two columns, the share of training sentences, a seed."""

    text: str | None
    label: str | None
    split: float
    seed: int


def entry(name: str) -> Corpus:
    """The entry of a user's own dataset, with the published settings of training."""
    return Corpus(name=name, own=True, read=_not_read, labels=())


def _not_read(_paths: list[Path], _split: str, _seed: int) -> Examples:
    raise InputError("--source: name the file or folder of your own data")


def read_source(name: str, source: Path, options: Options) -> Corpus:
    """The entry of a dataset whose sentences are in ``source``.

    Parameters
    ----------
    source : a table, which is divided into a training and a test part; or a folder with a table of
        each, as :func:`tabular.parts_of` finds them

    Raises
    ------
    InputError
        where ``source`` cannot be used; it names the file and the line.
    """
    columns = [
        tabular.Column("--text", options.text, TEXT),
        tabular.Column("--label", options.label, LABEL),
    ]
    paths = tabular.parts_of(source, TEST)
    parts = [_read_table(path, columns) for path in paths]
    if len(parts) == 1:
        whole = parts[0]
        parts = [part_of(whole, part, options.seed, options.split) for part in ("train", "test")]
        if not all(parts):
            raise InputError(f"{source}: {len(whole)} sentences are too few to divide (--split)")
    train, test = parts
    names = label_names(label for _, label in train)
    if len(names) < 2:
        raise InputError(
            f"{paths[0]}: all {len(train):,} training sentences have the label {names[0]}"
        )
    if new := sorted({label for _, label in test} - {*names}):
        raise InputError(
            f"{paths[-1]}: no training sentence has the label {new[0]} of the test part"
        )
    number = {label: i for i, label in enumerate(names)}
    splits = {
        split: [(text, number[label]) for text, label in part]
        for split, part in (("train", train), ("test", test))
    }
    return replace(entry(name), labels=names, read=lambda _, split, __: iter(splits[split]))


def _read_table(path: Path, columns: list[tabular.Column]) -> list[tuple[str, str]]:
    """Texts and labels of a file."""
    found = []
    for line, (text, label) in tabular.read_columns(path, columns):
        if not label.strip():
            raise InputError(f"{path}, line {line}: the label is empty")
        found.append((text, " ".join(label.split())))
    if not found:
        raise InputError(f"{path} has no rows")
    kinds = Counter(label for _, label in found)
    if len(kinds) > max(100, len(found) / 10):
        flag = columns[1].flag
        raise InputError(
            f"{path}: {len(kinds):,} labels in {len(found):,} rows: is {flag} the right column?"
        )
    return found


def label_names(labels: Iterable[str]) -> tuple[str, ...]:
    """Every label once: sorted, by value if all are numbers."""
    names = sorted(set(labels))
    if all(re.fullmatch(r"[+-]?\d+(\.\d+)?", name, re.ASCII) for name in names):
        names.sort(key=float)
    return tuple(names)
