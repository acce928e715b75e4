"""Reading the files of a tar, a zip, a gz or a folder, without unpacking anything to the disk."""

import contextlib
import fnmatch
import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from attention_dynamics.cli import InputError

# What the standard library raises over damaged bytes; RuntimeError is an encrypted zip.
DAMAGE: tuple[type[Exception], ...] = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError),
    *(ValueError, struct.error),
)
with contextlib.suppress(ImportError):  # some builds of Python lack it
    import lzma

    DAMAGE = (*DAMAGE, lzma.LZMAError)
# Text is compressed to a fifth or so; what unpacks to more than this is no text.
LARGEST_RATIO = 100
SMALL = 1 << 24  # bytes that any archive may unpack to
LONGEST_LINE = 1 << 24  # bytes
UNREADABLE: tuple[type[Exception], ...] = (*DAMAGE, RuntimeError, NotImplementedError, OSError)

File = IO[bytes] | gzip.GzipFile
Files = Generator[tuple[str, File], None, None]


class _Stream(io.RawIOBase):
    """The bytes of one file; damage shows, wherever it is met, as an InputError.

    ``budget`` has the bytes that may still be read from all files of the archive.
    """

    def __init__(self, file: File, path: Path, budget: list[int]):
        self.file, self.path, self.budget = file, path, budget
        self.name = str(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _explained(self.path):
            block = self.file.read(len(buffer))
        self.budget[0] -= len(block)
        if self.budget[0] < 0:
            raise _too_much(self.path)
        buffer[: len(block)] = block
        return len(block)


class _Unzipped(gzip.GzipFile):
    """A gz that gives no more than any archive may: what tarfile reads for itself counts, too."""

    def __init__(self, file: IO[bytes], path: Path):
        super().__init__(fileobj=file)
        self.path, self.most = path, _most(path.stat().st_size)

    def read(self, size: int | None = -1) -> bytes:
        if (size or 0) > self.most:
            raise _too_much(self.path)
        block = super().read(size)
        if self.tell() > self.most:
            raise _too_much(self.path)
        return block


def _most(size: int) -> int:
    """Bytes that an archive of this size may unpack to."""
    return SMALL + LARGEST_RATIO * size


def _too_much(path: Path) -> InputError:
    return InputError(f"{path} unpacks to more than {LARGEST_RATIO} times its size: it is not text")


def read_files(
    paths: Sequence[Path], patterns: Sequence[str]
) -> Iterator[tuple[str, io.BufferedReader]]:
    """The files that match ``patterns``, wherever in ``paths`` they lie.

    Nothing is written to the disk. An archive is read to its end, in its own order; a file is
    to be read before the next one is asked for.

    Parameters
    ----------
    paths : archives (tar, tar.gz, zip), folders, single files; ``x.gz`` counts as the file ``x``
    patterns : such as ``aclImdb/train/pos/*.txt``; the first folder may be absent

    Yields
    ------
    the pattern, and the file open for reading bytes

    Raises
    ------
    InputError
        where a path is missing or damaged, or a pattern finds nothing.
    """
    missing = set(patterns)
    for path in paths:
        with _explained(path):
            size = sum(p.stat().st_size for p in ([path] if path.is_file() else path.rglob("*")))
        budget = [_most(size)]
        with contextlib.closing(_open_all(path, patterns)) as files:
            for name, file in files:
                pattern = _match(name, patterns)
                if pattern is not None:
                    missing.discard(pattern)
                    yield (
                        pattern,
                        io.BufferedReader(_Stream(file, path, budget), buffer_size=1 << 16),
                    )
    if missing:
        places = ", ".join(str(path) for path in paths)
        raise InputError(f"{places}: no {' and no '.join(sorted(missing))} in it")


def text_lines(file: io.BufferedReader, encoding: str = "utf-8") -> Iterator[str]:
    """Lines without their ends.

    Raises
    ------
    InputError
        where the bytes are not in ``encoding``, or a line is too long to be one.
    """
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise InputError(f"{file.name}, line {number} has over {LONGEST_LINE:,} bytes")
        try:
            yield line.decode(encoding).rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{file.name}, line {number} is not {encoding} ({error.reason}): the file is "
                "damaged or in another encoding"
            ) from None


def _open_all(path: Path, patterns: Sequence[str]) -> Files:
    """Names and contents of all files of an archive; of a folder, those that may match."""
    with _explained(path):
        if path.is_dir():
            yield from _folder_files(path, patterns)
            return
        with open(path, "rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic == b"PK\x03\x04":
                yield from _zip_files(file)
            elif magic[:2] == b"\x1f\x8b":
                with _Unzipped(file, path) as unzipped:
                    yield from _tar_files(unzipped, path, path.name.removesuffix(".gz"))
            else:
                yield from _tar_files(file, path, path.name)


def _folder_files(folder: Path, patterns: Sequence[str]) -> Files:
    seen = set()
    for pattern in patterns:
        for form in _forms(pattern):
            for ending in ("", ".gz"):
                for path in sorted(folder.glob(form + ending)):
                    name = path.relative_to(folder).as_posix().removesuffix(".gz")
                    if path.is_file() and name not in seen:
                        seen.add(name)
                        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
                            yield name, file


def _zip_files(file: File) -> Files:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as member:
                    yield info.filename.removeprefix("./"), member


def _tar_files(file: File, path: Path, name: str) -> Files:
    """The files of a tar; where ``file`` is none, ``file`` itself under ``name``."""
    try:
        archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  (closed below)
    except tarfile.ReadError:
        if path.name.endswith((".tgz", ".tar.gz", ".tar", ".zip")):
            raise
        file.seek(0)
        yield name, file
        return
    with archive:
        for info in archive:
            if info.issparse():  # its size is whatever it says
                raise tarfile.ReadError(f"{info.name} is a sparse file")
            member = archive.extractfile(info) if info.isfile() else None
            if member:
                with member:
                    yield info.name.removeprefix("./"), member
        while file.read(1 << 20):  # gzip compares its checksum at the very end only
            pass


def _forms(pattern: str) -> list[str]:
    """The pattern, and the pattern without its first folder."""
    return [pattern, *pattern.split("/", 1)[1:]]


def _match(name: str, patterns: Sequence[str]) -> str | None:
    for pattern in patterns:
        if any(
            name.count("/") == form.count("/") and fnmatch.fnmatchcase(name, form)
            for form in _forms(pattern)
        ):
            return pattern
    return None


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        if isinstance(error, OSError) and not isinstance(error, DAMAGE):
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
        raise InputError(f"{path} is damaged ({error}): delete it and get it again") from None
