"""One good attention head among eight: does it rescue the others? (paper, section 5.2)

    python multihead.py

Over one base model, heads are drawn from seeds, and each is tried alone. A head is good if the
model learns to copy with it for each of several data seeds, bad if it fails for each. Then models
of eight heads are trained: all bad, one good among bad ones, and random ones (heads 0, 1, ... as
they come). Their learning curves go to ``re_8headcomb.pkl`` as ``(bad, good, random)``, each
``{tuple of head seeds: history}``, a history being lists of equal length (``histories.COLUMNS``).

Every model's curve is kept in the folder of the same name under ``logs/``. A run that was
interrupted goes on from there and ends the same; one of other counts uses what is there.
"""

import math
import pickle
from functools import partial
from pathlib import Path

import numpy as np

from attention_dynamics import cli, storage
from attention_dynamics.cli import InputError
from attention_dynamics.histories import LEARNED, History, kinds_of_combinations, learned_at

from model import build_multihead
from training import (
    Settings,
    Task,
    Way,
    add_settings,
    add_way,
    settings_of,
    train_all,
    way_of_training,
)

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
MAX_HEADS = 32  # of a combination: its file is named after them
AT_ONCE = 16  # heads that are tried together; a number of cores here would change who is tried
KINDS = ("bad", "good", "random")


def parse_args():
    parser = cli.Parser(description="Train copiers of several good, bad and random heads.")
    number = cli.positive_int
    parser.add_argument("--n_heads", type=number, default=8, help="heads of a combination")
    parser.add_argument("--good_heads", type=number, default=20, help="good heads to find")
    parser.add_argument("--bad_heads", type=number, default=20, help="bad heads to find")
    parser.add_argument("--random_heads", type=number, default=30, help="heads to draw from at all")
    parser.add_argument("--samples", type=number, default=50, help="combinations of each kind")
    parser.add_argument("--data_seeds", type=number, default=3, help="trials of a head")
    parser.add_argument("--max_heads", type=number, default=200, help="heads to try, at most")
    parser.add_argument(
        "--learned", type=cli.positive_float, default=LEARNED, help="a good head's token accuracy"
    )
    parser.add_argument(
        "--failed", type=cli.positive_float, default=0.6, help="a bad head's, at the end, is below"
    )
    parser.add_argument("--seed", type=cli.seed, default=0, help="seed of the base model")
    add_settings(parser)
    parser.add_argument(
        "--out_file",
        type=Path,
        default=Path(__file__).resolve().parent / "re_8headcomb.pkl",
        help="learning curves",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few minutes: other defaults, a small model"
    )
    cli.add_folders(parser, __file__, "logs")
    add_way(parser)
    if parser.parse_args().quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args()


def main():
    args = parse_args()
    settings = settings_of(args, no_rep=True)
    if args.random_heads < args.n_heads or args.bad_heads < args.n_heads:
        raise InputError(
            f"--n_heads {args.n_heads} cannot be combined from fewer --bad_heads or --random_heads"
        )
    if args.max_heads < args.good_heads + args.bad_heads:
        raise InputError(f"--max_heads {args.max_heads}: too few for the good and the bad ones")
    if not args.failed <= args.learned < 1:
        raise InputError(
            f"--failed {args.failed} and --learned {args.learned} are not two accuracies, below 1, "
            "the first the smaller one"
        )
    if args.n_heads > MAX_HEADS:
        raise InputError(f"--n_heads {args.n_heads}: {MAX_HEADS} at most")
    folder = args.logs_dir / args.out_file.stem
    if args.out_file.is_dir() or (args.out_file.exists() and not folder.exists()):
        raise InputError(
            f"{args.out_file} is there, but not made by this run: give another --out_file"
        )
    storage.make_folder(args.out_file.parent)
    with way_of_training(args.device, args.way, args.jobs, args.max_heads) as way:
        good, bad = find_heads(args, settings, way, folder)
        chosen = choose_combinations(args, good, bad)
        curves = train_combinations(args, settings, way, folder, chosen)
    content = pickle.dumps(tuple(curves[kind] for kind in KINDS), protocol=5)
    if args.out_file.exists() and args.out_file.read_bytes() == content:
        print(f"{args.out_file} is finished")
    else:
        storage.save_bytes(content, args.out_file)
        print(args.out_file)
    print_table(args, curves)


