"""Two settings compared: the difference of every figure of the table, and how sure it is.

Both settings are evaluated on the same sentences, so these are paired: a resample has the same
sentences in both, and a permutation swaps the two settings within a sentence (Efron and Tibshirani
1993, chapters 8 and 15; Noreen 1989 calls the latter approximate randomization).
"""

import math
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from attention_dynamics.analysis import bootstrap, dynamics
from attention_dynamics.analysis.bootstrap import Agreement
from attention_dynamics.analysis.dynamics import Measured, reached
from attention_dynamics.analysis.task import Task

TOLERANCE = 1e-12  # of differences that are equal but for rounding


@dataclass(frozen=True)
class Compared:
    """One figure of two settings, ``a`` and ``b``.

    Attributes
    ----------
    a, b : its values; infinite for a ξ that is never reached, None if it cannot be computed
    interval : of the difference a - b, 95%, over sentences. An end is infinite where a ξ is never
        reached in one of the settings. None if there is no such interval: no resamples, or a ξ that
        neither setting reaches in some resample, so that there is no difference
    runs_interval : the same over runs and sentences; None also for a figure without runs to draw,
        or if a setting has a single comparison run
    p : of the permutation test; None if it cannot be made
    never : of a ξ, the shares of resamples in which a does not reach it, b does not, neither does
    """

    a: float | None
    b: float | None
    interval: tuple[float, float] | None = None
    runs_interval: tuple[float, float] | None = None
    p: float | None = None
    never: tuple[float, float, float] | None = None

    @property
    def difference(self) -> float | None:
        """a - b; None if there is none, as when neither setting reaches a ξ."""
        if self.a is None or self.b is None or (math.isinf(self.a) and math.isinf(self.b)):
            return None
        return self.a - self.b


def sentence_keys(task: Task, dump: dict[str, Any], split: str) -> list[Hashable]:
    """What tells the sentences of a split apart: the words, and the label or the target's words."""
    every = task.sentences_of(dump)
    sentences = every.take(every.rows_of(split))
    vocab = np.array(dump["vocab"], dtype=object)
    source = [tuple(vocab[row]) for row in sentences.source]
    if sentences.target is None:
        return list(zip(source, np.asarray(sentences.labels).tolist()))
    return list(zip(source, (tuple(vocab[row]) for row in sentences.target)))


