"""The summary of one dataset over training: agreements, and what attention reaches by then.

Notation follows the paper: ``A(u, v)`` is an agreement (:mod:`attention_dynamics.agreement`),
``xi`` the performance that models have reached when the agreement of their attention with the
gold attention first exceeds a given ``A``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from attention_dynamics.agreement import METRICS, mean_agreement
from attention_dynamics.cli import InputError

AGREEMENTS = ("agr_unif", "agr_px", "agr_grad", "agr_normal")


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
    beta_px : flat array, the word baseline's β; None where it was not asked for
    performance : function of (name, iteration) that gives the performance
    """

    offsets: np.ndarray
    alpha: Callable[[str, int], np.ndarray]
    beta: Callable[[str, int], np.ndarray]
    grad: Callable[[str, int], np.ndarray | None]
    beta_px: np.ndarray | None
    performance: Callable[[str, int], float]


def gold_iteration(runs: RunNames, evidence: Evidence) -> int:
    """The iteration of the gold checkpoint: ``Normal_A``'s best, the first of equals."""
    return max(runs.iterations, key=lambda it: evidence.performance(runs.gold, it))


def summarize(runs: RunNames, evidence: Evidence, metric: str, seed: int = 0) -> dict[str, Any]:
    """The figures that the paper's tables report, for one split and one metric.

    Parameters
    ----------
    metric : a key of :data:`attention_dynamics.agreement.METRICS`
    seed : of the shuffled baseline

    Returns
    -------
    dict with ``agr_unif``, ``agr_px``, ``agr_grad`` (also as ``arg_grad``), ``agr_normal``, the
    ``xi_`` of each, ``alpha_corrs`` and ``alpha_perfs`` ({iteration: value}), ``baseline``,
    ``best_perf`` and ``iterations``. An ``agr_`` that cannot be computed, and a ``xi_`` that is
    never reached, is None.
    """
    match, match_shuffled = METRICS[metric]
    rng = np.random.default_rng(seed)

    def agreement(u: np.ndarray, v: np.ndarray) -> float:
        return mean_agreement(match(u, v, evidence.offsets))

    def best_agreement(u: np.ndarray, name: str) -> float:
        """The largest A(u, β) over the training of run ``name``."""
        values = [agreement(u, evidence.beta(name, it)) for it in runs.iterations]
        return float(np.nanmax(values)) if not np.isnan(values).all() else math.nan

    best = gold_iteration(runs, evidence)
    gold_alpha = evidence.alpha(runs.gold, best)
    gold_grad = evidence.grad(runs.gold, best)

    alpha_corrs, alpha_perfs, baselines = {}, {}, []
    for it in runs.iterations:
        alphas = [evidence.alpha(name, it) for name in runs.comparisons]
        alpha_corrs[it] = float(np.mean([agreement(gold_alpha, alpha) for alpha in alphas]))
        alpha_perfs[it] = float(
            np.mean([evidence.performance(name, it) for name in runs.comparisons])
        )
        baselines += [
            mean_agreement(match_shuffled(gold_alpha, alpha, evidence.offsets, rng))
            for alpha in alphas
        ]

    summary = {
        "agr_unif": best_agreement(gold_alpha, runs.uniform),
        "agr_px": best_agreement(evidence.beta_px, runs.uniform),
        "agr_grad": None if gold_grad is None else best_agreement(gold_grad, runs.uniform),
        "agr_normal": best_agreement(gold_alpha, runs.comparisons[0]),
        "baseline": float(np.mean(baselines)),
        "alpha_corrs": alpha_corrs,
        "alpha_perfs": alpha_perfs,
        "best_perf": evidence.performance(runs.gold, best),
        "iterations": runs.iterations,
    }
    summary["arg_grad"] = summary["agr_grad"]  # the published README's spelling
    for key in AGREEMENTS:
        summary[key.replace("agr_", "xi_")] = first_exceeding(
            alpha_corrs, alpha_perfs, summary[key]
        )
    return summary


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
    "agr_grad": "A(Δ, βᵘᶠ)",
    "agr_normal": "A(α, β)",
    "baseline": "Â",
    "xi_unif": "ξ(α, βᵘᶠ)",
    "xi_px": "ξ(βᵘᶠ, βᵖˣ)",
    "xi_grad": "ξ(Δ, βᵘᶠ)",
    "xi_normal": "ξ(α, β)",
    "best_perf": "ξ*",
}


def format_table(results: dict[tuple, dict[str, Any]]) -> str:
    """The results as a table to read: a row for each dataset, metric and performance key.

    Two heads, ``A`` and ``ξ``, stand above the pairs that they apply to, as in the paper.
    """
    names = ["dataset", "metric", "performance"]
    pairs = [notation[2:-1] if "(" in notation else notation for notation in NOTATION.values()]
    rows = [[*names, *pairs]]
    for (dataset, metric, _, performance), summary in results.items():
        row = [dataset, metric, performance]
        for key in NOTATION:
            value = summary[key]
            percent = summary["best_perf"] > 1 and (key.startswith("xi_") or key == "best_perf")
            if value is None:
                row.append("never" if key.startswith("xi_") else "-")
            else:
                decimals = 1 if percent else 3
                row.append(f"{round(value, decimals) + 0:.{decimals}f}")  # + 0: no "-0.000"
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < len(names) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells))
    ends = [sum(widths[: i + 1]) + 2 * i for i in range(len(widths))]  # of each column
    left, middle = ends[len(names) - 1] + 2, ends[len(names) + 4] + 2
    heads = " " * left + "A".center(middle - 2 - left, "-")
    heads += "  " + "ξ".center(ends[-1] - middle, "-")
    return "\n".join([heads, lines[0], "-" * len(lines[0]), *lines[1:]])
