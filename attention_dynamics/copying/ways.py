"""Ways of training many models: as one, or each alone, in processes side by side."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

import torch

from attention_dynamics import cli
from attention_dynamics.cli import InputError

BATCHED_MODELS = 32  # models that are trained as one, at most


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

    ``models`` is the number of models to train, if known: there are no more processes than that.
    """
    found = cli.find_device(device)
    batched = way == "batched" or (way == "auto" and found.type == "cuda")
    if batched or (jobs is None and found.type == "cuda"):
        jobs = 1
    elif jobs is None:
        affinity = hasattr(os, "sched_getaffinity")
        jobs = len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1
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
    # A forked process could inherit a lock that another thread holds.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _begin_process, (threads,))
    try:
        yield Way(found, False, pool, processes)
    except BrokenProcessPool:
        raise InputError("a process was killed (memory?): try fewer --jobs") from None
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()  # it saves its training, and ends the next ones at once
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_process(threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    # Between trainings there is nothing to save, and the parent ends this process.
    cli.Termination.deferred = True
    signal.signal(signal.SIGTERM, cli.Termination.note)
    torch.set_num_threads(threads)

    def end_with_parent() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
