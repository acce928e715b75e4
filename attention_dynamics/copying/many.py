"""Training many models, each of which is kept as soon as it is finished."""

import contextlib
from collections.abc import Callable, Generator
from concurrent.futures import Executor, as_completed
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.copying import batched
from attention_dynamics.copying.histories import COLUMNS, History, Stop, is_history
from attention_dynamics.copying.model import AnyCopier
from attention_dynamics.copying.settings import Settings
from attention_dynamics.copying.training import DO, train
from attention_dynamics.copying.ways import Way
from attention_dynamics.files import storage
from attention_dynamics.files.forms import fits
from attention_dynamics.training.engine import check_settings


class Task(NamedTuple):
    """One model to train: a function that builds it on the CPU, and the seed of its data.

    ``build`` is sent to other processes: a ``functools.partial`` of a function in a module.
    """

    build: Callable[[], AnyCopier]
    seed: int


def train_all(
    tasks: dict[str, Task],
    settings: Settings,
    way: Way,
    folder: Path,
    context: dict[str, Any],
    stop: Stop | None = None,
    finished: Callable[[str, History], None] | None = None,
) -> dict[str, History]:
    """Train every task's model and return their histories, under the same names.

    Parameters
    ----------
    folder : keeps each finished history (``<name>.pkl``) and, if models are trained separately,
        unfinished states (``<name>.pt``); what is finished is not trained again
    context : the experiment's other settings, kept with each of them
    stop : see :func:`training.train`; each model's training ends at its own time
    finished : called with the name and history of every model trained now

    Raises
    ------
    InputError
        if a file in ``folder`` is damaged or of other settings.
    """
    identity = asdict(settings) | context
    histories = {}
    for name in tasks:
        path = folder / f"{name}.pkl"
        if path.exists():
            histories[name] = load_part(path, identity)
            (folder / f"{name}.pt").unlink(missing_ok=True)  # a run was killed between the two
    todo = {name: task for name, task in tasks.items() if name not in histories}
    storage.make_folder(folder)
    if way.batched:
        trained = _train_batched(todo, settings, way, stop)
    else:
        jobs: dict[str, Callable[[], History]] = {
            name: partial(
                _train_task, task, settings, str(way.device), stop, folder / f"{name}.pt", context
            )
            for name, task in todo.items()
        }
        trained = _train_separately(jobs, way.pool)
    with contextlib.closing(trained):
        for name, history in cli.progress_bar(trained, total=len(todo), unit="model"):
            storage.save_pickle({"settings": identity, "history": history}, folder / f"{name}.pkl")
            (folder / f"{name}.pt").unlink(missing_ok=True)
            histories[name] = history
            if finished is not None:
                finished(name, history)
    # Always the same strings as keys: a pickle of the same values then has the same bytes.
    return {name: {column: histories[name][column] for column in COLUMNS} for name in tasks}


def load_part(path: Path, identity: dict[str, Any]) -> History:
    """The history of a finished model in ``path``.

    Raises
    ------
    InputError
        if the file is damaged, or of other settings than ``identity``.
    """
    part = storage.load_pickle(path, DO)
    if not fits(part, {"settings": dict, "history": is_history}):
        raise InputError(f"{path} is damaged: {DO}")
    check_settings(part["settings"], identity, path, DO)
    return part["history"]


# names and histories, in the order in which the models finish
Trained = Generator[tuple[str, History], None, None]


def _train_separately(jobs: dict[str, Callable[[], History]], pool: Executor | None) -> Trained:
    if pool is None:
        for name, job in jobs.items():
            yield name, job()
        return
    names = {pool.submit(job): name for name, job in jobs.items()}
    for future in as_completed(names):
        yield names[future], future.result()


def _train_task(
    task: Task,
    settings: Settings,
    device: str,
    stop: Stop | None,
    path: Path,
    context: dict[str, Any],
) -> History:
    model = task.build().to(cli.find_device(device))  # which sets up a new process, too
    return train(model, settings, task.seed, stop, path, context)


def _train_batched(
    tasks: dict[str, Task], settings: Settings, way: Way, stop: Stop | None
) -> Trained:
    names = iter(tasks)
    while group := list(islice(names, way.at_once)):
        models = [tasks[name].build() for name in group]
        seeds = [tasks[name].seed for name in group]
        for index, history in batched.train(models, seeds, settings, way.device, stop):
            yield group[index], history
