"""Training copiers: their data, one model's training and evaluation, and many models in a row.

Every random number is a function of a seed and a step, so what a model learns depends neither on
the models trained beside it nor on where a run was interrupted. Models that are trained as one are
the same up to rounding, and an unfinished stack of them starts anew.
"""

import argparse
import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.copying.histories import COLUMNS, History, is_history
from attention_dynamics.files import storage

SAVE_AFTER = 30  # seconds between saves of an unfinished model, at least
BATCHED_MODELS = 32  # models that are trained as one, at most
MAX_VOCAB = 2**20  # a batch of keys to sort by is then 1 GB
TRAINING, EVALUATION = 1, 2  # streams of random numbers
EVALUATED = 400  # sequences that all models are evaluated on


@dataclass(frozen=True)
class Settings:
    """What the models of an experiment have in common besides their size.

    As in the published loops of ``steps`` steps: with ``first_eval`` 1 (seq2seq.py) a step
    evaluates after its update, with 0 (multihead.py) before it.
    """

    n_vocab: int
    length: int
    no_rep: bool
    batch_size: int = 128
    steps: int = 200
    eval_every: int = 10
    lr: float = 0.001
    first_eval: int = 0
    no_eos: bool = False

    @property
    def evaluations(self) -> range:
        """The numbers of updates after which models are evaluated. Training ends at the last."""
        return range(self.first_eval, self.first_eval + self.steps, self.eval_every)


def add_settings(parser: cli.Parser) -> None:
    """The flags of :class:`Settings`, and ``--hidden_dim``; the published values by default."""
    number = cli.positive_int
    parser.add_argument("--num_vocab", type=number, default=40, help="tokens to draw from")
    parser.add_argument("--seq_length", type=number, default=40, help="tokens in a sequence")
    parser.add_argument("--hidden_dim", type=number, default=256, help="hidden size")
    parser.add_argument("--bsize", type=number, default=128, help="sequences in a batch")
    parser.add_argument(
        "--steps",
        "--steps_s1",
        type=number,
        default=200,
        help="training steps; the last evaluation before the end ends the training",
    )
    parser.add_argument(
        "--eval_every", "--save_every", type=number, default=10, help="steps between evaluations"
    )
    parser.add_argument("--lr", type=cli.positive_float, default=0.001, help="Adam's learning rate")


def settings_of(args: argparse.Namespace, no_rep: bool, **others) -> Settings:
    """The settings that the flags of :func:`add_settings` give, and ``others``.

    Raises
    ------
    InputError
        where the vocabulary is too large, or with ``no_rep`` too small, or nothing is trained.
    """
    if no_rep and args.num_vocab < args.seq_length:
        raise InputError(
            f"without repetition there are no {args.seq_length} different tokens in a vocabulary "
            f"of {args.num_vocab}; give a larger --num_vocab or a smaller --seq_length"
        )
    if args.num_vocab > MAX_VOCAB:
        raise InputError(f"--num_vocab {args.num_vocab}: {MAX_VOCAB} tokens at most")
    settings = Settings(
        args.num_vocab,
        args.seq_length,
        no_rep,
        args.bsize,
        args.steps,
        args.eval_every,
        args.lr,
        **others,
    )
    if settings.evaluations[-1] == 0:
        raise InputError(
            f"--steps {args.steps} with --eval_every {args.eval_every}: the only evaluation is "
            "before the first step; give more --steps or a smaller --eval_every"
        )
    return settings


class Task(NamedTuple):
    """One model to train: a function that builds it on the CPU, and the seed of its data.

    ``build`` is sent to other processes: a ``functools.partial`` of a function in a module.
    """

    build: Callable[[], nn.Module]
    seed: int


def training_batch(settings: Settings, seed: int, step: int) -> Tensor:
    """The sequences that a step trains on: tokens (batch, length + 1), the last one </s>.

    A pure function of its arguments.
    """
    return _sequences(settings, [TRAINING, seed, step], settings.batch_size)


