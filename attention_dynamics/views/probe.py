"""Own sentences through saved checkpoints, in the terminal and as a page: both ``probe.py``."""

import argparse
import html
import io
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis.readings import Reading
from attention_dynamics.analysis.task import Task
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import add_dataset
from attention_dynamics.files import storage
from attention_dynamics.text import printable
from attention_dynamics.training.saved import SavedRuns
from attention_dynamics.views.plotting import spread

TEMPLATE = Path(__file__).with_name("probe.html")
CHECKPOINTS = {"classification": 5, "translation": 3}  # shown, unless --iterations names others
# Of a terminal with 256 colours, from nothing to much; every one is read with black text. Blue, and
# of signed values brown for and violet against, as in the figures.
COLORS = {
    "one": (231, 195, 159, 153, 117, 111, 75),
    "for": (231, 230, 223, 222, 215, 179, 173),
    "against": (231, 225, 189, 183, 177, 141, 140),
}
LONGEST = 12  # characters of a token above a column of the terminal's table
MORE = (
    "α of a run with uniform attention is not shown: it is 1/n for each of n tokens. A token that "
    "the model does not know is <unk>, beside what was typed."
)
LEGEND = {
    "classification": (
        "Each column is a checkpoint. α is attention; it sums to 1. β is the evidence that the "
        "model finds in each token, Δ gradient influence; above 0 they speak for the gold label. p "
        "is the probability of the gold label."
    ),
    "translation": (
        "Each row is a target token, each column of a map a source token. α is attention; it sums "
        "to 1 in a row. β is the log-probability of the target token where the context is this "
        "source token alone. Δ is gradient influence; above 0 it speaks for the target token. p is "
        "the probability of the target token given those before it."
    ),
}
SHADING = (
    "Brown speaks for, violet against, and other values are blue. Shades are scaled to the largest "
    "value of a run's column over the checkpoints shown."
)


