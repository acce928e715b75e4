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
    LEVEL_LINES,
    VERMILION,
    Columns,
    Rows,
    Style,
    figure_width,
    is_narrow,
    iteration_axis,
    lines_of,
    pyplot,
    with_about,
)
from attention_dynamics.views.figures.figure import Figure, Material, sentences_and_measure

GOLD = VERMILION  # the color of the gold run, whose performance is ξ*


COLUMNS: Columns = {
    str: ("panel", "series", "label", "dataset", "metric", "performance"),
    int: ("iteration", "runs"),
    float: ("value", "low", "high"),
}


def rows_of_summary(
    key: tuple[str, str, str, str],
    summary: dict[str, Any],
    columns: dict[str, Column],
    n_runs: int,
    gold: Sequence[float | None],
) -> Rows:
    """What :func:`draw` draws of one summary.

    Parameters
    ----------
    columns : of the task
    n_runs : number of comparison runs
    gold : the gold run's performance at each iteration, None where it is unknown
    """
    iterations = np.array(summary["iterations"])
    corrs = np.array([summary["alpha_corrs"][it] for it in iterations])
    perfs = np.array([summary["alpha_perfs"][it] for it in iterations])
    # None, so NaN, if there is a single comparison run
    spread = np.array([summary["alpha_corrs_std"][it] for it in iterations], dtype=float)
    rows: Rows = []

    def note(
        panel: str, series: str, its: Any, values: Any, low: Any = None, high: Any = None
    ) -> None:
        """Add rows for values at iterations; None or NaN is no value."""
        columns = [np.broadcast_to(column, np.shape(its)) for column in (values, low, high)]
        for iteration, *numbers in zip(its, *columns):
            found = (None if n is None or np.isnan(n) else float(n) for n in numbers)
            names = {"panel": panel, "series": series, "iteration": iteration}
            rows.append({**names, **dict(zip(("value", "low", "high"), found)), "label": None})

    note("agreement", "comparison runs", iterations, corrs, corrs - spread, corrs + spread)
    note("performance", "comparison runs", iterations, perfs)
    compared = {f"agr_{name}" for name, column in columns.items() if column.compared}
    for name, level in levels_of(columns).items():
        if name not in compared | LEVEL_LINES.keys():
            continue
        value = summary.get(name)
        low, high = summary["intervals"].get(name) or (None, None)
        note("agreement", name, [None], value, low, high)  # at all iterations
        rows[-1]["label"] = f"{level.words}: {level.text if not level.u else f'A({level.text})'}"
        if level.u and value is not None:
            reached = np.flatnonzero(corrs > value)[:1]  # the first, if any
            note("performance", xi_of(name), iterations[reached], perfs[reached])
    note("performance", "gold run", iterations, np.array(gold, dtype=float))
    note("performance", "best_perf", [None], summary["best_perf"])
    dataset, metric, _, performance = key
    return with_about(rows, dataset=dataset, metric=metric, performance=performance, runs=n_runs)


