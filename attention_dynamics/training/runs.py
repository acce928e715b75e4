"""Names: a run's folder, its checkpoints, what an evaluation reads; and going on with a run."""

import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attention_dynamics.cli import InputError
from attention_dynamics.files import storage

# Keys of the published model configs, and what they are called here.
PUBLISHED_KEYS = {"hidden_dim": "h_dim", "batch_size": "b_size", "num_layers": "n_layers"}


def load_model_config(path: Path, fields: dict[str, type]) -> dict[str, Any]:
    """Read ``configs/model.json``, its keys as they are called here or as published.

    Parameters
    ----------
    fields : the names it must have, and the type of each (numbers are positive; a float below 1)

    Raises
    ------
    InputError
        that names every missing, unknown or wrong key, and one that is there in both spellings.
    """
    found = storage.load_json(path, f"it holds {', '.join(fields)}")
    if not isinstance(found, dict):
        raise InputError(f"{path} is not an object with {', '.join(fields)}")
    config, problems = {}, []
    for key, value in found.items():
        field = PUBLISHED_KEYS.get(key, key)
        if field not in fields:
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
    """``models/<dataset>/h_dim=256,b_size=32,seed=20,normal`` (with ``dropout=`` where it has)."""
    parts = [f"h_dim={config['h_dim']}"]
    if "dropout" in config:
        parts.append(f"dropout={config['dropout']:f}")
    parts += [f"b_size={config['b_size']}", f"seed={seed}", "uniform" if uniform else "normal"]
    return models_dir / dataset / ",".join(parts)


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / f"model{step}"


def saved_steps(
    steps: int, save_every: int, custom_saves: Iterable[int], end_is_last: bool = False
) -> list[int]:
    """Steps before which a run of ``steps`` updates is saved as ``model<step>``.

    Parameters
    ----------
    custom_saves : those past the end are ignored, which a line says
    end_is_last : the number of the last step, ``steps - 1``, stands for the end of the run, where
        it is always saved; otherwise the end is ``steps``, and saved like any other step
    """
    end = steps - 1 if end_is_last else steps
    late = [step for step in custom_saves if step > end]
    if late:
        print(f"--custom_saves {','.join(map(str, late))}: ignored, past the last step, {end}")
    saves = {*range(0, end + 1, save_every), *custom_saves} - set(late)
    return sorted(saves - ({end} if end_is_last else set()))


def made_with(device) -> dict[str, Any]:
    """The versions, the device and the number of threads that a result comes from."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a plain string: resume.pt holds no others
        "device": name,
        "threads": torch.get_num_threads(),
    }


STATE_TYPES = {
    "settings": dict,
    "step": int,
    "name": int | None,
    "best": bool,
    "saved": list,
    "history": list,
    "weights": dict,
    "optimizer": dict,
    "rng": object,
    "threads": int,
}


class Progress:
    """How far a training run has come, and how it goes on: ``resume.pt`` in its folder.

    At each save ``resume.pt`` is written first, then ``history.csv``, ``run.json`` and the
    checkpoint. A run killed between them writes the same again when it resumes. ``run.json``
    records the settings, the planned steps, device, versions and time; it is the only file that
    differs between identical runs.

    Attributes
    ----------
    step : updates made so far
    saved : steps before which a checkpoint was saved
    history : one dict a save, the rows of ``history.csv``
    """

    def __init__(self, folder: Path, settings: dict[str, Any], steps: int, saves: list[int]):
        """Find out where to go on with a run of ``steps`` updates, saved before ``saves``.

        Raises
        ------
        InputError
            where the folder holds a run of other settings, or checkpoints of unknown origin.
        """
        self.folder, self.settings, self.path = folder, settings, folder / "resume.pt"
        self.steps = steps
        self.state = {"step": 0, "saved": [], "history": []}
        self.started = time.monotonic()
        if not self.path.exists():
            if folder.exists() and any(folder.glob("model*")):
                raise InputError(
                    f"{folder} holds checkpoints but no resume.pt, so they were not trained here: "
                    "delete the folder or choose another --models_dir"
                )
            return
        again = f"delete {folder} to train again"
        state = storage.load_torch(self.path, again)
        if not isinstance(state, dict) or not all(
            isinstance(state.get(key), kind) for key, kind in STATE_TYPES.items()
        ):
            raise InputError(f"{self.path} is damaged: {again}")
        for key in {**settings, **state["settings"]}:
            old, new = state["settings"].get(key), settings.get(key)
            if old != new:
                raise InputError(
                    f"{folder} holds a run with other settings ({key}: {old}, now {new}): "
                    "delete it or choose another --models_dir"
                )
        unsaved = [
            step
            for step in saves
            if step < state["step"]
            and not (step in state["saved"] and checkpoint_path(folder, step).exists())
        ]
        if state["step"] > steps:
            print(f"{folder} holds {state['step']} steps, more than {steps}: from step 0 again")
        elif unsaved:
            print(f"{checkpoint_path(folder, unsaved[0])} is not there: from step 0 again")
        else:
            self.state = state
            self._write_results()

    @property
    def step(self) -> int:
        return self.state["step"]

    @property
    def saved(self) -> list[int]:
        return self.state["saved"]

    @property
    def history(self) -> list[dict]:
        return self.state["history"]

    def restore(self, model, optimizer) -> None:
        """Give model, optimizer and random generators the state of the last save, if any."""
        import torch

        if "weights" not in self.state:
            return
        # sums are rounded differently with another number of threads
        torch.set_num_threads(self.state["threads"])
        model.load_state_dict(self.state["weights"])
        optimizer.load_state_dict(self.state["optimizer"])
        torch.set_rng_state(self.state["rng"])
        if "cuda_rng" in self.state and torch.cuda.is_available():
            torch.cuda.set_rng_state(self.state["cuda_rng"])
        print(f"going on from step {self.step}")

    def save(
        self,
        step: int,
        name: int | None,
        model,
        optimizer,
        row: dict[str, float | None],
        best: bool = False,
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
        import torch

        seconds = self.state.get("seconds", 0.0) + time.monotonic() - self.started
        self.started = time.monotonic()
        history = self.history
        if not history or history[-1]["step"] < step:  # else a run that ended here goes on
            history = [*history, {"step": step} | row]
        self.state = {
            "settings": self.settings,
            "step": step,
            "name": name,
            "best": best,
            "saved": sorted({*self.saved, step} if name == step else self.saved),
            "history": history,
            "weights": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "threads": torch.get_num_threads(),
            "seconds": seconds,
            "made_with": made_with(next(model.parameters()).device),
        }
        if torch.cuda.is_available():
            self.state["cuda_rng"] = torch.cuda.get_rng_state()
        storage.save_torch(self.state, self.path)
        self._write_results()

    def _write_results(self) -> None:
        """Write what follows from ``resume.pt``."""
        lines = [",".join(self.history[0])]
        lines += [
            ",".join("" if value is None else f"{value:.6g}" for value in row.values())
            for row in self.history
        ]
        storage.save_text("\n".join(lines) + "\n", self.folder / "history.csv")
        if "seconds" in self.state:  # else a run that an older version began
            record = {key: self.state[key] for key in ("settings", "step", "seconds", "made_with")}
            storage.save_json(record | {"steps": self.steps}, self.folder / "run.json")
        weights = {name: tensor.cpu() for name, tensor in self.state["weights"].items()}
        if self.state["name"] is not None:
            storage.save_torch(weights, checkpoint_path(self.folder, self.state["name"]))
        if self.state["best"]:
            storage.save_torch(weights, self.folder / "model")
