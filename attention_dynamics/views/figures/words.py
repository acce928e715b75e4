"""The leading words: their evidence in the uniform run, and the attention that they get later."""

from typing import Any

import numpy as np

from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.words import Words, words_of
from attention_dynamics.views.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    pyplot,
)
from attention_dynamics.views.figures.figure import Figure, Material

MIN_COUNT = 5  # rarer words are left out, unless a flag says otherwise
LINES = [
    {"color": color, "marker": marker}
    for color, marker in zip(
        (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY), ("o", "s", "^", "D", "v", "P")
    )
]


def draw_words(
    words: Words, rows: dict[int | None, np.ndarray], shown: list[str], at: int | None
) -> Any:
    """β^uf of some words through training, beside the attention that they get.

    Attention is the mean over the gold and the comparison runs of α × the number of source
    tokens: 1 is what uniform attention gives. The grey band holds the middle 80% of all words.

    Parameters
    ----------
    words : all words, which the band is of
    rows : the places of the words to draw, at most ``len(LINES)``, by the label that they speak
        for; None in translation
    shown : how each word is written
    at : the iteration that they were ranked at, which a line marks; None if they were not
    """
    plt = pyplot()
    from matplotlib.ticker import NullLocator, ScalarFormatter

    iterations, attention = words.runs.iterations, words.attention
    figure, panels = plt.subplots(
        len(rows),
        2,
        figsize=(9.2, 0.9 + 2.5 * len(rows)),
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    for (label, chosen), (left, right) in zip(rows.items(), panels):
        beta = words.uniform_evidence(label)
        for axis, values in ((left, beta), (right, attention[:, ~np.isnan(beta[0])])):
            band = np.nanpercentile(values, [10, 90], axis=1)
            axis.fill_between(iterations, *band, color=GREY, alpha=0.2, linewidth=0)
            if at is not None:
                axis.axvline(at, color=GREY, linestyle=":", linewidth=1)
            axis.spines[["top", "right"]].set_visible(False)
        handles = []
        for word, line in zip(chosen, LINES):
            handles += left.plot(iterations, beta[:, word], markersize=3.5, linewidth=1.3, **line)
            right.plot(iterations, attention[:, word], markersize=3.5, linewidth=1.3, **line)
        right.axhline(1, color=GREY, linewidth=1)
        title = "" if label is None else f"label {words.names[label]}: ".replace("$", r"\$")
        kind = "β$^{uf}$ less its mean" if label is None else "evidence β$^{uf}$"
        left.set_title(f"{title}{kind} (uniform run)", fontsize=9)
        right.set_title("attention α × length (mean of the other runs)", fontsize=9)
        # a space: matplotlib leaves out names that begin with "_"; "$" begins no formula
        names = [" " + shown[word].replace("$", r"\$") for word in chosen]
        right.legend(
            handles, names, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8
        )
        left.set_xscale("symlog", linthresh=max([1, *iterations[1:2]]))
        left.xaxis.set_major_formatter(ScalarFormatter())
        left.xaxis.set_minor_locator(NullLocator())
        left.set_xlim(left=0)
    for axis in panels[-1]:
        axis.set_xlabel("iteration")
    which = "" if at is None else f"words with the most evidence at iteration {at} (dotted); "
    figure.suptitle(f"{which}grey: 80% of all words", fontsize=9)
    return figure


def draw(material: Material) -> Any:
    task, dump = material.task, material.dump
    runs = RunNames.of(set(dump["alpha"]), dump["dataset"])
    words = words_of(task, dump, {}, runs, material.key[2])
    words = words.frequent(min(MIN_COUNT, int(words.counts.max())))
    at = words.early_iteration()
    shown = words.written(task, dump["vocab"])
    return draw_words(words, words.leading_of_labels(at, len(LINES)), shown, at)


FIGURE = Figure(
    name="words",
    caption="the words that the uniform run's evidence βᵘᶠ ranks first early in training, and the "
    "attention that the other runs give them through training, relative to uniform attention.",
    draw=draw,
)
