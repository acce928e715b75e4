"""Atomic writes, and reading files without running any code that they contain."""

import contextlib
import csv
import fcntl
import hashlib
import io
import json
import os
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from attention_dynamics.cli import InputError


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open ``path`` for an atomic write: the file appears only when it is complete.

    The bytes go to a temporary file in the same folder, which is renamed at the end. A reader, and
    a run that is killed, see the old file or the new one, and nothing in between.

    Raises
    ------
    InputError
        if the disk is full, the folder is not writable, or another process is writing the same
        file. The old file is then unchanged.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _open_locked(temporary, path) as file:
            file.truncate(0)  # a killed process may have left bytes
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


def _open_locked(temporary: Path, path: Path) -> BinaryIO:
    """Open ``temporary`` for appending, and lock it against other processes."""
    while True:
        file = open(temporary, "ab")  # noqa: SIM115  (the caller closes it)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Since the open, another process may have finished and renamed this very file.
            if os.path.samestat(os.fstat(file.fileno()), os.stat(temporary)):
                return file
        except FileNotFoundError:
            pass
        except BlockingIOError:
            file.close()
            raise InputError(f"{path} is being written by another process") from None
        file.close()


def make_folder(path: Path) -> None:
    """Create ``path`` if it is missing. Call it before long work, which then cannot fail to save.

    Raises
    ------
    InputError
        if it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be created: {error.strerror}") from None


def save_json(value: Any, path: Path) -> None:
    """Write JSON in UTF-8, atomically; ``value`` is of plain containers, strings and numbers."""
    with atomic_write(path) as file:
        file.write(json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass"))


def save_pickle(value: Any, path: Path) -> None:
    """Write a pickle atomically; :func:`load_pickle` reads plain containers and numpy arrays."""
    with atomic_write(path) as file:
        pickle.dump(value, file, protocol=5)


def save_torch(value: Any, path: Path) -> None:
    """``torch.save``, atomically. The same value gives the same bytes, whatever the file name."""
    import torch

    # torch.save itself turns the OSError of a full disk into another error.
    buffer = io.BytesIO()
    torch.save(value, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def save_text(text: str, path: Path) -> None:
    """Write ``text`` in UTF-8, atomically."""
    save_bytes(text.encode(), path)


def save_bytes(content: bytes, path: Path) -> None:
    """Write ``content`` atomically."""
    with atomic_write(path) as file:
        file.write(content)


def save_csv(header: Iterable[str], rows: Iterable[Iterable], path: Path) -> None:
    """Write CSV in UTF-8 atomically, a row at a time; None is an empty field."""
    with atomic_write(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogatepass", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        text.detach()  # flushes; atomic_write closes the file


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder``, after waiting until no other process holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def load_json(path: Path, make: str) -> Any:
    """Read a JSON file; ``make`` says what to do if it is missing or damaged (InputError)."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {make}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}): {make}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def load_text(path: Path, make: str) -> str:
    """Read text in UTF-8; ``make`` says what to do if it is missing or damaged (InputError)."""
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
    """Read a ``torch.save`` file onto the CPU: tensors and plain containers only.

    ``make`` says what to do if it is missing or damaged (InputError).
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the InputError below already explains what is wrong
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {make}") from None
    except Exception:
        # torch raises half a dozen types here (RuntimeError, UnpicklingError, EOFError, …)
        raise InputError(f"{path} is damaged or not a checkpoint: {make}") from None


class _Dtype:
    """Replaces ``numpy.dtype`` in a pickle: numbers, booleans and strings of fixed size only.

    A file can make numpy's own a dtype of Python objects, whose addresses the file then supplies.
    """

    def __init__(self, code: str, align: bool = False, copy: bool = False):
        if not re.fullmatch(r"[biufcSUV?]\d*", code):
            raise pickle.UnpicklingError(f"it has an array of {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        _, byte_order, subdtype, names, fields, *_ = state
        if subdtype is not None or names is not None or fields is not None:
            raise pickle.UnpicklingError("it has an array with fields")
        self.dtype = self.dtype.newbyteorder(byte_order)


class _Array(np.ndarray):
    """An array that older protocols first create empty and then fill."""

    def __setstate__(self, state: tuple) -> None:
        version, shape, dtype, fortran_order, content = state
        super().__setstate__((version, shape, dtype.dtype, fortran_order, bytes(content)))


_ADMITTED = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): "ndarray",  # an argument of _reconstruct; not to be called
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array((0,), dtype=np.uint8),
    ("numpy._core.multiarray", "scalar"): lambda dtype, content: np.frombuffer(
        content, dtype.dtype, count=1
    )[0],
    ("numpy._core.numeric", "_frombuffer"): lambda content, dtype, shape, order: np.frombuffer(
        content, dtype.dtype
    ).reshape(shape, order=order),
    ("collections", "OrderedDict"): OrderedDict,
}


class _PlainUnpickler(pickle.Unpickler):
    """Admits only numpy arrays and plain containers: a pickle can otherwise call any function."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")  # numpy 1 wrote the older name
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _ADMITTED[module, name]


def _with_plain_arrays(value: Any) -> Any:
    """``value`` with every :class:`_Array` in its containers as numpy's own array."""
    if isinstance(value, dict):
        pairs = ((_with_plain_arrays(k), _with_plain_arrays(v)) for k, v in value.items())
        return type(value)(pairs)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_with_plain_arrays, value))
    return value.view(np.ndarray) if isinstance(value, _Array) else value


def load_pickle(path: Path, make: str) -> Any:
    """Read a pickle of numpy arrays and plain containers, and nothing else.

    Parameters
    ----------
    path : file to read
    make : what to do if the file is missing or damaged, for the message

    Raises
    ------
    InputError
        if the file is missing, damaged, or names anything that could run code.
    """
    try:
        with open(path, "rb") as file:
            return _with_plain_arrays(_PlainUnpickler(file).load())
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {make}") from None
    except Exception as error:  # damaged bytes raise almost any type
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not a pickle of plain arrays ({reason}): {make}") from None


def digest(*parts: Path | bytes) -> str:
    """A short fingerprint (hexadecimal) of files and bytes, to see whether they have changed."""
    fingerprint = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, Path):
            with open(part, "rb") as file:
                while block := file.read(1 << 20):
                    fingerprint.update(block)
        else:
            fingerprint.update(part)
    return fingerprint.hexdigest()
