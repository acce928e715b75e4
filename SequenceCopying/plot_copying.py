"""Draw the learning curves of seq2seq.py and of multihead.py.

Without flags it draws what the published commands wrote: permutations of 40 against 40 of 60
tokens, and the three combinations of heads; and it says what is missing.

reads:   logs/<experiment>.pkl, from seq2seq.py; re_8headcomb.pkl, from multihead.py
writes:  outputs/copying and outputs/copying_heads, each as .png, .pdf, .svg and, with the numbers
         that are drawn, .csv
next:    report.py in the root

example:
  python plot_copying.py --experiments seq2seq,no_rep seq2seq,no_rep,bi --name bi
"""

import argparse
from pathlib import Path

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.copying import histories
from attention_dynamics.views import copying, drawing

PUBLISHED = {
    "seq2seq,no_rep": "python seq2seq.py --no_rep",
    "seq2seq,no_rep,num_vocab=60": "python seq2seq.py --no_rep num_vocab=60",
}
COMBINATIONS = Path(__file__).resolve().parent / "re_8headcomb.pkl"


def parse_args() -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "--experiments",
        nargs="+",
        metavar="NAME",
        help=f"names of results in the folder of the logs (default: {' '.join(PUBLISHED)})",
    )
    parser.add_argument(
        "--combinations",
        type=Path,
        help=f"file that multihead.py wrote (default: {COMBINATIONS.name} beside this script; "
        "none if --experiments are named)",
    )
    parser.add_argument(
        "--name",
        type=cli.file_name,
        default="copying",
        help="name of the figures: NAME and NAME_heads",
    )
    drawing.add_flags(parser)
    cli.add_folders(parser, __file__, "logs", "outputs")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    published = args.experiments is None and args.combinations is None
    names = list(PUBLISHED) if published else args.experiments or []
    logs = {name: args.logs_dir / f"{name}.pkl" for name in names}
    combinations = COMBINATIONS if published else args.combinations
    missing = []
    if published:
        missing = [
            f'{path} is missing: run "{PUBLISHED[name]}"'
            for name, path in logs.items()
            if not path.exists()
        ]
        logs = {name: path for name, path in logs.items() if path.exists()}
        if not combinations.exists():
            missing.append(f'{combinations} is missing: run "python multihead.py"')
            combinations = None
        if not logs and combinations is None:
            raise InputError("there is nothing to draw: " + "; ".join(missing))

    results = {name: histories.load_experiment(path) for name, path in logs.items()}
    curves = histories.load_combinations(combinations) if combinations else None
    for line in missing:
        print(line)
    if results:
        rows = copying.rows_of(copying.by_label(results))
        drawing.write(rows, copying.draw, args.outputs_dir / args.name, args)
    if curves:
        kinds = histories.kinds_of_combinations(curves)
        rows = copying.rows_of(dict(zip(kinds, curves)))
        drawing.write(rows, copying.draw, args.outputs_dir / f"{args.name}_heads", args)


if __name__ == "__main__":
    cli.run(main)
