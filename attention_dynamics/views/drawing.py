"""What all figures share: styles, widths, the lines of levels, and writing the files."""

import argparse
import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, product
from pathlib import Path
from typing import Any

from attention_dynamics.cli import InputError
from attention_dynamics.files import storage, tabular
from attention_dynamics.text import printable

FORMATS = ("png", "pdf", "svg")
WIDTHS = {"page": 6.9, "column": 3.3}  # inches, of a text page and of one of its two columns

# Names of matplotlib for the colours of the present style, in the order of ``Style.colors``.
BLUE, GREEN, PURPLE, VERMILION, ORANGE, SKY = (f"C{number}" for number in range(6))
GREY = "#808080"  # seen on white and on black

# All that a figure is drawn from: the rows of its CSV, which have the same keys.
Rows = list[dict[str, Any]]
# The columns that a figure needs of its CSV, by what is in them. Numbers may be missing (None).
Columns = dict[type, tuple[str, ...]]


@dataclass(frozen=True)
class Style:
    """The colours of a figure.

    Attributes
    ----------
    ink, paper : of text and axes, and of the background
    colors : of lines: Okabe and Ito's, which colour-blind readers can tell apart; dashes and
        markers tell them apart in print
    alpha : from attention 0 to the largest
    signed : violet for values against the label or token, brown for those that speak for it
    """

    ink: str
    paper: str
    colors: tuple[str, ...]
    alpha: tuple[str, ...]
    signed: tuple[str, ...]


OKABE_ITO = ("#0072B2", "#009E73", "#CC79A7", "#D55E00", "#E69F00", "#56B4E9")
STYLES = {
    "light": Style(
        ink="#1c2126",
        paper="#ffffff",
        colors=OKABE_ITO,
        alpha=("#ffffff", "#d3e4f3", "#9cc7e6", "#4f9bcf", "#1b6cb0", "#084488", "#052a5c"),
        signed=(
            *("#2d004b", "#542788", "#8073ac", "#c3bde0", "#ffffff"),
            *("#f6cf9a", "#cf8136", "#97500f", "#5c2a04"),
        ),
    ),
    "dark": Style(
        ink="#e6e9ec",
        paper="#14171a",
        colors=("#4BA3E3", "#2DBE91", "#DE94BD", "#F0803C", "#F2B93B", "#9AD4F5"),
        alpha=("#14171a", "#1b3348", "#22537c", "#2f7ab5", "#5ea9e2", "#a1d0f5", "#e2f2ff"),
        signed=(
            *("#e4d8ff", "#b9a3f0", "#8b6fd0", "#4a3b78", "#14171a"),
            *("#5f3c17", "#b36b1e", "#eba052", "#ffe0bd"),
        ),
    ),
    # for pages of either colour: the background shows through where there is no value
    "transparent": Style(
        ink=GREY,
        paper="none",
        colors=OKABE_ITO,
        alpha=("#2f86cf00", "#2f86cfff"),
        signed=("#8a68d6ff", "#a0709000", "#c4741eff"),
    ),
}


def line(color: str, linestyle: Any, marker: str, markersize: int) -> dict[str, Any]:
    return {"color": color, "linestyle": linestyle, "marker": marker, "markersize": markersize}


# The sizes of markers differ: where several levels are first exceeded at once, all can be seen.
COMPARED_LINES = (
    line(PURPLE, (0, (5, 1, 1, 1, 1, 1)), "D", 3),
    line(ORANGE, (0, (3, 1, 1, 1)), "^", 7),
    line(SKY, (0, (1, 1)), "v", 5),
)


LEVEL_LINES = {
    "agr_unif": line(BLUE, "--", "o", 9),
    "agr_px": line(GREEN, "-.", "s", 5),
    "baseline": line(GREY, ":", "", 0),
}


