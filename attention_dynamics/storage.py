"""Files written whole or not at all, and read without running code that lies in them."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from attention_dynamics.cli import InputError


@contextlib.contextmanager
def write_whole(path: Path) -> Iterator[BinaryIO]:
    """Open ``path`` for writing; it appears under its name only when it is complete.

    The bytes go to a temporary name in the same folder and are renamed at the end, so that a
    reader, or a run that is killed, meets the old file or the new one and nothing between.

    Raises
    ------
    InputError
        where the disk is full, the folder cannot be written, or another process is writing the
        same file. The old file is then untouched.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{path} is being written by another process") from None
            file.truncate(0)  # what a killed process may have left
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise InputError(f"{path} could not be written: {error.strerror or error}") from error


def save_json(value: Any, path: Path) -> None:
    with write_whole(path) as file:
        file.write(json.dumps(value, ensure_ascii=False).encode())


def save_pickle(value: Any, path: Path) -> None:
    with write_whole(path) as file:
        pickle.dump(value, file, protocol=5)


def save_torch(value: Any, path: Path) -> None:
    """``torch.save``; the same value gives the same bytes, whatever the file is called."""
    import torch

    # A full disk shows as an OSError only where plain bytes are written.
    buffer = io.BytesIO()
    torch.save(value, buffer)
    with write_whole(path) as file:
        file.write(buffer.getbuffer())


def save_text(text: str, path: Path) -> None:
    save_bytes(text.encode(), path)


def save_bytes(content: bytes, path: Path) -> None:
    with write_whole(path) as file:
        file.write(content)


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Wait until no other process holds the lock of ``folder``, and hold it for a while."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def load_json(path: Path, make: str) -> Any:
    """Read a JSON file; ``make`` is the advice for one that is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {make}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}): {make}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def load_text(path: Path, make: str) -> str:
    """Read a text file in UTF-8; ``make`` is the advice for one that is missing or damaged."""
    try:
        content = path.read_bytes()
        return content.decode().replace("\r\n", "\n")
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {make}") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: it is not UTF-8: {make}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def load_torch(path: Path, make: str) -> Any:
    """Read a ``torch.save`` file onto the CPU, tensors and plain containers only."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd in a file the error says enough
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {make}") from None
    except Exception:
        # torch raises half a dozen types here (RuntimeError, UnpicklingError, EOFError, …)
        raise InputError(f"{path} is damaged or not a checkpoint: {make}") from None


class _PlainUnpickler(pickle.Unpickler):
    """Admits numpy arrays and plain containers; a pickle can otherwise call any function."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")  # numpy 1 wrote the older name
        if (module, name) not in (
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "scalar"),
            ("numpy._core.numeric", "_frombuffer"),
            ("collections", "OrderedDict"),
        ):
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)


def load_pickle(path: Path, make: str) -> Any:
    """Read a pickle of numpy arrays and plain containers, and nothing else.

    Parameters
    ----------
    path : file to read
    make : what to do about a file that is missing or damaged, for the message

    Raises
    ------
    InputError
        where the file is missing, damaged, or names anything that could run code.
    """
    try:
        with open(path, "rb") as file:
            return _PlainUnpickler(file).load()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {make}") from None
    except Exception as error:  # damaged bytes raise almost any type
        raise InputError(f"{path} is not a pickle of plain arrays ({error}): {make}") from None


def digest(*parts: Path | bytes) -> str:
    """A short fingerprint of files and bytes, to tell whether they are still the same."""
    fingerprint = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, Path):
            with open(part, "rb") as file:
                while block := file.read(1 << 20):
                    fingerprint.update(block)
        else:
            fingerprint.update(part)
    return fingerprint.hexdigest()
