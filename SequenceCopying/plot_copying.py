"""Draw the learning curves of seq2seq.py and of multihead.py.

    python plot_copying.py
    python plot_copying.py --experiments seq2seq,no_rep seq2seq,no_rep,bi --name bi

By itself it draws what the published commands have left: permutations of 40 against 40 of 60
tokens (``outputs/copying.png``), and the three combinations of heads
(``outputs/copying_heads.png``), each as PDF too; and it says what is missing.
"""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.copying import histories
from attention_dynamics.copying.histories import History
from attention_dynamics.views import figures

PUBLISHED = {
    "seq2seq,no_rep": "python seq2seq.py --no_rep",
    "seq2seq,no_rep,num_vocab=60": "python seq2seq.py --no_rep num_vocab=60",
}
COMBINATIONS = Path(__file__).resolve().parent / "re_8headcomb.pkl"
PANELS = {"token_accuracy": "token accuracy", "attention_accuracy": "attention accuracy"}
STYLES = [
    (figures.VERMILION, "-"),
    (figures.BLUE, "--"),
    (figures.GREEN, "-."),
    (figures.PURPLE, ":"),
]


def parse_args():
    parser = cli.Parser("Draw the learning curves of seq2seq.py and of multihead.py.")
    parser.add_argument(
        "--experiments",
        nargs="+",
        metavar="NAME",
        help=f"names of results in the folder of the logs, up to {len(STYLES)}; by itself: "
        + " ".join(PUBLISHED),
    )
    parser.add_argument(
        "--combinations",
        type=Path,
        help="what multihead.py wrote; by itself, unless --experiments are named, "
        f"{COMBINATIONS.name} beside this script",
    )
    parser.add_argument(
        "--name",
        type=cli.file_name,
        default="copying",
        help="of the figures: NAME.png, NAME_heads.png, and as .pdf",
    )
    cli.add_folders(parser, __file__, "logs", "outputs")
    return parser.parse_args()


def main():
    args = parse_args()
    if len(args.experiments or ()) > len(STYLES):
        raise InputError(f"--experiments: {len(STYLES)} at most")
    logs = {name: args.logs_dir / f"{name}.pkl" for name in args.experiments or PUBLISHED}
    combinations = args.combinations or COMBINATIONS
    missing = []
    if args.experiments is None:
        if args.combinations is not None:
            logs = {}
        missing += [
            f'{path} is missing: run "{PUBLISHED[name]}"'
            for name, path in logs.items()
            if not path.exists()
        ]
        logs = {name: path for name, path in logs.items() if path.exists()}
        if args.combinations is None and not combinations.exists():
            missing.append(f'{combinations} is missing: run "python multihead.py"')
            combinations = None
    elif args.combinations is None:
        combinations = None
    if not logs and combinations is None:
        raise InputError("there is nothing to draw: " + "; ".join(missing))

    results = {name: histories.load_experiment(path) for name, path in logs.items()}
    curves = None if combinations is None else histories.load_combinations(combinations)
    for line in missing:
        print(line)
    if results:
        draw(args, args.name, seeds_of(results), band=False)
    if curves is not None:
        kinds = histories.kinds_of_combinations(curves)
        named = {kind: list(found.values()) for kind, found in zip(kinds, curves)}
        draw(args, f"{args.name}_heads", named, band=True)


def seeds_of(results: dict[str, dict[str, Any]]) -> dict[str, list[History]]:
    """The histories of each experiment, by what to call it."""
    settings = [result["settings"] for result in results.values()]
    told = {"n_vocab", "length", "no_rep"}
    # what else tells the experiments apart
    others = [
        key
        for key in dict.fromkeys(chain(*settings))
        if key not in told and any(s.get(key) != settings[0].get(key) for s in settings)
    ]
    named = {}
    for name, result in results.items():
        words = [described(result["settings"])]
        words += [f"{key}={result['settings'][key]}" for key in others if key in result["settings"]]
        label = ", ".join(words)
        named[label if label not in named else name] = list(result["histories"].values())
    return named


def described(settings: dict[str, Any]) -> str:
    """``permutations of 40``, ``40 of 60 tokens``, ``40 of 60 tokens, repeated``."""
    n_vocab, length = settings.get("n_vocab"), settings.get("length")
    if settings.get("no_rep") and n_vocab == length:
        return f"permutations of {length}"
    return f"{length} of {n_vocab} tokens" + ("" if settings.get("no_rep") else ", repeated")


def draw(args, name: str, experiments: dict[str, list[History]], band: bool) -> None:
    """Draw token accuracy and attention accuracy over steps, and write ``<name>.png`` and .pdf.

    Parameters
    ----------
    experiments : histories by label; each label has a bold line, the mean; one without histories
        is left out
    band : show the spread as the range of the middle 80%, or by a thin line for each history
    """
    figure, axes = figures.pyplot().subplots(
        1, len(PANELS), figsize=(4.6 * len(PANELS), 3.8), layout="constrained"
    )
    handles = []
    for axis, (column, title) in zip(axes, PANELS.items()):
        drawn = []
        for (label, curves), (color, dashes) in zip(experiments.items(), STYLES):
            if not curves:
                continue
            steps = curves[0]["step"]
            values = np.array([history[column] for history in curves])  # (curves, steps)
            if band:
                low, high = np.quantile(values, [0.1, 0.9], axis=0)
                axis.fill_between(steps, low, high, color=color, alpha=0.15, linewidth=0)
            else:
                axis.plot(steps, values.T, color=color, linewidth=0.7, alpha=0.45)
            drawn += axis.plot(
                steps,
                values.mean(axis=0),
                color=color,
                linestyle=dashes,
                linewidth=2.2,
                label=f"{label} ({len(curves)} models)",
            )
        handles = drawn
        axis.margins(x=0)
        axis.set_ylim(-0.02, 1.02)
        axis.set_xlabel("step")
        axis.set_ylabel(title)
        axis.grid(color="#DDDDDD", linewidth=0.5)
        axis.set_axisbelow(True)
    spread = "band: the middle 80%" if band else "thin: each seed"
    figure.legend(
        handles=handles,
        title=f"bold: mean, {spread}",
        title_fontsize=8,
        loc="outside lower center",
        ncols=len(handles),
        fontsize=8,
        frameon=False,
    )
    figures.save(figure, args.outputs_dir / name, ["png", "pdf"])


if __name__ == "__main__":
    cli.run(main)
