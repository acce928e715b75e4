"""The paper's central picture: agreement and performance over training."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from attention_dynamics.analysis.columns import Column
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.levels import levels_of, xi_of
from attention_dynamics.analysis.tables import decimals
from attention_dynamics.views.drawing import (
    GREY,
    VERMILION,
    Rows,
    Style,
    figure_width,
    is_narrow,
    iteration_axis,
    lines_of,
    pyplot,
)
from attention_dynamics.views.figures.figure import Figure, Material, sentences_and_measure

GOLD = VERMILION  # the color of the gold run, whose performance is ξ*


def draw_dynamics(
    key: tuple[str, str, str, str],
    summary: dict[str, Any],
    columns: dict[str, Column],
    n_runs: int,
    gold: Sequence[float | None],
    style: Style,
) -> tuple[Any, Rows]:
    """Two panels for one summary.

    One has the agreement of the comparison runs' attention with the gold attention over training
    (``alpha_corrs``; the band is their standard deviation), and the levels ``agr_*`` (the band is
    their 95% interval). A marker stands where the agreement first exceeds a level; in the other
    panel, the performance of the same runs, the same marker stands at ξ. There the gold run has a
    curve of its own, with a star at ξ*.

    Parameters
    ----------
    columns : of the task
    n_runs : number of comparison runs
    gold : the gold run's performance at each iteration, None where it is unknown
    """
    plt = pyplot()
    dataset, metric, _, performance = key
    iterations = np.array(summary["iterations"])
    corrs = np.array([summary["alpha_corrs"][it] for it in iterations])
    perfs = np.array([summary["alpha_perfs"][it] for it in iterations])
    # None, so NaN, if there is a single comparison run
    spread = np.array([summary["alpha_corrs_std"][it] for it in iterations], dtype=float)
    gold_perfs = np.array(gold, dtype=float)
    digits = decimals("best_perf", summary["best_perf"])
    split, measure = sentences_and_measure(performance)
    rows: Rows = []

    def note(
        panel: str, series: str, its: Any, values: Any, low: Any = None, high: Any = None
    ) -> None:
        """Add rows for values at iterations; None or NaN is no value."""
        columns = [np.broadcast_to(column, np.shape(its)) for column in (values, low, high)]
        for iteration, *numbers in zip(its, *columns):
            value, *ends = (None if n is None or np.isnan(n) else float(n) for n in numbers)
            if value is not None:
                ends_of = dict(zip(("low", "high"), ends))
                names = {"panel": panel, "series": series, "iteration": iteration}
                rows.append({**names, "value": value, **ends_of})

    narrow = is_narrow()
    figure, (left, right) = plt.subplots(
        *((2, 1) if narrow else (1, 2)),
        figsize=(figure_width(), 5.6 if narrow else 3.6),
        layout="constrained",
    )
    curve = {"color": style.ink, "marker": ".", "markersize": 4, "zorder": 3}
    runs_label = f"mean of {n_runs} comparison runs" if n_runs > 1 else "the comparison run"
    handles = left.plot(iterations, corrs, label=runs_label, **curve)
    note("agreement", "comparison runs", iterations, corrs, corrs - spread, corrs + spread)
    if np.isfinite(spread).any():
        handles[0].set_label(f"{runs_label}; band: ± 1 standard deviation")
        left.fill_between(
            iterations, corrs - spread, corrs + spread, color=style.ink, alpha=0.15, linewidth=0
        )
    right.plot(iterations, perfs, **curve)
    note("performance", "comparison runs", iterations, perfs)
    edge = {"linestyle": "", "markeredgecolor": style.paper, "markeredgewidth": 0.7, "zorder": 4}
    lines = lines_of(columns)
    markers = False
    for name, level in levels_of(columns).items():
        value = summary.get(name)
        if value is None or name not in lines:
            continue
        look = lines[name]
        label = f"{level.words}: {level.text if not level.u else f'A({level.text})'} = {value:.3f}"
        if level.u:
            reached = np.flatnonzero(corrs > value)[:1]  # the first, if any
            left.plot(iterations[reached], corrs[reached], **look | edge)
            right.plot(iterations[reached], perfs[reached], **look | edge)
            note("performance", xi_of(name), iterations[reached], perfs[reached])
            markers |= bool(len(reached))
            xi = f"= {perfs[reached[0]]:.{digits}f}" if len(reached) else "never"
            label += f", ξ {xi}"
        handles += left.plot([], [], label=label, **look)  # the line with its marker
        left.axhline(value, color=look["color"], linestyle=look["linestyle"])
        low, high = summary["intervals"].get(name) or (None, None)
        note("agreement", name, [None], value, low, high)  # at all iterations
        if low is not None:
            left.axhspan(low, high, color=look["color"], alpha=0.12, linewidth=0)
    known = np.isfinite(gold_perfs)
    right.plot(iterations[known], gold_perfs[known], color=GOLD, linewidth=1)
    note("performance", "gold run", iterations, gold_perfs)
    right.axhline(summary["best_perf"], color=GOLD, linestyle=(0, (1, 2)), linewidth=0.8)
    note("performance", "best_perf", [None], summary["best_perf"])
    best = np.flatnonzero(gold_perfs == summary["best_perf"])[:1]
    star = {"color": GOLD, "marker": "*", "markersize": 8} | edge
    right.plot(iterations[best], gold_perfs[best], **star)
    gold_label = f"gold run; ξ* = {summary['best_perf']:.{digits}f} at its best checkpoint"
    handles += right.plot(
        [], [], label=gold_label, color=GOLD, linewidth=1, marker="*", markersize=6
    )
    if any(summary["intervals"].get(name) for name in lines):
        handles.append(plt.Rectangle((0, 0), 1, 1, color=GREY, alpha=0.25, linewidth=0))
        handles[-1].set_label("band of a level: its 95% interval over sentences")
    if markers:
        handles += left.plot([], [], **{**edge, "marker": "o", "color": GREY})
        handles[-1].set_label(f"marker: first above the level; ξ: {measure} there")
    for axis in (left, right):
        iteration_axis(axis, iterations)
    left.set_title("attention compared with the gold run's")
    left.set_ylabel(f"agreement A ({metric})")
    left.set_ylim(bottom=min(0, corrs.min()))
    right.set_title(f"{measure} of the same runs, and of the gold run")
    unit = " (%)" if measure == "accuracy" and digits == 1 else ""
    right.set_ylabel(f"{measure} on {split}{unit}")
    figure.suptitle(f"{dataset}, {split}", fontweight="bold")
    # below: within the panel it would hide a curve
    columns_of_legend, handle = (1, 2.2) if narrow else (2, 3)
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns_of_legend, handlelength=handle
    )
    return figure, rows


def draw(material: Material, style: Style) -> tuple[Any, Rows]:
    dump, performance = material.dump, material.key[3]
    runs = RunNames.of(set(dump["alpha"]), dump["dataset"])
    return draw_dynamics(
        material.key,
        material.summary,
        material.task.columns,
        len(runs.comparisons),
        [dump["metas"].get((runs.gold, it, performance)) for it in material.summary["iterations"]],
        style,
    )


FIGURE = Figure(
    name="dynamics",
    caption="agreement and performance over training. A marker stands where the agreement of "
    "attention between seeds first exceeds a level; beside it, at the same marker, the performance "
    "that the same runs have reached by then (ξ). The star is ξ*, of the gold run.",
    draw=draw,
    from_results=True,
)
