"""Several settings side by side, as a table, a CSV and a figure: what both ``settings.py`` do."""

import argparse
import csv
import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis import settings
from attention_dynamics.analysis.dump import dump_path, load_dump
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.metrics import METRICS
from attention_dynamics.analysis.onsets import OF_ALPHA
from attention_dynamics.analysis.settings import FIGURES, Seed, Setting, Spread
from attention_dynamics.analysis.tables import aligned, fixed, markdown_rows
from attention_dynamics.analysis.task import Task
from attention_dynamics.files import storage
from attention_dynamics.views import folders
from attention_dynamics.views.drawing import (
    STYLES,
    WIDTHS,
    Columns,
    Rows,
    Style,
    iteration_axis,
    plain,
    pyplot,
    save_rows,
    with_about,
)

LINE = 120  # characters that a line of the text table has at most
PANELS = {  # and the onset that a tick shows
    OF_ALPHA: ("A(α, α of another seed) ({metric})", "onset_alpha"),
    "normal": ("A(α, β of another seed) ({metric})", "onset_normal"),
    "performance": ("performance ({performance})", None),
}
COLUMNS: Columns = {
    str: ("setting", "panel", "dataset", "metric", "split", "performance"),
    int: ("iteration",),
    float: ("mean", "half_width", "onset"),
}
DIGITS = {"share": 3, "nats": 2, "updates": 0}


def parser(description: str, script: str, task: Task) -> cli.Parser:
    """The flags that both scripts have."""
    parser = cli.Parser(description)
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="folder of outputs of a setting; the first is the reference",
    )
    folders.add_flags(
        parser,
        script,
        task,
        names="+",
        performance="performance; train_...: agreement and performance on training sentences",
        out_file="outputs/<dataset>_settings.csv",
    )
    parser.add_argument(
        "--format", choices=TABLES, default="text", help="format of the printed table"
    )
    parser.add_argument(
        "--resamples",
        type=cli.positive_int,
        default=1000,
        help="bootstrap resamples of the sentences, to find onsets",
    )
    parser.add_argument("--bootstrap_seed", type=cli.seed, default=0, help="seed of the resamples")
    return parser


def tabulate(args: argparse.Namespace, task: Task) -> None:
    """Measure each setting, print the table, write the CSV and the figure.

    Raises
    ------
    InputError
        if a dump is missing or damaged, or names are not one for each setting. Nothing is written.
    """
    names = folders.names_of(args, args.folders)
    path = folders.csv_path(args, f"{args.dataset}_settings.csv")
    split = folders.split_of(args, task)
    found = settings.settings_of(names, measured(args, task, split))
    about = [args.dataset, args.metric, split, args.performance]
    written = csv_table(found, about)
    print(written.rstrip("\n") if args.format == "csv" else TABLES[args.format](found, about))
    storage.save_text(written, path)
    rows = rows_of(found, about)
    folders.save_beside(path, partial(draw, rows, STYLES["light"]), args.formats)
    save_rows(rows, path.with_name(f"{path.stem}_curves.csv"))
    print(path)


def measured(args: argparse.Namespace, task: Task, split: str) -> list[list[Seed]]:
    """Each setting, for each of its normal runs as the gold run."""
    loaded = []
    for folder in args.folders:
        dump = load_dump(folder, args.dataset)
        where = str(dump_path(folder, args.dataset))
        runs = RunNames.of(set(dump["alpha"]), where, needs_uniform=False)
        loaded.append((runs, task.evidence_of(dump, {}, split, args.performance)))
    bar = cli.progress_bar(None, total=sum(len(runs.golds) for runs, _ in loaded), unit="run")
    metric = METRICS[args.metric]
    found = [
        settings.seeds_of(*each, metric, args.resamples, args.bootstrap_seed, bar.update)
        for each in loaded
    ]
    bar.close()
    return found


