"""Spearman's rank correlation: Pearson's correlation of the ranks."""

import numpy as np

from attention_dynamics.analysis.metrics.metric import Metric
from attention_dynamics.analysis.metrics.rows import rows_of_one_length


def match(u: np.ndarray, v: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each row: float64 (rows,), NaN where u or v is constant.

    Equal entries share the mean of their ranks. Twice the distance of a rank from the mean rank
    is an integer, so the sums are exact.
    """
    rho = np.empty(len(offsets) - 1)
    for rows, columns in rows_of_one_length(offsets):
        u_ranks, v_ranks = centred_ranks(u[columns]), centred_ranks(v[columns])
        covariance, u_variance, v_variance = (
            np.einsum("ij,ij->i", a, b)
            for a, b in ((u_ranks, v_ranks), (u_ranks, u_ranks), (v_ranks, v_ranks))
        )
        with np.errstate(invalid="ignore"):
            rho[rows] = covariance / np.sqrt(u_variance * v_variance.astype(np.float64))
    return rho


def plain(u: np.ndarray, v: np.ndarray) -> float:
    from scipy.stats import spearmanr  # slow to import, and no stage needs it

    return float(spearmanr(u, v).statistic) if len(u) > 1 else float("nan")


def centred_ranks(values: np.ndarray) -> np.ndarray:
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


METRIC = Metric(
    name="spearman",
    help="Spearman's rank correlation",
    match=match,
    plain=plain,
    flag="--include_spearman",
)
