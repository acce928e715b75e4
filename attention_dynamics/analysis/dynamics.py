"""The summary of one dataset over training: agreements, and what attention reaches by then.

Notation follows the paper: ``A(u, v)`` is an agreement (:mod:`.agreement`),
``xi`` the performance that models have reached when the agreement of their attention with the
gold attention first exceeds a given ``A``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from attention_dynamics.analysis import bootstrap
from attention_dynamics.analysis.agreement import METRICS
from attention_dynamics.analysis.bootstrap import Agreement
from attention_dynamics.cli import InputError


@dataclass(frozen=True)
class RunNames:
    """The runs of a dump by their part; names compare without regard to case."""

    gold: str  # Normal_A
    comparisons: list[str]  # Normal_B, Normal_C, ...
    uniform: str
    iterations: list[int]  # rising, the same for every run

    @classmethod
    def of(cls, evaluated: set[tuple[str, int]], where: str) -> "RunNames":
        """Sort out the pairs (name, iteration) of a dump called ``where``.

        Raises
        ------
        InputError
            where a run is missing, or runs were evaluated at different iterations.
        """
        names = sorted({name for name, _ in evaluated}, key=str.lower)
        by_lower = {name.lower(): name for name in names}
        if len(by_lower) < len(names):
            raise InputError(f"{where} has names that differ in case alone: {', '.join(names)}")
        comparisons = [n for n in names if n.lower().startswith("normal_")]
        for needed in ("normal_a", "uniform"):
            if needed not in by_lower:
                raise InputError(f"{where} has no run called {needed} (it has {', '.join(names)})")
        gold, uniform = by_lower["normal_a"], by_lower["uniform"]
        comparisons.remove(gold)
        if not comparisons:
            raise InputError(f"{where} has no run to compare Normal_A with, such as Normal_B")
        iterations = sorted(iteration for name, iteration in evaluated if name == gold)
        for name in [*comparisons, uniform]:
            if sorted(it for other, it in evaluated if other == name) != iterations:
                raise InputError(f"{where}: {name} and {gold} have different iterations")
        return cls(gold, comparisons, uniform, iterations)


@dataclass(frozen=True)
class Evidence:
    """What the agreements of one split of a dataset are computed from.

    Attributes
    ----------
    offsets : int64 (rows + 1,), the distributions end to end
    alpha, beta, grad : functions of (name, iteration) that give a flat array; larger values of
        beta and grad speak for the gold label or token; grad gives None where there is none
    performance : function of (name, iteration) that gives the performance
    beta_px : flat array, the word baseline's β; None where it was not asked for
    beta_logistic : flat array, the β of the logistic word baseline, or None
    sentence : int64 (rows,), the number of the sentence that a row is in, from 0; None where
        each row is a sentence
    """

    offsets: np.ndarray
    alpha: Callable[[str, int], np.ndarray]
    beta: Callable[[str, int], np.ndarray]
    grad: Callable[[str, int], np.ndarray | None]
    performance: Callable[[str, int], float]
    beta_px: np.ndarray | None = None
    beta_logistic: np.ndarray | None = None
    sentence: np.ndarray | None = None


def gold_iteration(runs: RunNames, evidence: Evidence) -> int:
    """The iteration of the gold checkpoint: ``Normal_A``'s best, the first of equals."""
    return max(runs.iterations, key=lambda it: evidence.performance(runs.gold, it))


