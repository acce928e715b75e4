"""The figures of learning curves: token accuracy and attention accuracy over steps."""

from itertools import chain
from typing import Any

import numpy as np

from attention_dynamics.copying.histories import History
from attention_dynamics.views import drawing

PANELS = {"token_accuracy": "token accuracy", "attention_accuracy": "attention accuracy"}
STYLES = [
    (drawing.VERMILION, "-"),
    (drawing.BLUE, "--"),
    (drawing.GREEN, "-."),
    (drawing.PURPLE, ":"),
]


def by_label(results: dict[str, dict[str, Any]]) -> dict[str, list[History]]:
    """The histories of each experiment under its label, which tells its settings.

    Parameters
    ----------
    results : of ``histories.load_experiment``, by the names of the experiments
    """
    settings = [result["settings"] for result in results.values()]
    told = {"n_vocab", "length", "no_rep"}
    others = [  # what else tells the experiments apart
        key
        for key in dict.fromkeys(chain(*settings))
        if key not in told and any(s.get(key) != settings[0].get(key) for s in settings)
    ]
    labelled: dict[str, list[History]] = {}
    for name, result in results.items():
        words = [described(result["settings"])]
        words += [f"{key}={result['settings'][key]}" for key in others if key in result["settings"]]
        label = ", ".join(words)
        labelled[label if label not in labelled else name] = list(result["histories"].values())
    return labelled


def described(settings: dict[str, Any]) -> str:
    """``permutations of 40``, ``40 of 60 tokens``, ``40 of 60 tokens, repeated``."""
    n_vocab, length = settings.get("n_vocab"), settings.get("length")
    if settings.get("no_rep") and n_vocab == length:
        return f"permutations of {length}"
    return f"{length} of {n_vocab} tokens" + ("" if settings.get("no_rep") else ", repeated")


def draw(experiments: dict[str, list[History]], band: bool) -> Any:
    """A figure of token accuracy and attention accuracy over steps.

    Parameters
    ----------
    experiments : histories by label; each label has a bold line, the mean; one without histories
        is left out
    band : show the spread as the range of the middle 80%, or else by a thin line for each history
    """
    figure, axes = drawing.pyplot().subplots(
        1, len(PANELS), figsize=(4.6 * len(PANELS), 3.8), layout="constrained"
    )
    handles: list[Any] = []
    for axis, (column, title) in zip(axes, PANELS.items()):
        handles = []
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
            handles += axis.plot(
                steps,
                values.mean(axis=0),
                color=color,
                linestyle=dashes,
                linewidth=2.2,
                label=f"{label} ({len(curves)} models)",
            )
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
    return figure
