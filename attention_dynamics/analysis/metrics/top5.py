"""Top-5% match: does the largest entry of ``u`` lie among the largest 5% of ``v``?"""

import numpy as np

from attention_dynamics.analysis.metrics.metric import Metric


def match(u: np.ndarray, v: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Top-5% match of each row: bool (rows,)."""
    return ranks_in_top5(v, row_argmax(u, offsets), offsets)


def match_shuffled(
    u: np.ndarray, v: np.ndarray, offsets: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """:func:`match` with ``v`` shuffled in each row: bool (rows,).

    A shuffle puts an entry of the row, drawn uniformly, where ``u`` is largest, and nothing else
    of it matters here. So only that entry is drawn, and ``u`` is not needed.
    """
    return ranks_in_top5(v, rng.integers(offsets[:-1], offsets[1:]), offsets)


def plain(u: np.ndarray, v: np.ndarray) -> float:
    n = len(v)
    kth_largest = np.sort(v)[-((n + 19) // 20)]
    return float(v[np.argmax(u)] >= kth_largest)


def chance(lengths: np.ndarray) -> float:
    """``ceil(0.05 n)`` of the ``n`` entries of a row match."""
    return float(((lengths + 19) // 20 / lengths).mean())


def row_argmax(u: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Position in ``u`` of the largest entry of each row (the first of equals): int64 (rows,)."""
    starts = offsets[:-1]
    largest = np.flatnonzero(u == np.repeat(np.maximum.reduceat(u, starts), np.diff(offsets)))
    if len(largest) == len(starts):  # no ties, so there is nothing to search
        return largest
    return largest[np.searchsorted(largest, starts)]


def ranks_in_top5(v: np.ndarray, positions: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Whether ``v[positions[i]]`` is among the largest 5% of row ``i``: bool (rows,).

    It is if fewer than ``ceil(0.05 n)`` of the row's ``n`` entries are strictly greater.
    """
    lengths = np.diff(offsets)
    greater = v > np.repeat(v[positions], lengths)
    allowed = (lengths + 19) // 20  # ceil(0.05 n), in integers
    # sums of bytes in 16 bits take half the time of any wider ones
    wide_enough = np.uint16 if lengths.max(initial=0) < 1 << 16 else np.uint32
    counts = np.add.reduceat(greater.view(np.uint8), offsets[:-1], dtype=wide_enough)
    return counts < allowed


METRIC = Metric(
    name="top 5% match",
    help="how often the token with the largest u is among the top 5% by v",
    match=match,
    plain=plain,
    chance=chance,
    match_shuffled=match_shuffled,
)