def pairs(a: list[Hashable], b: list[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """The sentences that occur in both, in the order of ``a``: their numbers in ``a`` and in ``b``.

    A sentence that occurs several times is paired as often as it occurs in both.
    """
    waiting: dict[Hashable, deque[int]] = defaultdict(deque)
    for number, key in enumerate(b):
        waiting[key].append(number)
    found = [(number, waiting[key].popleft()) for number, key in enumerate(a) if waiting[key]]
    numbers = np.array(found, dtype=np.int64).reshape(-1, 2)
    return numbers[:, 0], numbers[:, 1]


def compare(
    a: list[Measured],
    b: list[Measured],
    paired: bool,
    resamples: int,
    permutations: int,
    seed: int,
) -> dict[str, Compared]:
    """Every ``agr_``, ``xi_`` and ``baseline``, and ``best_perf``, of two settings.

    The interval is of the bootstrap over sentences, given the trained models. That over runs draws
    runs for each resample and setting (:func:`over_runs`), then the same sentences.

    The null hypothesis of the permutation test: for each sentence, all its agreements with one
    setting's models and all those with the other's are exchangeable. A permutation swaps each
    sentence's, of all checkpoints and runs at once, with probability 1/2 (if not ``paired``: deals
    out all sentences again), and the absolute difference is computed again; p is (count + 1) /
    (permutations + 1), with the count of those at least as large as the observed one. For ``xi_``,
    performances stay with their setting, "never" lies above every performance, and two "never"
    do not differ. The means over comparison runs are over all their defined rows here.

    Parameters
    ----------
    a, b : with each gold run that there is to draw from; the figures, the interval over sentences
        and the test are of the first. Of the same sentences in the same order, if ``paired``
    resamples, permutations : 0 for no intervals, no test
    """
    values_a, values_b = (dynamics.figures(golds[0]) for golds in (a, b))
    of_sentences: list[dict[str, np.ndarray]] = [{}, {}]
    of_runs: list[dict[str, np.ndarray]] = [{}, {}]
    for number, golds in enumerate((a, b) if resamples else ()):
        n_sentences, weights_seed = golds[0].n_sentences, [seed, 0 if paired else number]
        weights = partial(bootstrap.weights, n_sentences, resamples, weights_seed)
        of_sentences[number] = dynamics.weighted_figures(golds[0], weights())
        if min(a[0].n_runs, b[0].n_runs) > 1:
            of_runs[number] = over_runs(golds, resamples, weights, [seed, 2 + number])
    p_values = {}
    if permutations:
        p_values = permutation_test(a[0], b[0], paired, permutations, [seed, 4])

    compared = {}
    keys = [key for key in values_a | values_b if key.startswith(("agr_", "xi_"))]
    for key in dict.fromkeys([*keys, "baseline", "best_perf"]):
        one, other = reached(values_a, key), reached(values_b, key)
        found = compared[key] = Compared(one, other, p=p_values.get(key))
        if found.a is None or found.b is None:
            continue
        if all(key in of for of in of_sentences):
            x, y = (of[key] for of in of_sentences)
            found = replace(found, interval=difference_interval(x, y))
            if key.startswith("xi_"):
                a_never, b_never = np.isinf(x), np.isinf(y)
                shares = a_never.mean(), b_never.mean(), (a_never & b_never).mean()
                found = replace(found, never=shares)
        if all(key in of for of in of_runs):
            x, y = (of[key] for of in of_runs)
            found = replace(found, runs_interval=difference_interval(x, y))
        compared[key] = found
    return compared


def difference_interval(a: np.ndarray, b: np.ndarray) -> tuple[float, float] | None:
    """Of the differences in resamples (resamples,); None if some do not exist."""
    if (np.isinf(a) & np.isinf(b)).any():
        return None
    return bootstrap.interval(a - b)


def over_runs(
    golds: list[Measured],
    resamples: int,
    weights: Callable[[], Iterator[np.ndarray]],
    seed: list[int],
) -> dict[str, np.ndarray]:
    """The figures of each resample of runs and sentences: {key: (resamples,)}.

    A resample has one of the gold runs, and of its comparison runs as many as there are, drawn with
    replacement. If there is one gold run, an ``agr_`` has no runs to draw, and is left out; so is
    what some gold run lacks.
    """
    gold, runs = drawn_runs(len(golds), golds[0].n_runs, resamples, seed)
    of_golds = [dynamics.weighted_figures(measured, weights(), runs) for measured in golds]
    return {
        key: np.stack([of[key] for of in of_golds])[gold, np.arange(resamples)]
        for key in of_golds[0]
        if all(key in of for of in of_golds) and not (len(golds) == 1 and key.startswith("agr_"))
    }


def drawn_runs(
    n_golds: int, n_runs: int, resamples: int, seed: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The gold run of each resample, (resamples,), and its comparison runs, (resamples, runs)."""
    rng = np.random.default_rng(seed)
    return rng.integers(n_golds, size=resamples), rng.integers(n_runs, size=(resamples, n_runs))


def permutation_test(
    a: Measured, b: Measured, paired: bool, permutations: int, seed: list[int]
) -> dict[str, float]:
    """The p values of :func:`compare`; none if the settings have other iterations."""
    if a.iterations != b.iterations:
        return {}

    def first() -> Iterator[np.ndarray]:
        return assignments(a.n_sentences, b.n_sentences, paired, permutations, seed)

    x = dynamics.weighted_figures(joined(a, b), first())
    second = replace(joined(a, b), performances=_means(b.performances))
    y = dynamics.weighted_figures(second, (1 - part for part in first()))
    p_values = {}
    for key in x:
        both_never = np.isinf(x[key]) & np.isinf(y[key])
        with np.errstate(invalid="ignore"):
            differences = np.where(both_never, 0.0, np.abs(x[key] - y[key]))
        # what is undefined counts as large: the p value is then too high rather than too low
        as_large = ~(differences < differences[0] - TOLERANCE)
        p_values[key] = float(as_large.mean())  # with the observed one, which comes first
    return p_values


def assignments(
    a: int, b: int, paired: bool, permutations: int, seed: list[int]
) -> Iterator[np.ndarray]:
    """Which sentences of both settings, end to end, belong to the first one: 1 or 0.

    float64 (some permutations, a + b), in parts; in the first row nothing is permuted.
    """
    rng = np.random.default_rng(seed)
    observed = np.repeat([1.0, 0.0], [a, b])
    yield observed[None]
    for count, _ in bootstrap.shapes(a + b, permutations):
        if paired:
            kept = rng.integers(2, size=(count, a)).astype(np.float64)
            yield np.concatenate([kept, 1 - kept], axis=1)
        else:
            yield rng.permuted(np.tile(observed, (count, 1)), axis=1)


def joined(a: Measured, b: Measured) -> Measured:
    """The sentences of both settings, end to end, as if they were one; the performances of ``a``.

    Comparison runs are pooled. A sentence of either setting weighs the same, however many runs
    there are; all numbers that were whole stay whole, so that ties stay ties.
    """

    def pooled(of_a: list[Agreement], of_b: list[Agreement]) -> Agreement:
        sums, counts = (
            np.concatenate(
                [
                    np.sum([getattr(agreement, part) for agreement in of], axis=0) * len(other)
                    for of, other in ((of_a, of_b), (of_b, of_a))
                ]
            )
            for part in ("sums", "counts")
        )
        return Agreement(math.nan, sums, counts)

    levels = {
        key: [pooled([x], [y]) for x, y in zip(of_a, of_b)]
        for key, of_a in a.levels.items()
        if of_a is not None and (of_b := b.levels.get(key)) is not None
    }
    return Measured(
        levels=dict(levels),
        alphas={it: [pooled(a.alphas[it], b.alphas[it])] for it in a.alphas},
        baselines={it: [pooled(a.baselines[it], b.baselines[it])] for it in a.baselines},
        performances=_means(a.performances),
        best_perf=a.best_perf,
        iterations=a.iterations,
    )


def _means(performances: dict[int, list[float]]) -> dict[int, list[float]]:
    return {it: [float(np.mean(of_runs))] for it, of_runs in performances.items()}