def number(value: float, kind: str, percent: bool, sign: str = "") -> str:
    """A value as the table has it; ``percent``: performances are in percent, not shares."""
    digits = DIGITS.get(kind, 1 if percent else 3)
    return fixed(value, digits, sign)


def cell(spread: Spread, kind: str, percent: bool, sign: str = "") -> str:
    """``412 ± 120 (5/6)``: mean and half width; how many of the seeds reach it, if not all do."""
    if spread.mean is None:
        return "never" if spread.never else "-"
    text = number(spread.mean, kind, percent, sign)
    if spread.half_width is not None:
        text += f" ± {number(spread.half_width, kind, percent)}"
    return f"{text} ({spread.count}/{spread.count + spread.never})" if spread.never else text


def value_rows(found: Mapping[str, Mapping[str, Spread]]) -> list[list[str]]:
    """The rows of a table, a line for each figure; ``found`` has the figures of each setting."""
    percent = any((of["best_perf"].mean or 0) > 1 for of in found.values())
    return [
        ["", *found],
        *(
            [figure.text, *(cell(of[key], figure.kind, percent) for of in found.values())]
            for key, figure in FIGURES.items()
        ),
    ]


def difference_rows(found: list[Setting]) -> list[list[str]]:
    """The same of the differences from the first setting."""
    percent = max(found[0].seeds[0].performances.values()) > 1
    rows = [["difference", *(f"{of.name} - {found[0].name}" for of in found[1:])]]
    for key, figure in FIGURES.items():
        cells = (cell(of.differences[key], figure.kind, percent, "+") for of in found[1:])
        rows.append([figure.text, *cells])
    return rows


def blocks(found: list[Setting]) -> list[list[list[str]]]:
    """The rows of the tables of values, and of differences if there are several settings."""
    values = value_rows({setting.name: setting.figures for setting in found})
    return [values, difference_rows(found)] if len(found) > 1 else [values]


def notes(found: list[Setting]) -> list[str]:
    """What the numbers are means of."""
    counts = ", ".join(f"{len(setting.seeds)} of {setting.name}" for setting in found)
    return [
        f"Mean ± half of the 95% t interval over seeds ({counts}); each seed in turn is the gold "
        "run. The seeds share the other runs, so that intervals are rather too narrow.",
        "Differences are paired by the name of the run. (5/6): so many seeds reach it, and are in "
        "the mean. Onsets, lags and rises in updates; entropy in nats.",
    ]


def text_table(found: list[Setting], about: list[str]) -> str:
    """To read in a terminal: at most 120 characters wide, with as many tables as that takes."""
    lines = [line for rows in blocks(found) for line in narrow_tables(rows)]
    return "\n".join([title(about), *lines, "", *notes(found)])


def title(about: list[str]) -> str:
    dataset, metric, split, performance = about
    return f"{dataset}, {metric}, {performance}, {split} sentences"


def narrow_tables(rows: list[list[str]]) -> list[str]:
    """The lines of tables that each have some of the columns, and the first."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines: list[str] = []
    start = 1
    while start < len(widths):
        stop = start + 1
        while stop < len(widths) and widths[0] + sum(w + 2 for w in widths[1 : stop + 1]) <= LINE:
            stop += 1
        lines += ["", *aligned([[row[0], *row[start:stop]] for row in rows])]
        start = stop
    return lines


def markdown_table(found: list[Setting], about: list[str]) -> str:
    """Tables of GitHub's Markdown."""
    lines = [title(about)]
    for rows in blocks(found):
        lines += ["", *markdown_rows(rows)]
    return "\n".join([*lines, *(f"\n{note}" for note in notes(found))])


