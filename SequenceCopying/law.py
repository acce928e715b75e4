"""Measure how many updates copying takes, by length, vocabulary and repetition; fit a power law.

Copiers are trained until they copy and attend to what they copy, a few seeds for each setting of
a grid. The times are fitted as log steps = log c + a log length + b log vocab + d [repetition], by
maximum likelihood with censored times, and compared with an exponential in length. A run that was
interrupted resumes and ends with the same bytes; with more settings or seeds it reuses existing
models.

reads:   nothing: sequences are drawn at random from the seeds
writes:  logs/<name>/: every model's learning curve; outputs/<name>.csv: every model's times;
         outputs/<name>_fit.csv: the fits; outputs/<name>.png and so on: the figure
next:    report.py in the root

example:
  python law.py --lengths 4 8 16 --vocabs 32 --seeds 3
"""

import argparse
from functools import partial

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.copying import law, power_law, tables
from attention_dynamics.copying.histories import LEARNED
from attention_dynamics.copying.settings import MAX_VOCAB
from attention_dynamics.copying.ways import add_way, way_of_training
from attention_dynamics.files import locks, storage
from attention_dynamics.training import optimizers
from attention_dynamics.views import drawing
from attention_dynamics.views import law as law_figure


def parse_args() -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    number = cli.positive_int
    parser.add_argument(
        "--lengths",
        type=number,
        nargs="+",
        default=[4, 6, 8, 12, 16],
        help="lengths of the sequences",
    )
    parser.add_argument(
        "--vocabs", type=number, nargs="+", default=[32, 64], help="tokens in the vocabulary"
    )
    parser.add_argument(
        "--repetition",
        nargs="+",
        choices=list(law.REPETITION),
        default=list(law.REPETITION),
        help="tokens: drawn with replacement; none: no token twice in a sequence; sequences: as "
        "tokens, and a share of each batch comes from a small fixed set of sequences",
    )
    parser.add_argument(
        "--repeat", type=cli.share, default=0.25, help="share of each batch from the fixed set"
    )
    parser.add_argument("--pool", type=number, default=16, help="sequences in that set")
    parser.add_argument("--seeds", type=number, default=5, help="models of each setting")
    parser.add_argument(
        "--learned",
        type=cli.share,
        default=LEARNED,
        help="a model copies when its token accuracy rises above this",
    )
    parser.add_argument(
        "--attended",
        type=cli.share,
        default=0.5,
        help="a model attends when its attention accuracy rises above this",
    )
    parser.add_argument(
        "--max_steps",
        type=number,
        default=1500,
        help="stop here; a time that has not come by then is censored",
    )
    parser.add_argument("--eval_every", type=number, default=10, help="steps between evaluations")
    parser.add_argument("--hidden_dim", type=number, default=64, help="hidden size")
    parser.add_argument(
        "--embedding_std",
        type=cli.positive_float,
        default=0.02,
        help="standard deviation of the initial embeddings; PyTorch's is 1",
    )
    parser.add_argument("--bsize", type=number, default=64, help="batch size")
    optimizers.add_flags(parser, lr=0.003)
    parser.add_argument("--resamples", type=number, default=1000, help="bootstrap resamples")
    parser.add_argument("--bootstrap_seed", type=cli.seed, default=0, help="seed of the bootstrap")
    parser.add_argument("--name", type=cli.file_name, default="law", help="name of the results")
    drawing.add_flags(parser)
    cli.add_folders(parser, __file__, "logs", "outputs")
    add_way(parser)
    locks.add_flag(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cells = cells_of(args)
    experiment = experiment_of(args)
    locks.hold(experiment.folder, args.wait)

    with way_of_training(args.device, args.way, args.jobs, args.seeds) as way:
        timings = [timing for found in law.measure(experiment, way, cells) for timing in found]
    laws, notes = power_law.laws_of(timings, args.resamples, args.bootstrap_seed)

    rows, fits = law_figure.rows_of(timings), tables.law_rows(laws)
    print("", *tables.times_lines(rows), "", *tables.laws_lines(fits), *notes, "", sep="\n")
    path = args.outputs_dir / args.name
    drawing.render(partial(law_figure.draw, rows, fits), path, args)
    drawing.save_rows(rows, path.with_name(f"{args.name}.csv"))
    path = path.with_name(f"{args.name}_fit.csv")
    storage.save_csv(tables.LAW_HEADER, map(dict.values, fits), path)
    print(path)


def cells_of(args: argparse.Namespace) -> list[law.Cell]:
    """The grid that the flags ask for; says which settings do not exist."""
    if max(args.vocabs) > MAX_VOCAB:
        raise InputError(f"--vocabs {max(args.vocabs)}: {MAX_VOCAB} tokens at most")
    if args.max_steps < args.eval_every:
        raise InputError(
            f"--max_steps {args.max_steps} is less than --eval_every {args.eval_every}: nothing "
            "would be evaluated"
        )
    cells = law.cells_of(args.repetition, args.vocabs, args.lengths)
    if not cells:
        raise InputError(
            f"without repetition there are no {min(args.lengths)} different tokens in a vocabulary "
            f"of {max(args.vocabs)}: give larger --vocabs or smaller --lengths"
        )
    if "none" in args.repetition and max(args.lengths) > min(args.vocabs):
        print("without repetition, sequences longer than the vocabulary are left out")
    return cells


def experiment_of(args: argparse.Namespace) -> law.Experiment:
    return law.Experiment(
        training={
            "batch_size": args.bsize,
            # evaluated after eval_every, 2 eval_every, ... updates
            "first_eval": args.eval_every,
            "steps": args.max_steps - args.eval_every + 1,
            "eval_every": args.eval_every,
            "optimizer": args.optimizer,
            "lr": args.lr,
        },
        repeating={"share": args.repeat, "pool": args.pool},
        model={"hidden_dim": args.hidden_dim, "embedding_std": args.embedding_std},
        thresholds={"copies": args.learned, "attends": args.attended},
        folder=args.logs_dir / args.name,
        seeds=args.seeds,
    )


if __name__ == "__main__":
    cli.run(main)
