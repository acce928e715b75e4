"""What all figures share: colours, matplotlib set up for files, and writing the files."""

from pathlib import Path
from typing import Any

from attention_dynamics.files import storage

# Okabe and Ito's colours, which colour-blind readers can tell apart; dashes and markers tell them
# apart in print.
BLUE, GREEN, PURPLE, VERMILION = "#0072B2", "#009E73", "#CC79A7", "#D55E00"
ORANGE, SKY, GREY = "#E69F00", "#56B4E9", "#777777"

FORMATS = ("png", "pdf", "svg")


def pyplot() -> Any:
    """matplotlib.pyplot, set up to draw into files alone."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    return plt


def iteration_axis(axis: Any, iterations: Any) -> None:
    """The axis of evaluated iterations: linear near 0, then logarithmic, as most happens early."""
    from matplotlib.ticker import NullLocator, ScalarFormatter

    axis.set_xscale("symlog", linthresh=max([1, *iterations[1:2]]))
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(left=0)
    axis.set_xlabel("iteration")


def save(figure: Any, path: Path, formats: list[str]) -> None:
    """Write a figure in each format, print the names of the files, and close it."""
    for ending in formats:
        file_path = path.with_name(f"{path.name}.{ending}")
        with storage.atomic_write(file_path) as file:
            # with a date, the same figure would give other bytes each time
            metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(ending)
            figure.savefig(file, format=ending, dpi=150, metadata=metadata)
        print(file_path)
    pyplot().close(figure)
