"""Stages that are run in a child process, in small, and what may happen to them.

A child is forked, so that a stage takes a fraction of a second: torch is loaded already.
"""

import contextlib
import os
import resource
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from conftest import ROOT, write_json, write_list

SIZES = {
    "classification": {"h_dim": 4, "intermediate_dim": 4, "embed_dim": 4, "b_size": 16},
    "translation": {"h_dim": 4, "dropout": 0.5, "n_layers": 2, "b_size": 64},
}
# Words of the history, the sizes of files and the results depend on these alone.
TIMED = {"run.json", "resume.pt"}  # they record seconds
SECONDS = 300  # a stage that takes longer, also on a busy machine, never ends


class Stage(NamedTuple):
    """A command, its folder, and what it writes."""

    folder: str
    command: str
    writes: tuple[str, ...]


RUN = "h_dim=4,b_size=16,seed=20,normal"
SEED = "train_classifier.py --dataset toy --steps 6 --save_every 2 --seed"
PAIRS = "train_translation.py --dataset toy --epochs 1 --save_every 20 --vocab_size 76 --seed"
STAGES = {
    "prepare": Stage("classification", "prepare_data.py --dataset toy", ("data",)),
    "train": Stage("classification", f"{SEED} 20", ("models",)),
    "train B": Stage("classification", f"{SEED} 13", ("models",)),
    "train uniform": Stage("classification", f"{SEED} 12 --uniform", ("models",)),
    "dump": Stage("classification", "eval_dump.py --dataset toy --test_set_size 30", ("outputs",)),
    "baseline": Stage("classification", "embedding_beta.py --dataset toy --epochs 2", ("outputs",)),
    "logistic": Stage("classification", "logistic_beta.py --dataset toy", ("outputs",)),
    "collect": Stage(
        "classification",
        "collect_classification_stats.py --datasets toy --out_file outputs/stats.pkl --resamples 5",
        ("outputs",),
    ),
    "prepare pairs": Stage("translation", "prepare_data.py --dataset toy", ("data",)),
    "train translation": Stage("translation", f"{PAIRS} 20", ("models", "data")),
    "copying": Stage(
        "SequenceCopying",
        "seq2seq.py --no_rep --num_vocab 6 --seq_length 4 --hidden_dim 4 --bsize 4 --steps 6"
        " --eval_every 2 --seeds 2 --jobs 1 --exp_name small",
        ("logs",),
    ),
}


class End(NamedTuple):
    """How a child ended: its exit status (minus the signal, as in ``subprocess``), its output."""

    status: int
    out: str
    err: str


def make_root(root: Path) -> None:
    """The folders that stages work in, with small models."""
    for task, sizes in SIZES.items():
        write_json(root / task / "configs" / "model.json", sizes)
    write_list(root / "classification" / "configs" / "toy.json", (0, 2, 5))
    (root / "SequenceCopying").mkdir()


def flags_of(root: Path, stage: Stage) -> list[str]:
    """The command's words, with the folders of ``root``."""
    script, *flags = stage.command.split()
    here = root / stage.folder
    flags = [str(here / word) if word.startswith("outputs/") else word for word in flags]
    folders = {
        "prepare_data.py": ["data"],
        "train_classifier.py": ["data", "models"],
        "train_translation.py": ["data", "models"],
        "eval_dump.py": ["data", "models", "outputs", "configs"],
        "embedding_beta.py": ["data", "outputs"],
        "logistic_beta.py": ["data", "outputs"],
        "collect_classification_stats.py": ["outputs"],
        "seq2seq.py": ["logs"],
    }[script]
    for name in folders:
        flags += [f"--{name}_dir", str(here / name)]
    if {"models", "train_classifier.py"} & {*folders, script}:
        flags += ["--config", str(here / "configs" / "model.json")]
    return [str(ROOT / stage.folder / script), *flags]


@contextlib.contextmanager
def started(
    root: Path, stage: Stage, before: Callable[[], None] = lambda: None, more: tuple[str, ...] = ()
) -> Iterator[tuple[int, Path]]:
    """A stage in a child, and the folder of its output. ``before`` is called in the child."""
    argv = [*flags_of(root, stage), *more]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("out", "err"):  # a child that is killed at once has written nothing
            (Path(folder) / name).touch()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for number, name in ((1, "out"), (2, "err")):
                    os.dup2(os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT), number)
                sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
                sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
                sys.argv = argv
                signal.alarm(SECONDS)
                before()
                runpy.run_path(argv[0], run_name="__main__")
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                with contextlib.suppress(OSError, ValueError):
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(status)
        yield child, Path(folder)


def ended(child: int, folder: Path) -> End:
    """Wait for a child."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    texts = [(folder / name).read_text(errors="replace") for name in ("out", "err")]
    return End(status, *texts)


def run(
    root: Path, stage: Stage, before: Callable[[], None] = lambda: None, more: tuple[str, ...] = ()
) -> End:
    with started(root, stage, before, more) as (child, folder):
        return ended(child, folder)


def die_at(operation: int) -> Callable[[], None]:
    """Kill this process at its ``operation``-th call of what makes a file last."""

    def install() -> None:
        count = 0
        for name in ("fsync", "replace", "unlink", "open"):
            original = getattr(os, name)

            def counted(*args, original=original, **options):
                nonlocal count
                count += 1
                if count == operation:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*args, **options)

            setattr(os, name, counted)

    return install


def fill_disk(size: int) -> Callable[[], None]:
    """Refuse files of more than ``size`` bytes: what a full disk does to a write."""

    def install() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return install


def limit_memory(more: int) -> Callable[[], None]:
    """Let this process take ``more`` bytes than it has now."""

    def install() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    return install


def results(root: Path) -> dict[str, bytes]:
    """Every file but those that record how long something took."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in TIMED
    }


def copy(root: Path, target: Path) -> Path:
    shutil.copytree(root, target)
    return target


def one_line(end: End) -> bool:
    """Status 2 and one line, which is no traceback."""
    return end.status == 2 and len(end.err.strip().splitlines()) == 1 and "Traceback" not in end.err


class Tries:
    """Numbers to seed tries with: a few, or as many as ``seconds`` allow."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def __call__(self, few: int) -> Iterator[int]:
        if not self.seconds:
            yield from range(few)
            return
        end, number = time.monotonic() + self.seconds, 0
        while time.monotonic() < end:
            yield number
            number += 1
