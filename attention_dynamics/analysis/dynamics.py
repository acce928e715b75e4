"""The summary of one dataset over training: agreements, and what attention reaches by then.

Notation follows the paper: ``A(u, v)`` is an agreement (:mod:`.metrics`), ``xi`` the performance
that models have reached when the agreement of their attention with the gold attention first
exceeds a given ``A``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from attention_dynamics.analysis import bootstrap
from attention_dynamics.analysis.bootstrap import Agreement
from attention_dynamics.analysis.evidence import Evidence, RunNames
from attention_dynamics.analysis.levels import Level, xi_of
from attention_dynamics.analysis.metrics.metric import Metric
from attention_dynamics.analysis.metrics.rows import mean_agreement


@dataclass(frozen=True)
class Measured:
    """The agreements of every sentence that all figures of a split and a metric come from.

    Attributes
    ----------
    levels : {key: A(u, β) at each iteration}, None if u was not computed
    alphas : {iteration: A(α_gold, α_r) of each comparison run r}
    baselines : the same with α_r shuffled within each row
    performances : {iteration: the performance of each comparison run}
    best_perf : the gold checkpoint's performance
    iterations : the evaluated ones, rising
    """

    levels: dict[str, list[Agreement] | None]
    alphas: dict[int, list[Agreement]]
    baselines: dict[int, list[Agreement]]
    performances: dict[int, list[float]]
    best_perf: float
    iterations: list[int]

    @property
    def n_runs(self) -> int:
        """The number of comparison runs."""
        return len(self.alphas[self.iterations[0]])

    @property
    def n_sentences(self) -> int:
        return len(self.alphas[self.iterations[0]][0].sums)

    def take(self, sentences: np.ndarray) -> "Measured":
        """The given sentences alone, int (some sentences,). The performances stay."""

        def taken(agreements: list[Agreement]) -> list[Agreement]:
            return [agreement.take(sentences) for agreement in agreements]

        return replace(
            self,
            levels={key: of and taken(of) for key, of in self.levels.items()},
            alphas={it: taken(of) for it, of in self.alphas.items()},
            baselines={it: taken(of) for it, of in self.baselines.items()},
        )


def measure(
    runs: RunNames, evidence: Evidence, metric: Metric, levels: dict[str, Level]
) -> Measured:
    """Compute all agreements of a split: the slow part, done once.

    Parameters
    ----------
    levels : of the task
    """
    rng = np.random.default_rng(0)  # of the shuffled baseline

    best = evidence.gold_iteration(runs)
    gold_alpha = evidence.column("alpha", runs.gold, best)
    found: dict[str, list[Agreement] | None] = {}
    for key, level in levels.items():
        u = level.u and level.u(evidence, runs.gold, best)
        if u is not None:
            betas = (evidence.column("beta", level.run(runs), it) for it in runs.iterations)
            found[key] = [evidence.agreement(metric, u, beta) for beta in betas]
        elif level.u and not level.optional:
            found[key] = None
    alphas, baselines, performances = {}, {}, {}
    for it in runs.iterations:
        columns = [evidence.column("alpha", name, it) for name in runs.comparisons]
        alphas[it] = [evidence.agreement(metric, gold_alpha, alpha) for alpha in columns]
        baselines[it] = [evidence.agreement(metric, gold_alpha, alpha, rng) for alpha in columns]
        performances[it] = [evidence.performance(name, it) for name in runs.comparisons]
    best_perf = evidence.performance(runs.gold, best)
    return Measured(found, alphas, baselines, performances, best_perf, runs.iterations)


def figures(measured: Measured) -> dict[str, Any]:
    """The figures of all sentences: what :func:`summarize` gives, without the uncertainty."""
    # fmax: the largest, leaving out NaN
    found: dict[str, Any] = {
        key: None if agreements is None else float(np.fmax.reduce([a.mean for a in agreements]))
        for key, agreements in measured.levels.items()
    }
    alpha_corrs = {it: float(np.mean([a.mean for a in of])) for it, of in measured.alphas.items()}
    alpha_perfs = {it: float(np.mean(of)) for it, of in measured.performances.items()}
    found |= {
        "baseline": mean_agreement([a.mean for a in chain(*measured.baselines.values())]),
        "alpha_corrs": alpha_corrs,
        "alpha_perfs": alpha_perfs,
        "best_perf": measured.best_perf,
        "iterations": measured.iterations,
    }
    if "agr_grad" in found:
        found["arg_grad"] = found["agr_grad"]  # the published README's spelling
    for key in measured.levels:
        found[xi_of(key)] = first_exceeding(alpha_corrs, alpha_perfs, found[key])
    found["alpha_corrs_std"] = {
        it: float(np.std([a.mean for a in of], ddof=1)) if len(of) > 1 else None
        for it, of in measured.alphas.items()
    }
    return found


def summarize(
    runs: RunNames,
    evidence: Evidence,
    metric: Metric,
    levels: dict[str, Level],
    resamples: int = 0,
    bootstrap_seed: int = 0,
) -> dict[str, Any]:
    """The figures that the paper's tables report, for one split and one metric.

    Parameters
    ----------
    levels : of the task
    resamples : of the sentences, for the intervals; 0 for none
    bootstrap_seed : of the resamples

    Returns
    -------
    dict with ``agr_unif``, ``agr_px``, ``agr_grad`` (also as ``arg_grad``), ``agr_normal`` and
    the rest of ``levels``, the ``xi_`` of each, ``alpha_corrs`` and ``alpha_perfs`` ({iteration:
    value}), ``baseline``, ``best_perf`` and ``iterations``. An ``agr_`` that cannot be computed,
    and a ``xi_`` that is never reached, is None. Then the uncertainty:

    ``alpha_corrs_std`` ({iteration: value}), the standard deviation of ``alpha_corrs`` over
    comparison runs (of the sample: n - 1), None if there is one run; and what
    :func:`uncertainty` gives.
    """
    measured = measure(runs, evidence, metric, levels)
    return figures(measured) | uncertainty(measured, resamples, bootstrap_seed)


def uncertainty(measured: Measured, resamples: int, seed: int) -> dict[str, Any]:
    """The bootstrap of :func:`summarize`: every figure computed again from resampled sentences.

    No interval is given for ``best_perf``: which sentences a model gets right is not in a dump.

    Returns
    -------
    dict with ``intervals``, {key: (low, high)} for every ``agr_``, ``xi_`` and ``baseline``, None
    if the figure is; in that of a ``xi_``, the end None means "never", which is above every
    performance; ``xi_never``, {key: share of the resamples in which a ``xi_`` is not reached};
    ``resamples``. Both dicts are empty if ``resamples`` is 0.
    """
    intervals: dict[str, Any] = {}
    xi_never: dict[str, float | None] = {}
    if resamples:
        weights = bootstrap.weights(measured.n_sentences, resamples, seed)
        resampled = weighted_figures(measured, weights)
        intervals["baseline"] = bootstrap.interval(resampled["baseline"])
        intervals |= dict.fromkeys([*measured.levels, *map(xi_of, measured.levels)])
        xi_never |= dict.fromkeys(map(xi_of, measured.levels))
        for key, agreements in measured.levels.items():
            if agreements is None:
                continue
            defined = ~np.isnan(resampled[key])
            if not defined.any():
                continue
            intervals[key] = bootstrap.interval(resampled[key])
            xi = resampled[xi_of(key)][defined]
            xi_ends = bootstrap.interval(xi) or ()  # xi has no NaN
            intervals[xi_of(key)] = tuple(None if end == np.inf else end for end in xi_ends)
            xi_never[xi_of(key)] = float(np.mean(xi == np.inf))
    return {"intervals": intervals, "xi_never": xi_never, "resamples": resamples}


def weighted_figures(
    measured: Measured, weights: Iterable[np.ndarray], runs: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Every ``agr_``, ``xi_`` and ``baseline`` of each resample: {key: float64 (resamples,)}.

    The largest over iterations is taken, and ξ sought, inside each resample. The performances that
    ξ is read from are those of all sentences. Where ξ is never reached it is infinite, which lies
    above all that was.

    Parameters
    ----------
    weights : how often each resample has each sentence: (some resamples, sentences), in parts
    runs : int (resamples, runs), the comparison runs that each resample has; default: all, once
    """
    found = {key: level for key, level in measured.levels.items() if level is not None}
    runs = np.arange(measured.n_runs)[None] if runs is None else runs
    alphas, baselines = (list(chain(*of.values())) for of in (measured.alphas, measured.baselines))
    groups = [*found.values(), alphas, baselines]
    ends = np.cumsum([len(group) for group in groups])
    means = bootstrap.weighted_means(list(chain(*groups)), weights)
    # each (resamples, iterations), or (resamples, iterations x runs)
    *of_levels, of_alphas, of_baselines = np.split(means, ends[:-1], axis=1)

    def of_runs(values: np.ndarray) -> np.ndarray:
        shaped = values.reshape(len(means), len(measured.alphas), -1)
        return np.take_along_axis(shaped, runs[:, None, :], axis=2)

    corrs = of_runs(of_alphas).mean(axis=2)
    performances = np.array(list(measured.performances.values()))  # (iterations, runs)
    perfs = performances[:, runs].mean(axis=2).T  # (resamples or 1, iterations)
    of_resamples = of_runs(of_baselines).reshape(len(means), -1)
    resampled = {"baseline": np.array([mean_agreement(values) for values in of_resamples])}
    for key, values in zip(found, of_levels):
        level = np.fmax.reduce(values, axis=1)
        exceeds = corrs > level[:, None]
        first = exceeds.argmax(axis=1)[:, None]
        xi = np.take_along_axis(np.broadcast_to(perfs, corrs.shape), first, axis=1)[:, 0]
        resampled |= {key: level, xi_of(key): np.where(exceeds.any(axis=1), xi, np.inf)}
    return resampled


