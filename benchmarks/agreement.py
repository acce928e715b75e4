"""Agreement over all rows at once, against one row at a time."""

import itertools
import statistics

import lengths
import measure
import numpy as np

from attention_dynamics.analysis.metrics import METRICS
from attention_dynamics.analysis.ragged import offsets_of

ROWS = 4000


def top5(quick: bool) -> measure.Result:
    """Top-5% match and its shuffled baseline, against argmax and sort of each row."""
    return compare("top 5% match", repeats=10 if quick else 40)


def kendall(quick: bool) -> measure.Result:
    """Kendall's tau and its shuffled baseline, against a scipy call a row."""
    return compare("kendall tau", repeats=2 if quick else 5)


def spearman(quick: bool) -> measure.Result:
    """Spearman's rank correlation and its shuffled baseline, against a scipy call a row."""
    return compare("spearman", repeats=2 if quick else 5)


def pearson(quick: bool) -> measure.Result:
    """Pearson's r and its shuffled baseline, against a scipy call a row."""
    return compare("pearson", repeats=2 if quick else 5)


def compare(name: str, repeats: int) -> measure.Result:
    rng = np.random.default_rng(0)
    words = lengths.draw("IMDB", ROWS, rng, lengths.LONGEST)
    offsets = offsets_of(words + 2)  # with <bos> and <eos>
    u, v = rng.standard_normal((2, offsets[-1]), dtype=np.float32)
    v += u  # rows that agree to some degree
    metric = METRICS[name]
    rows = [slice(*ends) for ends in itertools.pairwise(offsets)]

    def plain() -> np.ndarray:
        return np.array([metric.plain(u[row], v[row]) for row in rows])

    def ours_with_baseline(seed: int) -> None:
        metric.match(u, v, offsets)
        metric.shuffled(u, v, offsets, np.random.default_rng(seed))

    def plain_with_baseline(seed: int) -> None:
        plain()
        rng = np.random.default_rng(seed)
        [metric.plain(u[row], rng.permutation(v[row])) for row in rows]

    difference = measure.largest_difference(metric.match(u, v, offsets).astype(np.float64), plain())
    ours_times, plain_times = measure.alternate(
        ours_with_baseline, plain_with_baseline, range(repeats + 1)
    )
    return measure.Result(
        work=f"{name} with its baseline, {ROWS:,} rows of {offsets[-1]:,} tokens",
        ours=statistics.median(ours_times),
        plain=statistics.median(plain_times),
        difference={name: difference},
    )
