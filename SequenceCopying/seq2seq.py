"""Train copiers from several seeds, and tell how many of them learn to copy.

    python seq2seq.py --no_rep
    python seq2seq.py --no_rep num_vocab=60

Every seed's learning curve is kept in ``logs/<experiment>.pkl``: ``{"settings": {...},
"histories": {seed: history}}``, a history being lists of equal length (``histories.COLUMNS``). A
run that was interrupted goes on from its last save and ends the same.
"""

import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.copying.histories import (
    COLUMNS,
    LEARNED,
    History,
    learned_at,
    load_experiment,
)
from attention_dynamics.copying.model import build_copier
from attention_dynamics.copying.training import (
    Task,
    add_settings,
    add_way,
    check_settings,
    settings_of,
    train_all,
    way_of_training,
)
from attention_dynamics.files import storage


def parse_args():
    parser = cli.Parser(
        description="Train copiers from several seeds. name=value is taken for --name value."
    )
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
        help="standard deviation of initial embeddings; 1 is PyTorch's",
    )
    add_settings(parser)
    parser.add_argument(
        "--seeds", type=cli.positive_int, default=20, help="how many models to train"
    )
    parser.add_argument(
        "--exp_name",
        type=cli.file_name,
        help="name of the results (default: made from the settings that differ from theirs)",
    )
    cli.add_folders(parser, __file__, "logs")
    add_way(parser)
    args, rest = parser.parse_known_args()
    rest = [f"--{word}" if re.match(r"\w+=", word) else word for word in rest]
    args = parser.parse_args(rest, args)
    if args.exp_name is None:
        args.exp_name = name_of({name: getattr(args, name) for name in NAMED}, parser.get_default)
    return args


# the settings that the results are named after
NAMED = (
    *("no_rep", "num_vocab", "seq_length", "bi", "uniform", "no_context", "no_eos", "no_bias"),
    *("hidden_dim", "embedding_std", "bsize", "steps", "eval_every", "lr"),
)


def name_of(settings: dict[str, Any], default) -> str:
    """``seq2seq,no_rep,num_vocab=60``: the settings that differ from their defaults."""
    different = {name: value for name, value in settings.items() if value != default(name)}
    words = [name if value is True else f"{name}={value}" for name, value in different.items()]
    return ",".join(["seq2seq", *words])


def main():
    args = parse_args()
    settings = settings_of(args, args.no_rep, first_eval=1, no_eos=args.no_eos)
    names = ("hidden_dim", "bi", "uniform", "no_context", "no_bias", "embedding_std")
    sizes = {name: getattr(args, name) for name in names}
    path = args.logs_dir / f"{args.exp_name}.pkl"
    parts = args.logs_dir / f"{args.exp_name}.parts"
    seeds = range(args.seeds)

    histories = load_histories(path, vars(settings) | sizes) if path.exists() else {}
    missing = [seed for seed in seeds if seed not in histories]
    if not missing:
        print(f"{path} is finished: {len(seeds)} seeds")
        print_table([histories[seed] for seed in seeds])
        return

    def say(name: str, history: History) -> None:
        step = learned_at(history)
        learned = "has not learned to copy" if step is None else f"copies from step {step}"
        accuracy, attention = history["token_accuracy"][-1], history["attention_accuracy"][-1]
        cli.say(
            f"{name:<7} token accuracy {accuracy:.4f}   attention accuracy {attention:.4f}   "
            f"{learned}"
        )

    build = partial(build_copier, n_vocab=args.num_vocab, **sizes)
    tasks = {f"seed{seed}": Task(partial(build, seed), seed) for seed in missing}
    with way_of_training(args.device, args.way, args.jobs, len(tasks)) as way:
        print(path)
        trained = train_all(tasks, settings, way, parts, sizes, finished=say)
    if path.exists():  # another run may have added seeds meanwhile
        histories = load_histories(path, vars(settings) | sizes)
    histories |= {seed: trained[f"seed{seed}"] for seed in missing}
    histories = dict(sorted(histories.items()))
    storage.save_pickle({"settings": vars(settings) | sizes, "histories": histories}, path)
    shutil.rmtree(parts, ignore_errors=True)
    print_table([histories[seed] for seed in seeds])


def load_histories(path: Path, settings: dict[str, Any]) -> dict[int, History]:
    """The histories that an earlier run with these settings has left.

    Raises
    ------
    InputError
        where the file is damaged or of other settings.
    """
    results = load_experiment(path, "delete it to train again")
    check_settings(results["settings"], settings, path)
    # the same strings as those of histories that are added: the file then has the same bytes
    return {
        seed: {column: history[column] for column in COLUMNS}
        for seed, history in results["histories"].items()
    }


def print_table(histories: list[History]) -> None:
    """How many learned to copy, and quantiles over seeds of what they ended with."""
    steps = [step for step in map(learned_at, histories) if step is not None]
    when = f", half of them by step {np.median(steps):g}" if steps else ""
    print(
        f"\n{len(steps)} of {len(histories)} seeds learned to copy "
        f"(token accuracy over {LEARNED}){when}"
    )
    print(f"{'':<30}" + "".join(f"{name:>8}" for name in ("min", "25%", "median", "75%", "max")))
    rows = {
        "token accuracy": "token_accuracy",
        "attention at the position": "attention_accuracy",
        "attention one before": "attention_accuracy_before",
        "attention one after": "attention_accuracy_after",
    }
    for label, column in rows.items():
        values = np.quantile(
            [history[column][-1] for history in histories], [0, 0.25, 0.5, 0.75, 1]
        )
        print(f"{label:<30}" + "".join(f"{value:8.4f}" for value in values))


if __name__ == "__main__":
    cli.run(main)
