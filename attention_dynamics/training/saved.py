"""The checkpoints that training has saved, by the name of the run and the iteration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.training.checkpoints import (
    CheckpointSpec,
    evaluated_checkpoints,
    load_weights,
    saved_in,
)
from attention_dynamics.training.runs import run_folder

Key = tuple[str, int]  # the name of a run and an iteration


@dataclass(frozen=True)
class SavedRuns:
    """A dataset, and every checkpoint that was saved of the models that were trained on it.

    Attributes
    ----------
    dataset : as the models see it
    config, settings : the model's sizes, and with them what ``run.json`` must record
    checkpoints : by (run, iteration), the runs in their order, iterations rising
    build : gives a model with attention, or with uniform attention
    train : how to make checkpoints, for messages
    """

    dataset: Any
    config: dict[str, Any]
    settings: dict[str, Any]
    models_dir: Path
    checkpoints: dict[Key, CheckpointSpec]
    build: Callable[[bool], nn.Module]
    device: torch.device
    train: str

    @property
    def names(self) -> list[str]:
        """The runs that have checkpoints."""
        return list(dict.fromkeys(name for name, _ in self.checkpoints))

    def iterations(self, names: Sequence[str]) -> list[int]:
        """The iterations that all of these runs were saved at, rising."""
        saved = [{it for other, it in self.checkpoints if other == name} for name in names]
        return sorted(set.intersection(*saved))

    def choose(
        self, names: Sequence[str] | None = None, iterations: Sequence[int] | None = None
    ) -> list[Key]:
        """The checkpoints of some runs at some iterations.

        Parameters
        ----------
        names : case is ignored; None for the gold run and the uniform one
        iterations : None for all that each of the runs was saved at

        Raises
        ------
        InputError
            where one was not saved.
        """
        if names is None:
            default = ("normal_a", "uniform")
            names = [name for name in self.names if name.lower() in default] or self.names
        names = cli.chosen_runs(names, self.names)
        if iterations is None:
            iterations = self.iterations(names)
        keys = [(name, iteration) for name in names for iteration in iterations]
        for name, iteration in keys:
            if (name, iteration) not in self.checkpoints:
                saved = " ".join(map(str, self.iterations([name])))
                raise InputError(f"{name} has no checkpoint {iteration} (it has {saved})")
        return keys

    def load(self, name: str, iteration: int) -> Any:
        """The model of a checkpoint, for evaluation: no dropout, no gradients of weights.

        Raises
        ------
        InputError
            where there is none, or it was trained with other settings or data.
        """
        ((name, iteration),) = self.choose([name], [iteration])
        spec = self.checkpoints[name, iteration]
        dataset = self.dataset.name
        _, (path,) = evaluated_checkpoints(
            [spec], self.models_dir, dataset, self.config, self.settings, self.train
        )
        model = self.build(spec.uniform).to(self.device).eval().requires_grad_(False)
        load_weights(model, path, self.train, spec)
        return model


def open_saved(
    dataset: Any,
    runs: list[CheckpointSpec],
    models_dir: Path,
    config: dict[str, Any],
    version: int,
    build: Callable[[bool], nn.Module],
    train: str,
    device: str | None,
) -> SavedRuns:
    """Every checkpoint of a dataset's runs that is on the disk.

    Parameters
    ----------
    runs : an entry or several for each run; their iterations do not matter
    version : of the model's mathematics
    train : how to make checkpoints, for messages
    device : cpu or cuda; None for cuda if available

    Raises
    ------
    InputError
        where there is none.
    """
    found = {}
    for spec in {spec.name: spec for spec in runs}.values():
        folder = run_folder(models_dir, dataset.name, config, spec.seed, spec.uniform)
        for step in sorted(saved_in(folder)):
            found[spec.name, step] = replace(spec, iteration=step)
    if not found:
        raise InputError(
            f"there are no checkpoints in {folder} or beside it ({train}; --config names the "
            "sizes of the models)"
        )
    settings = {**config, "version": version, "data": dataset.digest}
    where = cli.find_device(device)
    return SavedRuns(dataset, config, settings, models_dir, found, build, where, train)
