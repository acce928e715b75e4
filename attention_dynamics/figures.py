"""Figures: how agreement and performance go over training."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attention_dynamics import cli, storage
from attention_dynamics.cli import InputError
from attention_dynamics.dynamics import NOTATION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers; dashes tell them apart in print.
BLUE, GREEN, PURPLE, VERMILION = "#0072B2", "#009E73", "#CC79A7", "#D55E00"
LEVELS = {
    "agr_unif": (BLUE, "--"),
    "agr_px": (GREEN, "-."),
    "agr_grad": (PURPLE, ":"),
    "baseline": ("#999999", (0, (1, 3))),
}
CURVE, PERFORMANCE = "#000000", VERMILION


def draw_dynamics(results: dict[tuple, dict[str, Any]], path: Path) -> None:
    """Draw one panel for each summary in ``results``, and write ``path`` (PNG, PDF, …).

    A panel shows the agreement of attention with the gold attention over training
    (``alpha_corrs``), the levels ``agr_*`` and the baseline as horizontal lines, and the
    performance on a second axis. The axis of iterations is linear near 0, then logarithmic:
    most happens early.
    """
    from matplotlib.ticker import ScalarFormatter

    figure, axes = panels(len(results))
    for axis, ((dataset, metric, split, performance), summary) in zip(axes, results.items()):
        iterations = summary["iterations"]
        handles = axis.plot(
            iterations,
            [summary["alpha_corrs"][it] for it in iterations],
            color=CURVE,
            marker="o",
            markersize=3,
            label="A(α, α of another seed)",
        )
        for key, (color, dashes) in LEVELS.items():
            if summary[key] is not None:
                line = axis.axhline(
                    summary[key], color=color, linestyle=dashes, label=NOTATION[key]
                )
                handles.append(line)
        axis.set_xscale("symlog", linthresh=max(1, iterations[1] if len(iterations) > 1 else 1))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.set_xlim(left=0)
        axis.set_xlabel("iteration")
        axis.set_ylabel(f"agreement ({metric})")
        axis.set_title(f"{dataset}, {split}")

        second = axis.twinx()
        handles += second.plot(
            iterations,
            [summary["alpha_perfs"][it] for it in iterations],
            color=PERFORMANCE,
            linewidth=1,
            marker="s",
            markersize=2.5,
            label=performance,
        )
        second.set_ylabel(performance, color=PERFORMANCE)
        second.tick_params(axis="y", colors=PERFORMANCE)
    # one legend below: within a panel it would hide a curve
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    save(figure, path)


def panels(count: int, width: float = 5.2, height: float = 4.6) -> tuple["Figure", list["Axes"]]:
    """A figure of ``count`` panels side by side, each of this size in inches."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, count, figsize=(width * count, height), squeeze=False, layout="constrained"
    )
    return figure, list(axes[0])


def save(figure: "Figure", *paths: Path) -> None:
    """Write the figure to each path, in the format of its ending, and close it."""
    import matplotlib.pyplot as plt

    for path in paths:
        with storage.write_whole(path) as file:
            figure.savefig(file, format=path.suffix.lstrip(".") or "png", dpi=150)
    plt.close(figure)


def parser(datasets: list[str], aliases: dict[str, str]) -> cli.Parser:
    """The flags of both tasks' ``plot_dynamics.py``."""
    parser = cli.Parser("Draw agreement and performance over training, a panel for each dataset.")
    cli.add_dataset(parser, datasets, aliases, several=True)
    parser.add_argument("--stats", type=Path, required=True, help="pickle of the collected results")
    parser.add_argument("--out_file", type=Path, required=True, help="figure: .png, .pdf or .svg")
    parser.add_argument("--metric", default="top 5% match", help="as in the results")
    parser.add_argument(
        "--performance", help="such as test_acc or val_bleu; by itself the first in the results"
    )
    return parser


def plot_dynamics(args: argparse.Namespace) -> None:
    """Draw what the flags of :func:`parser` ask for.

    Raises
    ------
    InputError
        where the results lack a dataset, or the file's ending is unknown.
    """
    if args.out_file.suffix not in (".png", ".pdf", ".svg"):
        raise InputError(f"--out_file {args.out_file}: name a .png, .pdf or .svg file")
    collect = "collect_*_stats.py writes it"
    results = storage.load_pickle(args.stats, collect)
    if not isinstance(results, dict) or not all(type(key) is tuple for key in results):
        raise InputError(f"{args.stats} has no results in it: {collect}")
    chosen = {}
    for dataset in args.datasets:
        found = [
            key
            for key in results
            if key[:2] == (dataset, args.metric) and args.performance in (None, key[3])
        ]
        if not found:
            wanted = " ".join(filter(None, [args.metric, "of", dataset, args.performance]))
            raise InputError(f"{args.stats} has no {wanted}: {collect}")
        chosen[found[0]] = results[found[0]]
    draw_dynamics(chosen, args.out_file)
    print(args.out_file)
