"""A dump as agreements are computed from it: its runs by their part, and the columns of a split."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from attention_dynamics.analysis.bootstrap import Agreement
from attention_dynamics.analysis.metrics.metric import Metric
from attention_dynamics.analysis.metrics.rows import all_tied
from attention_dynamics.cli import InputError

SCORE = "score"  # in dumps of more than two labels: their logits, (sentences, K)


def gold_evidence(logits: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Evidence for the gold label against the rest: ``log p(gold) - log(1 - p(gold))``.

    Parameters
    ----------
    logits : (rows,), of label 1 of two, label 0 having the logit 0; or (rows, K), of K labels
    gold : int (rows,), the gold labels, from 0

    Returns
    -------
    (rows,), ``(2 gold - 1) * logits`` of one logit, else
    ``logits[gold] - logsumexp(logits of the other labels)``
    """
    if logits.ndim == 1:
        return logits * (2 * gold - 1).astype(logits.dtype)
    rows, others = np.arange(len(gold)), logits.copy()
    others[rows, gold] = -np.inf
    return logits[rows, gold] - np.logaddexp.reduce(others, axis=1)


@dataclass(frozen=True)
class RunNames:
    """The runs of a dump by their part; case is ignored in names."""

    gold: str  # Normal_A
    comparisons: list[str]  # Normal_B, Normal_C, ...
    uniform: str  # "" where there is none
    iterations: list[int]  # rising, the same for every run

    @classmethod
    def of(
        cls, evaluated: set[tuple[str, int]], where: str, needs_uniform: bool = True
    ) -> "RunNames":
        """Sort out the pairs (name, iteration) of a dump called ``where``.

        Unless it ``needs_uniform``, the uniform run may be missing, and is then called "".

        Raises
        ------
        InputError
            if a run is missing, or runs were evaluated at different iterations.
        """
        names = sorted({name for name, _ in evaluated}, key=str.lower)
        by_lower = {name.lower(): name for name in names}
        if len(by_lower) < len(names):
            raise InputError(f"{where} has names that differ in case alone: {', '.join(names)}")
        comparisons = [n for n in names if n.lower().startswith("normal_")]
        for needed in ("normal_a", "uniform")[: 2 if needs_uniform else 1]:
            if needed not in by_lower:
                raise InputError(f"{where} has no run called {needed} (it has {', '.join(names)})")
        gold, uniform = by_lower["normal_a"], by_lower.get("uniform", "")
        comparisons.remove(gold)
        if not comparisons:
            raise InputError(f"{where} has no run to compare Normal_A with, such as Normal_B")
        iterations = sorted(iteration for name, iteration in evaluated if name == gold)
        for name in filter(None, [*comparisons, uniform]):
            if sorted(it for other, it in evaluated if other == name) != iterations:
                raise InputError(
                    f"{where}: {name} and {gold} have different iterations; evaluate both at the "
                    "same, or delete it and evaluate again"
                )
        return cls(gold, comparisons, uniform, iterations)

    @property
    def golds(self) -> list["RunNames"]:
        """Each normal run in turn as the gold run, the others as comparison runs."""
        normal = [self.gold, *self.comparisons]
        return [
            replace(self, gold=gold, comparisons=[name for name in normal if name != gold])
            for gold in normal
        ]


@dataclass(frozen=True)
class Evidence:
    """What the agreements of one split of a dataset are computed from.

    Attributes
    ----------
    offsets : int64 (rows + 1,), the distributions end to end
    column : of (column, run, iteration): a flat array, or None if it was not computed; larger
        values of beta and of compared columns speak for the gold label or token
    performance : of (run, iteration)
    scores : of (run, iteration): the logits of all labels, (rows, K); None in translation
    words : the values of word baselines by name ("px", "logistic"), flat arrays
    sentence : int64 (rows,), the number of the sentence that a row is in, from 0; None if each
        row is a sentence
    attention_from : the iteration up to which attention was held uniform, in all normal runs
    """

    offsets: np.ndarray
    column: Callable[[str, str, int], Any]
    performance: Callable[[str, int], float]
    scores: Callable[[str, int], np.ndarray] | None = None
    words: dict[str, np.ndarray] = field(default_factory=dict)
    sentence: np.ndarray | None = None
    attention_from: int = 0

    def gold_iteration(self, runs: RunNames) -> int:
        """The iteration of the gold checkpoint: ``Normal_A``'s best, the first of equals."""
        return max(runs.iterations, key=lambda it: self.performance(runs.gold, it))

    def agreement(
        self, metric: Metric, u: np.ndarray, v: np.ndarray, rng: np.random.Generator | None = None
    ) -> Agreement:
        """``A(u, v)`` of the rows; of v shuffled within each row, if there is an ``rng``.

        It is undefined (NaN) if u or v is constant in every row, as uniform attention is: the
        top-5% match would call it perfect.
        """
        if all_tied(u, self.offsets) or all_tied(v, self.offsets):
            values = np.full(len(self.offsets) - 1, np.nan)
        elif rng:
            values = metric.shuffled(u, v, self.offsets, rng)
        else:
            values = metric.match(u, v, self.offsets)
        return Agreement.of(values, self.sentence)
