"""Numbers of one attention distribution: how concentrated it is, and how far it follows evidence.

They are computed from the alpha and beta of a dump when it is read, not stored in it as columns: so
they can be had of every dump there is, and no dump can hold them in another version.
To add one, write a function and add a line to the table.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from attention_dynamics.analysis.metrics.rows import mean_agreement
from attention_dynamics.analysis.metrics.top5 import row_argmax

# Attention that underflows to 0 in float32 counts as its smallest number, so that logits are finite
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)


@dataclass(frozen=True)
class Measure:
    """A number for each row: a sentence in classification, a target token in translation.

    Attributes
    ----------
    symbol : how tables write it
    compute : of (alpha, beta, offsets), the rows end to end, beta for the gold label or token:
        float64 (rows,), NaN where it is undefined
    """

    symbol: str
    compute: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

    def mean(self, alpha: np.ndarray, beta: np.ndarray, offsets: np.ndarray) -> float:
        """Over the rows where it is defined; NaN if there are none."""
        return mean_agreement(self.compute(alpha, beta, offsets))


def entropy(alpha: np.ndarray, beta: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """``-sum(alpha log alpha)`` of each row, in nats: 0 if one token has all, log n if uniform."""
    alpha = alpha.astype(np.float64)
    # 0 log 0 = 0
    return -np.add.reduceat(alpha * np.log(np.maximum(alpha, SMALLEST)), offsets[:-1])


def effective(alpha: np.ndarray, beta: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Effective number of attended tokens, ``exp(entropy)``: from 1 to n (the perplexity)."""
    return np.exp(entropy(alpha, beta, offsets))


def margin(alpha: np.ndarray, beta: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The attention logit where beta is largest, less the mean logit of the row's other tokens.

    Logits are ``log alpha`` up to a constant of the row, which the difference does not have. Where
    beta has its largest value several times, the first of them counts. NaN in rows of one token.
    """
    logits = np.log(np.maximum(alpha.astype(np.float64), SMALLEST))
    lengths = np.diff(offsets)
    top = logits[row_argmax(beta, offsets)]
    others = np.add.reduceat(logits, offsets[:-1]) - top
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(lengths > 1, top - others / (lengths - 1), np.nan)


MEASURES: dict[str, Measure] = {
    "entropy": Measure("H(α)", entropy),
    "effective": Measure("exp H(α)", effective),
    "margin": Measure("margin", margin),
}
