"""Pieces of a command line: flags, device, seeds, and errors of one line."""

import argparse
import atexit
import contextlib
import difflib
import os
import random
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from attention_dynamics.kernels.memory import keep_freed_memory

if TYPE_CHECKING:  # scripts show --help without the seconds that importing torch takes
    import torch


# Closed when a script ends, in any way: locks, for instance.
AT_END = contextlib.ExitStack()
atexit.register(AT_END.close)


def _interrupted(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """What an error that nobody handles prints: a line for Ctrl-C while modules are imported."""
    if isinstance(_signal_behind(error), KeyboardInterrupt):
        print(f"\n{Path(sys.argv[0]).name}: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if Path(sys.argv[0]).suffix == ".py":  # a script, not a notebook
    sys.excepthook = _interrupted


class InputError(Exception):
    """What the user gave cannot be used. The message is one line and says what to do."""


class Terminated(BaseException):
    """SIGTERM asked the process to end."""


class Termination:
    """Whether SIGTERM has come. While it is deferred, a training ends after its next save."""

    asked = False
    deferred = False

    @classmethod
    def note(cls, *_: Any) -> None:
        """What the signal calls."""
        cls.asked = True
        if not cls.deferred:
            raise Terminated


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows the defaults of flags that have one, and the script's docstring as it is."""

    def _get_help_string(self, action: argparse.Action) -> str:
        if action.default is None or action.default is False or action.default == []:
            return action.help or ""
        return super()._get_help_string(action) or ""


class Parser(argparse.ArgumentParser):
    """An argument parser that shows defaults in ``--help`` and answers an error with one line.

    ``description`` is the docstring of the script. Its first paragraph stands above the flags, the
    others below them: what the script reads and writes, what comes next, and an example.
    ``checks`` are called with the flags; an InputError of theirs is an error of the command line.
    """

    def __init__(self, description: str):
        description, _, epilog = description.replace("%", "%%").strip().partition("\n\n")
        super().__init__(
            description=description,
            epilog=epilog,
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )
        self.checks: list[Callable[[Any], None]] = []

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        found = super().parse_args(args, namespace)
        try:
            for check in self.checks:
                check(found)
        except InputError as error:
            self.error(str(error))
        return found

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (--help lists the flags)\n")


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main``.

    Bad input and errors of the system end it with one line and status 2, Ctrl-C with 130, SIGTERM
    with 143 (128 and the signal, as schedulers expect).
    """
    name = Path(sys.argv[0]).name
    _prepare_streams()
    Termination.asked = Termination.deferred = False
    before = signal.signal(signal.SIGTERM, Termination.note)
    try:
        try:
            with AT_END:
                main()
        except RuntimeError as error:
            if (signalled := _signal_behind(error)) is None:
                raise
            raise signalled from None
        finally:
            signal.signal(signal.SIGTERM, before)
        sys.stdout.flush()
    except InputError as error:
        _end(f"{name}: {' '.join(str(error).split())}", 2)
    except ModuleNotFoundError as error:
        advice = 'run "pip install -r requirements.txt" in the root of the repository'
        _end(f"{name}: {error.name or error} is not installed: {advice}", 2)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _end(f"{name}: not enough memory: try smaller sizes or batches", 2)
    except BrokenPipeError:  # the output goes to "head", which has seen enough
        _end(None, 1)
    except OSError as error:
        if error.errno is None:
            raise
        what = "the output" if error.filename is None else os.fsdecode(error.filename)
        _end(f"{name}: {what}: {error.strerror}", 2)
    except KeyboardInterrupt:
        _end(f"\n{name}: interrupted: the same command resumes from the last save", 130)
    except Terminated:
        _end(f"{name}: terminated: the same command resumes from the last save", 143)


def _signal_behind(error: BaseException | None) -> BaseException | None:
    """The end by a signal that ``error`` was raised from, if it was.

    A signal that comes while an import makes a class is wrapped in a RuntimeError (Python 3.11).
    """
    while error is not None and not isinstance(error, (KeyboardInterrupt, Terminated)):
        error = error.__cause__ or error.__context__
    return error


def _prepare_streams() -> None:
    """Let output never fail for what it says: a stream that is closed, or knows ASCII only."""
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(os.devnull, "w"))  # noqa: SIM115  (until the process ends)
        elif hasattr(getattr(sys, stream), "reconfigure"):
            getattr(sys, stream).reconfigure(errors="backslashreplace")


def _end(line: str | None, status: int) -> NoReturn:
    """Print a line where errors go, if that still works, and end."""
    with contextlib.suppress(OSError):
        if line is not None:
            print(line, file=sys.stderr, flush=True)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # else the interpreter tries again, and complains
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(status)


# What torch, oneDNN and C++ say in a RuntimeError.
NO_MEMORY = (
    "can't allocate memory",
    "out of memory",
    "could not create a primitive",
    "could not create a memory",
    "bad_alloc",
)


def is_out_of_memory(error: Exception) -> bool:
    """Whether numpy, or torch on a CPU or a GPU, was refused memory."""
    return isinstance(error, MemoryError) or any(some in str(error) for some in NO_MEMORY)


def positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def seed(text: str) -> int:
    value = natural(text)
    if value >= 2**32:  # numpy's limit
        raise argparse.ArgumentTypeError(f"{text} is too large: seeds are below 2**32")
    return value


def positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def steps(text: str) -> list[int]:
    """``0,10,50`` as rising numbers without repetition."""
    try:
        values = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of steps such as 0,10,50 (no spaces)"
        ) from None
    if values[0] < 0:
        raise argparse.ArgumentTypeError(f"{values[0]} is negative")
    return values


def log_schedule(text: str) -> int:
    """``log:40`` as 40, the number of steps spaced evenly in the logarithm."""
    kind, _, count = text.partition(":")
    if kind != "log" or not count.isdecimal() or int(count) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a schedule such as log:40")
    return int(count)


def steps_or_saved(text: str) -> list[int] | str:
    """``saved``, or :func:`steps`."""
    return text if text == "saved" else steps(text)


def file_name(text: str) -> str:
    """The name of a file, without a folder, that leaves room for an ending."""
    if text in ("", ".", "..") or Path(text).name != text or len(os.fsencode(text)) > 200:
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a file")
    return text


# argparse names the type in its messages: "invalid positive_int value" tells a user nothing.
positive_int.__name__ = natural.__name__ = seed.__name__ = "whole number"
positive_float.__name__ = share.__name__ = "number"


def unknown(kind: str, name: str, known: Collection[str]) -> InputError:
    """An error that says which known name may have been meant."""
    by_lower = {word.lower(): word for word in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    hint = f": did you mean {by_lower[close[0]]}?" if close else ""
    return InputError(f"unknown {kind} {name}{hint} (known: {' '.join(known)})")


def chosen_runs(asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """The known runs that are asked for, each once; case is ignored."""
    by_lower = {name.lower(): name for name in known}
    for name in asked:
        if name.lower() not in by_lower:
            raise unknown("run", name, known)
    return list(dict.fromkeys(by_lower[name.lower()] for name in asked))


def add_model_config(parser: Parser, script: str) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(script).resolve().parent / "configs" / "model.json",
        help="model configuration: sizes and encoder",
    )


def add_device(parser: Parser) -> None:
    parser.add_argument("--device", help="cpu or cuda (default: cuda if available)")


def add_folders(parser: Parser, script: str, *names: str) -> None:
    """``--data_dir`` and so on; by default the folders that lie beside the script."""
    what = {
        "data": "processed data",
        "models": "checkpoints",
        "outputs": "results",
        "configs": "lists of checkpoints to evaluate",
        "logs": "learning curves",
    }
    for name in names:
        parser.add_argument(
            f"--{name}_dir",
            type=Path,
            default=Path(script).resolve().parent / name,
            help=f"folder of the {what[name]}",
        )


def find_device(name: str | None) -> "torch.device":
    """The device called ``name``, or the best there is; torch is made ready to work on it.

    Raises
    ------
    InputError
        where torch knows no such device, or this machine has none.
    """
    import torch

    keep_freed_memory()
    # cuBLAS repeats its results only with this, set before its first use
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.deterministic = True
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ModuleNotFoundError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"--device {name}: there is no such device here; try cpu")
    if device.index is not None and device.type == "cuda":
        torch.cuda.set_device(device)  # for what works on the current one: random numbers
    return device


def seed_everything(value: int) -> None:
    """Seed Python, numpy and torch (on every device)."""
    import numpy as np
    import torch

    random.seed(value)
    np.random.seed(value)  # noqa: NPY002  (for libraries that draw from the global generator)
    torch.manual_seed(value)


LINES_EVERY = 60.0  # seconds between lines of progress, and before the first


class _Lines:
    """A file for tqdm: what it draws becomes a line of the error output."""

    def write(self, text: str) -> None:
        if line := text.strip("\r\n "):
            print(line, file=sys.stderr, flush=True)

    def flush(self) -> None:
        pass


def progress_bar(iterable: Iterable | None = None, **options: Any) -> Any:
    """A tqdm bar; one line per minute if stderr is not a terminal."""
    from tqdm import tqdm

    if sys.stderr.isatty():
        return tqdm(iterable, dynamic_ncols=True, **options)
    total = options.get("total", len(iterable) if isinstance(iterable, Sized) else None)
    done = "{n_fmt}" if total is None else "{n_fmt} of {total_fmt}"
    left = "" if total is None else ", {remaining} left"
    # miniters: each step looks at the clock; smoothing: the mean rate, as pauses are part of it
    lines: dict[str, Any] = {
        "mininterval": LINES_EVERY,
        "delay": LINES_EVERY,
        "miniters": 1,
        "smoothing": 0,
    }
    lines |= {"file": _Lines(), "leave": False, "position": 0, "ascii": True}
    what = " ".join(filter(None, (options.pop("desc", None), options["unit"])))
    lines["bar_format"] = f"{what} {done}, {{rate_fmt}}{left}"
    return tqdm(iterable, **(options | lines))


def say(line: str) -> None:
    """Print a line of results above whatever bar is shown."""
    from tqdm import tqdm

    tqdm.write(line)
