"""When an agreement is learned: its onset, its rise, and the lag of attention behind evidence.

The paper says that a model first learns, under nearly uniform attention, which words speak for a
label (beta), and that this then drives attention (section 4). If so, alpha agrees with the gold
attention later than beta of the uniform run does: the lag is above 0.

**Excess.** An agreement is counted from chance, separately at each iteration: ``A_t`` less the
agreement with the same values shuffled within each row, of the same sentences. The agreement that
is there before anything is learned is chance, too: initial weights prefer some positions and words,
in all seeds alike. So what counts is ``D_t = E_t - max(0, E_0)`` with the excess ``E`` and that of
the iteration 0, if it was evaluated; for attention that is uniform at first, that of the update at
which it is released. An attention that is given, and so agrees from the start, has no onset.

**Onset.** The first iteration at which the lower end of the bootstrap 95% interval of ``D_t`` (over
sentences) is above 0, and stays above at the next ``CONFIRMED`` evaluated iterations, as far as
there are so many. A single one would often be chance: it is above 0 in one of 40.

**Rise.** The iteration, linearly interpolated, at which ``D_t`` has first covered half of the way
from 0 to its maximum. It hardly depends on the number of sentences, as an onset does, nor on how
many iterations are evaluated. Without an onset there is no rise.

**Lag.** Of attention behind evidence, in updates: the onset (or rise) of alpha less that of beta.

A time that does not come is infinite; a lag is then infinite, or NaN if neither comes.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from attention_dynamics.analysis import bootstrap
from attention_dynamics.analysis.bootstrap import Agreement
from attention_dynamics.analysis.evidence import Evidence, RunNames
from attention_dynamics.analysis.metrics.metric import Metric
from attention_dynamics.analysis.metrics.rows import mean_agreement

CONFIRMED = 2
OF_ALPHA = "alpha"


@dataclass(frozen=True)
class Source:
    """What is compared with the gold attention over training: the column of these runs."""

    text: str
    column: str
    runs: Callable[[RunNames], list[str]]


SOURCES: dict[str, Source] = {
    "unif": Source("βᵘᶠ", "beta", lambda runs: [runs.uniform] if runs.uniform else []),
    "normal": Source("β", "beta", lambda runs: runs.comparisons),
    OF_ALPHA: Source("α", "alpha", lambda runs: runs.comparisons),
}


def times(sources: list[str]) -> list[str]:
    """The keys of all figures: ``onset_unif``, ``rise_unif``, ..., ``lag_unif``, ..."""
    betas = [name for name in sources if name != OF_ALPHA]
    return [
        *(f"onset_{name}" for name in sources),
        *(f"lag_{name}" for name in betas),
        *(f"rise_{name}" for name in sources),
        *(f"rise_lag_{name}" for name in betas),
    ]


def text_of(key: str) -> str:
    """How tables write a figure of :func:`times`."""
    what, _, name = key.rpartition("_")
    of = f"α - {SOURCES[name].text}" if what.endswith("lag") else SOURCES[name].text
    return f"{what.replace('_', ' ')}, {of}"


@dataclass(frozen=True)
class Curve:
    """The agreements ``A(alpha_gold, v_t)`` over training, of one or several runs.

    Attributes
    ----------
    iterations : rising
    agreements : of each iteration, of each run
    shuffled : the same with v shuffled within each row
    begins : the iteration at which v is not trained yet
    """

    iterations: list[int]
    agreements: list[list[Agreement]]
    shuffled: list[list[Agreement]]
    begins: int = 0

    @property
    def means(self) -> np.ndarray:
        """Of each iteration, over runs: float64 (iterations,)."""
        return np.array([np.mean([one.mean for one in of]) for of in self.agreements])

    @property
    def chance(self) -> float:
        """The mean of the shuffled agreements, leaving out undefined ones."""
        return mean_agreement([one.mean for of in self.shuffled for one in of])

    def excess(self, n_resamples: int, seed: int) -> np.ndarray:
        """``E_t`` of all sentences, in row 0, and of resamples: (1 + resamples, iterations)."""
        flat = [one for part in (self.agreements, self.shuffled) for of in part for one in of]
        n_sentences = len(flat[0].sums)

        def weights() -> Iterator[np.ndarray]:
            yield np.ones((1, n_sentences))
            yield from bootstrap.weights(n_sentences, n_resamples, seed)

        means = bootstrap.weighted_means(flat, weights())
        agreed, shuffled = np.split(means, 2, axis=1)
        return (agreed - shuffled).reshape(len(means), len(self.iterations), -1).mean(axis=2)


def curves(runs: RunNames, evidence: Evidence, metric: Metric) -> dict[str, Curve]:
    """The curve of each of ``SOURCES`` that the dump has runs for.

    A checkpoint with uniform attention in all rows has no agreement: :meth:`Evidence.agreement`.
    """
    rng = np.random.default_rng(0)  # of the shuffled baseline
    gold_alpha = evidence.column("alpha", runs.gold, evidence.gold_iteration(runs))
    found = {}
    for key, source in SOURCES.items():
        columns = [
            [evidence.column(source.column, name, iteration) for name in source.runs(runs)]
            for iteration in runs.iterations
        ]
        if columns[0]:
            agreements, shuffled = (
                [
                    [evidence.agreement(metric, gold_alpha, v, of_shuffled) for v in of]
                    for of in columns
                ]
                for of_shuffled in (None, rng)
            )
            begins = evidence.attention_from if key == OF_ALPHA else 0
            found[key] = Curve(runs.iterations, agreements, shuffled, begins)
    return found


@dataclass(frozen=True)
class Time:
    """An onset, a rise or a lag, in updates.

    Attributes
    ----------
    value : infinite if it does not come; of a lag -inf if evidence alone does not come, NaN if
        neither does
    interval : bootstrap 95% over sentences; an end may be infinite. None if the value is NaN in
        some resample
    """

    value: float
    interval: tuple[float, float] | None


def onsets(found: dict[str, Curve], resamples: int, seed: int = 0) -> dict[str, Time]:
    """The figures of :func:`times`.

    Parameters
    ----------
    found : of :func:`curves`
    resamples : of the sentences, at least 1
    seed : of the resamples, which are the same for all curves, so that lags are paired
    """
    values: dict[str, np.ndarray] = {}
    for name, curve in found.items():
        above = above_chance(curve.excess(resamples, seed), curve.iterations, curve.begins)
        values[f"onset_{name}"], values[f"rise_{name}"] = onset_and_rise(above, curve.iterations)
    for name in found.keys() - {OF_ALPHA}:
        for what, lag in (("onset", "lag"), ("rise", "rise_lag")):
            with np.errstate(invalid="ignore"):  # inf - inf
                values[f"{lag}_{name}"] = values[f"{what}_{OF_ALPHA}"] - values[f"{what}_{name}"]
    return {
        key: Time(
            float(values[key][0]),
            None if np.isnan(values[key]).any() else bootstrap.interval(values[key][1:]),
        )
        for key in times(list(found))
    }


def above_chance(excess: np.ndarray, iterations: list[int], begins: int = 0) -> np.ndarray:
    """``D_t`` of ``E_t``, (samples, iterations): without what is there at ``begins``."""
    if begins not in iterations:  # all that was evaluated is trained: only shuffling tells chance
        return excess
    return excess - np.fmax(excess[:, [iterations.index(begins)]], 0)


def onset_and_rise(above: np.ndarray, iterations: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Of ``D_t`` of all sentences, in row 0, and of resamples: two float64 (samples,).

    Onsets in resamples: how far the lower end of the interval lies below ``D_t`` is found once,
    from all resamples, and subtracted in each. So none needs a bootstrap of its own, and the onset
    of all sentences is found by the same rule.
    """
    lower = np.array([(bootstrap.interval(of) or (np.nan,))[0] for of in above[1:].T])
    with np.errstate(invalid="ignore"):
        positive = above - (above[0] - lower) > 0  # False for NaN
    confirmed = positive.copy()
    for ahead in range(1, CONFIRMED + 1):
        confirmed[:, :-ahead] &= positive[:, ahead:]
    at = np.array(iterations, dtype=np.float64)
    onset = np.where(confirmed.any(axis=1), at[confirmed.argmax(axis=1)], np.inf)
    rise = np.array([rise_of(row, at) for row in above])
    return onset, np.where(np.isinf(onset), np.inf, rise)


def rise_of(above: np.ndarray, iterations: np.ndarray) -> float:
    """Where ``D_t`` first reaches half of its maximum; infinite if it is never above 0.

    Undefined values are left out, as if these iterations had not been evaluated.
    """
    defined = ~np.isnan(above)
    at, values = iterations[defined], above[defined]
    if not (values > 0).any():
        return math.inf
    half = values.max() / 2
    k = int((values >= half).argmax())
    if k == 0:
        return float(at[0])
    share = (half - values[k - 1]) / (values[k] - values[k - 1])
    return float(at[k - 1] + share * (at[k] - at[k - 1]))
