"""What several metrics do with ragged rows."""

from collections.abc import Iterator

import numpy as np


def mean_agreement(values: np.ndarray | list[float]) -> float:
    """``A(u, v)``: the mean over rows, without those where the metric is undefined (NaN)."""
    values = np.asarray(values, dtype=np.float64)
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def all_tied(values: np.ndarray, offsets: np.ndarray) -> bool:
    """Whether every row is constant, and some row has more than one entry."""
    first = np.repeat(values[offsets[:-1]], np.diff(offsets))
    return bool((values == first).all() and len(values) > len(offsets) - 1)


def shuffle(v: np.ndarray, offsets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``v`` with the entries of each row in random order."""
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return v[np.argsort(row + rng.random(len(v)))]


def rows_of_one_length(offsets: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each length ``n``: the row numbers (m,), and the positions of their entries (m, n)."""
    lengths = np.diff(offsets)
    by_length = np.argsort(lengths, kind="stable")
    distinct, first = np.unique(lengths[by_length], return_index=True)
    for n, rows in zip(distinct, np.split(by_length, first[1:])):
        yield rows, offsets[rows][:, None] + np.arange(n)
