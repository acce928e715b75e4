"""Train copiers from several seeds, and count how many of them learn to copy.

A word name=value is read as --name value. A run that was interrupted resumes from its last save and
ends with the same bytes; the same command with more --seeds adds the new ones.

reads:   nothing: sequences are drawn at random from the seeds
writes:  logs/<experiment>.pkl: {"settings": {...}, "histories": {seed: history}}; a history is a
         dict of lists (attention_dynamics/copying/histories.py has the columns)
next:    plot_copying.py

example:
  python seq2seq.py --no_rep num_vocab=60
"""

import argparse
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from attention_dynamics import cli
from attention_dynamics.copying.histories import COLUMNS, History, learned_at, load_experiment
from attention_dynamics.copying.many import Task, train_all
from attention_dynamics.copying.model import build_copier
from attention_dynamics.copying.settings import add_settings, settings_of
from attention_dynamics.copying.tables import seeds_lines
from attention_dynamics.copying.ways import add_way, way_of_training
from attention_dynamics.files import locks, storage
from attention_dynamics.training.engine import check_settings

# the settings that the results are named after
NAMED = (
    *("no_rep", "num_vocab", "seq_length", "bi", "uniform", "no_context", "no_eos", "no_bias"),
    *("hidden_dim", "embedding_std", "bsize", "steps", "eval_every", "optimizer", "lr"),
)


def parse_args() -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument("--no_rep", action="store_true", help="no token twice in a sequence")
    parser.add_argument("--bi", action="store_true", help="bidirectional encoder")
    parser.add_argument(
        "--uniform", "--invasive_uniform", action="store_true", help="uniform attention"
    )
    parser.add_argument(
        "--no_context", action="store_true", help="control: context zero, so no attention is used"
    )
    parser.add_argument("--no_eos", action="store_true", help="control: sequences without </s>")
    parser.add_argument(
        "--no_bias", action="store_true", help="control: linear layers without biases"
    )
    parser.add_argument(
        "--embedding_std",
        type=cli.positive_float,
        default=1.0,
        help="standard deviation of the initial embeddings; PyTorch's is 1",
    )
    add_settings(parser)
    parser.add_argument(
        "--seeds", type=cli.positive_int, default=20, help="number of models to train"
    )
    parser.add_argument(
        "--exp_name",
        type=cli.file_name,
        help="name of the results (default: seq2seq and the settings that are not at their "
        "defaults)",
    )
    cli.add_folders(parser, __file__, "logs")
    add_way(parser)
    locks.add_flag(parser)
    args, rest = parser.parse_known_args()
    rest = [f"--{word}" if re.match(r"\w+=", word) else word for word in rest]
    args = parser.parse_args(rest, args)
    if args.exp_name is None:
        args.exp_name = name_of({name: getattr(args, name) for name in NAMED}, parser.get_default)
    return args


def name_of(settings: dict[str, Any], default: Callable[[str], Any]) -> str:
    """``seq2seq,no_rep,num_vocab=60``: the settings that differ from their defaults."""
    different = {name: value for name, value in settings.items() if value != default(name)}
    words = [name if value is True else f"{name}={value}" for name, value in different.items()]
    return ",".join(["seq2seq", *words])


def main() -> None:
    args = parse_args()
    settings = settings_of(args, args.no_rep, first_eval=1, no_eos=args.no_eos)
    names = ("hidden_dim", "bi", "uniform", "no_context", "no_bias", "embedding_std")
    sizes = {name: getattr(args, name) for name in names}
    identity = asdict(settings) | sizes
    path = args.logs_dir / f"{args.exp_name}.pkl"
    parts = args.logs_dir / f"{args.exp_name}.parts"

    locks.hold(path, args.wait)
    histories = load_histories(path, identity)
    missing = [seed for seed in range(args.seeds) if seed not in histories]
    if not missing:
        shutil.rmtree(parts, ignore_errors=True)  # a run was killed before it did
        print(f"{path} is finished: {args.seeds} seeds")
        show([histories[seed] for seed in range(args.seeds)])
        return

    build = partial(build_copier, n_vocab=args.num_vocab, **sizes)
    tasks = {f"seed{seed}": Task(partial(build, seed), seed) for seed in missing}
    with way_of_training(args.device, args.way, args.jobs, len(tasks)) as way:
        print(path)
        trained = train_all(tasks, settings, way, parts, sizes, finished=say)

    histories |= {seed: trained[f"seed{seed}"] for seed in missing}
    histories = dict(sorted(histories.items()))
    storage.save_pickle({"settings": identity, "histories": histories}, path)
    shutil.rmtree(parts, ignore_errors=True)
    show([histories[seed] for seed in range(args.seeds)])


def load_histories(path: Path, identity: dict[str, Any]) -> dict[int, History]:
    """The histories that earlier runs left in ``path``, by seed; none if it does not exist.

    Raises
    ------
    InputError
        if the file is damaged or of other settings.
    """
    if not path.exists():
        return {}
    do = "delete it or choose another --exp_name"
    results = load_experiment(path, do)
    check_settings(results["settings"], identity, path, do)
    # the same strings as those of histories that are added: the file then has the same bytes
    return {
        seed: {column: history[column] for column in COLUMNS}
        for seed, history in results["histories"].items()
    }


def show(histories: list[History]) -> None:
    print("", *seeds_lines(histories), sep="\n")


def say(name: str, history: History) -> None:
    step = learned_at(history)
    learned = "has not learned to copy" if step is None else f"copies from step {step}"
    accuracy, attention = history["token_accuracy"][-1], history["attention_accuracy"][-1]
    cli.say(
        f"{name:<7} token accuracy {accuracy:.4f}   attention accuracy {attention:.4f}   {learned}"
    )


if __name__ == "__main__":
    cli.run(main)
