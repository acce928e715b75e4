"""One evaluated sentence at several checkpoints: attention, evidence and compared columns."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from attention_dynamics.analysis.columns import Column
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.task import Task
from attention_dynamics.text import printable
from attention_dynamics.views.drawing import (
    Columns,
    Rows,
    Style,
    colormap,
    figure_width,
    plain,
    pyplot,
    with_about,
)
from attention_dynamics.views.figures.figure import Figure, Material, sentences_and_measure

POINT = 1 / 72  # inches
LARGEST_TEXT = 7  # points, of tokens
CELL = 0.08  # inches: the side of a cell whose token can just be read


COLUMNS: Columns = {
    str: ("column", "target", "token", "heading", "title"),
    int: ("iteration", "target_position", "position"),
    float: ("drawn",),
}


@dataclass(frozen=True)
class Sentence:
    """One evaluated sentence of a dump.

    Attributes
    ----------
    title : what it is
    source : its tokens
    target : the tokens that have a distribution over ``source`` each; None for a single one
    column : of (column, run, iteration): its values, (distributions, source), or None if they were
        not computed; larger ones of beta and of compared columns speak for the gold label or token
    """

    title: str
    source: list[str]
    target: list[str] | None
    column: Callable[[str, str, int], np.ndarray | None]


def sentence_of(task: Task, dump: dict[str, Any], number: int) -> Sentence:
    """An evaluated sentence by its number."""
    sentences, vocab = task.sentences_of(dump), dump["vocab"]
    split = str(sentences.splits[number])
    performance = task.performances[split][0]
    evidence = task.evidence_of(dump, {}, split, performance)
    rows = sentences.rows_of(split)
    chosen = sentences.take(rows)
    entries = slice(*chosen.entries[number - rows.start :][:2])
    shape = int(chosen.distributions[number - rows.start]), -1

    def column(name: str, run: str, iteration: int) -> np.ndarray | None:
        values = evidence.column(name, run, iteration)
        return None if values is None else values[entries].reshape(shape)

    def words(tokens: np.ndarray) -> list[str]:
        return task.show([vocab[token] for token in tokens])[0]

    kind = sentences_and_measure(performance)[0].removesuffix("s")
    title = f"{dump['dataset']}, {kind} {number}"
    if sentences.labels is not None:
        label = int(sentences.labels[number])
        title += f", label: {printable(sentences.label_names[label])}"
    target = None if sentences.target is None else words(sentences.target[number])
    return Sentence(title, words(sentences.source[number]), target, column)


def rows_of_sentence(
    sentence: Sentence, runs: RunNames, iterations: list[int], columns: dict[str, Column]
) -> Rows:
    """Blocks: α of the gold run, β of the uniform run and compared columns (Δ) of the gold run.

    What is not α is divided by the largest absolute value of its distribution, since these grow
    over training. A translation's β, a log-probability, is taken relative to its mean over the
    source tokens first. The first row of each block has its heading.
    """
    chosen = {"alpha": ("α", runs.gold), "beta": ("βᵘᶠ", runs.uniform)}
    chosen |= {name: (c.symbol, runs.gold) for name, c in columns.items() if c.compared}
    rows: Rows = []
    for name, (symbol, run) in chosen.items():
        found = [sentence.column(name, run, iteration) for iteration in iterations]
        values = [value for value in found if value is not None]
        if len(values) < len(iterations):
            continue
        drawn = values
        if name == "beta" and sentence.target is not None:
            drawn = [value - value.mean(axis=1, keepdims=True) for value in drawn]
        if name != "alpha":
            drawn = [value / largest(value) for value in drawn]
        of_run = "with uniform attention" if run == runs.uniform else f"of the gold run, {run}"
        block = [
            {
                "column": name,
                "run": run,
                "iteration": iteration,
                "target_position": None if sentence.target is None else row,
                "target": None if sentence.target is None else printable(sentence.target[row]),
                "position": place,
                "token": printable(sentence.source[place]),
                # float32: the shortest decimals that are read as the same
                "value": float(str(value[row, place])),
                "drawn": float(str(shown[row, place])),
            }
            for iteration, value, shown in zip(iterations, values, drawn)
            for row, place in product(*map(range, value.shape))
        ]
        rows += with_about(block, heading=f"{symbol}: {columns[name].words or name} {of_run}")
    return with_about(rows, title=sentence.title)


def largest(values: np.ndarray) -> np.ndarray:
    """The largest absolute value of each distribution, but never 0: (distributions, 1)."""
    return np.maximum(np.abs(values).max(axis=1, keepdims=True), np.finfo(np.float32).tiny)


def draw(rows: Rows, style: Style) -> Any:
    """The blocks of :func:`rows_of_sentence`, below one another, and their colour bars.

    One distribution: a row for each checkpoint. Several (a translation): a map of target × source
    for each, as many beside one another as can be read.
    """
    plt = pyplot()
    blocks: dict[str, Rows] = {}
    for row in rows:
        blocks.setdefault(row["column"], []).append(row)
    iterations = list(dict.fromkeys(row["iteration"] for row in rows))
    n_source = 1 + max(row["position"] for row in rows)
    shape = len(iterations), -1, n_source
    # float32, as in dumps: (iterations, distributions, source)
    drawn = [
        np.array([row["drawn"] for row in of], dtype=np.float32).reshape(shape)
        for of in blocks.values()
    ]
    source = [row["token"] for row in rows[:n_source]]
    target = None
    if rows[0]["target_position"] is not None:
        target = [row["target"] for row in rows[: drawn[0][0].size : n_source]]
    width = figure_width()
    y_tokens = target or [str(iteration) for iteration in iterations]
    below = 0.06 + text_width(source)
    beside = 0.35 + text_width(y_tokens)
    room = width - beside
    across, down, cell, head = 1, 1, 0.17, 0.1
    if target is not None:
        fitting = int(np.clip(room / (n_source * CELL + 0.1), 1, len(iterations)))
        down = math.ceil(len(iterations) / fitting)
        across = math.ceil(len(iterations) / down)
        cell, head = 0.11, 0.22
    heights = [0.22 + down * (cell * len(y_tokens) + head)] * len(blocks)
    # a last line with holes: the maps above them have tokens, too
    heights[-1] += below * (2 if len(iterations) % across else 1)
    heights.append(0.9)  # of the colour bars

    figure = plt.figure(figsize=(width, 0.3 + sum(heights)), layout="constrained")
    figure.suptitle(plain(rows[0]["title"]), fontweight="bold")
    *parts, foot = figure.subfigures(len(heights), 1, height_ratios=heights)
    shades = {"cmap": colormap(style.alpha), "vmin": 0, "vmax": drawn[0].max(), "aspect": "auto"}
    signed = {"cmap": colormap(style.signed), "vmin": -1, "vmax": 1, "aspect": "auto"}
    size = min(LARGEST_TEXT, (room / across - 0.1) / n_source / POINT * 0.95)
    images = []
    headings = [of[0]["heading"] for of in blocks.values()]
    for part, heading, values in zip(parts, headings, drawn):
        part.suptitle(plain(heading), x=0.01, ha="left")
        look = shades if values is drawn[0] else signed
        maps = values if target else values.reshape(1, -1, n_source)
        axes = list(part.subplots(down, across, squeeze=False).flat)
        for number, (axis, image) in enumerate(zip(axes, maps)):
            images.append(axis.imshow(image, **look))
            axis.tick_params(length=0)
            axis.spines[:].set_visible(True)
            shown = values is drawn[-1] and number + across >= len(maps)
            ticks(axis.set_xticks, source if shown else [], size, rotation=90)
            ticks(axis.set_yticks, y_tokens if number % across == 0 else [], LARGEST_TEXT)
            if target is None:
                axis.set_ylabel("iteration")
            else:
                axis.set_title(f"iteration {iterations[number]}", fontsize=LARGEST_TEXT)
        for axis in axes[len(maps) :]:
            axis.remove()
    symbols = [heading.partition(":")[0] for heading in headings]
    scales(foot, symbols, images, target is None)
    return figure


def scales(part: Any, symbols: list[str], images: list[Any], is_label: bool) -> None:
    """The colour bars: of α, and of all that has a sign."""
    gold = "label" if is_label else "token"
    of_row = f"{', '.join(symbols[1:])} ÷ largest absolute value\n"
    of_row += "in the row" if is_label else "in the row; βᵘᶠ less its mean there"
    axes = part.subplots(1, 2)
    bars = [
        part.colorbar(image, cax=axis, orientation="horizontal")
        for image, axis in zip((images[0], images[-1]), axes)
    ]
    bars[1].set_ticks(
        [-1, 0, 1], labels=[f"−1: against\nthe gold {gold}", "0", f"1: for\nthe gold {gold}"]
    )
    for bar, axis, label in zip(bars, axes, ("attention weight α\n(a row sums to 1)", of_row)):
        bar.set_label(label, fontsize=LARGEST_TEXT)
        axis.set_box_aspect(0.06)


def text_width(tokens: list[str]) -> float:
    """Of the longest token, in inches."""
    from matplotlib.textpath import TextPath

    paths = (TextPath((0, 0), plain(token), size=LARGEST_TEXT, usetex=False) for token in tokens)
    return max(float(path.get_extents().width) for path in paths) * POINT


def ticks(set_ticks: Callable, tokens: list[str], size: float, **options: Any) -> None:
    """Label an axis with tokens, as they are."""
    set_ticks(range(len(tokens)), list(map(plain, tokens)), fontsize=size, **options)


def rows_of(material: Material) -> Rows:
    dump = material.dump
    return rows_of_sentence(
        sentence_of(material.task, dump, material.sentence),
        RunNames.of(set(dump["alpha"]), dump["dataset"]),
        material.iterations,
        material.task.columns,
    )


FIGURE = Figure(
    name="sentence",
    caption="one sentence at several checkpoints: attention α, evidence βᵘᶠ, gradient influence Δ. "
    "Brown speaks for the gold label or token, violet against it.",
    rows=rows_of,
    draw=draw,
)
