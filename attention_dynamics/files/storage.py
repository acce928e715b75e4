"""Files written whole or not at all, and read without running code that lies in them."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

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
        with _open_alone(temporary, path) as file:
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


def _open_alone(temporary: Path, path: Path) -> BinaryIO:
    """Open ``temporary`` for appending, and lock it against other processes."""
    while True:
        file = open(temporary, "ab")  # noqa: SIM115  (the caller closes it)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # between the two, another process may have finished and renamed this very file
            if os.path.samestat(os.fstat(file.fileno()), os.stat(temporary)):
                return file
        except FileNotFoundError:
            pass
        except BlockingIOError:
            file.close()
            raise InputError(f"{path} is being written by another process") from None
        file.close()


def make_folder(path: Path) -> None:
    """Make ``path`` where it is not there: before long work, so that its end finds its place.

    Raises
    ------
    InputError
        where it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be made: {error.strerror}") from None


def save_json(value: Any, path: Path) -> None:
    with write_whole(path) as file:
        file.write(json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass"))


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


class _Dtype:
    """Stands for ``numpy.dtype`` in a pickle: numbers, booleans and strings of fixed size.

    numpy's own can be talked into a dtype of Python objects, whose addresses the file would give.
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
    """An array that older protocols make empty and then fill."""

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
    """Admits numpy arrays and plain containers; a pickle can otherwise call any function."""

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
    make : what to do about a file that is missing or damaged, for the message

    Raises
    ------
    InputError
        where the file is missing, damaged, or names anything that could run code.
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
