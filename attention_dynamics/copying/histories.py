"""Learning curves of copiers: what they hold, and reading those of seq2seq.py and multihead.py."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from attention_dynamics.cli import InputError
from attention_dynamics.files import storage
from attention_dynamics.files.forms import Each, fits, number

LEARNED = 0.95  # token accuracy over which a model has learned to copy

History = dict[str, list]  # lists of equal length under these names
Stop = Callable[[History], bool]  # asked after an evaluation: whether training ends there
Combinations = tuple[dict[tuple[int, ...], History], ...]  # by head seeds: bad, good, random ones
COLUMNS = (
    "step",  # updates made
    "loss",  # mean training loss since the evaluation before, NaN if there was no update
    "token_accuracy",
    "attention_accuracy",
    "attention_accuracy_before",
    "attention_accuracy_after",
    "attention_accuracy_heads",  # attention_accuracy of each head, a list
)
FORM = {column: [number] for column in COLUMNS} | {"attention_accuracy_heads": [[number]]}


def history_of(rows: Iterable[dict[str, Any]]) -> History:
    """The history of evaluations, each a dict with an entry for every column."""
    rows = list(rows)
    return {column: [row[column] for row in rows] for column in COLUMNS}


def learned_at(history: History, threshold: float = LEARNED) -> int | None:
    """The first evaluated step with a token accuracy over ``threshold``; None if there is none."""
    return first_over(history, "token_accuracy", threshold)


def first_over(history: History, column: str, threshold: float) -> int | None:
    """The first evaluated step with a value over ``threshold`` in a column; None if none has."""
    for step, value in zip(history["step"], history[column]):
        if value > threshold:
            return step
    return None


def has_learned(history: History, threshold: float = LEARNED) -> bool:
    return learned_at(history, threshold) is not None


def is_history(value: Any) -> bool:
    """Whether ``value`` is a history with at least one evaluation."""
    return (
        fits(value, FORM)
        and value.keys() == FORM.keys()
        and len({len(column) for column in value.values()}) == 1
        and bool(value["step"])
        and all(value["attention_accuracy_heads"])
    )


def are_curves(histories: Iterable[Any]) -> bool:
    """Whether these are histories, at least one, all evaluated at the same steps."""
    histories = list(histories)
    return (
        bool(histories)
        and all(map(is_history, histories))
        and all(history["step"] == histories[0]["step"] for history in histories)
    )


def load_experiment(path: Path, do: str = "seq2seq.py writes them") -> dict[str, Any]:
    """What seq2seq.py wrote: ``settings``, and ``histories`` by seed.

    Raises
    ------
    InputError
        if the file is missing or holds something else; it ends with ``do``.
    """
    results = storage.load_pickle(path, do)
    whole = fits(results, {"settings": dict, "histories": dict})
    if not whole or not are_curves(results["histories"].values()):
        raise InputError(f"{path} does not hold learning curves: {do}")
    return results


def load_combinations(path: Path) -> Combinations:
    """What multihead.py wrote: the curves of bad, good and random combinations of heads.

    A kind is empty if too few heads were found to combine.

    Raises
    ------
    InputError
        if the file is missing or holds something else.
    """
    do = "multihead.py writes them"
    curves = storage.load_pickle(path, do)
    whole = fits(curves, (Each(tuple, dict),) * 3) and any(curves)
    if not whole or not all(are_curves(kind.values()) for kind in curves if kind):
        raise InputError(f"{path} does not hold learning curves: {do}")
    return curves


def kinds_of_combinations(curves: Combinations) -> list[str]:
    """What to call the bad, the good and the random combinations."""
    n_heads = len(next(heads for kind in curves for heads in kind))
    return [f"{n_heads} bad heads", f"1 good, {n_heads - 1} bad heads", f"{n_heads} random heads"]
