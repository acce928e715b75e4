"""How sure an agreement is: the bootstrap over sentences.

An agreement is a mean over sentences that happened to be in the data. Each resample draws as many
sentences as there are, with replacement, and computes everything again from them (Efron and
Tibshirani 1993, chapters 6 and 13: the percentile interval). In translation a sentence has a row
for each target token; its rows depend on one another, so sentences are drawn, not rows.

What the intervals cover is the choice of sentences, given the trained models. How much training
again would change is another matter: see ``alpha_corrs_std``. And the largest of several means
tends to be larger in a resample, so where checkpoints are nearly equal the interval of their
largest lies a little high.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from attention_dynamics.analysis.metrics.rows import mean_agreement

TAILS = 0.025, 0.975  # what lies between is the interval of 95%
ENTRIES_AT_ONCE = 1 << 20  # of the matrix of weights


@dataclass(frozen=True)
class Agreement:
    """``A(u, v)``, and what each sentence brings to it.

    Attributes
    ----------
    mean : over all rows, leaving out those where the metric is undefined
    sums : float64 (sentences,), of a sentence's defined rows
    counts : float64 (sentences,), how many these are
    """

    mean: float
    sums: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, sentence: np.ndarray | None) -> "Agreement":
        """From the values of a metric (rows,), and the sentence that each row is in.

        ``sentence`` holds the numbers from 0, or is None where each row is a sentence.
        """
        defined = ~np.isnan(values)
        sums, counts = np.where(defined, values, 0.0), defined.astype(np.float64)
        if sentence is not None:
            sums, counts = (np.bincount(sentence, weights=part) for part in (sums, counts))
        return cls(mean_agreement(values), sums, counts)

    def take(self, sentences: np.ndarray) -> "Agreement":
        """That of the given sentences alone: int (some sentences,)."""
        sums, counts = self.sums[sentences], self.counts[sentences]
        n_rows = counts.sum()
        return Agreement(float(sums.sum() / n_rows) if n_rows else float("nan"), sums, counts)


def shapes(sentences: int, resamples: int) -> Iterator[tuple[int, int]]:
    """The shapes (some resamples, sentences) of the parts that fit in memory."""
    at_once = max(1, ENTRIES_AT_ONCE // sentences)
    for start in range(0, resamples, at_once):
        yield min(at_once, resamples - start), sentences


def weights(sentences: int, resamples: int, seed: int | list[int]) -> Iterator[np.ndarray]:
    """How often each resample has each sentence: float64 (some resamples, sentences), in parts."""
    rng = np.random.default_rng(seed)
    for shape in shapes(sentences, resamples):
        drawn = rng.integers(sentences, size=shape) + sentences * np.arange(shape[0])[:, None]
        counts = np.bincount(drawn.ravel(), minlength=shape[0] * sentences)
        yield counts.reshape(shape).astype(np.float64)


def weighted_means(agreements: list[Agreement], parts: Iterable[np.ndarray]) -> np.ndarray:
    """The agreements under each row of weights: float64 (resamples, agreements).

    NaN where a resample has no row that is defined.

    Parameters
    ----------
    parts : of :func:`weights`: how often each resample has each sentence
    """
    sums = np.stack([agreement.sums for agreement in agreements], axis=1)
    counts = np.stack([agreement.counts for agreement in agreements], axis=1)
    if (counts == counts[:, :1]).all():  # as they are, unless a metric is undefined somewhere
        counts = counts[:, :1]
    with np.errstate(invalid="ignore"):
        return np.concatenate([(w @ sums) / (w @ counts) for w in parts])


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """The percentile interval of a figure's values (resamples,), leaving out NaN.

    Its ends are values that occurred. None where there are no values.
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, TAILS, method="inverted_cdf")
    return float(low), float(high)
