"""The figure of copying as a law: steps over length, and the fitted law."""

from typing import Any

import numpy as np

from attention_dynamics.copying.law import REPETITION, Timing
from attention_dynamics.copying.power_law import predict
from attention_dynamics.copying.tables import LAW_HEADER
from attention_dynamics.views.drawing import Columns, Rows, Style, figure_width, pyplot

LABELS = {"copies": "updates until copying", "attends": "updates until attending"}
MARKERS = "osDv^"
COLUMNS: Columns = {str: ("repetition",), int: ("vocab", "length", "copies", "attends", "last")}
FIT_COLUMNS: Columns = {
    str: ("time", "repetition", "term"),
    int: ("seeds", "censored"),
    float: LAW_HEADER[LAW_HEADER.index("value") :],
}


def rows_of(timings: list[Timing]) -> Rows:
    """A row for each model; a time that is censored is None."""
    return [
        timing.cell._asdict() | {name: of for name, of in vars(timing).items() if name != "cell"}
        for timing in timings
    ]


def draw(rows: Rows, fits: Rows, style: Style) -> Any:
    """Both times over length, log-log: a row of panels for each, a column for each repetition.

    Lines are the law that was fitted to the panel's own kind of repetition.

    Parameters
    ----------
    rows : of :func:`rows_of`
    fits : of ``copying.tables.law_rows``
    """
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, ScalarFormatter

    plt = pyplot()
    kinds = [kind for kind in REPETITION if any(row["repetition"] == kind for row in rows)]
    vocabs = sorted({row["vocab"] for row in rows})
    lengths = sorted({row["length"] for row in rows})
    figure, axes = plt.subplots(
        *(len(LABELS), len(kinds)),
        figsize=(figure_width(), 4.2),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for line, (time, label) in zip(axes, LABELS.items()):
        line[0].set_ylabel(label)
        for axis, kind in zip(line, kinds):
            law = [fit for fit in fits if (fit["time"], fit["repetition"]) == (time, kind)]
            for i, vocab in enumerate(vocabs):
                mine = [row for row in rows if (row["repetition"], row["vocab"]) == (kind, vocab)]
                if not mine:
                    continue
                color, marker = style.colors[i % len(style.colors)], MARKERS[i % len(MARKERS)]
                shift = 1.03 ** (i - (len(vocabs) - 1) / 2)  # so that vocabularies do not overlap
                seen: dict[int, list[float]] = {}
                for row in mine:
                    length, at = row["length"], row[time]
                    seen.setdefault(length, []).append(np.inf if at is None else at)
                    axis.plot(
                        length * shift,
                        row["last"] if at is None else at,
                        *(marker,),
                        color=color,
                        markersize=3,
                        alpha=0.6,
                        fillstyle="none" if at is None else "full",
                        linestyle="none",
                    )
                medians = {at: float(np.median(steps)) for at, steps in seen.items()}
                shown = {at: median for at, median in medians.items() if np.isfinite(median)}
                axis.plot(
                    *(np.array(list(shown)) * shift, list(shown.values())),
                    color=color,
                    marker=marker,
                    linestyle="none",
                    markersize=6,
                    label=f"vocabulary {vocab}",
                )
                if law:
                    terms = {fit["term"]: fit["value"] for fit in law}
                    span = np.geomspace(lengths[0], lengths[-1], 50)
                    axis.plot(
                        *(span * shift, predict(law[0]["intercept"], terms, span, vocab, kind)),
                        color=color,
                        linestyle=("-", "--", "-.", ":")[i % 4],
                    )
            if time == next(iter(LABELS)):
                axis.set_title(f"repetition: {kind}", loc="left")
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.set_xticks(lengths)
            axis.xaxis.set_major_formatter(ScalarFormatter())
            axis.xaxis.set_minor_locator(NullLocator())
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(ScalarFormatter())
            axis.yaxis.set_minor_formatter(NullFormatter())
    for axis in axes[-1]:
        axis.set_xlabel("length (log scale)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(vocabs), 4))
    return figure
