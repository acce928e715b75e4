"""How well one set of distributions agrees with another (paper, section 3).

Every function takes two flat float arrays ``u`` and ``v`` of the same rows, end to end, and the
rows' ``offsets`` (see :mod:`.ragged`), and gives one value a row. ``A(u, v)``
of the paper is the mean over rows: :func:`mean_agreement`.
"""

from collections.abc import Callable, Iterator

import numpy as np

# Comparisons of all pairs are made for this many pairs at a time: they stay in the cache.
PAIRS_AT_ONCE = 1 << 18


def row_argmax(u: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Position in ``u`` of each row's largest entry (the first of equals): int64 (rows,)."""
    starts = offsets[:-1]
    largest = np.flatnonzero(u == np.repeat(np.maximum.reduceat(u, starts), np.diff(offsets)))
    if len(largest) == len(starts):  # no ties: a search would find what is there
        return largest
    return largest[np.searchsorted(largest, starts)]


def ranks_in_top5(v: np.ndarray, positions: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Whether ``v[positions[i]]`` is among the largest 5% of row ``i``: bool (rows,).

    It is where fewer than ``ceil(0.05 n)`` of the row's ``n`` entries are strictly greater.
    """
    lengths = np.diff(offsets)
    greater = v > np.repeat(v[positions], lengths)
    allowed = (lengths + 19) // 20  # ceil(0.05 n), in whole numbers
    # sums of bytes in 16 bits take half the time of any wider ones
    wide_enough = np.uint16 if lengths.max(initial=0) < 1 << 16 else np.uint32
    counts = np.add.reduceat(greater.view(np.uint8), offsets[:-1], dtype=wide_enough)
    return counts < allowed


def top5_match(u: np.ndarray, v: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Top-5% match: does the largest entry of ``u`` lie among the largest 5% of ``v``?

    Returns
    -------
    bool array (rows,)
    """
    return ranks_in_top5(v, row_argmax(u, offsets), offsets)


def top5_match_shuffled(
    u: np.ndarray, v: np.ndarray, offsets: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """:func:`top5_match` with ``v`` shuffled inside each row: bool (rows,).

    A shuffle puts an entry of the row, drawn uniformly, where ``u`` is largest, and nothing else
    of it matters here; so that entry alone is drawn (and ``u`` need not be looked at).
    """
    return ranks_in_top5(v, rng.integers(offsets[:-1], offsets[1:]), offsets)


def shuffled(v: np.ndarray, offsets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``v`` with the entries of each row in random order."""
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return v[np.argsort(row + rng.random(len(v)))]


def kendall_tau(u: np.ndarray, v: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of each row: float64 (rows,), NaN where a row of u or v is constant.

    With ``n0`` pairs in a row, ``n1`` of them tied in ``u``, ``n2`` in ``v``, ``n3`` in both, and
    ``q`` discordant: ``tau = (n0 - n1 - n2 + n3 - 2 q) / sqrt((n0 - n1) (n0 - n2))``. As in
    Knight (1966), a row is ordered by ``v``, and by ``u`` where ``v`` is tied; its discordant
    pairs are then the inversions of ``u``. They are counted by comparing all pairs, for all rows
    of one length at once, which at the length of a sentence takes less time than sorting.
    """
    tau = np.empty(len(offsets) - 1)
    for rows, columns in _rows_of_one_length(offsets):
        n = columns.shape[1]
        u_ranks, u_ties = _ranks(u[columns])
        v_ranks, v_ties = _ranks(v[columns])
        by_v_then_u = np.sort(v_ranks * n + u_ranks, axis=1)
        both_ties = _tied_pairs(by_v_then_u)
        discordant = _inversions(by_v_then_u % n)
        pairs = n * (n - 1) // 2
        concordance = pairs - u_ties - v_ties + both_ties - 2 * discordant
        with np.errstate(invalid="ignore"):
            tau[rows] = concordance / (np.sqrt(pairs - u_ties) * np.sqrt(pairs - v_ties))
    return tau


def kendall_tau_shuffled(
    u: np.ndarray, v: np.ndarray, offsets: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """:func:`kendall_tau` with ``v`` shuffled inside each row."""
    return kendall_tau(u, shuffled(v, offsets, rng), offsets)


def spearman(u: np.ndarray, v: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each row: float64 (rows,), NaN where u or v is constant.

    It is Pearson's correlation of the ranks, with equal entries sharing the mean of theirs. Twice
    a rank's distance from the mean rank is a whole number, so the sums are exact.
    """
    rho = np.empty(len(offsets) - 1)
    for rows, columns in _rows_of_one_length(offsets):
        u_ranks, v_ranks = _centred_ranks(u[columns]), _centred_ranks(v[columns])
        covariance, u_variance, v_variance = (
            np.einsum("ij,ij->i", a, b)
            for a, b in ((u_ranks, v_ranks), (u_ranks, u_ranks), (v_ranks, v_ranks))
        )
        with np.errstate(invalid="ignore"):
            rho[rows] = covariance / np.sqrt(u_variance * v_variance.astype(np.float64))
    return rho


def spearman_shuffled(
    u: np.ndarray, v: np.ndarray, offsets: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """:func:`spearman` with ``v`` shuffled inside each row."""
    return spearman(u, shuffled(v, offsets, rng), offsets)


# The metrics by the names that results carry: (metric, the same with v shuffled).
METRICS: dict[str, tuple[Callable, Callable]] = {
    "top 5% match": (top5_match, top5_match_shuffled),
    "kendall tau": (kendall_tau, kendall_tau_shuffled),
    "spearman": (spearman, spearman_shuffled),
}


def mean_agreement(values: np.ndarray) -> float:
    """``A(u, v)``: the mean over rows, leaving out those where the metric is undefined (NaN)."""
    values = np.asarray(values, dtype=np.float64)
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _rows_of_one_length(offsets: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each length ``n``: the row numbers (m,), and where their entries stand (m, n)."""
    lengths = np.diff(offsets)
    by_length = np.argsort(lengths, kind="stable")
    distinct, first = np.unique(lengths[by_length], return_index=True)
    for n, rows in zip(distinct, np.split(by_length, first[1:])):
        yield rows, offsets[rows][:, None] + np.arange(n)


def _ranks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks in each row from 0, equal for equals: int64 (rows, n); tied pairs: int64 (rows,)."""
    order = np.argsort(values, axis=1)
    in_order = np.take_along_axis(values, order, axis=1)
    rank_in_order = np.zeros(values.shape, dtype=np.int64)
    np.cumsum(in_order[:, 1:] != in_order[:, :-1], axis=1, out=rank_in_order[:, 1:])
    ranks = np.empty_like(rank_in_order)
    np.put_along_axis(ranks, order, rank_in_order, axis=1)
    return ranks, _tied_pairs(in_order)


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """Twice the ranks less their mean, equals sharing the mean of theirs: int64 (rows, n)."""
    n = values.shape[1]
    order = np.argsort(values, axis=1)
    in_order = np.take_along_axis(values, order, axis=1)
    place = np.arange(n)
    twice_rank = np.broadcast_to(2 * place, values.shape)
    change = in_order[:, 1:] != in_order[:, :-1]
    if not change.all():
        # a run of equals from place f to place l has the mean rank (f + l) / 2
        first = np.zeros(values.shape, dtype=np.int64)
        np.maximum.accumulate(np.where(change, place[1:], 0), axis=1, out=first[:, 1:])
        last = np.full(values.shape, n - 1)
        backwards = np.where(change, place[:-1], n - 1)[:, ::-1]
        last[:, :-1] = np.minimum.accumulate(backwards, axis=1)[:, ::-1]
        twice_rank = first + last
    ranks = np.empty(values.shape, dtype=np.int64)
    np.put_along_axis(ranks, order, twice_rank - (n - 1), axis=1)
    return ranks


def _tied_pairs(in_order: np.ndarray) -> np.ndarray:
    """Number of pairs of equals in each sorted row: int64 (rows,)."""
    same = in_order[:, 1:] == in_order[:, :-1]
    if not same.any():
        return np.zeros(len(same), dtype=np.int64)
    # the k-th of a run of equals is tied with the k - 1 before it
    place = np.arange(1, same.shape[1] + 1)
    last_change = np.maximum.accumulate(np.where(same, 0, place), axis=1)
    return (place - last_change).sum(axis=1)


def _inversions(ranks: np.ndarray) -> np.ndarray:
    """Pairs out of order in each row of ``ranks`` (rows, n): int64 (rows,)."""
    n = ranks.shape[1]
    small = ranks.astype(np.int16 if n <= np.iinfo(np.int16).max else np.int32)
    earlier = np.arange(n)[:, None] < np.arange(n)
    at_once = max(1, PAIRS_AT_ONCE // (n * n))
    counts = np.empty(len(ranks), dtype=np.int64)
    for start in range(0, len(ranks), at_once):
        chunk = small[start : start + at_once]
        greater = chunk[:, :, None] > chunk[:, None, :]
        greater &= earlier
        counts[start : start + at_once] = [np.count_nonzero(row) for row in greater]
    return counts