def csv_table(found: list[Setting], about: list[str]) -> str:
    """A line for each setting and figure, with all digits; a field is empty if there is no number.

    ``low`` and ``high`` are the ends of the t interval over seeds, ``seeds`` how many have the
    figure, ``never`` how many do not reach it; likewise of the difference from the first setting.
    """
    same = dict(zip(["dataset", "metric", "split", "performance"], about))
    columns = ["mean", "low", "high", "seeds", "never"]
    of_difference = ["difference", *(f"difference_{name}" for name in columns[1:])]
    text = io.StringIO()
    header = [*same, "setting", "figure", *columns, *of_difference]
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    for setting in found:
        for key, spread in setting.figures.items():
            row: dict[str, Any] = {**same, "setting": setting.name, "figure": key}
            row |= dict(zip(columns, fields(spread)))
            if setting.differences:
                row |= dict(zip(of_difference, fields(setting.differences[key])))
            writer.writerow(row)
    return text.getvalue()


def fields(spread: Spread) -> list[float | None]:
    """Mean, ends of the interval, seeds, never."""
    ends: list[float | None] = [None, None]
    if spread.mean is not None and spread.half_width is not None:
        ends = [spread.mean - spread.half_width, spread.mean + spread.half_width]
    return [spread.mean, *ends, spread.count, spread.never]


TABLES = {"text": text_table, "markdown": markdown_table, "csv": csv_table}


def rows_of(found: list[Setting], about: list[str]) -> Rows:
    """A row for each setting, panel and evaluated iteration.

    ``mean`` and ``half_width`` of the t interval are over seeds; ``onset`` is the mean onset of the
    whole curve, or None.
    """
    rows: Rows = []
    for setting in found:
        for panel, (_, onset) in PANELS.items():
            same = {"setting": setting.name, "panel": panel}
            at = {"onset": setting.figures[onset].mean if onset else None}
            for iteration, *numbers in zip(*settings.band(setting.seeds, panel)):
                mean, half = (None if np.isnan(value) else float(value) for value in numbers)
                rows.append(
                    same | {"iteration": int(iteration), "mean": mean, "half_width": half} | at
                )
    return with_about(rows, **dict(zip(["dataset", "metric", "split", "performance"], about)))


def draw(rows: Rows, _style: Style) -> Any:
    """Three panels over training: attention of seeds, evidence, performance; a line a setting.

    The band is the 95% t interval over seeds. A tick at the bottom of a panel is the mean onset.
    """
    plt = pyplot()
    figure, axes = plt.subplots(1, 3, figsize=(WIDTHS["page"] * 1.4, 3.4), layout="constrained")
    dashes = ("-", "--", "-.", ":")
    names = dict.fromkeys(row["setting"] for row in rows)
    looks = {
        name: {"color": f"C{place % 6}", "linestyle": dashes[place // 6 % 4]}
        for place, name in enumerate(names)
    }
    evaluated = sorted({row["iteration"] for row in rows})
    for axis, (panel, (label, _)) in zip(axes, PANELS.items()):
        for name, look in looks.items():
            mine = [row for row in rows if (row["setting"], row["panel"]) == (name, panel)]
            columns = ([row[key] for row in mine] for key in ("iteration", "mean", "half_width"))
            iterations, mean, half = (np.array(column, dtype=float) for column in columns)
            axis.plot(iterations, mean, marker=".", markersize=3, **look)
            axis.fill_between(
                iterations, mean - half, mean + half, color=look["color"], alpha=0.15, linewidth=0
            )
            if (at := mine[0]["onset"]) is not None:
                axis.plot(
                    at, 0, marker=2, markersize=8, color=look["color"],
                    transform=axis.get_xaxis_transform(), clip_on=False,
                )  # fmt: skip
        iteration_axis(axis, evaluated)
        axis.set_ylabel(label.format(**rows[0]))
    for name, look in looks.items():
        axes[0].plot([], [], label=plain(name), **look)
    axes[0].plot([], [], color="black", marker=2, linestyle="", label="tick: mean onset")
    of = "{dataset}, {split} sentences; band: 95% t interval over seeds"
    figure.suptitle(of.format(**rows[0]))
    figure.legend(loc="outside lower center", ncols=min(7, len(looks) + 1))
    return figure
