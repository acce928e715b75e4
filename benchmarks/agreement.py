"""Agreement over all rows at once, against one row at a time."""

import itertools
import statistics
from collections.abc import Callable

import lengths
import measure
import numpy as np
import scipy.stats

from attention_dynamics.analysis.agreement import METRICS
from attention_dynamics.analysis.ragged import offsets_of

ROWS = 4000
LONGEST = 400  # words; longer reviews are left out in preparation


def top5(quick: bool) -> measure.Result:
    """Top-5% match and its shuffled baseline, against argmax and sort of each row."""

    def match(u: np.ndarray, v: np.ndarray) -> float:
        n = len(v)
        kth_largest = np.sort(v)[-((n + 19) // 20)]
        return float(v[np.argmax(u)] >= kth_largest)

    return compare("top 5% match", match, repeats=10 if quick else 40)


def kendall(quick: bool) -> measure.Result:
    """Kendall's tau and its shuffled baseline, against a scipy call a row."""

    def tau(u: np.ndarray, v: np.ndarray) -> float:
        return scipy.stats.kendalltau(u, v).statistic

    return compare("kendall tau", tau, repeats=2 if quick else 5)


def spearman(quick: bool) -> measure.Result:
    """Spearman's rank correlation and its shuffled baseline, against a scipy call a row."""

    def rho(u: np.ndarray, v: np.ndarray) -> float:
        return scipy.stats.spearmanr(u, v).statistic

    return compare("spearman", rho, repeats=2 if quick else 5)


def compare(metric: str, of_one_row: Callable, repeats: int) -> measure.Result:
    rng = np.random.default_rng(0)
    offsets = offsets_of(lengths.draw("IMDB", ROWS, rng, LONGEST) + 2)  # with <bos> and <eos>
    u, v = rng.standard_normal((2, offsets[-1]), dtype=np.float32)
    v += u  # rows that agree to some degree
    of_all_rows, of_all_rows_shuffled = METRICS[metric]
    rows = [slice(*ends) for ends in itertools.pairwise(offsets)]

    def plain() -> np.ndarray:
        return np.array([of_one_row(u[row], v[row]) for row in rows])

    def ours_with_baseline(seed: int) -> None:
        of_all_rows(u, v, offsets)
        of_all_rows_shuffled(u, v, offsets, np.random.default_rng(seed))

    def plain_with_baseline(seed: int) -> None:
        plain()
        rng = np.random.default_rng(seed)
        [of_one_row(u[row], rng.permutation(v[row])) for row in rows]

    difference = measure.largest_difference(of_all_rows(u, v, offsets).astype(np.float64), plain())
    ours_times, plain_times = measure.alternate(
        ours_with_baseline, plain_with_baseline, range(repeats + 1)
    )
    return measure.Result(
        work=f"{metric} with its baseline, {ROWS:,} rows of {offsets[-1]:,} tokens",
        ours=statistics.median(ours_times),
        plain=statistics.median(plain_times),
        difference={metric: difference},
    )
