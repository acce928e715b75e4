"""The leading words: their evidence in the uniform run, and the attention that they get later."""

from typing import Any

import numpy as np

from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.words import Words, words_of
from attention_dynamics.text import printable
from attention_dynamics.views.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Columns,
    Rows,
    Style,
    figure_width,
    is_narrow,
    iteration_axis,
    plain,
    pyplot,
    with_about,
)
from attention_dynamics.views.figures.figure import Figure, Material

MIN_COUNT = 5  # rarer words are left out, unless a flag says otherwise
LINES = [
    {"color": color, "marker": marker, "markersize": 3, "linewidth": 1.2}
    for color, marker in zip(
        (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY), ("o", "s", "^", "D", "v", "P")
    )
]


COLUMNS: Columns = {
    str: ("panel", "label", "word", "title"),
    int: ("iteration", "ranked_at"),
    float: ("value", "low", "high"),
}


def rows_of_words(
    words: Words,
    chosen: dict[int | None, np.ndarray],
    shown: list[str],
    at: int | None,
    title: str,
) -> Rows:
    """β^uf of some words through training, and the attention that they get.

    Parameters
    ----------
    words : all words, which the band is of
    chosen : the places of the words to draw, at most ``len(LINES)``, by the label that they speak
        for; None in translation
    shown : how each word is written
    at : the iteration that they were ranked at, which a line marks; None if they were not
    title : begins the title of the figure
    """
    rows: Rows = []
    for label, places in chosen.items():
        name = None if label is None else printable(words.names[label])
        beta = words.uniform_evidence(label)
        known = ~np.isnan(beta[0])  # with more than two labels, the words of this label
        for panel, values in (("evidence", beta), ("attention", words.attention)):
            low, high = np.percentile(values[:, known], [10, 90], axis=1)
            curves = [(printable(shown[word]), values[:, word], None, None) for word in places]
            for word, *numbers in [*curves, ("80% of all words", None, low, high)]:
                for number, iteration in enumerate(words.runs.iterations):
                    of_it = [None if n is None else float(n[number]) for n in numbers]
                    row = dict(panel=panel, label=name, word=word, iteration=iteration)
                    rows.append(row | dict(zip(("value", "low", "high"), of_it)))
    return with_about(rows, title=title, ranked_at=at)


def draw(rows: Rows, _style: Style) -> Any:
    """β^uf of some words through training, beside the attention that they get.

    Attention is the mean over the gold and the comparison runs of α × the number of source
    tokens: 1 is what uniform attention gives. The grey band holds the middle 80% of all words.
    """
    plt = pyplot()
    labels = list(dict.fromkeys(row["label"] for row in rows))
    iterations = list(dict.fromkeys(row["iteration"] for row in rows))
    title, at = rows[0]["title"], rows[0]["ranked_at"]
    height, narrow = 0.4 + 2.1 * len(labels), is_narrow()
    figure, panels = plt.subplots(
        *((2 * len(labels), 1) if narrow else (len(labels), 2)),
        figsize=(figure_width(), (2 if narrow else 1) * height),
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    for label, (left, right) in zip(labels, panels.reshape(-1, 2)):
        for axis, panel in ((left, "evidence"), (right, "attention")):
            mine = [row for row in rows if (row["panel"], row["label"]) == (panel, label)]
            *curves, band = (
                mine[begin : begin + len(iterations)]
                for begin in range(0, len(mine), len(iterations))
            )
            low, high = ([row[end] for row in band] for end in ("low", "high"))
            axis.fill_between(iterations, low, high, color=GREY, alpha=0.2, linewidth=0)
            if at is not None:
                axis.axvline(at, color=GREY, linestyle=":", linewidth=1)
            handles = [
                axis.plot(iterations, [row["value"] for row in curve], **look)[0]
                for curve, look in zip(curves, LINES)
            ]
        right.axhline(1, color=GREY, linewidth=0.8)
        of_label = f" for label {plain(label)}" if label else ""
        minus = "" if label else " less its mean"
        left.set_ylabel(f"evidence β$^{{uf}}${minus}{of_label}\n(uniform run)")
        right.set_ylabel("attention α × length\n(mean of the other runs)")
        # In this corner there are no lines: evidence begins at 0. A space: matplotlib leaves out
        # names that begin with "_".
        names = [" " + plain(curve[0]["word"]) for curve in curves]
        left.legend(handles, names, loc="upper left")
    for axis in panels.flat:
        iteration_axis(axis, iterations)
    for axis in panels[:-1].flat:  # they share the axis below
        axis.set_xlabel("")
    parts = [title, f"most evidence at iteration {at} (dotted)", "grey: 80% of all words"]
    if at is None:
        del parts[1]
    figure.suptitle(("\n" if narrow else "; ").join(parts))
    return figure


def rows_of(material: Material) -> Rows:
    task, dump = material.task, material.dump
    runs = RunNames.of(set(dump["alpha"]), dump["dataset"])
    words = words_of(task, dump, {}, runs, material.key[2])
    words = words.frequent(min(MIN_COUNT, int(words.counts.max())))
    at = words.early_iteration()
    shown, title = words.written(task, dump["vocab"]), f"{dump['dataset']}, {material.key[2]}"
    return rows_of_words(words, words.leading_of_labels(at, len(LINES)), shown, at, title)


FIGURE = Figure(
    name="words",
    caption="the words that the uniform run's evidence βᵘᶠ ranks first early in training, and the "
    "attention that the other runs give them through training, relative to uniform attention.",
    rows=rows_of,
    draw=draw,
)
