"""A line at the end of a file that says whether the file is damaged, and what it is of.

The line is JSON and a digest::

    {"content": "<digest of all bytes before this line>", "of": {"step": 250}} blake2b=<digest>

The second digest is that of the JSON. Readers of pickles stop before the line; in a zip, such as a
checkpoint, it is the archive's comment. So programs that know nothing of seals still read the file.
Files without a seal (the authors', or older ones) are read as they are.
"""

import hashlib
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

END = re.compile(rb"\n(\{[^\n]*\}) blake2b=([0-9a-f]{32})\n\Z")
LONGEST = 1 << 16  # bytes of a line: what the comment of a zip can hold
BLOCK = 1 << 20


@dataclass(frozen=True)
class Seal:
    """What the last line of a file says.

    Attributes
    ----------
    content : digest of the bytes before the line
    of : what the file is of, such as step, seed and settings; empty if nothing was recorded
    size : bytes before the line
    """

    content: str
    of: Mapping[str, Any]
    size: int


class Damaged(ValueError):
    """The bytes of a file are not those that were written."""


def new_digest(content: bytes | bytearray = b"") -> "hashlib.blake2b":
    return hashlib.blake2b(content, digest_size=16)


def line(content: str, of: Mapping[str, Any]) -> bytes:
    """The last line of a file whose other bytes have the digest ``content``."""
    text = json.dumps({"content": content, "of": of}, sort_keys=True).encode()
    return b"\n" + text + b" blake2b=" + new_digest(text).hexdigest().encode() + b"\n"


class Writer:
    """A file that is sealed: pass :meth:`write` what is to be written, then call :meth:`end`."""

    def __init__(self, file: BinaryIO):
        self.file, self.digest = file, new_digest()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def end(self, of: Mapping[str, Any]) -> None:
        self.file.write(line(self.digest.hexdigest(), of))


def seal_zip(content: bytearray, of: Mapping[str, Any]) -> None:
    """Seal a zip that has no comment: the line becomes its comment."""
    size = len(line("0" * 32, of))
    content[-2:] = struct.pack("<H", size)  # the last field of a zip is the length of its comment
    content += line(new_digest(content).hexdigest(), of)


def read(path: Path) -> Seal | None:
    """The seal of a file, without checking the rest; None if it has none.

    Raises
    ------
    Damaged
        if the line itself is damaged.
    OSError
        if the file cannot be read.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - LONGEST))
        found = END.search(file.read())
    if found is None:
        return None
    if new_digest(found[1]).hexdigest().encode() != found[2]:
        raise Damaged("its last line is damaged")
    fields = json.loads(found[1])
    return Seal(fields["content"], fields["of"], size - len(found[0]))


def check(path: Path) -> Seal | None:
    """The seal of a file, after comparing its digest with the file; None if it has none.

    Raises
    ------
    Damaged
        if the file differs from what was written.
    OSError
        if the file cannot be read.
    """
    found = read(path)
    if found is not None:
        digest, left = new_digest(), found.size
        with open(path, "rb") as file:
            while left and (block := file.read(min(BLOCK, left))):
                digest.update(block)
                left -= len(block)
        if digest.hexdigest() != found.content:
            raise Damaged("its bytes are not those that were written")
    return found
