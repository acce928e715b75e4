"""Columns of the files that users bring: csv, tsv and jsonl, each also with .gz.

A .csv is as spreadsheets write it: commas, a field in double quotes if it needs them. A .tsv has no
quotes: a line is a row. A .jsonl has one object per line.
"""

import csv
import glob
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attention_dynamics.cli import InputError
from attention_dynamics.files import archives

ENDINGS = (".csv", ".tsv", ".jsonl")
Rows = Iterator[tuple[int, list[str]]]  # the number of a row's first line, and its cells

csv.field_size_limit(2**31 - 1)  # documents may be long; the default is 131,072 characters


@dataclass(frozen=True)
class Column:
    """A column to find.

    Attributes
    ----------
    flag : that names it, for messages
    asked : its name, or its number, from 1, in a file without a header; None to look for it
    usual : names to look for, lower case
    """

    flag: str
    asked: str | None
    usual: tuple[str, ...]


def ending_of(path: Path) -> str | None:
    """``.csv``, ``.tsv`` or ``.jsonl``, without a ``.gz`` after it; None of other files."""
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    return ending if ending in ENDINGS else None


def part_files(folder: Path, part: str) -> list[Path]:
    """The tables in ``folder`` that are called ``<part>.csv`` and so on."""
    endings = [ending + gz for ending in ENDINGS for gz in ("", ".gz")]
    return [path for ending in endings if (path := folder / f"{part}{ending}").is_file()]


def parts_of(source: Path, held_out: Sequence[str]) -> list[Path]:
    """The table of a source that has one, or the table of its training part and another.

    Parameters
    ----------
    source : a table; or a folder with ``train.csv``, ``.tsv`` or ``.jsonl`` and at most one other
    held_out : what the other may be called; the first that is there is taken

    Raises
    ------
    InputError
        where there is no such table, or more than one.
    """
    if source.is_file():
        if ending_of(source) is None:
            raise InputError(
                f"--source {source}: your own data are read from {', '.join(ENDINGS)} files, or "
                "these with .gz"
            )
        return [source]
    if not source.is_dir():
        raise InputError(f"--source {source}: there is no such file or folder")
    found = {part: part_files(source, part) for part in ("train", *held_out)}
    for paths in found.values():
        if len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            raise InputError(f"--source {source}: {names} are there: keep one of them")
    if not found["train"]:
        raise InputError(
            f"--source {source}: there is no train.csv, train.tsv or train.jsonl (or one with .gz)"
        )
    others = [path for part in held_out for path in found[part]]
    return [*found["train"], *others[:1]]


def read_text(path: Path) -> Iterator[str]:
    """The lines of a text file in UTF-8, which may be compressed, without their ends."""
    name = glob.escape(path.name.removesuffix(".gz"))
    for _, file in archives.read_files([path], [name]):
        for number, line in enumerate(archives.text_lines(file)):
            yield line if number else line.removeprefix("\ufeff")  # of a Windows editor


def read_columns(path: Path, columns: Sequence[Column]) -> Rows:
    """The cells of some columns of a table, row by row.

    A file has no header if all columns are asked for by number.

    Raises
    ------
    InputError
        where the file or a column is missing, or a row is damaged; it names the line.
    """
    if ending_of(path) == ".jsonl":
        yield from _read_objects(path, columns)
        return
    rows = _delimited(path)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path} is empty")
    header = [cell.strip() for cell in first[1]]
    numbers = [int(c.asked) for c in columns if c.asked and c.asked.isdecimal()]
    if len(numbers) == len(columns) and not {str(n) for n in numbers} <= {*header}:
        if not all(1 <= number <= len(header) for number in numbers):
            wanted = ", ".join(map(str, numbers))
            raise InputError(f"{path} has columns 1 to {len(header)}, not all of {wanted}")
        if len({*numbers}) < len(numbers):
            flags = " and ".join(column.flag for column in columns)
            raise InputError(f"{path}: {flags} are the same column, {numbers[0]}")
        places = [number - 1 for number in numbers]
        if all(header[p].lower() in c.usual for p, c in zip(places, columns)):
            names = " ".join(f"{c.flag} {header[p]}" for p, c in zip(places, columns))
            raise InputError(f"{path}: line 1 is a header, so columns have names: {names}")
        rows = itertools.chain([first], rows)
    else:
        places = [header.index(name) for name in _names(path, header, columns)]
    for number, row in rows:
        if len(row) != len(header):
            raise InputError(
                f"{path}, line {number}: {len(row)} columns, not {len(header)} as in line 1"
            )
        yield number, [row[place] for place in places]


def _names(path: Path, header: list[str], columns: Sequence[Column]) -> list[str]:
    """The names in ``header`` of the columns."""
    names = []
    for column in columns:
        if column.asked is None:
            found = [name for name in header if name.lower() in column.usual]
        else:
            found = [name for name in header if name == column.asked]
        if len(set(found)) > 1:
            raise InputError(f"{path}: {' and '.join(found)} are there: choose with {column.flag}")
        if not found:
            there = f"the columns are {', '.join(name[:40] for name in header)}"
            if column.asked is not None:
                raise InputError(f"{path} has no column {column.asked} ({column.flag}): {there}")
            numbers = " ".join(f"{c.flag} {number}" for number, c in enumerate(columns, start=1))
            raise InputError(
                f"{path}: no column is called {', '.join(column.usual[:3])} or the like: name one "
                f"with {column.flag} ({there}; without a header use numbers: {numbers})"
            )
        if len(found) > 1:
            raise InputError(f"{path} has the column {found[0]} twice: rename one")
        names += found
    if len(set(names)) < len(names):
        flags = " and ".join(column.flag for column in columns)
        raise InputError(f"{path}: {flags} are the same column, {names[0]}")
    return names


def _delimited(path: Path) -> Rows:
    """The rows of a csv or tsv that are not empty."""
    lines = (line + "\n" for line in read_text(path))
    if ending_of(path) == ".tsv":
        rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        rows = csv.reader(lines, strict=True)
    begin = 1
    try:
        for row in rows:
            if row:
                yield begin, row
            begin = rows.line_num + 1
    except csv.Error as error:
        raise InputError(
            f'{path}, line {begin}: {error} (is a quote not closed, or not written as ""?)'
        ) from None


def _read_objects(path: Path, columns: Sequence[Column]) -> Rows:
    names: list[str] = []
    for number, line in enumerate(read_text(path), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise InputError(f"{path}, line {number}: not an object such as {{" + '"text": "…"}')
        names = names or _names(path, list(found), columns)
        yield number, [_as_text(found.get(name), name, path, number) for name in names]
    if not names:
        raise InputError(f"{path} is empty")


def _as_text(value: Any, name: str, path: Path, number: int) -> str:
    if isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise InputError(f'{path}, line {number}: "{name}" has half of a surrogate pair')
        return value
    if type(value) in (bool, int, float):
        return json.dumps(value)
    what = "missing or null" if value is None else "neither a text nor a number"
    raise InputError(f'{path}, line {number}: "{name}" is {what}')
