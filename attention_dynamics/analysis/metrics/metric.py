"""What an agreement metric is. Each other module of this folder has one, except ``rows.py``."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from attention_dynamics.analysis.metrics.rows import mean_agreement, shuffle
from attention_dynamics.analysis.ragged import Ragged


@dataclass(frozen=True)
class Metric:
    """A number for each row of two sets of rows; ``A(u, v)`` of the paper is its mean.

    ``u`` and ``v`` are flat float arrays of the same rows, end to end, and ``offsets``, int64
    (rows + 1,), says where each row begins and ends.

    Attributes
    ----------
    name : the name in results
    help : what it measures, for ``--help`` and for the explorer
    match : of (u, v, offsets): (rows,), from -1 to 1, NaN where it is undefined; bool if it is
        yes or no
    plain : of two rows (n,): the definition, row by row. Tests and benchmarks compare with it.
    flag : the flag of ``collect_*_stats.py``; None for the metric that is always collected
    chance : of the lengths of the rows, int (rows,): the expected mean if v is shuffled
    match_shuffled : of (u, v, offsets, rng): what :meth:`shuffled` gives, in less time
    """

    name: str
    help: str
    match: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    plain: Callable[[np.ndarray, np.ndarray], float]
    flag: str | None = None
    chance: Callable[[np.ndarray], float] = lambda lengths: 0.0
    match_shuffled: (
        Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], np.ndarray] | None
    ) = None

    def agreement(self, u: Ragged, v: Ragged) -> float:
        """``A(u, v)`` of the same rows: the mean over those where the metric is defined.

        Raises
        ------
        ValueError
            if the rows of u and v differ in length, or an entry is NaN.
        """
        if not np.array_equal(u.offsets, v.offsets):
            raise ValueError("the rows of u and v differ in length")
        if np.isnan(u.values).any() or np.isnan(v.values).any():
            raise ValueError("u or v has entries that are not a number")
        return mean_agreement(self.match(u.values, v.values, u.offsets))

    def shuffled(
        self, u: np.ndarray, v: np.ndarray, offsets: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """The metric with the entries of v in random order in each row: (rows,)."""
        if self.match_shuffled:
            return self.match_shuffled(u, v, offsets, rng)
        return self.match(u, shuffle(v, offsets, rng), offsets)