def lines_of(levels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """How each level is drawn, in terms of matplotlib: those of compared columns in their order."""
    compared = [name for name in levels if name not in LEVEL_LINES]
    return LEVEL_LINES | dict(zip(compared, cycle(COMPARED_LINES)))


def pyplot() -> Any:
    """matplotlib.pyplot, set up to draw into files alone."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    return plt


def plain(text: str) -> str:
    """``text`` as matplotlib is to draw it: "$" begins no formula."""
    return printable(text).replace("$", r"\$")


def figure_width() -> float:
    """In inches, as :func:`drawn_in` has set it."""
    return float(pyplot().rcParams["figure.figsize"][0])


def is_narrow() -> bool:
    """Whether panels go below one another."""
    return figure_width() < WIDTHS["page"]


def colormap(colors: tuple[str, ...]) -> Any:
    """A colormap through these colours."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("attention", colors)


def iteration_axis(axis: Any, iterations: Any) -> None:
    """The axis of evaluated iterations: linear near 0, then logarithmic, as most happens early."""
    from matplotlib.ticker import NullLocator, ScalarFormatter

    axis.set_xscale("symlog", linthresh=max([1, *iterations[1:2]]))
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(left=0)
    axis.set_xlabel("training iteration (log scale)")


@contextlib.contextmanager
def drawn_in(style: Style, width: float) -> Iterator[None]:
    """Figures are drawn and saved in this style, ``width`` inches wide if they name no size.

    Text is 7 or 8 points at either width, so that it can be read without scaling.
    """
    plt = pyplot()
    of_text = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    small = ("xtick.labelsize", "ytick.labelsize", "legend.fontsize", "legend.title_fontsize")
    medium = ("font.size", "axes.labelsize", "axes.titlesize", "figure.titlesize")
    settings = {
        **dict.fromkeys(of_text, style.ink),
        **dict.fromkeys(("figure.facecolor", "savefig.facecolor"), style.paper),
        **dict.fromkeys(small, 7),
        **dict.fromkeys(medium, 8),
        **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.6),
        **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
        "axes.facecolor": "none",
        "axes.prop_cycle": plt.cycler(color=style.colors),
        "figure.figsize": (width, 0.3 * width + 1.4),
        "lines.linewidth": 1.4,
        "pdf.fonttype": 42,  # text stays text: journals ask for it
        "svg.hashsalt": "attention_dynamics",  # the same figure gives the same bytes
    }
    with plt.rc_context(settings):
        yield


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Formats and variants of figures."""
    parser.add_argument(
        "--formats", nargs="+", choices=FORMATS, default=list(FORMATS), help="formats to write"
    )
    parser.add_argument(
        "--style",
        nargs="+",
        choices=list(STYLES),
        default=["light"],
        help="colours; dark and transparent are written as NAME_dark and NAME_transparent",
    )
    parser.add_argument(
        "--width",
        nargs="+",
        choices=list(WIDTHS),
        default=["page"],
        help="page is 6.9 inches; column, 3.3 inches (for phones, too), is written as NAME_column",
    )


def variant(style: str = "light", width: str = "page") -> str:
    """The end of the name of a figure in another style or width than the default ones."""
    return "".join(f"_{word}" for word in (width, style) if word not in ("page", "light"))


def with_about(rows: Rows, **about: Any) -> Rows:
    """The rows with more columns, of the figure as a whole: only the first row has their values."""
    return [row | (dict.fromkeys(about) if number else about) for number, row in enumerate(rows)]


def write(
    rows: Rows, draw: Callable[[Rows, Style], Any], path: Path, args: argparse.Namespace
) -> None:
    """Draw a figure (:func:`render`), and write its rows: ``<path>.csv``."""
    render(partial(draw, rows), path, args)
    save_rows(rows, path.with_name(f"{path.name}.csv"))


def render(draw: Callable[[Style], Any], path: Path, args: argparse.Namespace) -> None:
    """Draw a figure in each style and width, and write it in each format.

    Parameters
    ----------
    draw : gives a figure of matplotlib
    path : without an ending
    args : with the flags of :func:`add_flags`
    """
    for width, style in product(args.width, args.style):
        with drawn_in(STYLES[style], WIDTHS[width]):
            figure = draw(STYLES[style])
            save(figure, path.with_name(path.name + variant(style, width)), args.formats)


def save_rows(rows: Rows, path: Path) -> None:
    """Write the CSV that :func:`read_rows` reads, and print its name."""
    storage.save_csv(rows[0], (map(row.get, rows[0]) for row in rows), path)
    print(path)


def read_rows(path: Path, columns: Columns) -> Rows:
    """The rows of a figure from its CSV; an empty cell of a number is None.

    Raises
    ------
    InputError
        where the file or a column is missing, or a row is damaged; it names the line.
    """
    rows: Rows = []
    kinds = {name: kind for kind, names in columns.items() for name in names}
    wanted = [tabular.Column("which the figure needs", name, ()) for name in kinds]
    for number, cells in tabular.read_columns(path, wanted):
        row: dict[str, Any] = {}
        for (name, kind), cell in zip(kinds.items(), cells):
            try:
                row[name] = cell if kind is str else READ[kind](cell) if cell else None
            except (KeyError, ValueError):
                raise InputError(f"{path}, line {number}: {name} cannot be {cell!r}") from None
        rows.append(row)
    return rows


READ: dict[type, Callable[[str], Any]] = {
    int: int,
    float: float,
    bool: {"True": True, "False": False}.__getitem__,
}


def save(figure: Any, path: Path, formats: list[str]) -> None:
    """Write a figure in each format, print the names of the files, and close it."""
    for ending in formats:
        file_path = path.with_name(f"{path.name}.{ending}")
        with storage.atomic_write(file_path) as file:
            # with a date, the same figure would give other bytes each time
            metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(ending)
            figure.savefig(file, format=ending, dpi=300, metadata=metadata)
        print(file_path)
    pyplot().close(figure)
