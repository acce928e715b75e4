"""A user's own sentence pairs: two text files, or a csv, tsv or jsonl."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attention_dynamics.cli import InputError
from attention_dynamics.files import tabular
from attention_dynamics.translation.datasets.corpus import Corpus, Options, Pair, Splits
from attention_dynamics.translation.datasets.readers import draw_validation, leave_out_empty

SOURCE, TARGET = ("source", "src"), ("target", "trg", "tgt")  # usual names of columns
VALIDATION = ("val", "valid", "dev", "test")  # what the validation file may be called


@dataclass(frozen=True)
class Languages:
    """Flags of ``prepare_data.py``: the column, or in a folder the file ending, of each side."""

    source: str | None
    target: str | None


def entry(name: str) -> Corpus:
    """The entry of a user's own dataset, with the published settings of training."""
    return Corpus(
        name=name,
        own=True,
        read=_not_read,
        folder=name,
        source="src",
        target="trg",
        iterations=(),
    )


def _not_read(_paths: list[Path], _options: Options) -> Splits:
    raise InputError("--source: name the files of your own data")


def read_source(name: str, paths: Sequence[Path], languages: Languages, options: Options) -> Corpus:
    """The entry of a dataset whose sentence pairs are in ``paths``.

    Parameters
    ----------
    paths : a text file of each language, line by line; or one table; or a folder with ``train`` and
        ``val`` files of either kind

    Raises
    ------
    InputError
        where they cannot be used; it names the file and the line.
    """
    if len(paths) > 2:
        raise InputError(f"--source: {len(paths)} files; give one, or one of each language")
    for path in paths:
        if not path.exists():
            raise InputError(f"--source {path}: there is no such file or folder")
    if len(paths) == 2:
        parts = [read_sides(*paths)]
    elif paths[0].is_dir() and not tabular.part_files(paths[0], "train"):
        parts = read_folder(paths[0], languages)
    else:
        columns = [
            tabular.Column("--from", languages.source, SOURCE),
            tabular.Column("--to", languages.target, TARGET),
        ]
        parts = [
            [(source, target) for _, (source, target) in tabular.read_columns(path, columns)]
            for path in tabular.parts_of(paths[0], VALIDATION)
        ]
    parts = [clean(part, options.max_length) for part in parts]
    if not all(parts):
        raise InputError(f"--source {paths[0]}: it has no sentence pairs")
    if len(parts) == 1:
        val_size = options.val_size or max(1, min(1000, len(parts[0]) // 10))
        splits = draw_validation(parts[0], val_size, options.seed)
    else:
        splits = dict(zip(("train", "val"), parts))
    return replace(entry(name), read=lambda _, __: splits)


def read_folder(folder: Path, languages: Languages) -> list[list[Pair]]:
    """The pairs of ``train.<language>``, and of ``val.<language>`` if there are such files."""
    endings = {
        part: sorted(
            path.name.removesuffix(".gz").removeprefix(f"{part}.")
            for path in folder.glob(f"{part}.*")
        )
        for part in ("train", *VALIDATION)
    }
    if not endings["train"]:
        raise InputError(f"--source {folder}: there is no file train.*")
    if languages.source is None or languages.target is None:
        there = ", ".join(f"train.{ending}" for ending in endings["train"])
        raise InputError(
            f"--source {folder}: name the languages, such as --from fr --to en (there are {there})"
        )
    sides = (languages.source, languages.target)
    for flag, side in zip(("--from", "--to"), sides):
        if side not in endings["train"]:
            raise InputError(f"{flag} {side}: {folder} has no file train.{side}")

    def path_of(part: str, side: str) -> Path:
        path = folder / f"{part}.{side}"
        return path if path.exists() else path.with_name(f"{path.name}.gz")

    held_out = [part for part in VALIDATION if {*sides} <= {*endings[part]}]
    parts = ["train", *held_out[:1]]
    return [read_sides(*(path_of(part, side) for side in sides)) for part in parts]


def read_sides(source: Path, target: Path) -> list[Pair]:
    """The pairs of two text files, line by line."""
    sides = [list(tabular.read_text(path)) for path in (source, target)]
    if len(sides[0]) != len(sides[1]):
        raise InputError(
            f"{source} has {len(sides[0]):,} lines and {target} {len(sides[1]):,}: they do not "
            "belong together"
        )
    return list(zip(*sides))


def clean(pairs: list[Pair], max_length: int) -> list[Pair]:
    """The pairs without empty and long ones, with single spaces."""
    pairs = leave_out_empty([(" ".join(x.split()), " ".join(y.split())) for x, y in pairs])
    kept = [pair for pair in pairs if max(len(side.split()) for side in pair) <= max_length]
    if len(kept) < len(pairs):
        print(f"left out {len(pairs) - len(kept):,} pairs of more than {max_length} words")
    return kept
