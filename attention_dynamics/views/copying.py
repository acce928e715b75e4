"""The figures of learning curves: token accuracy and attention accuracy over steps."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from attention_dynamics.copying.histories import LEARNED, History, has_learned
from attention_dynamics.copying.tables import SHOWN, histories_by
from attention_dynamics.views.drawing import (
    BLUE,
    VERMILION,
    Columns,
    Rows,
    Style,
    figure_width,
    plain,
    pyplot,
)

PANELS = {"token_accuracy": "token accuracy", "attention_accuracy": "attention accuracy"}
# whether a model has learned to copy: what to call it, and how its curve is drawn
OUTCOMES = {True: ("learned to copy", BLUE, "-"), False: ("did not learn", VERMILION, "--")}
CAPTION = (
    "learning curves. Blue: models that learned to copy; orange: models that did not. Thin: each "
    "model; thick: their mean."
)
LAW_CAPTION = (
    "updates until a model copies, and until attention is at the position that is copied, by "
    "length. Small: each seed; open: a seed that does not get there by the last update; large: the "
    "median; lines: the fitted power law."
)

COLUMNS: Columns = {
    str: ("experiment", "model"),
    bool: ("learned",),
    int: ("step",),
    float: tuple(SHOWN),
}

Histories = Mapping[Any, History]  # by seed, or by the seeds of the heads


def by_label(results: dict[str, dict[str, Any]]) -> dict[str, Histories]:
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
    labelled: dict[str, Histories] = {}
    for name, result in results.items():
        words = [described(result["settings"])]
        words += [f"{key}={result['settings'][key]}" for key in others if key in result["settings"]]
        label = ", ".join(words)
        labelled[label if label not in labelled else name] = result["histories"]
    return labelled


def described(settings: dict[str, Any]) -> str:
    """``permutations of 40``, ``40 of 60 tokens``, ``40 of 60 tokens, repeated``."""
    n_vocab, length = settings.get("n_vocab"), settings.get("length")
    if settings.get("no_rep") and n_vocab == length:
        return f"permutations of {length}"
    return f"{length} of {n_vocab} tokens" + ("" if settings.get("no_rep") else ", repeated")


def rows_of(experiments: Mapping[str, Histories]) -> Rows:
    """A row for each experiment, model and step; models that learned to copy and others apart.

    Both have means of their own: a mean of both would be the curve of no model. An experiment
    without histories is left out.
    """
    rows: Rows = []
    for label, histories in experiments.items():
        for outcome in OUTCOMES:
            group = {name: h for name, h in histories.items() if has_learned(h) is outcome}
            if not group:
                continue
            means = {
                column: np.mean([h[column] for h in group.values()], axis=0) for column in SHOWN
            }
            for name, curves in [*group.items(), ("mean", means)]:
                model = {"experiment": label, "learned": outcome, "model": numbered(name)}
                rows += [
                    model | {"step": step} | {column: float(curves[column][i]) for column in SHOWN}
                    for i, step in enumerate(next(iter(group.values()))["step"])
                ]
    return rows


def histories_of(rows: Rows, experiment: str) -> list[History]:
    """The models' histories in :func:`rows_of`: their steps and the columns that are shown."""
    models = (row for row in rows if row["experiment"] == experiment and row["model"] != "mean")
    return list(histories_by(models, "model").values())


def draw(rows: Rows, _style: Style) -> Any:
    """Token accuracy and attention accuracy over steps: a row of panels for each experiment."""
    plt = pyplot()
    shown = list(dict.fromkeys(row["experiment"] for row in rows))
    figure, axes = plt.subplots(
        len(shown),
        len(PANELS),
        figsize=(figure_width(), 0.8 + 1.6 * len(shown)),
        sharex="row",
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    handles: dict[bool, Any] = {}
    for line, label in zip(axes, shown):
        counts = dict.fromkeys(OUTCOMES, 0)
        for outcome, (words, color, dashes) in OUTCOMES.items():
            group = [row for row in rows if (row["experiment"], row["learned"]) == (label, outcome)]
            if not group:
                continue
            steps = list(dict.fromkeys(row["step"] for row in group))
            means = [row for row in group if row["model"] == "mean"]
            models = [row for row in group if row["model"] != "mean"]
            for axis, column in zip(line, PANELS):
                values = np.array([row[column] for row in models]).reshape(-1, len(steps))
                axis.plot(steps, values.T, color=color, linewidth=0.5, alpha=0.4)
                (handles[outcome],) = axis.plot(
                    *(steps, [row[column] for row in means]),
                    color=color,
                    linestyle=dashes,
                    linewidth=2,
                    label=words,
                )
                counts[outcome] = len(values)
        learned = f"{counts[True]} of {sum(counts.values())} learned"
        line[0].set_title(f"{plain(label)}: {learned}", loc="left")
        for axis, title in zip(line, PANELS.values()):
            axis.margins(x=0)
            axis.set_ylim(-0.03, 1.03)
            axis.set_ylabel(title)
    for axis in axes[-1]:
        axis.set_xlabel("training step")
    figure.legend(
        handles=[handles[outcome] for outcome in OUTCOMES if outcome in handles],
        title=f"learned: token accuracy above {LEARNED};\nthin: each model; thick: their mean",
        loc="outside lower center",
        ncols=2,
        handlelength=3,
    )
    return figure


def numbered(name: int | str | tuple[int, ...]) -> str:
    """A seed or "mean", or the seeds of the heads with spaces between."""
    return " ".join(map(str, name)) if isinstance(name, tuple) else str(name)
