"""Draw figures of docs/ again, from the small CSV files in this folder.

Without names it draws those whose CSV is here, and says which are missing. The stages wrote these
files beside their own figures; README.md here says which runs they are of.

reads:   results/*.csv
writes:  docs/<name>.png
next:    README.md, RESULTS.md and docs/ show them

example:
  python results/draw.py furd_dynamics copying --formats pdf --width column --out_dir figures
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.views import copying, cost, drawing, law, settings
from attention_dynamics.views.drawing import Columns
from attention_dynamics.views.figures import dynamics, sentence, words

RESULTS = Path(__file__).resolve().parent
# Of each figure in docs/: what draws it, and its files here with the columns that it needs.
FIGURES: dict[str, tuple[Callable[..., Any], dict[str, Columns]]] = {
    "furd_dynamics": (dynamics.draw, {"Furd_dynamics.csv": dynamics.COLUMNS}),
    "furd_sentence": (sentence.draw, {"Furd_sentence_early.csv": sentence.COLUMNS}),
    "furd_words": (words.draw, {"Furd_words.csv": words.COLUMNS}),
    "furd_encoders": (settings.draw, {"Furd_encoders_curves.csv": settings.COLUMNS}),
    "furd_interventions": (settings.draw, {"Furd_interventions_curves.csv": settings.COLUMNS}),
    "multi30k_settings": (settings.draw, {"multi30k_settings_curves.csv": settings.COLUMNS}),
    "imdb_settings": (settings.draw, {"IMDB_settings_curves.csv": settings.COLUMNS}),
    "multi30k_dynamics": (dynamics.draw, {"multi30k_dynamics.csv": dynamics.COLUMNS}),
    "multi30k_sentence": (sentence.draw, {"multi30k_sentence.csv": sentence.COLUMNS}),
    "copying": (copying.draw, {"copying.csv": copying.COLUMNS}),
    "copying_law": (
        law.draw,
        {"copying_law.csv": law.COLUMNS, "copying_law_fit.csv": law.FIT_COLUMNS},
    ),
    "cluster_cost": (cost.draw, {"cluster_cost.csv": cost.COLUMNS}),
}


def parse_args() -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"figures (default: all): {' '.join(FIGURES)}"
    )
    drawing.add_flags(parser)
    parser.set_defaults(formats=["png"])
    parser.add_argument(
        "--out_dir", type=Path, default=RESULTS.parent / "docs", help="folder of the figures"
    )
    parser.checks.append(check_names)
    return parser.parse_args()


def check_names(args: argparse.Namespace) -> None:
    for name in args.names:
        if name not in FIGURES:
            raise cli.unknown("figure", name, FIGURES)


def main() -> None:
    args = parse_args()
    found = {}
    for name in args.names or FIGURES:
        _, tables = FIGURES[name]
        missing = [str(RESULTS / file) for file in tables if not (RESULTS / file).exists()]
        if missing and args.names:
            raise InputError(f"{', '.join(missing)}: missing, so {name} cannot be drawn")
        if missing:
            print(f"{name} is not drawn: {', '.join(missing)} missing")
        else:
            found[name] = [drawing.read_rows(RESULTS / file, tables[file]) for file in tables]
    for name, rows in found.items():
        draw, tables = FIGURES[name]
        try:
            drawing.render(partial(draw, *rows), args.out_dir / name, args)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            files = ", ".join(str(RESULTS / file) for file in tables)
            raise InputError(f"{files}: damaged, rows or cells are missing ({error})") from None


if __name__ == "__main__":
    cli.run(main)
