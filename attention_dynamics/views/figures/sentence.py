"""One evaluated sentence at several checkpoints: attention, evidence and compared columns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from attention_dynamics.analysis.columns import Column
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.task import Task
from attention_dynamics.views.drawing import pyplot
from attention_dynamics.views.figures.figure import Figure

# From nothing to much, and from "speaks against" to "speaks for": told apart in grey, too.
SHADES = {"alpha": "Blues", "signed": "PuOr_r"}


@dataclass(frozen=True)
class Sentence:
    """One evaluated sentence of a dump.

    Attributes
    ----------
    title : what it is
    source : its tokens
    target : the tokens that have a distribution over ``source`` each; None for a single one
    entries : where these distributions stand in the dump's columns, end to end
    sign : of β, so that larger means "speaks for the gold label"
    """

    title: str
    source: list[str]
    target: list[str] | None
    entries: slice
    sign: float = 1.0


def sentence_of(task: Task, dump: dict[str, Any], number: int) -> Sentence:
    """An evaluated sentence by its number."""
    sentences, vocab = task.sentences_of(dump), dump["vocab"]
    title = f"{dump['dataset']}, sentence {number} ({sentences.splits[number]})"
    label = None if sentences.labels is None else int(sentences.labels[number])
    return Sentence(
        title=title if label is None else f"{title}, label {label}",
        source=[vocab[token] for token in sentences.source[number]],
        target=None
        if sentences.target is None
        else [vocab[token] for token in sentences.target[number]],
        entries=slice(*sentences.entries[[number, number + 1]]),
        sign=2 * label - 1 if label is not None and sentences.n_labels == 2 else 1.0,
    )


def draw_sentence(
    dump: dict[str, Any], sentence: Sentence, iterations: list[int], columns: dict[str, Column]
) -> Any:
    """α of the gold run, β of the uniform run and compared columns (Δ) of the gold run.

    One distribution: a row for each checkpoint. Several (a translation): a map of target × source
    for each. Shades of α go from 0 to the largest; the others are white at 0, and each
    distribution has a scale of its own, since they grow over training. A translation's β, a
    log-probability, is drawn relative to its mean over the source tokens.
    """
    plt = pyplot()
    runs = RunNames.of(set(dump["alpha"]), dump["dataset"])
    n_rows = 1 if sentence.target is None else len(sentence.target)

    def values(column: str, name: str, iteration: int) -> np.ndarray:
        entries = dump[column][name, iteration][sentence.entries].reshape(n_rows, -1)
        if column == "beta":
            entries = entries * sentence.sign
            if sentence.target is not None:
                entries = entries - entries.mean(axis=1, keepdims=True)
        if column != "alpha":
            largest = np.abs(entries).max(axis=1, keepdims=True)
            entries = entries / np.maximum(largest, np.finfo(np.float32).tiny)
        return entries  # (rows, source)

    blocks = [("α", "alpha", runs.gold), ("βᵘᶠ", "beta", runs.uniform)]
    blocks += [
        (column.symbol, name, runs.gold)
        for name, column in columns.items()
        if column.compared and all((runs.gold, it) in dump.get(name, {}) for it in iterations)
    ]
    shown = {
        notation: [values(column, name, it) for it in iterations]
        for notation, column, name in blocks
    }
    largest = max(entries.max() for entries in shown["α"])
    shades = {
        notation: {"cmap": SHADES["alpha"], "vmin": 0, "vmax": largest}
        if notation == "α"
        else {"cmap": SHADES["signed"], "vmin": -1, "vmax": 1}
        for notation in shown
    }
    if sentence.target is None:
        height = 1.6 + 0.26 * len(iterations) * len(blocks)
        figure, axes = plt.subplots(
            len(blocks),
            1,
            figsize=(1.6 + 0.42 * len(sentence.source), height),
            sharex=True,
            layout="constrained",
        )
        for axis, (notation, rows) in zip(axes, shown.items()):
            image = axis.imshow(np.concatenate(rows), aspect="auto", **shades[notation])
            axis.set_yticks(range(len(iterations)), iterations, fontsize=7)
            axis.set_ylabel(f"{notation}\niteration", fontsize=8)
            axis.tick_params(length=0)
            figure.colorbar(image, ax=axis, pad=0.01).ax.tick_params(labelsize=7)
        ticks(axes[-1].set_xticks, sentence.source, rotation=60)
    else:
        side = 0.17 * max(len(sentence.source), 8), 0.17 * max(n_rows, 8)
        figure, axes = plt.subplots(
            len(blocks),
            len(iterations),
            figsize=(1.6 + side[0] * len(iterations), 1.8 + side[1] * len(blocks)),
            sharex=True,
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for number, (row, (notation, maps)) in enumerate(zip(axes, shown.items())):
            for axis, iteration, entries in zip(row, iterations, maps):
                image = axis.imshow(entries, aspect="auto", **shades[notation])
                axis.tick_params(length=0)
                if number == 0:
                    axis.set_title(f"iteration {iteration}", fontsize=8)
                if number == len(blocks) - 1:
                    ticks(axis.set_xticks, sentence.source, rotation=90)
            ticks(row[0].set_yticks, sentence.target)
            row[0].set_ylabel(notation)
            figure.colorbar(image, ax=row, pad=0.01).ax.tick_params(labelsize=7)
    figure.suptitle(sentence.title, fontsize=9)
    return figure


def ticks(set_ticks: Callable, tokens: list[str], **options: Any) -> None:
    """Label an axis with tokens, as they are: "$" begins no formula."""
    labels = [token.replace("$", r"\$") for token in tokens]
    set_ticks(range(len(tokens)), labels, fontsize=7, **options)


FIGURE = Figure(
    name="sentence",
    caption="one sentence at several checkpoints: attention α, evidence βᵘᶠ, gradient influence Δ.",
    draw=lambda material: draw_sentence(
        material.dump,
        sentence_of(material.task, material.dump, material.sentence),
        material.iterations,
        material.task.columns,
    ),
)
