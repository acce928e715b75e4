"""One good attention head among eight: does it rescue the others? (paper, section 5.2)

Over one base model, heads are drawn from seeds, and each is tried alone. A head is good if the
model learns to copy with it for each of several data seeds, bad if it fails for each. Then models
of eight heads are trained: all bad, one good among bad ones, and random ones (heads 0, 1, ... in
order). A run that was interrupted resumes and ends with the same bytes; with other counts it reuses
existing models.

reads:   nothing: sequences are drawn at random from the seeds
writes:  re_8headcomb.pkl: (bad, good, random), each {tuple of head seeds: history}; a history is a
         dict of lists (attention_dynamics/copying/histories.py has the columns);
         logs/re_8headcomb/: every model's history; survey.csv, with --base_seeds
next:    plot_copying.py

example:
  python multihead.py --quick
"""

import argparse
import pickle
from pathlib import Path

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.copying import combinations, heads, tables
from attention_dynamics.copying.histories import LEARNED, kinds_of_combinations
from attention_dynamics.copying.settings import add_settings, settings_of
from attention_dynamics.copying.ways import add_way, way_of_training
from attention_dynamics.files import locks, storage

QUICK = {
    "hidden_dim": 32,
    "seq_length": 20,
    "num_vocab": 20,
    "bsize": 64,
    "lr": 0.003,
    "good_heads": 5,
    "bad_heads": 10,
    "random_heads": 16,
    "samples": 10,
    "data_seeds": 2,
    "out_file": Path(__file__).resolve().parent / "re_8headcomb_quick.pkl",
}
MAX_HEADS = 32  # in a combination: its file is named after them
SURVEYED = 16  # heads that --base_seeds tries on each base


def parse_args() -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    number = cli.positive_int
    parser.add_argument("--n_heads", type=number, default=8, help="heads in a combination")
    parser.add_argument("--good_heads", type=number, default=20, help="good heads to find")
    parser.add_argument("--bad_heads", type=number, default=20, help="bad heads to find")
    parser.add_argument(
        "--random_heads",
        type=number,
        default=30,
        help="random combinations draw from heads 0 to N - 1",
    )
    parser.add_argument("--samples", type=number, default=50, help="combinations of each kind")
    parser.add_argument(
        "--data_seeds", type=number, default=3, help="trials of each head, on different data"
    )
    parser.add_argument(
        "--max_heads",
        type=number,
        help="stop the search after this many heads and combine what was found "
        "(default: search until enough are found)",
    )
    parser.add_argument(
        "--learned",
        type=cli.positive_float,
        default=LEARNED,
        help="a trial is good if its token accuracy rises above this",
    )
    parser.add_argument(
        "--failed",
        type=cli.positive_float,
        default=heads.FAILED,
        help="a trial is bad if its final token accuracy is below this",
    )
    parser.add_argument("--seed", type=cli.seed, default=0, help="seed of the base model")
    parser.add_argument(
        "--base_seeds",
        type=cli.seed,
        nargs="+",
        metavar="SEED",
        help="only survey heads: try --max_heads heads (default: 16) on each of these base models "
        "and report how many are good, bad or neither",
    )
    parser.add_argument(
        "--fresh_data",
        action="store_true",
        help="give every combination a data seed of its own (default: data seed 0 for all)",
    )
    add_settings(parser)
    parser.add_argument(
        "--out_file",
        type=Path,
        default=Path(__file__).resolve().parent / "re_8headcomb.pkl",
        help="file of the learning curves",
    )
    parser.add_argument(
        "--quick", action="store_true", help="other defaults: a small model, a few minutes"
    )
    cli.add_folders(parser, __file__, "logs")
    add_way(parser)
    locks.add_flag(parser)
    if parser.parse_args().quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_flags(args)
    experiment = heads.Experiment(
        settings=settings_of(args, no_rep=True),
        hidden_dim=args.hidden_dim,
        seed=args.seed,
        data_seeds=args.data_seeds,
        learned=args.learned,
        failed=args.failed,
        folder=args.logs_dir / args.out_file.stem,
    )
    if args.out_file.is_dir() or (args.out_file.exists() and not experiment.folder.exists()):
        raise InputError(
            f"{args.out_file} exists, but was not made by this run: give another --out_file"
        )
    locks.hold(args.out_file, args.wait)
    combinations.check_kept(experiment)

    with way_of_training(args.device, args.way, args.jobs) as way:
        if args.base_seeds:
            trials = heads.survey(experiment, way, args.base_seeds, args.max_heads or SURVEYED)
            path = experiment.folder / "survey.csv"
            storage.save_text(tables.survey_csv(trials), path)
            lines = tables.survey_lines(trials, args.learned, args.failed)
            print("", *lines, "", path, sep="\n")
            return
        good, bad = heads.find(experiment, way, args.good_heads, args.bad_heads, args.max_heads)
        chosen = combinations.choose(
            good, bad, args.random_heads, args.n_heads, args.samples, args.seed
        )
        curves = combinations.train(experiment, way, chosen, args.fresh_data)

    content = pickle.dumps(curves, protocol=5)
    finished = args.out_file.exists() and args.out_file.read_bytes() == content
    storage.save_bytes(content, args.out_file)
    print(f"{args.out_file} is finished" if finished else args.out_file)
    kinds = {
        kind: list(histories.values())
        for kind, histories in zip(kinds_of_combinations(curves), curves)
    }
    print("", *tables.combinations_lines(kinds, args.learned), sep="\n")


def check_flags(args: argparse.Namespace) -> None:
    """Raise an InputError if the flags contradict one another."""
    if args.random_heads < args.n_heads or args.bad_heads < args.n_heads:
        raise InputError(
            f"--n_heads {args.n_heads} cannot be combined from fewer --bad_heads or --random_heads"
        )
    if not args.failed <= args.learned < 1:
        raise InputError(
            f"--failed {args.failed} and --learned {args.learned} must be accuracies below 1, "
            "--failed not above --learned"
        )
    if args.n_heads > MAX_HEADS:
        raise InputError(f"--n_heads {args.n_heads}: {MAX_HEADS} at most")


if __name__ == "__main__":
    cli.run(main)
