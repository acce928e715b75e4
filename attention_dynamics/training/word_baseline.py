"""The word baselines: fitting β^px epoch by epoch, and the file that a baseline is kept in."""

import argparse
import copy
import math
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_dynamics import cli
from attention_dynamics.analysis.ragged import epoch_order
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import Datasets, add_dataset
from attention_dynamics.files import storage
from attention_dynamics.files.forms import array, fits, number
from attention_dynamics.training import optimizers
from attention_dynamics.training.engine import Training, check_settings

SAVE_AFTER = 20  # seconds between saves of an unfinished fit, at least
FORM = {
    "beta": lambda beta: array("f", 1)(beta) or array("f", 2)(beta),
    "vocab": [str],
    "settings": dict,
}
VERSION = 1  # of the mathematics: raise it when the same data give another β


def parser(description: str, datasets: Datasets[Any], lr: float) -> cli.Parser:
    """The flags that both ``embedding_beta.py`` have; ``lr`` is the default learning rate."""
    parser = cli.Parser(description)
    add_dataset(parser, datasets)
    parser.add_argument("--bsize", type=cli.positive_int, default=64, help="batch size")
    parser.add_argument("--epochs", type=cli.positive_int, default=30, help="epochs to train for")
    parser.add_argument(
        "--embed_dim", type=cli.positive_int, default=256, help="dimension of the embeddings"
    )
    optimizers.add_flags(parser, lr)
    parser.add_argument("--seed", type=cli.seed, default=0, help="seed of the fit")
    return parser


def settings_of(args: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """What tells a fit from others: the flags of :func:`parser`, the version, and ``more``."""
    names = ("bsize", "epochs", "embed_dim", "optimizer", "lr", "seed")
    return {name: getattr(args, name) for name in names} | {"version": VERSION} | more


def load_baseline(path: Path, vocab: list[str], make: str) -> dict[str, Any]:
    """Read a fitted baseline: ``beta`` (an array over words), ``vocab``, ``settings`` and more.

    Raises
    ------
    InputError
        where it is missing or damaged, or was fitted with another vocabulary than ``vocab``.
    """
    baseline = storage.load_pickle(path, make)
    if not fits(baseline, FORM) or len(baseline["beta"]) != len(baseline["vocab"]):
        raise InputError(f"{path} is not a word baseline of this version: {make}")
    if baseline["vocab"] != vocab:
        raise InputError(f"{path} was fitted with another vocabulary: {make}")
    return baseline


def is_fitted(path: Path, settings: dict[str, Any]) -> bool:
    """Whether ``path`` holds a finished fit with these settings, which a line then says.

    Raises
    ------
    InputError
        if it holds anything else.
    """
    if not path.exists():
        return False
    do = "delete it or choose another --outputs_dir"
    found = storage.load_pickle(path, do)
    if not fits(found, FORM):
        raise InputError(f"{path} is not a word baseline of this version: {do}")
    check_settings(found["settings"], settings, path, do)
    unfinished_path(path).unlink(missing_ok=True)  # a fit was killed before it did
    print(f"{path} is finished")
    return True


def fit(
    model: Any,
    batch_loss: Callable[[Any, np.ndarray, bool], Tensor],
    train: Sized,
    validation: Sized,
    vocab: list[str],
    path: Path,
    settings: dict[str, Any],
) -> None:
    """Fit ``model`` and write its ``beta()`` of the epoch with the lowest validation loss.

    The state is kept beside ``path``, so that an interrupted fit resumes from its last save and
    ends the same.

    Parameters
    ----------
    batch_loss : of (sentences, their rows, whether to train on them): the summed loss of a batch
    train, validation : the sentences to fit and those to choose the epoch by
    vocab : the words that β is over
    path : where the result goes
    settings : of :func:`settings_of`

    Raises
    ------
    InputError
        if an unfinished fit has other settings, or the validation loss is never a number.
    """
    batch_size, steps_per_epoch = settings["bsize"], math.ceil(len(train) / settings["bsize"])
    steps = settings["epochs"] * steps_per_epoch
    resume_path = unfinished_path(path)
    training = Training(resume_path, settings, f"delete {resume_path}", every=SAVE_AFTER)
    training.begin(model, optimizers.build(settings, model.parameters()))
    if training.step:
        print(f"resuming in epoch {training.step // steps_per_epoch + 1}")
    best = training.state.get("best", {"epoch": 0, "val_loss": math.inf})
    if not fits(best, {"epoch": int, "val_loss": number}):
        raise InputError(f"{resume_path} is damaged: delete it")

    def loss(step: int) -> Tensor:
        epoch, place = divmod(step, steps_per_epoch)
        order = epoch_order(len(train), settings["seed"], epoch)
        return batch_loss(train, order[place * batch_size : (place + 1) * batch_size], True)

    @torch.no_grad()
    def validate() -> float:
        batches = np.split(
            np.arange(len(validation)), range(batch_size, len(validation), batch_size)
        )
        return sum(batch_loss(validation, b, False).item() for b in batches) / len(validation)

    validated = {row["step"] for row in training.history}
    pauses = set(range(steps_per_epoch, steps, steps_per_epoch)) - validated
    for step, losses in training.updates(loss, steps, pauses):
        epoch = step // steps_per_epoch
        train_loss = sum(value.item() for value in losses) / len(train)
        val_loss = validate()
        if losses:  # none if the process was killed after the last save
            cli.say(
                f"epoch {epoch:3d}   train loss {train_loss:.4f}   validation loss {val_loss:.4f}"
            )
        if val_loss < best["val_loss"]:
            weights = copy.deepcopy(model.state_dict())
            best = {"epoch": epoch, "val_loss": val_loss, "weights": weights}
        training.save(step, {"train_loss": train_loss, "val_loss": val_loss}, best=best)
    if "weights" not in best:
        raise InputError("the validation loss is not a number: try a smaller --lr")
    model.load_state_dict(best["weights"])
    epoch, val_loss = best["epoch"], best["val_loss"]
    baseline = {"beta": model.beta(), "vocab": vocab, "settings": settings}
    save_baseline(path, baseline | {"epoch": epoch, "val_loss": val_loss})
    print(f"{path}: epoch {epoch}, validation loss {val_loss:.4f}")


def unfinished_path(path: Path) -> Path:
    return path.with_suffix(".resume.pt")


def save_baseline(path: Path, baseline: dict[str, Any]) -> None:
    """Write a finished fit, and remove its unfinished state."""
    storage.save_pickle(baseline, path)
    unfinished_path(path).unlink(missing_ok=True)