def draw(rows: Rows, style: Style) -> Any:
    """Two panels for one summary.

    One has the agreement of the comparison runs' attention with the gold attention over training
    (``alpha_corrs``; the band is their standard deviation), and the levels ``agr_*`` (the band is
    their 95% interval). A marker stands where the agreement first exceeds a level; in the other
    panel, the performance of the same runs, the same marker stands at ξ. There the gold run has a
    curve of its own, with a star at ξ*.
    """
    plt = pyplot()

    def curve_of(panel: str, series: str, column: str = "value") -> np.ndarray:
        found = [row[column] for row in rows if (row["panel"], row["series"]) == (panel, series)]
        return np.array(found, dtype=float)

    of_runs, n_runs = ("agreement", "comparison runs"), rows[0]["runs"]
    iterations, corrs, low, high = (
        curve_of(*of_runs, column) for column in ("iteration", "value", "low", "high")
    )
    perfs = curve_of("performance", "comparison runs")
    gold_perfs = curve_of("performance", "gold run")
    (best_perf,) = curve_of("performance", "best_perf")
    digits = decimals("best_perf", best_perf)
    split, measure = sentences_and_measure(rows[0]["performance"])
    narrow = is_narrow()
    figure, (left, right) = plt.subplots(
        *((2, 1) if narrow else (1, 2)),
        figsize=(figure_width(), 5.6 if narrow else 3.6),
        layout="constrained",
    )
    curve = {"color": style.ink, "marker": ".", "markersize": 4, "zorder": 3}
    runs_label = f"mean of {n_runs} comparison runs" if n_runs > 1 else "the comparison run"
    handles = left.plot(iterations, corrs, label=runs_label, **curve)
    if np.isfinite(low).any():
        handles[0].set_label(f"{runs_label}; band: ± 1 standard deviation")
        left.fill_between(iterations, low, high, color=style.ink, alpha=0.15, linewidth=0)
    right.plot(iterations, perfs, **curve)
    edge = {"linestyle": "", "markeredgecolor": style.paper, "markeredgewidth": 0.7, "zorder": 4}
    levels = [row for row in rows if row["label"]]
    lines = lines_of(row["series"] for row in levels)
    markers = False
    for row in levels:
        name, value, look = row["series"], row["value"], lines[row["series"]]
        if value is None:
            continue
        label = f"{row['label']} = {value:.3f}"
        if xi_of(name) != name:
            xi = curve_of("performance", xi_of(name))  # empty if it is not reached
            at = curve_of("performance", xi_of(name), "iteration")
            left.plot(at, corrs[np.isin(iterations, at)], **look | edge)
            right.plot(at, xi, **look | edge)
            markers |= bool(len(xi))
            label += f", ξ = {xi[0]:.{digits}f}" if len(xi) else ", ξ never"
        handles += left.plot([], [], label=label, **look)  # the line with its marker
        left.axhline(value, color=look["color"], linestyle=look["linestyle"])
        if row["low"] is not None:
            left.axhspan(row["low"], row["high"], color=look["color"], alpha=0.12, linewidth=0)
    known = np.isfinite(gold_perfs)
    right.plot(iterations[known], gold_perfs[known], color=GOLD, linewidth=1)
    right.axhline(best_perf, color=GOLD, linestyle=(0, (1, 2)), linewidth=0.8)
    best = np.flatnonzero(gold_perfs == best_perf)[:1]
    star = {"color": GOLD, "marker": "*", "markersize": 8} | edge
    right.plot(iterations[best], gold_perfs[best], **star)
    gold_label = f"gold run; ξ* = {best_perf:.{digits}f} at its best checkpoint"
    handles += right.plot(
        [], [], label=gold_label, color=GOLD, linewidth=1, marker="*", markersize=6
    )
    if any(row["low"] is not None for row in levels):
        handles.append(plt.Rectangle((0, 0), 1, 1, color=GREY, alpha=0.25, linewidth=0))
        handles[-1].set_label("band of a level: its 95% interval over sentences")
    if markers:
        handles += left.plot([], [], **{**edge, "marker": "o", "color": GREY})
        handles[-1].set_label(f"marker: first above the level; ξ: {measure} there")
    for axis in (left, right):
        iteration_axis(axis, iterations)
    left.set_title("attention compared with the gold run's")
    left.set_ylabel(f"agreement A ({rows[0]['metric']})")
    left.set_ylim(bottom=min(0, corrs.min()))
    right.set_title(f"{measure} of the same runs, and of the gold run")
    unit = " (%)" if measure == "accuracy" and digits == 1 else ""
    right.set_ylabel(f"{measure} on {split}{unit}")
    figure.suptitle(f"{rows[0]['dataset']}, {split}", fontweight="bold")
    # below: within the panel it would hide a curve
    columns_of_legend, handle = (1, 2.2) if narrow else (2, 3)
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns_of_legend, handlelength=handle
    )
    return figure


def rows_of(material: Material) -> Rows:
    dump, performance = material.dump, material.key[3]
    runs = RunNames.of(set(dump["alpha"]), dump["dataset"])
    return rows_of_summary(
        material.key,
        material.summary,
        material.task.columns,
        len(runs.comparisons),
        [dump["metas"].get((runs.gold, it, performance)) for it in material.summary["iterations"]],
    )


FIGURE = Figure(
    name="dynamics",
    caption="agreement and performance over training. A marker stands where the agreement of "
    "attention between seeds first exceeds a level; beside it, at the same marker, the performance "
    "that the same runs have reached by then (ξ). The star is ξ*, of the gold run.",
    rows=rows_of,
    draw=draw,
    from_results=True,
)
