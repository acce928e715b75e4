"""Pearson's r, the linear correlation."""

import numpy as np

from attention_dynamics.analysis.metrics.metric import Metric


def match(u: np.ndarray, v: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Pearson's r of each row: float64 (rows,), NaN where a row of u or v is constant."""
    starts, lengths = offsets[:-1], np.diff(offsets)

    def unit(values: np.ndarray) -> np.ndarray:
        """Each row less its mean, divided by its norm: float64 (entries,)."""
        values = values.astype(np.float64)
        values -= np.repeat(np.add.reduceat(values, starts) / lengths, lengths)
        return values / np.repeat(np.sqrt(np.add.reduceat(values * values, starts)), lengths)

    def constant(values: np.ndarray) -> np.ndarray:
        return np.maximum.reduceat(values, starts) == np.minimum.reduceat(values, starts)

    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.clip(np.add.reduceat(unit(u) * unit(v), starts), -1, 1)
    # Rounding can leave a constant row with a norm above 0.
    r[constant(u) | constant(v)] = np.nan
    return r


def plain(u: np.ndarray, v: np.ndarray) -> float:
    from scipy.stats import pearsonr  # slow to import, and no stage needs it

    u, v = u.astype(np.float64), v.astype(np.float64)
    return float(pearsonr(u, v).statistic) if len(u) > 1 else float("nan")


METRIC = Metric(
    name="pearson",
    help="Pearson's r, the linear correlation",
    match=match,
    plain=plain,
    flag="--include_pearson",
)