def find_heads(args, settings: Settings, way: Way, folder: Path) -> tuple[list[int], list[int]]:
    """The first good and the first bad heads, as many as are asked for, by rising seed.

    Raises
    ------
    InputError
        where too few are found to combine.
    """
    context = {"seed": args.seed, "hidden_dim": args.hidden_dim, "learned": args.learned}
    found = {"good": [], "bad": []}
    wanted = {"good": args.good_heads, "bad": args.bad_heads}
    stop = partial(has_learned, threshold=args.learned)
    tried, trained = 0, []
    attention = {}  # at the position that is copied, when a trial ended

    def finished(name: str, history: History) -> None:
        trained.append(name)

    while tried < args.max_heads and any(len(found[fate]) < wanted[fate] for fate in found):
        heads = range(tried, min(tried + AT_ONCE, args.max_heads))
        fates = dict.fromkeys(heads)  # of the trials so far, while they are all alike
        for data_seed in range(args.data_seeds):
            tasks = {
                f"head{head}-data{data_seed}": Task(builder(args, (head,)), data_seed)
                for head in fates
            }
            histories = train_all(tasks, settings, way, folder / "heads", context, stop, finished)
            for head, history in zip(list(fates), histories.values()):
                fate = fate_of(history, args.learned, args.failed)
                if fate is None or fates[head] not in (None, fate):
                    del fates[head]  # neither good nor bad
                elif len(found[fate]) >= wanted[fate]:
                    del fates[head]  # there are enough of its kind
                else:
                    fates[head] = fate
                    attention.setdefault(head, []).append(history["attention_accuracy"][-1])
        for head, fate in fates.items():
            found[fate].append(head)
        tried = heads.stop
        if trained:  # else an earlier run has said so
            cli.say(f"{tried} heads tried: {len(found['good'])} good, {len(found['bad'])} bad")
    good, bad = found["good"][: args.good_heads], found["bad"][: args.bad_heads]
    for fate, heads in (("good", good), ("bad", bad)):
        print(f"{fate} heads: {' '.join(map(str, heads)) or 'none'}")
        at_end = [value for head in heads for value in attention[head]]
        if at_end:  # 0 of a good head: it copies by memory
            print(
                f"  attention at the position after their trials: {np.mean(at_end):.4f} on "
                f"average, {min(at_end):.4f} to {max(at_end):.4f}"
            )
    if len(bad) < args.n_heads or not good:
        raise InputError(
            f"among {tried} heads are {len(good)} good and {len(bad)} bad ones, too few to combine "
            f"{args.n_heads}: try other --steps (more make more good heads, fewer more bad ones), "
            "a larger --max_heads, another --seed, --learned or --failed"
        )
    for fate, heads in (("good", good), ("bad", bad)):
        if len(heads) < wanted[fate]:
            print(f"fewer than {wanted[fate]} {fate} heads among {tried}: going on with these")
    return good, bad


def builder(args, heads: tuple[int, ...]):
    """A function that builds the base with these heads."""
    return partial(build_multihead, args.seed, heads, args.num_vocab, args.hidden_dim)


def has_learned(history: History, threshold: float) -> bool:
    return learned_at(history, threshold) is not None


def fate_of(history: History, learned: float, failed: float) -> str | None:
    """Whether a trial speaks for a good head or for a bad one; None for neither."""
    if has_learned(history, learned):
        return "good"
    return "bad" if history["token_accuracy"][-1] < failed else None


def choose_combinations(args, good: list[int], bad: list[int]) -> dict[str, list[tuple[int, ...]]]:
    """``--samples`` different combinations of each kind, or all there are."""
    n = args.n_heads
    every = {
        "bad": (math.comb(len(bad), n), lambda rng: pick(rng, bad, n)),
        "good": (
            math.comb(len(bad), n - 1) * len(good),
            lambda rng: pick(rng, bad, n - 1) + pick(rng, good, 1),
        ),
        "random": (
            math.comb(args.random_heads, n),
            lambda rng: pick(rng, range(args.random_heads), n),
        ),
    }
    chosen = {}
    for number, (kind, (possible, draw)) in enumerate(every.items()):
        rng = np.random.default_rng([args.seed, number])
        if possible < args.samples:
            print(f"{kind}: there are only {possible} combinations")
        drawn = {}
        while len(drawn) < min(args.samples, possible):
            drawn[draw(rng)] = None
        chosen[kind] = list(drawn)
    return chosen


def pick(rng: np.random.Generator, heads, count: int) -> tuple[int, ...]:
    """``count`` different ones of ``heads``, rising."""
    return tuple(sorted(rng.choice(np.array(heads), count, replace=False).tolist()))


def train_combinations(args, settings: Settings, way: Way, folder: Path, chosen):
    """The learning curves of all combinations: ``{kind: {heads: history}}``.

    The samples of a kind differ in their data too; its seeds are others than the heads were tried
    with.
    """
    tasks, names = {}, {kind: {} for kind in KINDS}
    for kind in KINDS:
        for sample, heads in enumerate(chosen[kind]):
            data_seed = args.data_seeds + sample
            name = f"heads{'-'.join(map(str, heads))}-data{data_seed}"
            tasks[name] = Task(builder(args, heads), data_seed)
            names[kind][heads] = name

    def say(name: str, history: History) -> None:
        kinds = " ".join(kind for kind in KINDS if name in names[kind].values())
        cli.say(f"{kinds:<6} {name}: token accuracy {history['token_accuracy'][-1]:.4f}")

    context = {"seed": args.seed, "hidden_dim": args.hidden_dim}
    histories = train_all(tasks, settings, way, folder / "combinations", context, finished=say)
    return {kind: {heads: histories[name] for heads, name in names[kind].items()} for kind in KINDS}


def print_table(args, curves: dict[str, dict[tuple[int, ...], History]]) -> None:
    """Mean and spread of the final accuracy of each kind, and the mean of its attention's.

    ``attention`` is the share of heads and positions at which attention is highest where it should
    be: of the few heads that do the work in a combination, about their share of all.
    """
    labels = dict(zip(KINDS, kinds_of_combinations([curves[kind] for kind in KINDS])))
    header = ("samples", "mean", "std", "min", "median", "max", "learned", "attention")
    print(f"\n{'token accuracy':<26}" + "".join(f"{name:>10}" for name in header))
    for kind, histories in curves.items():
        values = np.array([history["token_accuracy"][-1] for history in histories.values()])
        learned = sum(has_learned(history, args.learned) for history in histories.values())
        attention = np.mean([history["attention_accuracy"][-1] for history in histories.values()])
        spread = values.std(ddof=1) if len(values) > 1 else np.nan
        numbers = (values.mean(), spread, values.min(), np.median(values), values.max())
        print(
            f"{labels[kind]:<26}{len(values):>10}"
            + "".join(f"{number:10.4f}" for number in numbers)
            + f"{learned:>10}{attention:10.4f}"
        )


if __name__ == "__main__":
    cli.run(main)
