"""The word baseline β^px: fitting it epoch by epoch, and the file it is kept in."""

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attention_dynamics import cli, storage
from attention_dynamics.cli import InputError

SAVE_AFTER = 20  # seconds between saves of an unfinished fit, at least


def load_baseline(path: Path, vocab: list[str], make: str) -> dict[str, Any]:
    """Read a fitted baseline: ``beta`` (an array over words), ``vocab``, ``settings`` and more.

    Raises
    ------
    InputError
        where it is missing or damaged, or was fitted with another vocabulary than ``vocab``.
    """
    baseline = storage.load_pickle(path, make)
    if not isinstance(baseline, dict) or not {"beta", "vocab", "settings"} <= baseline.keys():
        raise InputError(f"{path} is not a word baseline of this version: {make}")
    if baseline["vocab"] != vocab:
        raise InputError(f"{path} was fitted with another vocabulary: {make}")
    return baseline


def is_fitted(path: Path, settings: dict[str, Any]) -> bool:
    """Whether ``path`` holds a finished fit with these settings."""
    if not path.exists():
        return False
    try:
        return storage.load_pickle(path, "")["settings"] == settings
    except (InputError, KeyError, TypeError):
        return False


def fit(
    model,
    optimizer,
    train_epoch: Callable[[int], float],
    validate: Callable[[], float],
    epochs: int,
    path: Path,
    settings: dict[str, Any],
) -> tuple[int, float]:
    """Train for ``epochs`` and leave ``model`` with the weights of the best one.

    The state is kept beside ``path``, so that an interrupted fit goes on from its last save and
    ends the same.

    Parameters
    ----------
    train_epoch : trains on the data once, in the order of the epoch's number; gives the mean loss
    validate : gives the validation loss
    path : where the result will be kept; its unfinished state lies beside it
    settings : a state with other settings is not used

    Returns
    -------
    the best epoch (from 1) and its validation loss
    """
    import torch

    resume_path = unfinished_path(path)
    state = {"epoch": 0, "best_epoch": 0, "best_loss": float("inf"), "best_weights": None}
    if resume_path.exists():
        saved = storage.load_torch(resume_path, f"delete {resume_path}")
        if isinstance(saved, dict) and saved.get("settings") == settings:
            state = saved
            torch.set_num_threads(state["threads"])
            model.load_state_dict(state["weights"])
            optimizer.load_state_dict(state["optimizer"])
            print(f"going on after epoch {state['epoch']}")
    last_save = time.monotonic()
    for epoch in cli.progress_bar(
        range(state["epoch"], epochs), initial=state["epoch"], total=epochs, unit="epoch"
    ):
        train_loss = train_epoch(epoch)
        loss = validate()
        cli.say(f"epoch {epoch + 1:3d}   train loss {train_loss:.4f}   validation loss {loss:.4f}")
        state["epoch"] = epoch + 1
        if loss < state["best_loss"]:
            best = {"best_epoch": epoch + 1, "best_loss": loss}
            state |= best | {"best_weights": copy.deepcopy(model.state_dict())}
        if time.monotonic() - last_save > SAVE_AFTER and epoch + 1 < epochs:
            state |= {
                "settings": settings,
                "threads": torch.get_num_threads(),
                "weights": model.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            storage.save_torch(state, resume_path)
            last_save = time.monotonic()
    if state["best_weights"] is None:
        raise InputError("the validation loss is not a number: try a smaller --lr")
    model.load_state_dict(state["best_weights"])
    return state["best_epoch"], state["best_loss"]


def unfinished_path(path: Path) -> Path:
    return path.with_suffix(".resume.pt")


def save_baseline(path: Path, baseline: dict[str, Any]) -> None:
    """Write a finished fit, and remove its unfinished state."""
    storage.save_pickle(baseline, path)
    unfinished_path(path).unlink(missing_ok=True)
