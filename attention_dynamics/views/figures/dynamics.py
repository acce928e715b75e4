"""The paper's central picture: agreement and performance over training."""

from typing import Any

import numpy as np

from attention_dynamics.analysis.levels import Level
from attention_dynamics.analysis.tables import decimals
from attention_dynamics.views.drawing import GREY, VERMILION, iteration_axis, pyplot
from attention_dynamics.views.figures.figure import Figure

MARKER = {"linestyle": "", "markeredgecolor": "white", "zorder": 4}
CURVE, PERFORMANCE = "#000000", VERMILION


def draw_dynamics(
    key: tuple[str, str, str, str], summary: dict[str, Any], levels: dict[str, Level]
) -> Any:
    """Two panels for one summary.

    On the left the agreement of the comparison runs' attention with the gold attention over
    training (``alpha_corrs``; the band is their standard deviation), and the levels ``agr_*``
    (the band is their 95% interval). A marker stands where it first exceeds a level; on the
    right, where the runs' performance over training is, the same marker stands at ξ.
    """
    plt = pyplot()
    dataset, metric, split, performance = key
    iterations = np.array(summary["iterations"])
    corrs = np.array([summary["alpha_corrs"][it] for it in iterations])
    perfs = np.array([summary["alpha_perfs"][it] for it in iterations])
    # None, so NaN, if there is a single comparison run
    spread = np.array([summary["alpha_corrs_std"][it] for it in iterations], dtype=float)
    intervals = summary["intervals"]
    digits = decimals("best_perf", summary["best_perf"])

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.2, 3.9), width_ratios=(3, 2), layout="constrained"
    )
    left.plot(iterations, corrs, color=CURVE, marker=".", label="A(α, α of another seed)", zorder=3)
    if np.isfinite(spread).any():
        left.fill_between(
            iterations, corrs - spread, corrs + spread, color=CURVE, alpha=0.12, linewidth=0
        )
    right.plot(iterations, perfs, color=PERFORMANCE, marker=".", zorder=3)
    for name, level in levels.items():
        value = summary.get(name)
        if value is None or level.line is None:
            continue
        if level.u:
            reached = np.flatnonzero(corrs > value)[:1]  # the first, if any
            left.plot(iterations[reached], corrs[reached], **level.line | MARKER)
            right.plot(iterations[reached], perfs[reached], **level.line | MARKER)
            xi = f"{perfs[reached[0]]:.{digits}f}" if len(reached) else None
            label = f"A({level.text}) = {value:.3f},  ξ " + (f"= {xi}" if xi else "never")
        else:
            label = f"{level.text} = {value:.3f}"
        left.plot([], [], label=label, **level.line)  # for the legend: the line with its marker
        left.axhline(value, color=level.line["color"], linestyle=level.line["linestyle"])
        if intervals.get(name):
            left.axhspan(*intervals[name], color=level.line["color"], alpha=0.1, linewidth=0)
    right.axhline(summary["best_perf"], color=GREY, linestyle=":", linewidth=1)
    right.annotate(
        f"ξ* = {summary['best_perf']:.{digits}f}",
        (1, summary["best_perf"]),
        xycoords=("axes fraction", "data"),
        xytext=(-3, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8,
    )
    for axis in (left, right):
        iteration_axis(axis, iterations)
        axis.spines[["top", "right"]].set_visible(False)
    left.set_ylabel(f"agreement ({metric})")
    left.set_ylim(bottom=min(0, corrs.min()))
    right.set_ylabel(f"performance ({performance})")
    figure.suptitle(f"{dataset}, {split} sentences", fontsize=11)
    # below: within the panel it would hide a curve
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


FIGURE = Figure(
    name="dynamics",
    caption="agreement and performance over training. A marker stands where the agreement of "
    "attention between seeds first exceeds a level.",
    draw=lambda material: draw_dynamics(material.key, material.summary, material.task.levels),
    from_results=True,
)
