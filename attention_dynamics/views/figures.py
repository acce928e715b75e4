"""Figures: agreement and performance over training, and one sentence at several checkpoints."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis.dynamics import NOTATION, RunNames
from attention_dynamics.analysis.tables import are_results, decimals
from attention_dynamics.cli import InputError
from attention_dynamics.files import storage
from attention_dynamics.files.dump import load_dump

# Okabe and Ito's colours, told apart by colour-blind readers; dashes and markers tell them apart
# in print.
BLUE, GREEN, PURPLE, VERMILION = "#0072B2", "#009E73", "#CC79A7", "#D55E00"
# Where several levels are first exceeded at once, their markers lie in one another.
LEVELS = {
    "agr_unif": {"color": BLUE, "linestyle": "--", "marker": "o", "markersize": 11},
    "agr_px": {"color": GREEN, "linestyle": "-.", "marker": "s", "markersize": 7},
    "agr_grad": {
        "color": PURPLE,
        "linestyle": (0, (5, 1, 1, 1, 1, 1)),
        "marker": "D",
        "markersize": 4,
    },
    "baseline": {"color": "#777777", "linestyle": ":", "marker": "", "markersize": 0},
}
MARKER = {"linestyle": "", "markeredgecolor": "white", "zorder": 4}
CURVE, PERFORMANCE = "#000000", VERMILION
# From nothing to much, and from "speaks against" to "speaks for": told apart in grey, too.
SHADES = {"alpha": "Blues", "signed": "PuOr_r"}
FORMATS = ("png", "pdf", "svg")
CHECKPOINTS = 5  # in the figure of a sentence, where none are named
SENTENCE_TOKENS = (8, 20)  # of the sentence drawn where none is named: what fits a page


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


def parser(datasets: list[str], script: str) -> cli.Parser:
    """The flags of both tasks' ``plot_dynamics.py``."""
    parser = cli.Parser(
        "Draw agreement and performance over training, and the attention and evidence of one "
        "sentence at several checkpoints."
    )
    cli.add_dataset(parser, datasets, several=True)
    parser.add_argument(
        "--stats", type=Path, help="pickle of the collected results; by itself outputs/stats.pkl"
    )
    parser.add_argument("--metric", default="top 5% match", help="as in the results")
    parser.add_argument(
        "--performance", help="such as test_acc or val_bleu; by itself the first in the results"
    )
    parser.add_argument("--sentence", type=cli.natural, help="which evaluated sentence to draw")
    parser.add_argument(
        "--iterations", type=cli.steps, help=f"checkpoints to draw it at; by itself {CHECKPOINTS}"
    )
    parser.add_argument(
        "--formats", nargs="+", choices=FORMATS, default=["png", "pdf"], help="of the figures"
    )
    parser.add_argument("--out_dir", type=Path, help="folder of the figures; by itself outputs")
    cli.add_folders(parser, script, "outputs")
    return parser


def plot_dynamics(
    args: argparse.Namespace, sentence_of: Callable[[dict[str, Any], int | None], Sentence]
) -> None:
    """Draw what the flags of :func:`parser` ask for: two figures a dataset.

    Parameters
    ----------
    sentence_of : an evaluated sentence of a dump by its number, or one that suits a figure

    Raises
    ------
    InputError
        where the results or the dump are missing, or lack what is asked for.
    """
    collect = "run collect_*_stats.py first"
    stats = args.stats or args.outputs_dir / "stats.pkl"
    results = storage.load_pickle(stats, collect)
    if not are_results(results):
        raise InputError(f"{stats} has no results of this version in it: {collect}")
    found = {
        name: choose(results, name, args, f"{stats} has no", collect) for name in args.datasets
    }
    drawn = {}
    for dataset in args.datasets:
        dump = load_dump(args.outputs_dir, dataset)
        sentence = sentence_of(dump, args.sentence)
        drawn[dataset] = dump, sentence, chosen_iterations(dump, args.iterations)
    for dataset, (dump, sentence, iterations) in drawn.items():
        key = found[dataset]
        out_dir = args.out_dir or args.outputs_dir
        save(draw_dynamics(key, results[key]), out_dir / f"{dataset}_dynamics", args.formats)
        save(
            draw_sentence(dump, sentence, iterations), out_dir / f"{dataset}_sentence", args.formats
        )


def choose(results: dict, dataset: str, args: argparse.Namespace, lacks: str, do: str) -> tuple:
    """The first key of the results that the flags ask for."""
    for key in results:
        if key[:2] == (dataset, args.metric) and args.performance in (None, key[3]):
            return key
    wanted = " ".join(filter(None, [args.metric, "of", dataset, args.performance]))
    raise InputError(f"{lacks} {wanted}: {do}")


