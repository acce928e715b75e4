"""Two settings beside each other, as a table, a CSV and a figure: what both ``compare.py`` do."""

import argparse
import csv
import io
import math
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis import comparison, dynamics
from attention_dynamics.analysis.collection import add_gold, load_betas
from attention_dynamics.analysis.comparison import Compared
from attention_dynamics.analysis.dump import dump_path, load_dump
from attention_dynamics.analysis.dynamics import Measured
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.levels import symbols
from attention_dynamics.analysis.metrics import METRICS
from attention_dynamics.analysis.tables import aligned, decimals, fixed, percent
from attention_dynamics.analysis.task import Task
from attention_dynamics.cli import InputError
from attention_dynamics.files import storage
from attention_dynamics.views import folders
from attention_dynamics.views.drawing import BLUE, GREY, VERMILION, iteration_axis, plain, pyplot

FEW_RUNS = 3  # so few give a rough interval
LINES = {"agr_unif": "--", "baseline": ":"}  # the levels that the figure has, and their dashes


def parser(description: str, script: str, task: Task) -> cli.Parser:
    """The flags that both scripts have."""
    parser = cli.Parser(description)
    for name, which in (("A", "first"), ("B", "second")):
        parser.add_argument(name, type=Path, help=f"folder of outputs of the {which} setting")
    folders.add_flags(
        parser,
        script,
        task,
        names=2,
        performance="performance that ξ reports; train_... is on training sentences",
        out_file="outputs/<dataset>_<A>_vs_<B>.csv, with the names of the settings",
    )
    parser.add_argument(
        "--unpaired",
        action="store_true",
        help="do not pair sentences: resample those of each setting separately (for settings with "
        "different sentences or tokenization)",
    )
    add_gold(parser, "draw the gold run, too, for the interval over runs, from all normal runs")
    parser.add_argument(
        "--resamples", type=cli.natural, default=1000, help="bootstrap resamples; 0: no intervals"
    )
    parser.add_argument(
        "--permutations",
        type=cli.natural,
        default=9999,
        help="permutations of the test; 0: no test",
    )
    parser.add_argument(
        "--bootstrap_seed", type=cli.seed, default=0, help="seed of resamples and permutations"
    )
    parser.add_argument(
        "--embed_dim", type=cli.positive_int, default=256, help="dimension of the word baseline"
    )
    return parser


def compare(args: argparse.Namespace, task: Task) -> None:
    """Compare two settings, as the flags of :func:`parser` ask for.

    Raises
    ------
    InputError
        if a file is missing or damaged, or no sentence is in both dumps. Nothing is written then.
    """
    split = folders.split_of(args, task)
    names = folders.names_of(args, [args.A, args.B])
    stem = re.sub(r"[^\w.=-]+", "_", f"{args.dataset}_{names[0]}_vs_{names[1]}")
    path = folders.csv_path(args, f"{stem}.csv")
    whole = [measured_in(args, task, folder, split) for folder in (args.A, args.B)]
    a, b = (golds for golds, _ in whole)
    if not args.unpaired:
        a, b = paired([a, b], [keys for _, keys in whole], names)
    settings = [a[0], b[0]]
    compared = comparison.compare(
        a, b, not args.unpaired, args.resamples, args.permutations, args.bootstrap_seed
    )
    heads = {key: head.text for key, head in symbols(task.levels).items() if key in compared}
    about = [args.dataset, args.metric, split, args.performance]
    print(text_table(compared, heads, names, about))
    print("\n".join(notes(args, names, settings)))
    written = csv_table(args, compared, names, about, settings)
    figure = partial(draw, compared, heads, names, about, settings)
    storage.save_text(written, path)
    print(path)
    folders.save_beside(path, figure, args.formats)


def measured_in(
    args: argparse.Namespace, task: Task, folder: Path, split: str
) -> tuple[list[Measured], list]:
    """The agreements in a folder of outputs, for each gold run, and the keys of its sentences."""
    dump = load_dump(folder, args.dataset)
    runs = RunNames.of(set(dump["alpha"]), str(dump_path(folder, args.dataset)))
    betas = load_betas(task, folder, args.dataset, args.embed_dim, dump["vocab"])
    evidence = task.evidence_of(dump, betas, split, args.performance)
    golds = [
        dynamics.measure(each, evidence, METRICS[args.metric], task.levels)
        for each in (runs.golds if args.gold == "all" else [runs])
    ]
    return golds, comparison.sentence_keys(task, dump, split)


