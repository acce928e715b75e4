"""Atomic writes, and reading files without running any code that they contain."""

import contextlib
import csv
import fcntl
import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.files import locks, pickles, seal
from attention_dynamics.text import written_out


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
        descriptor, locked = locks.try_lock(temporary)
        with open(descriptor, "wb") as file:
            if locked is False:
                raise InputError(f"{path} is being written by another process")
            file.truncate(0)  # a killed process may have left bytes
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, path)
                _sync_folder(path.parent)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise InputError(f"{path} could not be written: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a loss of power, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def save_json(value: dict[str, Any], path: Path) -> None:
    """Write JSON in UTF-8, atomically, with a digest that :func:`load_json` checks."""
    text = _json({**value, "digest": digest(_json(value))})
    save_bytes(text, path)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")


def save_pickle(value: Any, path: Path) -> None:
    """Write a sealed pickle atomically; :func:`load_pickle` reads plain containers and arrays."""
    with atomic_write(path) as file:
        writer = seal.Writer(file)
        pickle.dump(value, writer, protocol=5)
        writer.end({})


def save_torch(value: Any, path: Path, of: Mapping[str, Any] | None = None) -> None:
    """``torch.save``, atomically and sealed. The same value gives the same bytes.

    ``of`` says what the file is of (step, seed, settings): plain values for :func:`load_torch`.
    """
    import torch

    # torch.save itself turns the OSError of a full disk into another error.
    buffer = io.BytesIO()
    torch.save(value, buffer)
    content = bytearray(buffer.getbuffer())
    seal.seal_zip(content, of or {})
    save_bytes(content, path)


def save_text(text: str, path: Path) -> None:
    """Write ``text`` in UTF-8, atomically, as :func:`written_out` has it."""
    save_bytes(written_out(text).encode(), path)


def save_bytes(content: bytes | bytearray, path: Path) -> None:
    """Write ``content`` atomically; a file that has these bytes already is left alone."""
    with contextlib.suppress(OSError):
        if path.stat().st_size == len(content) and path.read_bytes() == content:
            return
    with atomic_write(path) as file:
        file.write(content)


def save_set(contents: Mapping[Path, bytes], record: Path) -> None:
    """Write files that belong together, and ``record``, which says what is in each.

    A failure leaves the files that were there. A process that is killed between two renames leaves
    a record that does not fit, which :func:`check_set` notices.
    """
    digests = {path.name: digest(content) for path, content in contents.items()}
    make_folder(record.parent)
    with lock(record.parent), contextlib.ExitStack() as stack:
        # The last to be opened is the first to get its name: the record.
        for path, content in {**contents, record: _json(digests)}.items():
            file = stack.enter_context(atomic_write(path))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # after this, the files need no more than a new name


def check_set(record: Path, paths: Iterable[Path], make: str) -> None:
    """Raise an InputError if the files at ``paths`` are not those that ``record`` tells of.

    Without a record (the authors' data has none) nothing is checked.
    """
    if not record.exists():
        return
    digests = load_json(record, make)
    for path in paths:
        if not isinstance(digests, dict) or digests.get(path.name) != digest(path):
            raise InputError(
                f"{path} is not the file that was prepared with the others: {make} (or delete "
                f"{record} if you changed it yourself)"
            )


def save_csv(header: Iterable[str], rows: Iterable[Iterable], path: Path) -> None:
    """Write CSV as :func:`save_text`, a row at a time; None is an empty field."""
    with atomic_write(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        text.detach()  # flushes; atomic_write closes the file


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder``, after waiting until no other process holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in locks.NO_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _reading(path: Path, make: str, damage: str) -> Iterator[None]:
    """Say in one line why ``path`` cannot be read; ``damage`` may contain ``{error}``."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {make}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except seal.Damaged as error:
        raise InputError(f"{path} is damaged ({error}): {make}") from None
    except Exception as error:  # damaged bytes raise almost any type
        if cli.is_out_of_memory(error):
            raise
        reason = damage.format(error=" ".join(str(error).split()))
        raise InputError(f"{path} {reason}: {make}") from None


def load_json(path: Path, make: str) -> Any:
    """Read a JSON file; ``make`` says what to do if it is missing or damaged (InputError)."""
    with _reading(path, make, "is damaged ({error})"):
        value = json.loads(path.read_bytes())
        found = value.pop("digest", None) if isinstance(value, dict) else None
        if found is not None and found != digest(_json(value)):
            raise seal.Damaged("its text is not what was written")
    return value


def load_text(path: Path, make: str) -> str:
    """Read text in UTF-8; ``make`` says what to do if it is missing or damaged (InputError)."""
    with _reading(path, make, "is damaged ({error})"):
        content = path.read_bytes()
    try:
        return content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: it is not UTF-8: {make}") from None


def load_torch(path: Path, make: str, of: Mapping[str, Any] | None = None) -> Any:
    """Read a ``torch.save`` file onto the CPU: tensors and plain containers only.

    Parameters
    ----------
    make : what to do if it is missing or damaged, for the message
    of : what the file must be of, as far as its seal says what it is of

    Raises
    ------
    InputError
        if it is missing, damaged, or of something else.
    """
    import torch

    with _reading(path, make, "is damaged or not a checkpoint"), warnings.catch_warnings():
        sealed = seal.check(path)
        _check_zip(path, sealed)
        warnings.simplefilter("ignore")  # the InputError already explains what is wrong
        value = torch.load(path, map_location="cpu", weights_only=True)
    found = sealed.of if sealed else {}
    for key, expected in (of or {}).items():
        if key in found and found[key] != expected:
            raise InputError(f"{path} is of {key} {found[key]}, not {expected}: {make}")
    return value


def _check_zip(path: Path, sealed: seal.Seal | None) -> None:
    """Refuse a checkpoint that lost its seal, or that unpacks to more bytes than it has."""
    if zipfile.is_zipfile(path):  # older files of torch are none
        with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
            unpacked = sum(info.file_size for info in archive.infolist())
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - seal.LONGEST))
            _, _, end = file.read().rpartition(b"PK\x05\x06")
        if sealed is None and end[16:18] != b"\0\0":  # the length of the comment
            raise seal.Damaged("its last line is damaged")
        if unpacked > size:  # torch never compresses
            raise seal.Damaged("it unpacks to more than its size")


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
    with _reading(path, make, "is not a pickle of plain arrays ({error})"):
        sealed = seal.check(path)
        with open(path, "rb") as file:
            return pickles.load(file, sealed.size if sealed else path.stat().st_size)


def digest(*parts: Path | bytes) -> str:
    """A short fingerprint (hexadecimal) of files and bytes, to see whether they have changed."""
    fingerprint = seal.new_digest()
    for part in parts:
        if isinstance(part, Path):
            with open(part, "rb") as file:
                while block := file.read(1 << 20):
                    fingerprint.update(block)
        else:
            fingerprint.update(part)
    return fingerprint.hexdigest()
