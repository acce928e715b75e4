"""The levels of the tables: ``A(u, β)`` for several u, the shuffled baseline, the best performance.

A column of a task with ``compared=True`` adds one. Tables, figures and the report follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from attention_dynamics.analysis.columns import Column
from attention_dynamics.analysis.evidence import Evidence, RunNames
from attention_dynamics.views.drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY

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
    line : how figures draw it, in terms of matplotlib; None if they do not
    optional : results lack it if there is no u
    """

    key: str
    text: str
    latex: str
    u: Values | None = None
    run: Callable[[RunNames], str] = lambda runs: runs.uniform
    line: dict[str, Any] | None = None
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


def line(color: str, linestyle: Any, marker: str, markersize: int) -> dict[str, Any]:
    return {"color": color, "linestyle": linestyle, "marker": marker, "markersize": markersize}


# The sizes of markers differ: where several levels are first exceeded at once, all can be seen.
BEFORE = [
    Level(
        "agr_unif",
        "α, βᵘᶠ",
        r"\alpha, \beta^{uf}",
        of_gold("alpha"),
        line=line(BLUE, "--", "o", 11),
    ),
    Level(
        "agr_px",
        "βᵘᶠ, βᵖˣ",
        r"\beta^{uf}, \beta^{px}",
        of_words("px"),
        line=line(GREEN, "-.", "s", 7),
    ),
    Level(
        "agr_logistic", "βᵘᶠ, βˡʳ", r"\beta^{uf}, \beta^{lr}", of_words("logistic"), optional=True
    ),
]
COMPARED_LINES = [
    line(PURPLE, (0, (5, 1, 1, 1, 1, 1)), "D", 4),
    line(ORANGE, (0, (3, 1, 1, 1)), "^", 9),
    line(SKY, (0, (1, 1)), "v", 6),
]
AFTER = [
    Level(
        "agr_normal",
        "α, β",
        r"\alpha, \beta",
        of_gold("alpha"),
        run=lambda runs: runs.comparisons[0],
    ),
    Level("baseline", "Â", r"\hat{\mathcal{A}}", line=line(GREY, ":", "", 0)),
    Level("best_perf", "ξ*", r"\xi^*"),
]


def levels_of(columns: dict[str, Column]) -> dict[str, Level]:
    """The levels by their keys, in the order of tables, with those of the compared columns."""
    compared = [
        Level(
            f"agr_{name}",
            f"{column.symbol}, βᵘᶠ",
            rf"{column.latex}, \beta^{{uf}}",
            of_gold(name),
            line=style,
        )
        for (name, column), style in zip(
            [(name, column) for name, column in columns.items() if column.compared],
            cycle(COMPARED_LINES),
        )
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