def paired(
    settings: list[list[Measured]], keys: list[list], names: list[str]
) -> list[list[Measured]]:
    """The settings on the sentences that both have."""
    rows = comparison.pairs(*keys)
    if not len(rows[0]):
        raise InputError(
            f"no sentence of {names[0]} is also in {names[1]} (same tokens, and same label or "
            "target): evaluate both on the same sentences, or give --unpaired"
        )
    if any(len(rows[0]) < len(of) for of in keys):
        print(
            f"{len(rows[0])} sentences are in both settings, of {len(keys[0])} in {names[0]} and "
            f"{len(keys[1])} in {names[1]}: agreements are over these alone",
            file=sys.stderr,
        )
    return [
        golds if np.array_equal(of, np.arange(len(every))) else [gold.take(of) for gold in golds]
        for golds, of, every in zip(settings, rows, keys)
    ]


def text_table(
    compared: dict[str, Compared], heads: dict[str, str], names: list[str], about: list[str]
) -> str:
    """A line for each figure."""
    best_perf = compared["best_perf"].a or 0
    never = any(found.never and any(found.never) for found in compared.values())
    rows = [["", *names, "difference", "95% sentences", "95% runs, sentences", "p"]]
    rows[0] += ["never"] * never
    for key, head in heads.items():
        found, digits = compared[key], decimals(key, best_perf)
        row = [head, figure(found.a, digits), figure(found.b, digits)]
        row += ["-" if found.difference is None else figure(found.difference, digits, "+", names)]
        for ends in (found.interval, found.runs_interval):
            cell = ", ".join(figure(end, digits, "+", names) for end in ends or ())
            row.append(f"[{cell}]" if cell else "")
        row.append("" if found.p is None else f"{found.p:.4f}")
        if never:
            shares = found.never or ()
            row.append(", ".join(map(percent, shares[:2])) if any(shares) else "")
        rows.append(row)
    dataset, metric, split, performance = about
    title = f"{dataset}, {metric}, {performance}, {split} sentences"
    note = (
        f"never: the shares of resamples in which {names[0]}, {names[1]} do not reach ξ. There is "
        "no interval if in some of them neither does."
    )
    return "\n".join([title, "", *aligned(rows), *[note] * never])


def figure(value: float | None, digits: int, sign: str = "", names: list[str] | None = None) -> str:
    """A figure, or a difference: infinite where the setting of that name never reaches ξ."""
    if value is None:
        return "-"
    if math.isinf(value):
        return f"{names[value < 0]} never" if names else "never"
    return fixed(value, digits, sign)


def notes(args: argparse.Namespace, names: list[str], settings: list[Measured]) -> list[str]:
    """What is paired, what each interval covers, and what the test is of."""
    a, b = settings
    lines = [f"difference: {names[0]} - {names[1]}."]
    if args.unpaired:
        lines += [
            f"Not paired: {a.n_sentences} sentences of {names[0]}, {b.n_sentences} of {names[1]}, "
            "resampled on their own."
        ]
    else:
        lines += [f"{a.n_sentences} sentences are paired: a resample has the same in both."]
    if args.resamples:
        lines += [
            f"95% sentences: bootstrap over sentences, {args.resamples:,} resamples. It covers the "
            "choice of sentences, not training again. ξ* has none.",
            over_runs(a.n_runs, b.n_runs, args.gold),
        ]
    if args.permutations and a.iterations != b.iterations:
        lines += ["No p: the settings differ in their iterations; sentences cannot be swapped."]
    elif args.permutations:
        swap = (
            "all sentences are dealt out again to the settings"
            if args.unpaired
            else "each sentence's agreements, of all runs and checkpoints, are swapped between the "
            "settings with probability 1/2"
        )
        null = "the settings" if args.unpaired else "for each sentence the two settings"
        lines += [
            f"p: permutation test, two-sided. Null hypothesis: {null} are exchangeable. In "
            f"{args.permutations:,} permutations {swap}; p = (count + 1) / (permutations + 1), "
            "counting differences at least as large. It is of these trained models: other seeds of "
            "one setting may differ, too. For ξ, performances stay with their setting. Not "
            "corrected for the number of figures."
        ]
    return lines


def over_runs(a: int, b: int, gold: str) -> str:
    """What the interval over so many comparison runs of each setting covers."""
    if min(a, b) == 1:
        return "No interval over runs: a setting has one comparison run."
    covers = f"95% runs, sentences: in each setting comparison runs ({a} and {b}) are resampled"
    if gold == "all":
        covers += (
            ", for a gold run drawn from all normal runs, then sentences. The uniform run stays."
        )
    else:
        covers += (
            ", then sentences. The gold and the uniform run stay, so only ξ and Â have it; "
            "--gold all draws the gold run, too."
        )
    return f"{covers} With {min(a, b)} runs it is rough." if min(a, b) <= FEW_RUNS else covers


