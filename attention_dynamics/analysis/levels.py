"""The levels of the tables: ``A(u, β)`` for several u, the shuffled baseline, the best performance.

A column of a task with ``compared=True`` adds one. Tables, figures and the report follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from attention_dynamics.analysis.columns import Column
from attention_dynamics.analysis.evidence import Evidence, RunNames

# Of (evidence, gold run, gold iteration): a flat array, or None if it was not computed.
Values = Callable[[Evidence, str, int], np.ndarray | None]


@dataclass(frozen=True)
class Level:
    """What attention is compared with over training.

    Attributes
    ----------
    key : in results: "agr_..." of an agreement, whose ξ is "xi_..."; "baseline"; "best_perf"
    text, latex : the symbols; of an agreement those of the pair
    u : gives the u of ``A(u, β)``, which is the largest over iterations; None if it is not an
        agreement with a β
    run : whose β it is
    words : what is compared, or what it is
    optional : results lack it if there is no u
    """

    key: str
    text: str
    latex: str
    u: Values | None = None
    run: Callable[[RunNames], str] = lambda runs: runs.uniform
    words: str = ""
    optional: bool = False


def xi_of(key: str) -> str:
    """``xi_unif`` of ``agr_unif``, and so on."""
    return key.replace("agr_", "xi_")


def of_gold(column: str) -> Values:
    """A column of the gold checkpoint."""
    return lambda evidence, run, iteration: evidence.column(column, run, iteration)


def of_words(name: str) -> Values:
    """A word baseline."""
    return lambda evidence, run, iteration: evidence.words.get(name)


BEFORE = [
    Level(
        "agr_unif",
        "α, βᵘᶠ",
        r"\alpha, \beta^{uf}",
        of_gold("alpha"),
        words="attention, evidence",
    ),
    Level(
        "agr_px",
        "βᵘᶠ, βᵖˣ",
        r"\beta^{uf}, \beta^{px}",
        of_words("px"),
        words="evidence, word baseline",
    ),
    Level(
        "agr_logistic",
        "βᵘᶠ, βˡʳ",
        r"\beta^{uf}, \beta^{lr}",
        of_words("logistic"),
        words="evidence, logistic regression",
        optional=True,
    ),
]
AFTER = [
    Level(
        "agr_normal",
        "α, β",
        r"\alpha, \beta",
        of_gold("alpha"),
        run=lambda runs: runs.comparisons[0],
        words="attention, evidence of another seed",
    ),
    Level("baseline", "Â", r"\hat{\mathcal{A}}", words="shuffled attention"),
    Level("best_perf", "ξ*", r"\xi^*", words="best checkpoint of the gold run"),
]


def levels_of(columns: dict[str, Column]) -> dict[str, Level]:
    """The levels by their keys, in the order of tables, with those of the compared columns."""
    compared = [
        Level(
            f"agr_{name}",
            f"{column.symbol}, βᵘᶠ",
            rf"{column.latex}, \beta^{{uf}}",
            of_gold(name),
            words=f"{column.words or column.symbol}, evidence",
        )
        for name, column in columns.items()
        if column.compared
    ]
    return {level.key: level for level in (*BEFORE, *compared, *AFTER)}


class Symbols(NamedTuple):
    """The head of a column of a table: whole; if A or ξ stands above it; and in LaTeX."""

    text: str
    short: str
    latex: str


def symbols(levels: dict[str, Level]) -> dict[str, Symbols]:
    """The columns of tables by their keys in results: the agreements, then the performances."""
    agreements = [level for level in levels.values() if level.u]

    def symbols_of(level: Level, text: str = "{}") -> Symbols:
        return Symbols(text.format(level.text), level.text, level.latex)

    return {
        **{level.key: symbols_of(level, "A({})") for level in agreements},
        "baseline": symbols_of(levels["baseline"]),
        **{xi_of(level.key): symbols_of(level, "ξ({})") for level in agreements},
        "best_perf": symbols_of(levels["best_perf"]),
    }
