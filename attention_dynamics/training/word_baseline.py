"""The word baseline β^px: fitting it epoch by epoch, and the file it is kept in."""

import argparse
import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.files import storage

SAVE_AFTER = 20  # seconds between saves of an unfinished fit, at least


def parser(datasets: list[str], lr: float) -> cli.Parser:
    """The flags that both ``embedding_beta.py`` have; ``lr`` is the default of Adam's rate."""
    parser = cli.Parser(description="Fit the word baseline beta^px.")
    cli.add_dataset(parser, datasets)
    parser.add_argument("--bsize", type=cli.positive_int, default=64, help="batch size")
    parser.add_argument("--epochs", type=cli.positive_int, default=30, help="epochs to train for")
    parser.add_argument(
        "--embed_dim", type=cli.positive_int, default=256, help="dimension of the embeddings"
    )
    parser.add_argument("--lr", type=cli.positive_float, default=lr, help="Adam's rate")
    parser.add_argument("--seed", type=cli.seed, default=0, help="seed of the fit")
    return parser


def settings_of(args: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """What tells whether a fit is the one asked for: the flags of :func:`parser`, and ``more``."""
    names = ("bsize", "epochs", "embed_dim", "lr", "seed")
    return {name: getattr(args, name) for name in names} | more


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
    """Whether ``path`` holds a finished fit with these settings; one with others is announced."""
    if not path.exists():
        return False
    try:
        found = storage.load_pickle(path, "")["settings"]
        changed = [
            "other data" if key == "data" else f"{key} {found.get(key)}, now {settings.get(key)}"
            for key in {**settings, **found}
            if found.get(key) != settings.get(key)
        ]
    except (InputError, KeyError, TypeError):
        return False
    if changed:
        print(f"{path} holds a fit with other settings ({'; '.join(changed)}): fitting again")
    return not changed


def fit(
    model,
    losses: Callable[[Any, np.ndarray], Iterator],
    train,
    validation,
    vocab: list[str],
    path: Path,
    settings: dict[str, Any],
) -> None:
    """Fit ``model`` and write its ``beta()`` of the epoch with the lowest validation loss.

    The state is kept beside ``path``, so that an interrupted fit goes on from its last save and
    ends the same.

    Parameters
    ----------
    losses : of (sentences, their order): the summed loss of each batch, a tensor
    train, validation : the sentences to fit and those to choose the epoch by
    vocab : the words that β is over
    path : where the result goes
    settings : of :func:`settings_of`; an unfinished state with other settings is not used
    """
    import torch

    optimizer = torch.optim.Adam(model.parameters(), lr=settings["lr"], fused=True)

    def train_epoch(epoch: int) -> float:
        order = np.random.default_rng([settings["seed"], epoch]).permutation(len(train))
        total = 0.0
        for loss in losses(train, order):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / len(train)

    @torch.no_grad()
    def validate() -> float:
        in_order = np.arange(len(validation))
        return sum(loss.item() for loss in losses(validation, in_order)) / len(validation)

    epochs = settings["epochs"]
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
    epoch, loss = state["best_epoch"], state["best_loss"]
    baseline = {
        "beta": model.beta(),
        "vocab": vocab,
        "settings": settings,
        "epoch": epoch,
        "val_loss": loss,
    }
    save_baseline(path, baseline)
    print(f"{path}: epoch {epoch}, validation loss {loss:.4f}")


def unfinished_path(path: Path) -> Path:
    return path.with_suffix(".resume.pt")


def save_baseline(path: Path, baseline: dict[str, Any]) -> None:
    """Write a finished fit, and remove its unfinished state."""
    storage.save_pickle(baseline, path)
    unfinished_path(path).unlink(missing_ok=True)