def csv_table(
    args: argparse.Namespace,
    compared: dict[str, Compared],
    names: list[str],
    about: list[str],
    settings: list[Measured],
) -> str:
    """A line for each figure, with all digits.

    A ξ that is never reached is ``inf``; a difference is ``inf`` if the first setting never reaches
    it, ``-inf`` if the second does not. A field is empty if there is no such number.
    """
    a, b = settings
    same = dict(zip(["dataset", "metric", "split", "performance"], about))
    same |= {"name_a": names[0], "name_b": names[1]}
    counts: dict[str, Any] = {"sentences_a": a.n_sentences, "sentences_b": b.n_sentences}
    counts |= {"paired": not args.unpaired, "runs_a": a.n_runs, "runs_b": b.n_runs}
    counts |= {"resamples": args.resamples, "permutations": args.permutations}
    text = io.StringIO()
    numbers = ["figure", "a", "b", "difference", "low", "high", "runs_low", "runs_high", "p"]
    shares = ["never_a", "never_b", "never_both"]
    writer = csv.DictWriter(text, [*same, *numbers, *shares, *counts], lineterminator="\n")
    writer.writeheader()
    for key, found in compared.items():
        low, high = found.interval or (None, None)
        runs_low, runs_high = found.runs_interval or (None, None)
        values = [key, found.a, found.b, found.difference, low, high, runs_low, runs_high, found.p]
        never = found.never or (None, None, None)
        writer.writerow(same | dict(zip(numbers, values)) | dict(zip(shares, never)) | counts)
    return text.getvalue()


def draw(
    compared: dict[str, Compared],
    heads: dict[str, str],
    names: list[str],
    about: list[str],
    settings: list[Measured],
) -> Any:
    """Three panels: agreement over training, performance over training, and the differences.

    A color is a setting. On the left is the agreement of the comparison runs' attention with the
    gold attention; the band is its standard deviation over runs. A marker stands where it first
    exceeds A(α, βᵘᶠ), and in the middle panel, with the mean performance of the same runs, at ξ. On
    the right are the differences of all agreements: thick the interval over sentences, thin that
    over runs and sentences.
    """
    plt = pyplot()
    dataset, metric, split, performance = about
    names = list(map(plain, names))
    figure, axes = plt.subplots(
        1, 3, figsize=(11.5, 4), width_ratios=(3, 2, 2), layout="constrained"
    )
    left, middle, right = axes
    for color, size, measured, name in zip((BLUE, VERMILION), (11, 7), settings, names):
        values = dynamics.figures(measured)
        iterations = np.array(measured.iterations)
        corrs, perfs, spread = (
            np.array([values[key][it] for it in iterations], dtype=float)
            for key in ("alpha_corrs", "alpha_perfs", "alpha_corrs_std")
        )
        left.plot(iterations, corrs, color=color, marker=".", label=name)
        left.fill_between(
            iterations, corrs - spread, corrs + spread, color=color, alpha=0.15, linewidth=0
        )
        middle.plot(iterations, perfs, color=color, marker=".")
        for key, linestyle in LINES.items():
            left.axhline(values[key], color=color, linestyle=linestyle, linewidth=1)
        reached = np.flatnonzero(corrs > values["agr_unif"])[:1]
        marker = {"color": color, "marker": "o", "markersize": size, "markeredgecolor": "white"}
        left.plot(iterations[reached], corrs[reached], **marker)
        middle.plot(iterations[reached], perfs[reached], **marker)
        for axis in (left, middle):
            iteration_axis(axis, iterations)
    left.plot([], [], color=GREY, marker=".", label="A(α, α of another seed), mean and deviation")
    for key, linestyle in LINES.items():
        left.plot([], [], color=GREY, linestyle=linestyle, linewidth=1, label=heads[key])
    label = f"first above {heads['agr_unif']}; there ξ"
    left.plot([], [], color=GREY, marker="o", markersize=8, linestyle="", label=label)
    left.set_ylabel(f"agreement ({metric})")
    middle.set_ylabel(f"performance ({performance})")

    keys = [key for key in heads if key.startswith("agr_") or key == "baseline"]
    keys = [key for key in reversed(keys) if compared[key].difference is not None]
    for place, key in enumerate(keys):
        found = compared[key]
        right.plot(found.difference, place, color="black", marker="o")
        for ends, width in ((found.runs_interval, 1), (found.interval, 3)):
            right.plot(ends or [], [place, place] if ends else [], color="black", linewidth=width)
    right.axvline(0, color=GREY, linestyle=":", linewidth=1)
    right.set_yticks(range(len(keys)), [heads[key] for key in keys])
    right.margins(y=0.15)
    right.locator_params(axis="x", nbins=4)
    right.set_xlabel(f"difference, {names[0]} - {names[1]}")
    for label, width in (("95% over sentences", 3), ("95% over runs and sentences", 1)):
        right.plot([], [], color="black", linewidth=width, label=label)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{dataset}, {split} sentences: {names[0]} and {names[1]}", fontsize=11)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure
