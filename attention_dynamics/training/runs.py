"""A training run: its folder, the model's configuration, its checkpoints and how it resumes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import INTERVENTIONS
from attention_dynamics.files import storage
from attention_dynamics.files.forms import fits
from attention_dynamics.training.engine import Training, check_settings

# Keys of the published model configs, and what they are called here.
PUBLISHED_KEYS = {"hidden_dim": "h_dim", "batch_size": "b_size", "num_layers": "n_layers"}


def load_model_config(
    path: Path, fields: dict[str, type], choices: dict[str, list[str]] | None = None
) -> dict[str, Any]:
    """Read ``configs/model.json``, its keys as they are called here or as published.

    Parameters
    ----------
    fields : the names it must have, and the type of each (numbers are positive; a float below 1)
    choices : the names it may have, and the values of each. The first is the default, and left
        out of what is returned: naming it changes nothing

    Raises
    ------
    InputError
        that names every missing, unknown or wrong key, and one that is there in both spellings.
    """
    found = storage.load_json(path, f"it holds {', '.join(fields)}")
    if not isinstance(found, dict):
        raise InputError(f"{path} is not an object with {', '.join(fields)}")
    choices = choices or {}
    config: dict[str, Any] = {}
    problems = []
    for key, value in found.items():
        field = PUBLISHED_KEYS.get(key, str(key))
        if field in choices:
            if value not in choices[field]:
                known = ", ".join(choices[field])
                problems.append(f'"{key}" is {value!r}, not one of {known}')
            elif value == choices[field][0]:
                continue
        elif field not in fields:
            problems.append(f'"{key}" is unknown')
        elif key != field and field in found:
            problems.append(f'"{key}" and "{field}" are the same: keep one')
        elif fields[field] is int and (type(value) is not int or value < 1):
            problems.append(f'"{key}" is {value!r}, not a positive whole number')
        elif fields[field] is float and (type(value) not in (int, float) or not 0 <= value < 1):
            problems.append(f'"{key}" is {value!r}, not a number from 0 to below 1')
        config[field] = value
    problems += [f'"{field}" is missing' for field in fields if field not in config]
    if problems:
        raise InputError(f"{path}: {'; '.join(problems)}")
    return config


def run_folder(models_dir: Path, dataset: str, config: dict, seed: int, uniform: bool) -> Path:
    """``models/<dataset>/h_dim=256,b_size=32,seed=20,normal``.

    With ``dropout=`` if the configuration has it, ``encoder=`` if it is not the default, and the
    interventions in its attention; uniform attention has none.
    """
    parts = [f"h_dim={config['h_dim']}"]
    if "dropout" in config:
        parts.append(f"dropout={config['dropout']:f}")
    parts += [f"b_size={config['b_size']}", f"seed={seed}", "uniform" if uniform else "normal"]
    if "encoder" in config:
        parts.append(f"encoder={config['encoder']}")
    for key in INTERVENTIONS:
        if key in config and not uniform:
            parts.append(key if config[key] is True else f"{key}={config[key]}")
    return models_dir / dataset / ",".join(parts)


def without_interventions(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration, or the settings, of the same run with attention as published."""
    return {key: value for key, value in config.items() if key not in (*INTERVENTIONS, "attended")}


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / f"model{step}"


def saved_steps(
    steps: int,
    save_every: int,
    custom_saves: Iterable[int],
    end_is_last: bool = False,
    log_saves: int = 0,
) -> list[int]:
    """Steps before which a run of ``steps`` updates is saved as ``model<step>``.

    Parameters
    ----------
    custom_saves : those past the end are ignored, which a line says
    end_is_last : the number of the last step, ``steps - 1``, stands for the end of the run, where
        it is always saved; otherwise the end is ``steps``, and saved like any other step
    log_saves : so many more, of :func:`log_steps`; 0 for none
    """
    end = steps - 1 if end_is_last else steps
    late = [step for step in custom_saves if step > end]
    if late:
        print(f"--custom_saves {','.join(map(str, late))}: ignored, past the last step, {end}")
    saves = {*range(0, end + 1, save_every), *custom_saves} - set(late)
    saves |= set(log_steps(end, log_saves))
    return sorted(saves - ({end} if end_is_last else set()))


def log_steps(end: int, count: int) -> list[int]:
    """0, and ``count`` steps from 1 to ``end``, evenly spaced in the logarithm and rounded.

    Early ones that are rounded to the same step are one, so there are fewer if ``count`` is large.
    """
    if count == 0:
        return []
    spaced = np.rint(np.geomspace(1, max(1, end), count))
    return sorted({0, *(int(step) for step in spaced if step <= end)})


def add_saves(parser: cli.Parser) -> None:
    """When a run is saved: ``--save_every``, ``--custom_saves``, ``--save_at``."""
    parser.add_argument(
        "--save_every", type=cli.positive_int, default=250, help="steps between checkpoints"
    )
    parser.add_argument(
        "--custom_saves", type=cli.steps, default=[], help="more steps to save at: 0,10,50"
    )
    parser.add_argument(
        "--save_at",
        type=cli.log_schedule,
        default=0,
        metavar="log:N",
        help="more steps to save at: 0, and N from 1 to the last one, evenly spaced in the "
        "logarithm (those that round to the same step are one); log:40, say",
    )


def add_drop_resume(parser: cli.Parser) -> None:
    parser.add_argument(
        "--drop_resume",
        action="store_true",
        help="delete resume.pt of the finished run, three times the size of a checkpoint; the run"
        " can then not be extended",
    )


def run_record(folder: Path) -> dict[str, Any]:
    """What ``run.json`` says of the run in ``folder``; empty where there is none."""
    path = folder / "run.json"
    again = "repeat the training command, which writes it anew"
    if not path.exists():
        return {}
    record = storage.load_json(path, again)
    if not fits(record, {"settings": dict, "steps": int}):
        raise InputError(f"{path} is damaged: {again}")
    return record


class Run(Training):
    """A training run's folder: its state, its history and its checkpoints.

    At each save ``resume.pt`` is written first, then ``history.csv``, ``run.json`` and the
    checkpoint. A run killed between them writes the same again when it resumes. ``run.json``
    records the settings, the planned steps, device, versions and time, and that a run is finished
    (:meth:`end` may drop ``resume.pt``). These two files hold the time, so they differ between
    identical runs; the others do not.
    """

    form: ClassVar[dict[str, Any]] = Training.form | {
        "name": lambda step: step is None or fits(step, int),
        "saved": [int],
        "best": bool,
    }

    def __init__(self, folder: Path, settings: dict[str, Any], steps: int, saves: list[int]):
        """Find out where to resume a run of ``steps`` updates, saved before ``saves``.

        Raises
        ------
        InputError
            if the folder holds a run of other settings or more steps, or checkpoints of unknown
            origin.
        """
        do = f"delete {folder} or choose another --models_dir"
        super().__init__(folder / "resume.pt", settings, do)
        self.folder, self.steps = folder, steps
        if "weights" not in self.state:
            if not any(folder.glob("model*")):
                return
            self.state = self._finished_without_state(do)
        if self.step > steps:
            raise InputError(f"{folder} holds {self.step} steps, more than {steps}: {do}")
        if self.step < steps and "weights" not in self.state:
            raise InputError(
                f"{folder} is finished at {self.step} steps and its resume.pt was dropped, so it "
                f"cannot be extended to {steps}: {do}"
            )
        here = {step for step in saves if checkpoint_path(folder, step).exists()}
        lost = [step for step in saves if step < self.step and step not in here & {*self.saved}]
        last = self.state["name"]
        if "weights" not in self.state and last is not None:  # otherwise it is written below
            lost += [] if checkpoint_path(folder, last).exists() else [last]
        if lost:
            print(f"{checkpoint_path(folder, lost[0])} is not there: training from step 0 again")
            self.state, self.history = {"step": 0, "history": []}, []
            return
        if "weights" in self.state:
            self._write_results()

    def _finished_without_state(self, do: str) -> dict[str, Any]:
        """What ``run.json`` tells of a finished run without ``resume.pt``."""
        record = run_record(self.folder)
        if not fits(record.get("saved"), [int]) or record.get("step") != record["steps"]:
            raise InputError(
                f"{self.folder} holds checkpoints but no resume.pt, so they were not trained here: "
                f"{do}"
            )
        check_settings(record["settings"], self.settings, self.folder, do)
        return {key: record.get(key) for key in ("step", "saved", "name")} | {"history": []}

    @property
    def saved(self) -> list[int]:
        """Steps before which a checkpoint was saved."""
        return self.state.get("saved", [])

    @property
    def finished(self) -> bool:
        """Whether the last save was that of the end; a run can also be ended between two saves."""
        last = self.history[-1]["step"] if self.history else self.step  # dropped: see ``end``
        return self.step == last == self.steps

    def kept(self) -> dict[str, Any]:
        return {"name": None, "saved": self.saved, "best": False}

    def end(self, drop_resume: bool) -> None:
        """Delete the state of a finished run, if that is asked for."""
        if drop_resume and self.finished and (self.folder / "resume.pt").exists():
            (self.folder / "resume.pt").unlink()
            print(f"{self.folder / 'resume.pt'} was dropped: the run cannot be extended")

    def begin(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().begin(model, optimizer)
        print(self.folder if self.step == 0 else f"{self.folder}: resuming from step {self.step}")

    def save_checkpoint(
        self, step: int, name: int | None, row: dict[str, Any], best: bool = False
    ) -> None:
        """Save the run after ``step`` updates, its weights as checkpoint ``model<name>``.

        Parameters
        ----------
        name : ``step``, or for the checkpoint at the end the number of steps less one; None for
            no checkpoint
        row : what ``history.csv`` says of this save, the same keys each time; None leaves a cell
            empty
        best : keep the weights as ``model`` too
        """
        saved = sorted({*self.saved, step} if name == step else self.saved)
        self.save(step, row, name=name, saved=saved, best=best)
        self._write_results()

    def _write_results(self) -> None:
        """Write what follows from ``resume.pt``."""
        lines = [",".join(self.history[0])]
        lines += [
            ",".join("" if value is None else f"{value:.6g}" for value in row.values())
            for row in self.history
        ]
        storage.save_text("\n".join(lines) + "\n", self.folder / "history.csv")
        keys = ("settings", "step", "seconds", "saved", "name", "made_with")
        record = {key: self.state[key] for key in keys}
        storage.save_json(record | {"steps": self.steps}, self.folder / "run.json")
        weights = {name: tensor.cpu() for name, tensor in self.state["weights"].items()}
        step = self.state["name"]
        if step is not None:
            path = checkpoint_path(self.folder, step)
            storage.save_torch(weights, path, self.settings | {"step": step})
        if self.state["best"]:
            of = self.settings | {"step": self.state["step"]}
            storage.save_torch(weights, self.folder / "model", of)