def sentence_number(asked: int | None, lengths: np.ndarray, dataset: str) -> int:
    """The number asked for; or of the first sentence that fits a page, else of the shortest.

    Parameters
    ----------
    lengths : int (sentences,), the tokens of each evaluated sentence
    """
    if asked is None:
        low, high = SENTENCE_TOKENS
        fitting = np.flatnonzero((low <= lengths) & (lengths <= high))
        return int(fitting[0] if len(fitting) else lengths.argmin())
    if asked >= len(lengths):
        raise InputError(f"--sentence {asked}: the dump of {dataset} has 0 to {len(lengths) - 1}")
    return asked


def chosen_iterations(dump: dict[str, Any], asked: list[int] | None) -> list[int]:
    """The evaluated iterations that are asked for, or some from the first to the last."""
    evaluated = RunNames.of(set(dump["alpha"]), dump["dataset"]).iterations
    if asked is None:
        places = np.linspace(0, len(evaluated) - 1, min(CHECKPOINTS, len(evaluated)))
        return [evaluated[int(place)] for place in places.round()]
    unknown = [it for it in asked if it not in evaluated]
    if unknown:
        raise InputError(
            f"--iterations {','.join(map(str, unknown))}: the dump of {dump['dataset']} has "
            f"{','.join(map(str, evaluated))}"
        )
    return asked


def save(figure, path: Path, formats: list[str]) -> None:
    """Write a figure in each format, print the files' names, and close it."""
    import matplotlib.pyplot as plt

    for ending in formats:
        file_path = path.with_name(f"{path.name}.{ending}")
        with storage.write_whole(file_path) as file:
            # a date in the file would make each writing a new one
            metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(ending)
            figure.savefig(file, format=ending, dpi=150, metadata=metadata)
        print(file_path)
    plt.close(figure)


def pyplot():
    """matplotlib.pyplot, set up to draw into files alone."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    return plt


def draw_dynamics(key: tuple[str, str, str, str], summary: dict[str, Any]):
    """The paper's central picture for one summary: a figure with two panels.

    On the left the agreement of the comparison runs' attention with the gold attention over
    training (``alpha_corrs``; the band is their standard deviation), and the levels ``agr_*``
    (the band is their 95% interval). A marker stands where it first exceeds a level; on the
    right, where the runs' performance over training is, the same marker stands at ξ. The axes of
    iterations are linear near 0, then logarithmic: most happens early.
    """
    plt = pyplot()
    from matplotlib.ticker import NullLocator, ScalarFormatter

    dataset, metric, split, performance = key
    iterations = np.array(summary["iterations"])
    corrs = np.array([summary["alpha_corrs"][it] for it in iterations])
    perfs = np.array([summary["alpha_perfs"][it] for it in iterations])
    # None, so NaN, where there is a single comparison run
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
    for name, style in LEVELS.items():
        level = summary.get(name)
        if level is None:
            continue
        label = f"{NOTATION[name]} = {level:.3f}"
        if name != "baseline":
            reached = np.flatnonzero(corrs > level)[:1]  # the first, if any
            left.plot(iterations[reached], corrs[reached], **style | MARKER)
            right.plot(iterations[reached], perfs[reached], **style | MARKER)
            label += f",  ξ = {perfs[reached[0]]:.{digits}f}" if len(reached) else ",  ξ never"
        left.plot([], [], label=label, **style)  # for the legend: the line with its marker
        left.axhline(level, color=style["color"], linestyle=style["linestyle"])
        if intervals.get(name):
            left.axhspan(*intervals[name], color=style["color"], alpha=0.1, linewidth=0)
    right.axhline(summary["best_perf"], color="#777777", linestyle=":", linewidth=1)
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
        axis.set_xscale("symlog", linthresh=max([1, *iterations[1:2]]))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlim(left=0)
        axis.set_xlabel("iteration")
        axis.spines[["top", "right"]].set_visible(False)
    left.set_ylabel(f"agreement ({metric})")
    left.set_ylim(bottom=min(0, corrs.min()))
    right.set_ylabel(f"performance ({performance})")
    figure.suptitle(f"{dataset}, {split} sentences", fontsize=11)
    # below: within the panel it would hide a curve
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def draw_sentence(dump: dict[str, Any], sentence: Sentence, iterations: list[int]):
    """α of the gold run, β of the uniform run and Δ of the gold run for one sentence.

    One distribution: a row for each checkpoint. Several (a translation): a map of target × source
    for each. Shades of α go from 0 to the largest; those of β and Δ are white at 0, and each
    distribution is scaled by itself, since they grow over training. A translation's β, a
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
    if all((runs.gold, it) in dump["grad"] for it in iterations):
        blocks.append(("Δ", "grad", runs.gold))
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


def ticks(set_ticks: Callable, tokens: list[str], **options) -> None:
    """Label an axis with tokens, as they are: "$" begins no formula."""
    labels = [token.replace("$", r"\$") for token in tokens]
    set_ticks(range(len(tokens)), labels, fontsize=7, **options)
