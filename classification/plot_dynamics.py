"""Draw agreement and accuracy over training from what collect_classification_stats.py wrote.

python plot_dynamics.py --datasets IMDB --stats outputs/stats.pkl --out_file outputs/IMDB.png
"""

from pathlib import Path

from attention_dynamics import cli, storage
from attention_dynamics.cli import InputError
from attention_dynamics.figures import draw_dynamics

from data import ALIASES, DATASETS


def parse_args():
    parser = cli.Parser(description="Draw agreement and accuracy over training.")
    cli.add_dataset(parser, DATASETS, ALIASES, several=True)
    parser.add_argument("--stats", type=Path, required=True, help="pickle of the collected results")
    parser.add_argument("--out_file", type=Path, required=True, help="figure to write: .png, .pdf")
    parser.add_argument(
        "--metric", default="top 5% match", help="metric to draw".replace("%", "%%")
    )
    parser.add_argument("--split", choices=["val", "train"], default="val", help="split to draw")
    return parser.parse_args()


def main():
    args = parse_args()
    if args.out_file.suffix not in (".png", ".pdf", ".svg"):
        raise InputError(f"--out_file {args.out_file}: name a .png, .pdf or .svg file")
    collect = "run collect_classification_stats.py"
    results = storage.load_pickle(args.stats, collect)
    chosen = {
        key: summary
        for key, summary in results.items()
        if key[0] in args.datasets and key[1:3] == (args.metric, args.split)
    }
    missing = set(args.datasets) - {key[0] for key in chosen}
    if missing:
        raise InputError(
            f"{args.stats} has no {args.metric} of {', '.join(sorted(missing))} "
            f"({args.split}): {collect} for it"
        )
    draw_dynamics(chosen, args.out_file)
    print(args.out_file)


if __name__ == "__main__":
    cli.run(main)