def evaluation_batch(settings: Settings) -> Tensor:
    """The sequences that all models are evaluated on, from a stream apart from training's."""
    return _sequences(settings, [EVALUATION], EVALUATED)


def _sequences(settings: Settings, stream: list[int], count: int) -> Tensor:
    """``count`` random sequences: int64 (count, length + 1), ``length`` with ``no_eos``.

    Tokens are below ``n_vocab``, with </s> (``n_vocab``) at the end. With ``no_rep`` no sequence
    has a token twice: each is ``length`` of the ``n_vocab`` tokens (at least ``length``) in random
    order.
    """
    rng = np.random.default_rng(stream)
    n_vocab, length = settings.n_vocab, settings.length
    if settings.no_rep:
        sequences = rng.random((count, n_vocab)).argsort(axis=1)[:, :length]
    else:
        sequences = rng.integers(n_vocab, size=(count, length))
    return F.pad(torch.from_numpy(sequences), (0, 0 if settings.no_eos else 1), value=n_vocab)


def nll(logits: Tensor, source: Tensor) -> Tensor:
    """Mean negative log-likelihood of a token of ``source``, which is to be copied."""
    return F.cross_entropy(logits.flatten(0, 1), source.flatten())


def accuracies(logits: Tensor, alpha: Tensor, source: Tensor, copied: int) -> dict[str, Tensor]:
    """Token accuracy, and how often attention is highest at the position that is copied.

    Token accuracy is over all predicted tokens, </s> included; attention accuracy over the first
    ``copied`` positions, without </s>. Also how often attention is highest one position before,
    and one after, where there is one (nan where there is none in any sequence). With several
    heads, the mean over them, and attention accuracy for each.

    Parameters
    ----------
    logits : (batch, length, vocabulary)
    alpha : (batch, length, source length), or with heads (batch, length, heads, source length)
    source : (batch, length)

    Returns
    -------
    scalars, one of them a tensor (heads,), under the names of ``COLUMNS``. No branch depends on a
    value, for ``torch.vmap``.
    """
    length = source.shape[1]
    highest = alpha.argmax(dim=-1).reshape(len(source), length, -1)  # (batch, length, heads)
    highest = highest[:, :copied]
    position = torch.arange(copied, device=source.device)[:, None]
    at_position = (highest == position).double()
    return {
        "token_accuracy": (logits.argmax(dim=2) == source).double().mean(),
        "attention_accuracy": at_position.mean(),
        "attention_accuracy_before": (highest == position - 1)[:, 1:].double().mean(),
        "attention_accuracy_after": (highest == position + 1)[:, : length - 1].double().mean(),
        "attention_accuracy_heads": at_position.mean(dim=(0, 1)),
    }


@torch.no_grad()
def evaluate(model: nn.Module, settings: Settings, batch: Tensor) -> dict[str, float | list[float]]:
    """:func:`accuracies` of a model on sequences (batch, length) that lie on its device."""
    measured = accuracies(*model(batch), batch, settings.length)
    return {key: value.tolist() for key, value in measured.items()}


