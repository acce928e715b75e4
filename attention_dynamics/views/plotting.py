"""All figures of the collected results and the dumps: what both ``plot_dynamics.py`` do."""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis.dump import load_dump
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.metrics import DEFAULT, METRICS
from attention_dynamics.analysis.tables import Results, load_results
from attention_dynamics.analysis.task import Task
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import add_dataset
from attention_dynamics.views import drawing
from attention_dynamics.views.figures import FIGURES
from attention_dynamics.views.figures.figure import Material

CHECKPOINTS = 4  # in the figure of a sentence, unless --iterations names others
SENTENCE_TOKENS = (8, 14)  # of the sentence drawn, unless --sentence names one: what fits a page


def parser(description: str, script: str, task: Task) -> cli.Parser:
    """The flags of both tasks' ``plot_dynamics.py``."""
    parser = cli.Parser(description)
    add_dataset(parser, task.datasets, several=True)
    parser.add_argument(
        "--stats", type=Path, help="pickle of the collected results (default: outputs/stats.pkl)"
    )
    parser.add_argument(
        "--metric", choices=list(METRICS), default=DEFAULT, help="metric of the results to draw"
    )
    parser.add_argument(
        "--performance",
        help="performance of the results to draw, such as test_acc or val_bleu (default: the first "
        "in the results)",
    )
    parser.add_argument(
        "--sentence",
        type=cli.natural,
        help="number of the evaluated sentence to draw (default: the first that fits a page)",
    )
    parser.add_argument(
        "--iterations",
        type=cli.steps,
        help=f"checkpoints to draw it at (default: {CHECKPOINTS} from the first to the last)",
    )
    drawing.add_flags(parser)
    parser.add_argument("--out_dir", type=Path, help="folder of the figures (default: outputs)")
    cli.add_folders(parser, script, "outputs")
    return parser


def plot_dynamics(args: argparse.Namespace, task: Task) -> None:
    """Draw every figure of the table for the datasets of :func:`parser`.

    Raises
    ------
    InputError
        if the results or a dump are missing, or lack what is asked for. Nothing is written then.
    """
    collect = f"run {task.collect_script} first"
    stats = args.stats or args.outputs_dir / "stats.pkl"
    results = load_results(stats, collect)
    keys = [choose(results, dataset, args, f"{stats} has no", collect) for dataset in args.datasets]
    materials = []
    for key in keys:
        dump = load_dump(args.outputs_dir, key[0])
        lengths = task.sentences_of(dump).source.lengths
        sentence = sentence_number(args.sentence, lengths, key[0])
        iterations = chosen_iterations(dump, args.iterations)
        materials.append(Material(task, key, results[key], dump, sentence, iterations))
    for material in materials:
        dataset = material.key[0]
        if material.summary.get("dump") != material.dump["id"]:
            old = f"{stats}: the results of {dataset} are of an older dump"
            print(f"{old}: run {task.collect_script} again", file=sys.stderr)
        for figure in FIGURES.values():
            path = (args.out_dir or args.outputs_dir) / f"{dataset}_{figure.name}"
            drawing.write(figure.rows(material), figure.draw, path, args)


def choose(
    results: Results, dataset: str, args: argparse.Namespace, lacks: str, do: str
) -> tuple[str, str, str, str]:
    """The first key of the results that the flags ask for."""
    for key in results:
        if key[:2] == (dataset, args.metric) and args.performance in (None, key[3]):
            return key
    wanted = " ".join(filter(None, [args.metric, "of", dataset, args.performance]))
    raise InputError(f"{lacks} {wanted}: {do}")


def sentence_number(asked: int | None, lengths: np.ndarray, dataset: str) -> int:
    """The number asked for; or that of the first sentence that fits a page, else of the shortest.

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
        return spread(evaluated, CHECKPOINTS)
    unknown = [it for it in asked if it not in evaluated]
    if unknown:
        raise InputError(
            f"--iterations {','.join(map(str, unknown))}: the dump of {dump['dataset']} has "
            f"{','.join(map(str, evaluated))}"
        )
    return asked


def spread(iterations: list[int], count: int) -> list[int]:
    """At most ``count`` of the iterations, from the first to the last."""
    places = np.linspace(0, len(iterations) - 1, min(count, len(iterations)))
    return [iterations[int(place)] for place in places.round()]
