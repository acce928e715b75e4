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
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.copying.histories import LEARNED, History, kinds_of_combinations, learned_at
from attention_dynamics.copying.model import build_multihead
from attention_dynamics.copying.training import (
    PART_TYPES,
    Settings,
    Task,
    Way,
    add_settings,
    add_way,
    check_part,
    settings_of,
    train_all,
    way_of_training,
)
from attention_dynamics.files import storage

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
AT_ONCE = 8  # heads tried together, at least; progress is printed after each group
SURVEYED = 16  # heads that --base_seeds tries on each base
COMBINATIONS = "combinations"  # the folder of their learning curves
KINDS = ("bad", "good", "random")
FATES = ("good", "bad", "neither", "not tried further")


def parse_args():
    parser = cli.Parser(description="Train copiers of several good, bad and random heads.")
    number = cli.positive_int
    parser.add_argument("--n_heads", type=number, default=8, help="heads of a combination")
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
        default=0.6,
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
    # Kept combinations of other settings: stop now, not after hours of search.
    if path := next((folder / COMBINATIONS).glob("*.pkl"), None):
        part = storage.load_pickle(path, f"delete {folder} to train again")
        check_part(part, path, asdict(settings) | combination_context(args), PART_TYPES)
    with way_of_training(args.device, args.way, args.jobs) as way:
        if args.base_seeds:
            survey(args, settings, way, folder)
            return
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

    Fewer where ``--max_heads`` ends the search.
    """
    wanted = {"good": args.good_heads, "bad": args.bad_heads}
    found = {fate: [] for fate in FATES}
    attention = {}  # at the position that is copied, when a head's trials ended
    at_once = max(AT_ONCE, way.at_once)  # does not change which heads are found
    limit = args.max_heads or math.inf
    seconds, timed = 0.0, 0  # heads that were tried now, and the time they took
    tried = 0
    while (
        lacking := [fate for fate in wanted if len(found[fate]) < wanted[fate]]
    ) and tried < limit:
        heads = range(tried, min(tried + at_once, limit))
        trained, start = [], time.monotonic()

        def finished(name: str, history: History, trained=trained) -> None:
            trained.append(name)

        trials = try_heads(args, settings, way, folder, args.seed, heads, lacking, finished)
        for head, histories in trials.items():
            found[fate_of_head(args, histories)].append(head)
            attention[head] = [history["attention_accuracy"][-1] for history in histories]
        tried = heads.stop
        if trained:  # otherwise all trials were kept ones: nothing new to report
            seconds, timed = seconds + time.monotonic() - start, timed + len(heads)
            rest = time_left(found, wanted, tried, seconds / timed)
            cli.say(f"{tried} heads tried: {counts_of(found)}{rest}")
    print(f"of {tried} heads: {counts_of(found)}")
    for fate in wanted:
        found[fate] = found[fate][: wanted[fate]]
        print(f"{fate} heads: {' '.join(map(str, found[fate])) or 'none'}")
        at_end = [value for head in found[fate] for value in attention[head]]
        if at_end:  # near 0 for a good head: it copies without attention at the position
            print(
                f"  attention at the position after their trials: {np.mean(at_end):.4f} on "
                f"average, {min(at_end):.4f} to {max(at_end):.4f}"
            )
        if len(found[fate]) < wanted[fate]:
            print(
                f"  fewer than the {wanted[fate]} wanted: a larger --max_heads continues the search"
            )
    return found["good"], found["bad"]


def counts_of(found: dict[str, list[int]]) -> str:
    return ", ".join(f"{len(heads)} {fate}" for fate, heads in found.items())


def time_left(
    found: dict[str, list[int]], wanted: dict[str, int], tried: int, seconds: float
) -> str:
    """How long the search will go on if heads go on as so far, at ``seconds`` a head."""
    lacking = {fate: count - len(found[fate]) for fate, count in wanted.items()}
    lacking = {fate: count for fate, count in lacking.items() if count > 0}
    none_yet = [fate for fate in lacking if not found[fate]]
    if not lacking:
        return ""
    if none_yet:
        return (
            f"; no {' and no '.join(none_yet)} head yet, so the time left is unknown "
            f"(--max_heads {tried} stops here and combines what was found)"
        )
    heads = max(count * tried / len(found[fate]) for fate, count in lacking.items())
    minutes = max(1, round(heads * seconds / 60))
    hours = f"{minutes // 60} h " if minutes >= 60 else ""
    return f"; at this rate about {hours}{minutes % 60} min for the rest"


def try_heads(
    args,
    settings: Settings,
    way: Way,
    folder: Path,
    base: int,
    heads: Iterable[int],
    lacking: Sequence[str],
    finished: Callable[[str, History], None] | None = None,
) -> dict[int, list[History]]:
    """Train the base with each of ``heads`` alone, on one data seed after the other.

    Parameters
    ----------
    lacking : the kinds, good or bad, that are looked for: a head goes on to its next trial as long
        as all its trials so far speak for one of these
    finished : called with the name and history of every trial that was not kept already

    Returns
    -------
    the histories of each head's trials
    """
    context = {"seed": base, "hidden_dim": args.hidden_dim, "learned": args.learned}
    stop = partial(has_learned, threshold=args.learned)
    trials: dict[int, list[History]] = {head: [] for head in heads}
    for data_seed in range(args.data_seeds):
        names = {
            f"head{head}-data{data_seed}": head
            for head, histories in trials.items()
            if data_seed == 0 or fates_of(args, histories) in ({fate} for fate in lacking)
        }
        tasks = {
            name: Task(builder(args, base, (head,)), data_seed) for name, head in names.items()
        }
        found = train_all(
            tasks,
            settings,
            way,
            folder / f"heads-base{base}",
            context,
            stop,
            finished,
        )
        for name, head in names.items():
            trials[head].append(found[name])
    return trials


def builder(args, base: int, heads: tuple[int, ...]):
    """A function that builds the base model with these heads."""
    return partial(build_multihead, base, heads, args.num_vocab, args.hidden_dim)


def has_learned(history: History, threshold: float) -> bool:
    return learned_at(history, threshold) is not None


def fates_of(args, histories: list[History]) -> set[str]:
    """What a head's trials speak for: good, bad, neither."""
    return {
        "good"
        if has_learned(history, args.learned)
        else "bad"
        if history["token_accuracy"][-1] < args.failed
        else "neither"
        for history in histories
    }