def train(
    model: nn.Module,
    settings: Settings,
    seed: int,
    stop: Callable[[History], bool] | None = None,
    state_path: Path | None = None,
    context: dict[str, Any] | None = None,
) -> History:
    """Train ``model`` (on its device) to copy sequences drawn from ``seed``.

    Parameters
    ----------
    stop : asked after each evaluation; training ends there where it says so
    state_path : where the unfinished state is kept at evaluations, at most every ``SAVE_AFTER``
        seconds; an interrupted training goes on from there and ends the same
    context : what distinguishes this model and its data from others, kept with the state

    Returns
    -------
    lists of equal length, under the names of ``COLUMNS``

    Raises
    ------
    InputError
        where ``state_path`` is damaged or of another ``context``.
    """
    device = next(model.parameters()).device
    threads = torch.get_num_threads()
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr, fused=True)
    history: History = {column: [] for column in COLUMNS}
    start = 0
    if state_path is not None and state_path.exists():
        state = storage.load_torch(state_path, f"delete {state_path.parent} to train again")
        check_part(state, state_path, context, STATE_TYPES)
        start, history = state["history"]["step"][-1], state["history"]
        try:
            model.load_state_dict(state["weights"])
            optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError, TypeError):
            raise damaged(state_path) from None
        torch.set_num_threads(state["threads"])  # other numbers of threads round differently
    batch = evaluation_batch(settings).to(device)
    losses, last_save = [], time.monotonic()
    last = settings.evaluations[-1]
    for step in range(start, last + 1):
        if step in settings.evaluations and step not in history["step"][-1:]:
            loss = torch.stack(losses).mean().item() if losses else float("nan")
            losses.clear()
            append(history, step, loss, evaluate(model, settings, batch))
            if step == last or (stop is not None and stop(history)):
                break
            if state_path is not None and time.monotonic() - last_save > SAVE_AFTER:
                state = {
                    "context": context,
                    "history": history,
                    "weights": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "threads": torch.get_num_threads(),
                }
                storage.save_torch(state, state_path)
                last_save = time.monotonic()
        source = training_batch(settings, seed, step).to(device)
        loss = nll(model(source).logits, source)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    torch.set_num_threads(threads)
    return history


def append(history: History, step: int, loss: float, measured: dict) -> None:
    """Add an evaluation to ``history``."""
    for column, value in ({"step": step, "loss": loss} | measured).items():
        history[column].append(value)


STATE_TYPES = {"history": dict, "weights": dict, "optimizer": dict, "threads": int}
PART_TYPES = {"history": dict}


def check_part(part: Any, path: Path, context: dict | None, types: dict[str, type]) -> None:
    """Raise InputError unless ``part`` is what this experiment left in ``path``."""
    if (
        not isinstance(part, dict)
        or not isinstance(part.get("context"), dict)
        or not all(isinstance(part.get(key), kind) for key, kind in types.items())
        or not is_history(part["history"])
    ):
        raise damaged(path)
    check_settings(part["context"], context or {}, path)


def damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged: delete {path.parent} to train again")


def check_settings(old: dict[str, Any], new: dict[str, Any], path: Path) -> None:
    """Raise InputError unless the settings that ``path`` was made with are ``new``."""
    for key in {**new, **old}:
        if old.get(key) != new.get(key):
            raise InputError(
                f"{path} is of other settings ({key}: {old.get(key)}, now {new.get(key)}): "
                "delete it or choose another name for the results"
            )


class Way(NamedTuple):
    """How many models are trained: as one, or separately, in processes side by side."""

    device: torch.device
    batched: bool
    pool: Executor | None  # the processes; None: in this one
    at_once: int = 1  # models that are trained at the same time


def add_way(parser: cli.Parser) -> None:
    """``--device``, ``--way`` and ``--jobs``."""
    cli.add_device(parser)
    parser.add_argument(
        "--way",
        choices=["auto", "batched", "separate"],
        default="auto",
        help="train many models as one batched model or each separately (auto: batched on cuda, "
        "separate on cpu)",
    )
    parser.add_argument(
        "--jobs",
        type=cli.positive_int,
        help="models to train side by side, each on its share of the cores (default: one per "
        "core; one on cuda)",
    )


