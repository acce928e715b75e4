"""The summary of one dataset over training: agreements, and what attention reaches by then.

Notation follows the paper: ``A(u, v)`` is an agreement (:mod:`.metrics`), ``xi`` the performance
that models have reached when the agreement of their attention with the gold attention first
exceeds a given ``A``.
"""

from itertools import chain
from typing import Any

import numpy as np

from attention_dynamics.analysis import bootstrap
from attention_dynamics.analysis.bootstrap import Agreement
from attention_dynamics.analysis.evidence import Evidence, RunNames
from attention_dynamics.analysis.levels import Level, xi_of
from attention_dynamics.analysis.metrics.metric import Metric


def summarize(
    runs: RunNames,
    evidence: Evidence,
    metric: Metric,
    levels: dict[str, Level],
    seed: int = 0,
    resamples: int = 0,
    bootstrap_seed: int = 0,
) -> dict[str, Any]:
    """The figures that the paper's tables report, for one split and one metric.

    Parameters
    ----------
    levels : of the task
    seed : of the shuffled baseline
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
    rng = np.random.default_rng(seed)

    def agreement(u: np.ndarray, v: np.ndarray) -> Agreement:
        return Agreement.of(metric.match(u, v, evidence.offsets), evidence.sentence)

    def with_shuffled(u: np.ndarray, v: np.ndarray) -> Agreement:
        return Agreement.of(metric.shuffled(u, v, evidence.offsets, rng), evidence.sentence)

    best = evidence.gold_iteration(runs)
    gold_alpha = evidence.column("alpha", runs.gold, best)
    found: dict[str, list[Agreement] | None] = {}  # A(u, β) at each iteration
    for key, level in levels.items():
        u = level.u and level.u(evidence, runs.gold, best)
        if u is not None:
            betas = (evidence.column("beta", level.run(runs), it) for it in runs.iterations)
            found[key] = [agreement(u, beta) for beta in betas]
        elif level.u and not level.optional:
            found[key] = None
    alphas, baselines, alpha_perfs = {}, [], {}
    for it in runs.iterations:
        columns = [evidence.column("alpha", name, it) for name in runs.comparisons]
        alphas[it] = [agreement(gold_alpha, alpha) for alpha in columns]
        baselines += [with_shuffled(gold_alpha, alpha) for alpha in columns]
        performances = [evidence.performance(name, it) for name in runs.comparisons]
        alpha_perfs[it] = float(np.mean(performances))

    # fmax: the largest, leaving out NaN
    summary: dict[str, Any] = {
        key: None if agreements is None else float(np.fmax.reduce([a.mean for a in agreements]))
        for key, agreements in found.items()
    }
    alpha_corrs = {it: float(np.mean([a.mean for a in of_it])) for it, of_it in alphas.items()}
    summary |= {
        "baseline": float(np.mean([a.mean for a in baselines])),
        "alpha_corrs": alpha_corrs,
        "alpha_perfs": alpha_perfs,
        "best_perf": evidence.performance(runs.gold, best),
        "iterations": runs.iterations,
    }
    if "agr_grad" in summary:
        summary["arg_grad"] = summary["agr_grad"]  # the published README's spelling
    for key in found:
        summary[xi_of(key)] = first_exceeding(alpha_corrs, alpha_perfs, summary[key])
    summary["alpha_corrs_std"] = {
        it: float(np.std([a.mean for a in of_it], ddof=1)) if len(of_it) > 1 else None
        for it, of_it in alphas.items()
    }
    return summary | uncertainty(found, alphas, baselines, alpha_perfs, resamples, bootstrap_seed)


def uncertainty(
    levels: dict[str, list[Agreement] | None],
    alphas: dict[int, list[Agreement]],
    baselines: list[Agreement],
    alpha_perfs: dict[int, float],
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The bootstrap of :func:`summarize`: every figure computed again from resampled sentences.

    The largest over iterations is taken, and ξ sought, inside each resample; the performances
    that ξ is read from are those of all sentences. No interval is given for ``best_perf``: which
    sentences a model gets right is not in a dump.

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
        found = {key: level for key, level in levels.items() if level is not None}
        groups = [*found.values(), list(chain(*alphas.values())), baselines]
        ends = np.cumsum([len(group) for group in groups])
        means = bootstrap.resampled_means(list(chain(*groups)), resamples, seed)
        # each (resamples, iterations), or (resamples, iterations x runs)
        *of_levels, of_alphas, of_baselines = np.split(means, ends[:-1], axis=1)
        corrs = of_alphas.reshape(resamples, len(alphas), -1).mean(axis=2)
        perfs = np.array(list(alpha_perfs.values()))
        intervals["baseline"] = bootstrap.interval(of_baselines.mean(axis=1))
        intervals |= dict.fromkeys([*levels, *map(xi_of, levels)])
        xi_never |= dict.fromkeys(map(xi_of, levels))
        for key, values in zip(found, of_levels):
            level = np.fmax.reduce(values, axis=1)
            exceeds = corrs > level[:, None]
            reached = exceeds.any(axis=1)
            # of the first that exceeds; what is never reached lies above all that was
            xi = np.where(reached, perfs[exceeds.argmax(axis=1)], np.inf)
            intervals[key] = bootstrap.interval(level)
            xi_ends = bootstrap.interval(xi) or ()  # xi has no NaN
            intervals[xi_of(key)] = tuple(None if end == np.inf else end for end in xi_ends)
            xi_never[xi_of(key)] = float(np.mean(~reached))
    return {"intervals": intervals, "xi_never": xi_never, "resamples": resamples}


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
