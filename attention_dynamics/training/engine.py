"""One training: its updates, its history, and the file that it resumes from.

Every training of the repository is such a loop::

    training = Training(path, settings, "delete it to train again")
    training.begin(model, optimizer)
    for step, losses in training.updates(loss, steps, pauses):
        training.save(step, {"train_loss": mean(losses), ...})

A training that is killed resumes from its last save and ends with the same bytes as one that was
not: what a batch holds is a function of the seed and the step alone, and the state of the random
generators (for dropout) is part of each save.
"""

import platform
import reprlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.files import storage
from attention_dynamics.files.forms import Each, fits, number
from attention_dynamics.training import optimizers


def check_settings(old: dict[str, Any], new: dict[str, Any], where: Path, do: str) -> None:
    """Raise an InputError unless the settings that ``where`` was made with are ``new``.

    Used for runs, word baselines, copiers and dumps.
    """
    changed = [
        "other data" if key == "data" else f"{key}: {_short(old.get(key))}, now {new.get(key)}"
        for key in {**new, **old}
        if old.get(key) != new.get(key)
    ]
    if changed:
        raise InputError(f"{where} was made with other settings ({'; '.join(changed)}): {do}")


def _short(value: Any) -> str:
    """How a value from a file is shown, whatever it is."""
    try:
        return value[:100] if isinstance(value, str) else reprlib.repr(value)
    except ValueError:  # Python refuses to write numbers of thousands of digits
        return "a long number"


def is_row(value: Any) -> bool:
    """Whether ``value`` is a row of a history: a step, and under each name numbers or None."""
    return fits(value, {"step": int}) and fits(
        value, Each(str, lambda figure: figure is None or number(figure) or fits(figure, [number]))
    )


MAX_THREADS = 4096  # a saved state with more is taken as damaged


class Training:
    """One training, and the file that it resumes from.

    Attributes
    ----------
    step : updates made at the last save
    history : one dict for each pause, beginning with ``"step"``
    state : what the file holds
    """

    form: ClassVar = {
        "settings": dict,
        "step": int,
        "history": [is_row],
        "weights": Each(str, Tensor),
        "optimizer": dict,
        "rng": Tensor,
        "threads": int,
        "seconds": float,
        "made_with": dict,
    }

    own: ClassVar = {*form, "cuda_rng", "losses"}  # keys of the state that are not of ``more``

    def __init__(self, path: Path | None, settings: dict[str, Any], do: str, every: float = 0):
        """Read the state of an earlier training, if there is one.

        Parameters
        ----------
        path : the file; None: nothing is kept
        settings : plain values that tell this training from others
        do : what to do about a file that is damaged or of other settings, for the message
        every : seconds between two saves, at least

        Raises
        ------
        InputError
            if the file is damaged or of other settings.
        """
        self.path, self.settings, self.every = path, settings, every
        self.state: dict[str, Any] = {"step": 0, "history": []}
        self.history: list[dict[str, Any]] = []
        self.saved_at = time.monotonic()
        if path is None or not path.exists():
            return
        state = storage.load_torch(path, do)
        if not (
            fits(state, self.form)
            and all(row.keys() == state["history"][0].keys() for row in state["history"])
            and 0 < state["threads"] <= MAX_THREADS
        ):
            raise InputError(f"{path} is damaged: {do}")
        check_settings(state["settings"], settings, path, do)
        self.state, self.history = state, state["history"]

    @property
    def step(self) -> int:
        return self.state["step"]

    def begin(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Train ``model`` by ``optimizer``, from the last save if there is one.

        Raises
        ------
        InputError
            if the state is not one of this model.
        """
        self.model, self.optimizer = model, optimizer
        if "weights" not in self.state:
            return
        # sums are rounded differently with another number of threads
        torch.set_num_threads(self.state["threads"])
        try:
            model.load_state_dict(self.state["weights"])
            optimizers.load(optimizer, self.state["optimizer"], self.settings)
            torch.set_rng_state(self.state["rng"])
            if "cuda_rng" in self.state and torch.cuda.is_available():
                torch.cuda.set_rng_state(self.state["cuda_rng"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{self.path} is damaged: delete it to train again") from None

    def updates(
        self,
        loss: Callable[[int], Tensor],
        steps: int,
        pauses: Collection[int],
        bar: bool = True,
    ) -> Iterator[tuple[int, list[Tensor]]]:
        """Make updates until ``steps`` have been made, with pauses.

        Parameters
        ----------
        loss : the loss of the batch of an update, by its number; of many models at once, (models,)
        pauses : numbers of updates after which to pause, besides the end
        bar : show a progress bar

        Yields
        ------
        updates made, losses since the last pause
            before each update in ``pauses``, and at the end

        Raises
        ------
        cli.Terminated
            if SIGTERM has come, after the update that was being made, which is saved
        """
        device = next(self.model.parameters()).device
        losses = list(self.state.get("losses", torch.empty(0)).to(device))
        start, shown = self.step, range(self.step, steps)
        if bar:
            shown = cli.progress_bar(shown, initial=start, total=steps, unit="step")
        before, cli.Termination.deferred = cli.Termination.deferred, True
        try:
            for step in shown:
                if step in pauses:
                    yield step, losses
                    losses = []
                values = loss(step)
                self.optimizer.zero_grad()
                values.sum().backward()
                self.optimizer.step()
                losses.append(values.detach())
                if cli.Termination.asked:
                    if self.path is not None:
                        self._write(step + 1, losses, self.kept())
                    raise cli.Terminated
            yield steps, losses
        finally:
            cli.Termination.deferred = before
        if cli.Termination.asked:  # during the last pause
            raise cli.Terminated

    def save(self, step: int, row: dict[str, Any], **more: Any) -> None:
        """Add ``row`` to the history and write the file.

        The file is not written if the last save was less than ``every`` seconds ago. ``more`` is
        kept in ``state``.
        """
        if not self.history or self.history[-1]["step"] < step:  # or a finished run is extended
            self.history = [*self.history, {"step": step} | row]
        if self.path is not None and time.monotonic() - self.saved_at >= self.every:
            self._write(step, [], more)
        else:
            self.state |= more  # the next write may come before the next pause

    def kept(self) -> dict[str, Any]:
        """What a save between two pauses keeps of ``more``."""
        return {key: value for key, value in self.state.items() if key not in self.own}

    def _write(self, step: int, losses: list[Tensor], more: dict[str, Any]) -> None:
        assert self.path is not None
        seconds = time.monotonic() - self.saved_at
        self.saved_at = time.monotonic()
        self.state = {
            "settings": self.settings,
            "step": step,
            "history": self.history,
            "weights": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "threads": torch.get_num_threads(),
            "seconds": self.state.get("seconds", 0.0) + seconds,
            "made_with": made_with(next(self.model.parameters()).device),
            "losses": torch.stack(losses).cpu() if losses else torch.empty(0),
            **more,
        }
        if torch.cuda.is_available():
            self.state["cuda_rng"] = torch.cuda.get_rng_state()
        storage.save_torch(self.state, self.path)


def mean(losses: Sequence[Tensor]) -> float | None:
    """The mean of single losses; None if there are none, as before the first update."""
    return sum(loss.item() for loss in losses) / len(losses) if losses else None


def shown(loss: float | None) -> str:
    """A loss as it is printed: a dash if there is none yet."""
    return "     -" if loss is None else f"{loss:.4f}"


def made_with(device: torch.device) -> dict[str, Any]:
    """The versions, the device and the number of threads that a result comes from."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a plain string: the saved state holds no others
        "device": name,
        "threads": torch.get_num_threads(),
    }