def over_gold(
    runs: RunNames, evidence: Evidence, metric: Metric, levels: dict[str, Level]
) -> dict[str, Any]:
    """Each normal run in turn as the gold run, the others compared with it.

    The arguments are those of :func:`summarize`.

    Returns
    -------
    dict with ``over_gold``, {gold run: what :func:`figures` gives}; and ``gold_intervals``, {key:
    {"mean", "min", "max", "count", "never"}} for every ``agr_``, ``xi_``, ``baseline`` and
    ``best_perf``, over the ``count`` gold runs that have the figure; None if no run has it. In
    those of a ``xi_``, ``never`` gold runs do not reach it: then "max" is None, and so is "mean".
    """
    of = {each.gold: figures(measure(each, evidence, metric, levels)) for each in runs.golds}
    keys = [key for key in of[runs.gold] if key.startswith(("agr_", "xi_"))]
    spread = {key: _spread(list(of.values()), key) for key in [*keys, "baseline", "best_perf"]}
    return {"over_gold": of, "gold_intervals": spread}


def _spread(of_golds: list[dict[str, Any]], key: str) -> dict[str, Any] | None:
    """Of one figure, leaving out the gold runs whose agreement was not computed or is NaN."""
    values = [value for found in of_golds if (value := reached(found, key)) is not None]
    if not values:
        return None
    spread = {"mean": float(np.mean(values)), "min": float(min(values)), "max": float(max(values))}
    ends = {name: None if value == np.inf else value for name, value in spread.items()}
    return ends | {"count": len(values), "never": values.count(np.inf)}


def reached(found: dict[str, Any], key: str) -> float | None:
    """A figure: infinite if it is a ξ that is never reached; None if there is none."""
    level = found.get(key.replace("xi_", "agr_"))
    if level is None or np.isnan(level):
        return None
    return np.inf if found[key] is None else found[key]


def first_exceeding(
    alpha_corrs: dict[int, float], alpha_perfs: dict[int, float], level: float | None
) -> float | None:
    """ξ: the performance at the first iteration whose agreement exceeds ``level``, or None."""
    if level is None:
        return None
    for iteration in sorted(alpha_corrs):
        if alpha_corrs[iteration] > level:
            return alpha_perfs[iteration]
    return None