def parser(description: str, script: str, task: Task) -> cli.Parser:
    """The flags that both scripts have."""
    parser = cli.Parser(description)
    cli.add_model_config(parser, script)
    add_dataset(parser, task.datasets)
    parser.add_argument(
        "--text",
        action="append",
        metavar="SENTENCE",
        help="a sentence; may be repeated (default: the lines of standard input)",
    )
    parser.add_argument(
        "--runs", nargs="+", metavar="NAME", help="runs to show (default: Normal_A and uniform)"
    )
    parser.add_argument(
        "--iterations",
        type=cli.steps,
        help=f"checkpoints to show (default: {CHECKPOINTS[task.name]} from the first to the last)",
    )
    parser.add_argument(
        "--color",
        choices=["auto", "always", "never"],
        default="auto",
        help="shade the values; auto: in a terminal, unless NO_COLOR is set",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page too")
    cli.add_folders(parser, script, "data", "models", "configs")
    cli.add_device(parser)
    return parser


def texts_of(args: argparse.Namespace) -> list[str]:
    """The sentences of ``--text``, or the lines of standard input that are not empty."""
    if args.text:
        return list(map(printable, args.text))
    if sys.stdin.isatty():
        print("Type sentences, one per line, then Ctrl-D:", file=sys.stderr)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # what is not UTF-8
    texts = [printable(line.strip()) for line in sys.stdin if line.strip()]
    if not texts:
        raise InputError("there is no sentence: give --text, or lines on standard input")
    return texts


def iterations_of(args: argparse.Namespace, saved: SavedRuns, task: Task) -> list[int]:
    """The iterations asked for, or some from the first to the last that all runs were saved at."""
    names = list(dict.fromkeys(name for name, _ in saved.choose(args.runs)))
    return args.iterations or spread(saved.iterations(names), CHECKPOINTS[task.name])


def show(
    args: argparse.Namespace,
    task: Task,
    found: list[Reading],
    labels: Sequence[str] = (),
    given: bool = False,
) -> None:
    """Print what was found, and write the page if it is asked for.

    Parameters
    ----------
    labels : names of the labels
    given : the gold label or the target was given, not found by the model
    """
    colored = args.color == "always" or (
        args.color == "auto" and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    )
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    headings = [heading_of(reading, labels, given) for reading in found]
    if args.html:  # first: the output may go to "head"
        storage.save_text(page(args.dataset, task, found, headings, labels), args.html)
    for reading, heading in zip(found, headings):
        print("\n".join(map(printable, heading)))
        for run in reading.runs:
            print(f"\n{run}")
            for blocks in blocks_of(reading, run, task, labels):
                print("\n".join(table_lines(blocks, width, colored)))
        print()
    legend = f"{LEGEND[task.name]} {MORE}"
    print(textwrap.fill(f"{legend} {SHADING}" if colored else legend, min(width, 100)))
    if args.html:
        print(args.html)


def heading_of(reading: Reading, labels: Sequence[str], given: bool) -> list[str]:
    """The sentence, and its gold label or its target."""
    if given:
        origin = "given"
    else:
        run, iterations = next(iter(reading.runs.items()))
        origin = f"of {run} at {max(iterations)}"
    if reading.label is None:
        return [reading.text, f"target ({origin}): {reading.translation}"]
    origin = origin if given else f"the prediction {origin}"
    return [reading.text, f"gold label ({origin}): {labels[reading.label]}"]


@dataclass(frozen=True)
class Block:
    """A table of values to shade.

    Attributes
    ----------
    values : (rows, columns)
    low, high : the ends of the scale; of signed values low is -high
    """

    title: str
    rows: list[str]
    columns: list[str]
    values: np.ndarray
    low: float
    high: float

    @property
    def signed(self) -> bool:
        return self.low == -self.high

    def hue(self, value: float) -> str:
        """A key of ``COLORS``, and a class in the page."""
        if not self.signed:
            return "one"
        return "for" if value >= 0 else "against"

    def share(self, value: float) -> float:
        """How far the value is along the scale: 0 to 1, or -1 to 1 of signed ones."""
        low = 0.0 if self.signed else self.low
        size = self.high - low
        return float(np.clip((value - low) / size, -1, 1)) if size > 0 else 0.0


def blocks_of(
    reading: Reading, run: str, task: Task, labels: Sequence[str]
) -> Iterator[list[Block]]:
    """The tables of a run; those that stand side by side, with the same rows, in one list.

    In classification the rows are tokens and the columns checkpoints. In translation there is a
    map, target tokens x source tokens, for each checkpoint.
    """
    iterations = reading.runs[run]
    names = list(map(str, iterations))
    p = np.stack([reading.p[run, it] for it in iterations], axis=1)
    if reading.target is None:
        yield [Block("", [f"p({labels[reading.label or 0]})"], names, p, 0, 1)]
    else:
        yield [Block("p", reading.target, names, p, 0, 1)]
    side_by_side = []
    for name, column in task.columns.items():
        found = [reading.columns[name][run, it] for it in iterations]
        low, high = float(np.min(found)), float(np.max(found))
        if name == "alpha":
            if low == high:
                continue  # uniform attention
            low = 0.0
        elif column.compared or (name == "beta" and reading.target is None):
            high = max(-low, high)
            low = -high
        if reading.target is None:
            values = np.stack(found, axis=1)
            side_by_side.append(Block(column.symbol, reading.words, names, values, low, high))
        else:
            yield [
                Block(f"{column.symbol} at {it}", reading.target, reading.words, values, low, high)
                for it, values in zip(iterations, found)
            ]
    if side_by_side:
        yield side_by_side


def written(value: float) -> str:
    return f"{value:.3f}" if abs(value) >= 0.0005 or value == 0 else f"{value:.0e}"


# In the terminal


def table_lines(blocks: list[Block], width: int, colored: bool) -> Iterator[str]:
    """The lines of tables with the same rows: side by side, as many as ``width`` has room for."""
    names = [printable(name) for name in blocks[0].rows]
    stub = max(map(columns_wide, names))
    rest = [block_lines(block, colored) for block in blocks]
    while rest:
        lines = [left(name, stub) for name in ["", "", *names]]
        used = stub
        while rest and (used == stub or used + 2 + rest[0][1] <= width):
            block, wide = rest.pop(0)
            lines = [f"{line}  {part}" for line, part in zip(lines, block)]
            used += 2 + wide
        yield from (line.rstrip() for line in lines if line.strip())


def block_lines(block: Block, colored: bool) -> tuple[list[str], int]:
    """A table without the names of its rows: lines of equal width, and that width."""
    heads = [shortened(printable(name)) for name in block.columns]
    cells = [[written(value) for value in row] for row in block.values]
    wide = [max(map(columns_wide, column)) for column in zip(heads, *cells)]
    total = sum(wide) + len(wide)
    lines = [left(block.title, total), "".join(right(h, w) + " " for h, w in zip(heads, wide))]
    for row, values in zip(cells, block.values):
        texts = [right(cell, w) + " " for cell, w in zip(row, wide)]
        if colored:
            texts = [
                shaded(text, block.hue(value), block.share(value))
                for text, value in zip(texts, values)
            ]
        lines.append("".join(texts))
    return lines, total


def shaded(text: str, hue: str, share: float) -> str:
    """With an escape sequence for a background of one of 256 colours, and black text."""
    colors = COLORS[hue]
    color = colors[round(abs(share) * (len(colors) - 1))]
    return f"\x1b[38;5;16;48;5;{color}m{text}\x1b[0m"


def left(text: str, width: int) -> str:
    return text + " " * (width - columns_wide(text))


def right(text: str, width: int) -> str:
    return " " * (width - columns_wide(text)) + text


def shortened(text: str) -> str:
    while columns_wide(text) > LONGEST:
        text = text[:-2] + "…"
    return text


def columns_wide(text: str) -> int:
    """How many columns of a terminal the text takes: Chinese characters two, accents none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


# The page


def page(
    dataset: str,
    task: Task,
    found: list[Reading],
    headings: list[list[str]],
    labels: Sequence[str],
) -> str:
    """One self-contained page: tables with shaded cells."""
    parts = []
    for reading, (text, gold) in zip(found, headings):
        parts.append(f"<section><h2>{html.escape(text)}</h2><p>{html.escape(gold)}</p>")
        for run in reading.runs:
            parts.append(f"<h3>{html.escape(run)}</h3>")
            for blocks in blocks_of(reading, run, task, labels):
                tables = "".join(map(html_table, blocks))
                parts.append(f'<div class="blocks">{tables}</div>')
        parts.append("</section>")
    return (
        TEMPLATE.read_text("utf-8")
        .replace("@title@", html.escape(f"{dataset}: own sentences over training"))
        .replace("@legend@", html.escape(f"{LEGEND[task.name]} {MORE} {SHADING}"))
        .replace("@body@", "\n".join(parts))
    )


def html_table(block: Block) -> str:
    heads = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in block.columns)
    lines = [f"<thead><tr><td></td>{heads}</tr></thead><tbody>"]
    for name, values in zip(block.rows, block.values):
        cells = "".join(
            f'<td class="{block.hue(value)}" style="--s:{abs(block.share(value)):.2f}">'
            f"{written(value)}</td>"
            for value in values
        )
        lines.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    name = html.escape(block.title or block.rows[0])
    caption = f"<figcaption>{name}</figcaption>" if block.title else ""
    return (
        f'<figure>{caption}<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{name}"><table>{"".join(lines)}</tbody></table></div></figure>\n'
    )
