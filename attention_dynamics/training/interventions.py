"""What is done to a run's attention while it trains: is attention the cause, or the effect?

The paper says that what a model learns under near-uniform attention drives its attention, and not
the other way round. Flags of the training scripts change the attention and leave the rest:

    --attention_from STEP     uniform until then
    --attention_until STEP    frozen afterwards: α stays that of the checkpoint ``model<STEP>``
    --attention_lr LR         a learning rate of its own for the attention's parameters
    --attend_to SEED          α is that of another finished run's last checkpoint, from the start
    --shuffle_attention       with --attend_to: that α, shuffled in each sentence, as a control

They are keys of a run's configuration, so its folder's name has them, its settings record them, and
no run is taken for another. Evaluations take the same flags; the run with uniform attention has
none of them.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import INTERVENTIONS
from attention_dynamics.files import storage
from attention_dynamics.training.runs import (
    checkpoint_path,
    run_folder,
    run_record,
    without_interventions,
)


def add_flags(parser: cli.Parser) -> None:
    group = parser.add_argument_group("interventions in training")
    group.add_argument(
        "--attention_from",
        type=cli.positive_int,
        metavar="STEP",
        help="attention is uniform until this step",
    )
    group.add_argument(
        "--attention_until",
        type=cli.positive_int,
        metavar="STEP",
        help="attention is frozen from this step on: each sentence keeps the attention that the "
        "model of this step gives it",
    )
    group.add_argument(
        "--attention_lr",
        type=cli.positive_float,
        metavar="LR",
        help="learning rate of the attention's parameters (default: --lr)",
    )
    group.add_argument(
        "--attend_to",
        type=cli.seed,
        metavar="SEED",
        help="from the first step on, the attention is that of the last checkpoint of the finished "
        "run with this seed",
    )
    group.add_argument(
        "--shuffle_attention",
        action="store_true",
        help="with --attend_to: shuffle that attention in each sentence, as a control",
    )


def add_to(
    config: dict[str, Any], args: argparse.Namespace, steps: float = math.inf
) -> dict[str, Any]:
    """The configuration of a run of ``steps`` updates, with the interventions of ``args``.

    With ``attend_to`` it also has ``attended``, a digest of that run's last checkpoint.

    Raises
    ------
    InputError
        where flags exclude one another, or the run to attend to is not there or not finished.
    """
    given = {key: vars(args)[key] for key in INTERVENTIONS}
    chosen = {
        key: value for key, value in given.items() if value is not None and value is not False
    }
    flags = [f"--{key}" for key in chosen]
    if chosen and getattr(args, "uniform", False):
        raise InputError(f"{' '.join(flags)}: a run with --uniform has no attention to change")
    others = [flag for flag in flags if flag not in ("--attend_to", "--shuffle_attention")]
    if "attend_to" in chosen and others:
        raise InputError(f"{' '.join(others)}: with --attend_to no attention is learned")
    if "shuffle_attention" in chosen and "attend_to" not in chosen:
        raise InputError("--shuffle_attention needs --attend_to: the run whose attention it is")
    start, stop = chosen.get("attention_from", 0), chosen.get("attention_until")
    if stop is not None and start >= stop:
        raise InputError(f"--attention_from {start} has to be below --attention_until {stop}")
    for key in ("attention_from", "attention_until"):
        if chosen.get(key, 0) >= steps - 1:
            raise InputError(f"--{key} {chosen[key]} is not before the last step, {steps - 1}")
    config = config | chosen
    if "attend_to" in chosen:
        path = last_checkpoint(args.models_dir, args.dataset, config)
        config["attended"] = storage.digest(path)
    return config


def last_checkpoint(models_dir: Path, dataset: str, config: dict[str, Any]) -> Path:
    """That of the finished run which ``config["attend_to"]`` names by its seed.

    Raises
    ------
    InputError
        where it is not there.
    """
    seed = config["attend_to"]
    folder = run_folder(models_dir, dataset, without_interventions(config), seed, False)
    record = run_record(folder)
    if not record or record.get("step") != record["steps"]:
        state = "is not finished" if record else "is not there"
        raise InputError(f"--attend_to {seed}: {folder} {state}: train it first")
    name = record.get("name")
    path = checkpoint_path(folder, max(record["saved"]) if name is None else name)
    if not path.is_file():
        raise InputError(f"--attend_to {seed}: {path} is missing: train {folder} again")
    return path


def saves(config: dict[str, Any]) -> list[int]:
    """The steps that a run has to be saved at."""
    return [config["attention_until"]] if "attention_until" in config else []


class Attention:
    """The attention that runs have, step by step, as far as interventions decide it.

    Parameters
    ----------
    config : from :func:`add_to`
    load : gives a checkpoint as a model that is only evaluated
    """

    def __init__(
        self,
        config: dict[str, Any],
        models_dir: Path,
        dataset: str,
        load: Callable[[Path], nn.Module],
    ):
        self.config, self.models_dir, self.dataset, self.load = config, models_dir, dataset, load
        self.is_changed = any(key in config for key in INTERVENTIONS)

    def set(self, model: Any, seed: int, step: int, updating: bool = False) -> None:
        """Give ``model``, of the run with ``seed``, the attention that it has at ``step``.

        Parameters
        ----------
        step : how many updates were made
        updating : for the next update. After ``attention_until`` updates α is the model's own
            and the frozen one, and the checkpoint may not be saved yet
        """
        if not self.is_changed:
            return
        model.uniform = step < self.config.get("attention_from", 0)
        if model.other is not None:
            return
        until = self.config.get("attention_until")
        if "attend_to" in self.config:
            path = last_checkpoint(self.models_dir, self.dataset, self.config)
            model.attend_as(self._load(path), self.config.get("shuffle_attention", False))
        elif until is not None and step >= until + (not updating):
            folder = run_folder(self.models_dir, self.dataset, self.config, seed, False)
            model.attend_as(self._load(checkpoint_path(folder, until)), False)

    def _load(self, path: Path) -> nn.Module:
        # A new model draws its first weights. A resumed run loads once more, and has to go on
        # with the random numbers of one that was not interrupted.
        with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU
            return self.load(path)


def shuffled(values: Tensor, lengths: Tensor) -> Tensor:
    """Each row's first ``length`` values in another order, the same for all rows of that length.

    Parameters
    ----------
    values : (batch, ..., longest)
    lengths : int64 (batch,)
    """
    order = torch.arange(values.shape[-1]).repeat(len(lengths), 1)
    for length in lengths.unique().tolist():
        generator = torch.Generator().manual_seed(length)
        order[lengths == length, :length] = torch.randperm(length, generator=generator)
    shape = [len(lengths), *[1] * (values.dim() - 2), values.shape[-1]]
    return values.gather(-1, order.to(values.device).view(shape).expand_as(values))
