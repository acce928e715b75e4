"""Kendall's tau-b, the share of pairs in the same order less that of pairs in the other order."""

import numpy as np

from attention_dynamics.analysis.metrics.metric import Metric
from attention_dynamics.analysis.metrics.rows import rows_of_one_length

# All pairs of a row are compared. This many at a time stay in the cache.
PAIRS_AT_ONCE = 1 << 18
LONG = 1024  # entries of a row from which sorting, in n log n, takes less time


def match(u: np.ndarray, v: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of each row: float64 (rows,), NaN where a row of u or v is constant.

    With ``n0`` pairs in a row, ``n1`` of them tied in ``u``, ``n2`` in ``v``, ``n3`` in both, and
    ``q`` discordant: ``tau = (n0 - n1 - n2 + n3 - 2 q) / sqrt((n0 - n1) (n0 - n2))``. As in
    Knight (1966), a row is ordered by ``v``, and by ``u`` where ``v`` is tied; its discordant
    pairs are then the inversions of ``u``. They are counted by comparing all pairs, for all rows
    of one length at once, which at the length of a sentence takes less time than sorting. Rows of
    ``LONG`` and more entries are left to SciPy, which sorts.
    """
    tau = np.empty(len(offsets) - 1)
    for rows, columns in rows_of_one_length(offsets):
        n = columns.shape[1]
        if n >= LONG:
            tau[rows] = [plain(u[row], v[row]) for row in columns]
            continue
        u_ranks, u_ties = ranks(u[columns])
        v_ranks, v_ties = ranks(v[columns])
        by_v_then_u = np.sort(v_ranks * n + u_ranks, axis=1)
        both_ties = tied_pairs(by_v_then_u)
        discordant = inversions(by_v_then_u % n)
        pairs = n * (n - 1) // 2
        concordance = pairs - u_ties - v_ties + both_ties - 2 * discordant
        with np.errstate(invalid="ignore"):
            tau[rows] = concordance / (np.sqrt(pairs - u_ties) * np.sqrt(pairs - v_ties))
    return tau


def plain(u: np.ndarray, v: np.ndarray) -> float:
    from scipy.stats import kendalltau  # slow to import, and hardly ever needed

    return float(kendalltau(u, v).statistic) if len(u) > 1 else float("nan")


def ranks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks in each row from 0, equal for equals: int64 (rows, n); tied pairs: int64 (rows,)."""
    order = np.argsort(values, axis=1)
    in_order = np.take_along_axis(values, order, axis=1)
    rank_in_order = np.zeros(values.shape, dtype=np.int64)
    np.cumsum(in_order[:, 1:] != in_order[:, :-1], axis=1, out=rank_in_order[:, 1:])
    found = np.empty_like(rank_in_order)
    np.put_along_axis(found, order, rank_in_order, axis=1)
    return found, tied_pairs(in_order)


def tied_pairs(in_order: np.ndarray) -> np.ndarray:
    """Number of pairs of equals in each sorted row: int64 (rows,)."""
    same = in_order[:, 1:] == in_order[:, :-1]
    if not same.any():
        return np.zeros(len(same), dtype=np.int64)
    # the k-th of a run of equals is tied with the k - 1 before it
    place = np.arange(1, same.shape[1] + 1)
    last_change = np.maximum.accumulate(np.where(same, 0, place), axis=1)
    return (place - last_change).sum(axis=1)


def inversions(ranks: np.ndarray) -> np.ndarray:
    """Pairs out of order in each row of ``ranks`` (rows, n): int64 (rows,)."""
    n = ranks.shape[1]
    small: np.ndarray = ranks.astype(np.int16 if n <= np.iinfo(np.int16).max else np.int32)
    earlier = np.arange(n)[:, None] < np.arange(n)
    at_once = max(1, PAIRS_AT_ONCE // (n * n))
    counts = np.empty(len(ranks), dtype=np.int64)
    for start in range(0, len(ranks), at_once):
        chunk = small[start : start + at_once]
        greater = chunk[:, :, None] > chunk[:, None, :]
        greater &= earlier
        counts[start : start + at_once] = [np.count_nonzero(row) for row in greater]
    return counts


METRIC = Metric(
    name="kendall tau",
    help="Kendall's tau, a rank correlation",
    match=match,
    plain=plain,
    flag="--include_kendall_tau",
)
