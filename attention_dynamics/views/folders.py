"""Settings as folders of outputs: what ``compare.py`` and ``settings.py`` of both tasks share."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attention_dynamics import cli
from attention_dynamics.analysis.metrics import DEFAULT, METRICS
from attention_dynamics.analysis.task import Task
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import add_dataset
from attention_dynamics.text import printable
from attention_dynamics.views.drawing import FORMATS, STYLES, WIDTHS, drawn_in, save


def add_flags(
    parser: cli.Parser, script: str, task: Task, names: str | int, performance: str, out_file: str
) -> None:
    """The dataset, names of the settings, metric, performance, and what is written.

    Parameters
    ----------
    names : how many names there are, as argparse has it
    performance, out_file : what the performance is for; the default of ``--out_file``
    """
    add_dataset(parser, task.datasets)
    parser.add_argument(
        "--names",
        nargs=names,
        metavar="NAME",
        help="names of the settings (default: the folders' names); put it after the folders",
    )
    parser.add_argument("--metric", choices=list(METRICS), default=DEFAULT, help="agreement metric")
    performances = [name for of_split in task.performances.values() for name in of_split]
    parser.add_argument(
        "--performance", choices=performances, default=performances[0], help=performance
    )
    parser.add_argument(
        "--out_file",
        type=Path,
        help=f"CSV to write; the figure lies beside it (default: {out_file})",
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=FORMATS,
        default=["png", "pdf"],
        help="formats of the figure",
    )
    cli.add_folders(parser, script, "outputs")


def split_of(args: argparse.Namespace, task: Task) -> str:
    """The split that ``--performance`` is of."""
    return next(name for name, of in task.performances.items() if args.performance in of)


def names_of(args: argparse.Namespace, folders: Sequence[Path]) -> list[str]:
    """``--names``, else the names of the folders with as many parents as tell them apart.

    Raises
    ------
    InputError
        where two settings have one name, or names are not one for each.
    """
    if args.names:
        if len(args.names) != len(folders):
            raise InputError(f"--names: {len(args.names)} names for {len(folders)} settings")
        if len(set(args.names)) < len(args.names):
            raise InputError(f"--names: settings have the same name ({', '.join(args.names)})")
        return list(map(printable, args.names))
    parts = [folder.resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        listed = ", ".join(map(str, folders))
        raise InputError(
            f"the same folder twice, so that settings have the same name ({listed}): give --names"
        )
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(of[-count:]) for of in parts]
        if len(set(names)) == len(names):
            break
    return list(map(printable, names))


def csv_path(args: argparse.Namespace, default: str) -> Path:
    """``--out_file``, else the file of this name in ``--outputs_dir``.

    Raises
    ------
    InputError
        where a figure would be written over it.
    """
    path: Path = args.out_file or args.outputs_dir / default
    if path.suffix[1:] in FORMATS:
        raise InputError(f"--out_file {path} is for the CSV: give it another ending than a figure")
    return path


def save_beside(path: Path, draw: Callable[[], Any], formats: list[str]) -> None:
    """Save the figure beside the CSV at ``path``, in each format."""
    with drawn_in(STYLES["light"], WIDTHS["page"]):
        save(draw(), path.with_name(path.stem), formats)