def summarize(
    runs: RunNames,
    evidence: Evidence,
    metric: str,
    seed: int = 0,
    resamples: int = 0,
    bootstrap_seed: int = 0,
) -> dict[str, Any]:
    """The figures that the paper's tables report, for one split and one metric.

    Parameters
    ----------
    metric : a key of :data:`attention_dynamics.analysis.agreement.METRICS`
    seed : of the shuffled baseline
    resamples : of the sentences, for the intervals; 0 for none
    bootstrap_seed : of the resamples

    Returns
    -------
    dict with ``agr_unif``, ``agr_px``, ``agr_grad`` (also as ``arg_grad``), ``agr_normal``, the
    ``xi_`` of each, ``alpha_corrs`` and ``alpha_perfs`` ({iteration: value}), ``baseline``,
    ``best_perf`` and ``iterations``; with a logistic baseline ``agr_logistic`` and
    ``xi_logistic``. An ``agr_`` that cannot be computed, and a ``xi_`` that is never reached, is
    None. Then the uncertainty:

    ``alpha_corrs_std`` ({iteration: value}), the standard deviation of ``alpha_corrs`` over
    comparison runs (of the sample: n - 1), None where there is one run; and what
    :func:`uncertainty` gives.
    """
    match, match_shuffled = METRICS[metric]
    rng = np.random.default_rng(seed)

    def agreement(u: np.ndarray, v: np.ndarray) -> Agreement:
        return Agreement.of(match(u, v, evidence.offsets), evidence.sentence)

    def with_shuffled(u: np.ndarray, v: np.ndarray) -> Agreement:
        return Agreement.of(match_shuffled(u, v, evidence.offsets, rng), evidence.sentence)

    def over_training(u: np.ndarray, name: str) -> list[Agreement]:
        """A(u, β) at each iteration of run ``name``."""
        return [agreement(u, evidence.beta(name, it)) for it in runs.iterations]

    best = gold_iteration(runs, evidence)
    gold_alpha = evidence.alpha(runs.gold, best)
    gold_grad = evidence.grad(runs.gold, best)

    levels = {
        "agr_unif": over_training(gold_alpha, runs.uniform),
        "agr_px": over_training(evidence.beta_px, runs.uniform),
        "agr_grad": None if gold_grad is None else over_training(gold_grad, runs.uniform),
        "agr_normal": over_training(gold_alpha, runs.comparisons[0]),
    }
    if evidence.beta_logistic is not None:
        levels["agr_logistic"] = over_training(evidence.beta_logistic, runs.uniform)
    alphas, baselines, alpha_perfs = {}, [], {}
    for it in runs.iterations:
        columns = [evidence.alpha(name, it) for name in runs.comparisons]
        alphas[it] = [agreement(gold_alpha, alpha) for alpha in columns]
        baselines += [with_shuffled(gold_alpha, alpha) for alpha in columns]
        performances = [evidence.performance(name, it) for name in runs.comparisons]
        alpha_perfs[it] = float(np.mean(performances))

    # fmax: the largest, leaving out NaN
    summary = {
        key: None if level is None else float(np.fmax.reduce([a.mean for a in level]))
        for key, level in levels.items()
    }
    alpha_corrs = {it: float(np.mean([a.mean for a in of_it])) for it, of_it in alphas.items()}
    summary |= {
        "baseline": float(np.mean([a.mean for a in baselines])),
        "alpha_corrs": alpha_corrs,
        "alpha_perfs": alpha_perfs,
        "best_perf": evidence.performance(runs.gold, best),
        "iterations": runs.iterations,
        "arg_grad": summary["agr_grad"],  # the published README's spelling
    }
    for key in levels:
        summary[xi_of(key)] = first_exceeding(alpha_corrs, alpha_perfs, summary[key])
    summary["alpha_corrs_std"] = {
        it: float(np.std([a.mean for a in of_it], ddof=1)) if len(of_it) > 1 else None
        for it, of_it in alphas.items()
    }
    return summary | uncertainty(levels, alphas, baselines, alpha_perfs, resamples, bootstrap_seed)


def xi_of(agreement: str) -> str:
    """``xi_unif`` of ``agr_unif``, and so on."""
    return agreement.replace("agr_", "xi_")


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
    where the figure is; in that of a ``xi_``, the end None means "never", which is above every
    performance; ``xi_never``, {key: share of the resamples in which a ``xi_`` is not reached};
    ``resamples``. Both dicts are empty where ``resamples`` is 0.
    """
    intervals, xi_never = {}, {}
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
            xi_ends = bootstrap.interval(xi)
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


# The results in the paper's notation.
NOTATION = {
    "agr_unif": "A(α, βᵘᶠ)",
    "agr_px": "A(βᵘᶠ, βᵖˣ)",
    "agr_logistic": "A(βᵘᶠ, βˡʳ)",
    "agr_grad": "A(Δ, βᵘᶠ)",
    "agr_normal": "A(α, β)",
    "baseline": "Â",
    "xi_unif": "ξ(α, βᵘᶠ)",
    "xi_px": "ξ(βᵘᶠ, βᵖˣ)",
    "xi_logistic": "ξ(βᵘᶠ, βˡʳ)",
    "xi_grad": "ξ(Δ, βᵘᶠ)",
    "xi_normal": "ξ(α, β)",
    "best_perf": "ξ*",
}