def fate_of_head(args, histories: list[History]) -> str:
    """One of ``FATES``.

    "not tried further": its trials agree, but enough heads of that kind were already found.
    """
    fates = fates_of(args, histories)
    if len(fates) > 1 or fates == {"neither"}:
        return "neither"
    return fates.pop() if len(histories) == args.data_seeds else FATES[-1]


def survey(args, settings: Settings, way: Way, folder: Path) -> None:
    """Try the first heads on several bases: how many are good and bad, and how others fail.

    Every trial's learning curve goes to ``survey.csv`` in ``folder``.
    """
    columns = ["token_accuracy"] + [f"attention_accuracy{x}" for x in ("", "_before", "_after")]
    lines = [",".join(["base", "head", "data_seed", "step", *columns])]
    counts, failing = [], []
    for base in args.base_seeds:
        heads = range(args.max_heads or SURVEYED)
        trials = try_heads(args, settings, way, folder, base, heads, ("good", "bad"))
        fates = [fate_of_head(args, histories) for histories in trials.values()]
        counts.append([base, len(fates), *map(fates.count, FATES[:3])])
        cli.say(
            f"base {base}: {len(fates)} heads tried: "
            + ", ".join(f"{fates.count(fate)} {fate}" for fate in FATES[:3])
        )
        for head, histories in trials.items():
            for data_seed, history in enumerate(histories):
                for row in zip(history["step"], *(history[column] for column in columns)):
                    values = ",".join(f"{value:.4f}" for value in row[1:])
                    lines.append(f"{base},{head},{data_seed},{row[0]},{values}")
                if not has_learned(history, args.learned):
                    failing.append(([base, head, data_seed], history))
    storage.save_text("\n".join(lines) + "\n", folder / "survey.csv")

    print(f"\n{'base':>6}{'heads':>7}" + "".join(f"{fate:>9}" for fate in FATES[:3]))
    totals = ["all", *np.sum([row[1:] for row in counts], axis=0)]
    for base, tried, *by_fate in [*counts, totals]:
        print(f"{base:>6}{tried:>7}" + "".join(f"{count:>9}" for count in by_fate))
    if failing:
        n = len(settings.evaluations)
        shown = sorted({round(part * (n - 1) / 5) for part in range(1, 6)})
        print(
            "\nTrials that never pass. Left: attention at the position, by step. Right, after the"
        )
        print("last step: attention one position before and one after, and token accuracy.")
        header = "".join(f"{settings.evaluations[i]:>8}" for i in shown)
        print(f"{'base':>6}{'head':>6}{'data':>6} |{header} |{'before':>8}{'after':>8}{'token':>8}")
        for names, history in failing:
            curve = "".join(f"{history['attention_accuracy'][i]:8.4f}" for i in shown)
            at_end = [history[column][-1] for column in (*columns[2:], columns[0])]
            print(
                "".join(f"{name:>6}" for name in names)
                + f" |{curve} |"
                + "".join(f"{value:8.4f}" for value in at_end)
            )
    print(f"\n{folder / 'survey.csv'}")


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
            print(f"{kind}: only {possible} different combinations of {n} heads exist")
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

    All are trained on data seed 0; with ``--fresh_data`` each sample of a kind has a data seed of
    its own, which no head was tried with.
    """
    tasks, names = {}, {kind: {} for kind in KINDS}
    for kind in KINDS:
        for sample, heads in enumerate(chosen[kind]):
            data_seed = args.data_seeds + sample if args.fresh_data else 0
            name = f"heads{'-'.join(map(str, heads))}-data{data_seed}"
            tasks[name] = Task(builder(args, args.seed, heads), data_seed)
            names[kind][heads] = name

    def say(name: str, history: History) -> None:
        kinds = " ".join(kind for kind in KINDS if name in names[kind].values())
        cli.say(f"{kinds:<6} {name}: token accuracy {history['token_accuracy'][-1]:.4f}")

    context = combination_context(args)
    histories = train_all(tasks, settings, way, folder / COMBINATIONS, context, finished=say)
    return {kind: {heads: histories[name] for heads, name in names[kind].items()} for kind in KINDS}


def combination_context(args) -> dict[str, int]:
    return {"seed": args.seed, "hidden_dim": args.hidden_dim}


def print_table(args, curves: dict[str, dict[tuple[int, ...], History]]) -> None:
    """Mean and spread of the final accuracy of each kind, and the mean of its attention's.

    ``attention`` is the share of heads and positions at which attention is highest where it should
    be: of the few heads that do the work in a combination, about their share of all.
    """
    labels = dict(zip(KINDS, kinds_of_combinations([curves[kind] for kind in KINDS])))
    header = ("samples", "mean", "std", "min", "median", "max", "learned", "attention")
    print(f"\n{'token accuracy':<26}" + "".join(f"{name:>10}" for name in header))
    for kind, histories in curves.items():
        if not histories:
            print(f"{labels[kind]:<26}{0:>10}")
            continue
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
