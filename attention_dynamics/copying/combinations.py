"""Combinations of good, bad and random heads on one base model."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from attention_dynamics import cli
from attention_dynamics.copying.heads import Experiment
from attention_dynamics.copying.histories import Combinations, History
from attention_dynamics.copying.many import Task, load_part, train_all
from attention_dynamics.copying.ways import Way

KINDS = ("bad", "good", "random")
FOLDER = "combinations"  # of their learning curves


def choose(
    good: list[int], bad: list[int], random_heads: int, n_heads: int, samples: int, seed: int
) -> dict[str, list[tuple[int, ...]]]:
    """``samples`` different combinations of each kind, or all that exist.

    Those of kind good have one good head; the random ones draw from heads 0 to
    ``random_heads - 1``.
    """
    draws: dict[str, tuple[int, Callable[[np.random.Generator], tuple[int, ...]]]] = {
        "bad": (math.comb(len(bad), n_heads), lambda rng: pick(rng, bad, n_heads)),
        "good": (
            math.comb(len(bad), n_heads - 1) * len(good),
            lambda rng: pick(rng, bad, n_heads - 1) + pick(rng, good, 1),
        ),
        "random": (
            math.comb(random_heads, n_heads),
            lambda rng: pick(rng, range(random_heads), n_heads),
        ),
    }
    chosen = {}
    for number, (kind, (possible, draw)) in enumerate(draws.items()):
        rng = np.random.default_rng([seed, number])
        if possible < samples:
            print(f"{kind}: only {possible} different combinations of {n_heads} heads exist")
        drawn: dict[tuple[int, ...], None] = {}
        while len(drawn) < min(samples, possible):
            drawn[draw(rng)] = None
        chosen[kind] = list(drawn)
    return chosen


def pick(rng: np.random.Generator, heads: Sequence[int], count: int) -> tuple[int, ...]:
    """``count`` different ones of ``heads``, in rising order."""
    return tuple(sorted(rng.choice(np.array(heads), count, replace=False).tolist()))


def train(
    experiment: Experiment, way: Way, chosen: dict[str, list[tuple[int, ...]]], fresh_data: bool
) -> Combinations:
    """The learning curves of the combinations of :func:`choose`.

    All are trained on data seed 0; with ``fresh_data`` each sample of a kind has a data seed of
    its own, on which no head was tried.
    """
    tasks: dict[str, Task] = {}
    names: dict[str, dict[tuple[int, ...], str]] = {kind: {} for kind in KINDS}
    for kind in KINDS:
        for sample, heads in enumerate(chosen[kind]):
            data_seed = experiment.data_seeds + sample if fresh_data else 0
            name = f"heads{'-'.join(map(str, heads))}-data{data_seed}"
            tasks[name] = Task(experiment.builder(experiment.seed, heads), data_seed)
            names[kind][heads] = name

    def say(name: str, history: History) -> None:
        kinds = " ".join(kind for kind in KINDS if name in names[kind].values())
        cli.say(f"{kinds:<6} {name}: token accuracy {history['token_accuracy'][-1]:.4f}")

    folder, context = experiment.folder / FOLDER, context_of(experiment)
    histories = train_all(tasks, experiment.settings, way, folder, context, finished=say)
    return tuple({heads: histories[name] for heads, name in names[kind].items()} for kind in KINDS)


def context_of(experiment: Experiment) -> dict[str, int]:
    return {"seed": experiment.seed, "hidden_dim": experiment.hidden_dim}


def check_kept(experiment: Experiment) -> None:
    """Raise an InputError if combinations of other settings are kept in the experiment's folder.

    Call it before the search for heads, which takes hours.
    """
    if path := next((experiment.folder / FOLDER).glob("*.pkl"), None):
        load_part(path, asdict(experiment.settings) | context_of(experiment))