@contextlib.contextmanager
def way_of_training(
    device: str | None, way: str, jobs: int | None, models: int | None = None
) -> Iterator[Way]:
    """The :class:`Way` that the flags of :func:`add_way` ask for.

    ``models`` is the number of models to train, where it is known: there are no more processes.
    """
    found = cli.find_device(device)
    batched = way == "batched" or (way == "auto" and found.type == "cuda")
    if jobs is None:
        jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        jobs = jobs if found.type == "cpu" else 1
    jobs = 1 if batched else jobs
    # Not divided by the models left: the number of threads changes float sums, and a resumed run
    # must match an uninterrupted one.
    all_threads = torch.get_num_threads()
    threads = max(1, all_threads // jobs)
    processes = jobs if models is None else min(jobs, models)
    if processes == 1:
        torch.set_num_threads(threads)
        try:
            yield Way(found, batched, None, BATCHED_MODELS if batched else 1)
        finally:
            torch.set_num_threads(all_threads)
        return
    # a forked process could inherit a lock that another thread holds
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _begin_process, (threads,))
    try:
        yield Way(found, False, pool, processes)
    except BrokenProcessPool:
        raise InputError("a process was killed (memory?): try fewer --jobs") from None
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()  # what it does is not needed any more
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_process(threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    torch.set_num_threads(threads)

    def end_with_parent():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def train_all(
    tasks: dict[str, Task],
    settings: Settings,
    way: Way,
    folder: Path,
    context: dict[str, Any],
    stop: Callable[[History], bool] | None = None,
    finished: Callable[[str, History], None] | None = None,
) -> dict[str, History]:
    """Train every task's model and give their histories, under the same names.

    Parameters
    ----------
    folder : keeps each finished history (``<name>.pkl``) and, where models are trained separately,
        unfinished ones (``<name>.pt``); what lies there already is not trained again
    context : the experiment's settings, kept with each of them
    stop : see :func:`train`; each model's training ends by itself
    finished : called with the name and history of every model trained now

    Raises
    ------
    InputError
        where a file in ``folder`` is damaged or of another ``context``.
    """
    context = asdict(settings) | context
    histories = {}
    for name in tasks:
        path = folder / f"{name}.pkl"
        if path.exists():
            part = storage.load_pickle(path, f"delete {folder} to train again")
            check_part(part, path, context, PART_TYPES)
            histories[name] = part["history"]
            (folder / f"{name}.pt").unlink(missing_ok=True)  # a run was killed between the two
    todo = {name: task for name, task in tasks.items() if name not in histories}
    storage.make_folder(folder)
    train_them = _train_batched if way.batched else _train_separately
    trained = train_them(todo, settings, way, folder, context, stop)
    with contextlib.closing(trained):
        for name, history in cli.progress_bar(trained, total=len(todo), unit="model"):
            storage.save_pickle({"context": context, "history": history}, folder / f"{name}.pkl")
            (folder / f"{name}.pt").unlink(missing_ok=True)
            histories[name] = history
            if finished is not None:
                finished(name, history)
    # Always the same strings as keys: a pickle of the same values then has the same bytes.
    return {name: {column: histories[name][column] for column in COLUMNS} for name in tasks}


def _train_separately(
    tasks: dict[str, Task],
    settings: Settings,
    way: Way,
    folder: Path,
    context: dict[str, Any],
    stop: Callable[[History], bool] | None,
) -> Iterator[tuple[str, History]]:
    """Names and histories, as they are finished."""
    arguments = {
        name: (task, settings, str(way.device), stop, folder / f"{name}.pt", context)
        for name, task in tasks.items()
    }
    if way.pool is None:
        for name, values in arguments.items():
            yield name, _train_task(*values)
        return
    names = {way.pool.submit(_train_task, *values): name for name, values in arguments.items()}
    for future in as_completed(names):
        yield names[future], future.result()


def _train_task(task: Task, settings: Settings, device: str, stop, path: Path, context: dict):
    return train(task.build().to(cli.find_device(device)), settings, task.seed, stop, path, context)


def _train_batched(
    tasks: dict[str, Task],
    settings: Settings,
    way: Way,
    folder: Path,
    context: dict[str, Any],
    stop: Callable[[History], bool] | None,
) -> Iterator[tuple[str, History]]:
    """As :func:`_train_separately`, ``BATCHED_MODELS`` at a time."""
    from attention_dynamics.copying import batched

    names = iter(tasks)
    while group := list(islice(names, BATCHED_MODELS)):
        models = [tasks[name].build() for name in group]
        seeds = [tasks[name].seed for name in group]
        for index, history in batched.train(models, seeds, settings, way.device, stop):
            yield group[index], history
