"""Reading the kinds of files that several datasets come in."""

import csv
import random
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from attention_dynamics.classification.datasets.corpus import Examples
from attention_dynamics.cli import InputError
from attention_dynamics.files import archives

Item = TypeVar("Item")


def read_documents(paths: list[Path], labels: dict[str, int], encoding: str) -> Examples:
    """One text per file; ``labels`` has the label of each pattern of file names."""
    documents = [
        ("\n".join(archives.text_lines(file, encoding)), labels[pattern])
        for pattern, file in archives.read_files(paths, list(labels))
    ]
    # An archive has its own order, a folder another; the same texts give the same result.
    yield from sorted(documents)


def read_csv(paths: list[Path], name: str, classes: dict[str, int | None]) -> Examples:
    """Rows of a class and one or two texts (title and body), which are joined."""
    for _, file in archives.read_files(paths, [name]):
        lines = (line + "\n" for line in archives.text_lines(file))
        rows = csv.reader(lines, strict=True)
        try:
            for row in rows:
                if len(row) < 2 or row[0] not in classes:
                    what = f"not one of the classes {', '.join(classes)} and its text"
                    raise damaged(name, rows.line_num, what)
                yield " ".join(row[1:]), classes[row[0]]
        except csv.Error as error:
            raise damaged(name, rows.line_num, str(error)) from None


def part_of(examples: Iterable[Item], split: str, seed: int, share: float = 0.8) -> list[Item]:
    """The ``train`` part, a share of the whole, or the ``test`` part of undivided examples."""
    shuffled = list(examples)
    random.Random(seed).shuffle(shuffled)
    n_train = round(share * len(shuffled))
    return shuffled[:n_train] if split == "train" else shuffled[n_train:]


def damaged(name: str, number: int, what: str) -> InputError:
    return InputError(f"{name}, line {number}: {what}; get the public file again")
