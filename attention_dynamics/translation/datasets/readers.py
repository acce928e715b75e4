"""Reading files of sentences, and pairing them."""

import random
from pathlib import Path

from attention_dynamics.cli import InputError
from attention_dynamics.files import archives
from attention_dynamics.translation.datasets.corpus import Pair, Splits


def read_lines(paths: list[Path], names: list[str]) -> dict[str, list[str]]:
    """The lines of the files called ``names``."""
    return {
        name: list(archives.text_lines(file)) for name, file in archives.read_files(paths, names)
    }


def zip_sides(lines: dict[str, list[str]], source: str, target: str) -> list[Pair]:
    """Line by line, the sentences of the files ``source`` and ``target``."""
    if len(lines[source]) != len(lines[target]):
        raise InputError(
            f"{source} has {len(lines[source]):,} lines and {target} {len(lines[target]):,}: they "
            "do not belong together; get the public files again"
        )
    return [(x.strip(), y.strip()) for x, y in zip(lines[source], lines[target])]


def leave_out_empty(pairs: list[Pair]) -> list[Pair]:
    kept = [pair for pair in pairs if pair[0] and pair[1]]
    if len(kept) < len(pairs):
        print(f"left out {len(pairs) - len(kept):,} pairs with an empty side")
    return kept


def draw_validation(pairs: list[Pair], val_size: int, seed: int) -> Splits:
    """Draw ``val_size`` of the pairs for validation."""
    if val_size >= len(pairs):
        raise InputError(f"--val_size {val_size}: there are no more than {len(pairs):,} pairs")
    chosen = set(random.Random(seed).sample(range(len(pairs)), val_size))
    return {
        "train": [pair for i, pair in enumerate(pairs) if i not in chosen],
        "val": [pairs[i] for i in sorted(chosen)],
    }
