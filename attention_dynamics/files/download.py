"""Fetching a public file once, checked against its checksum."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attention_dynamics import cli
from attention_dynamics.cli import InputError

TIMEOUT = 30  # seconds without a byte from the server


@dataclass(frozen=True)
class PublicFile:
    """A file that its authors offer.

    Parameters
    ----------
    name : where it is kept, relative to the downloads; folders that hold copies are searched for it
    url : where it comes from
    checksum : ``md5:…`` or ``sha256:…``; None where none was published
    """

    name: str
    url: str
    checksum: str | None = None


def locate(files: Sequence[PublicFile], source: Path | None, downloads: Path) -> list[Path]:
    """Paths of ``files``: fetched into ``downloads``, or found in ``source``.

    Parameters
    ----------
    files : what a dataset consists of; empty for generated data
    source : None to download; or one of the files, a folder that has them under their public
        names, or the folder or file that a user made of them, which is then taken as it is

    Raises
    ------
    InputError
        where ``source`` does not exist, a download fails, or there are no files to have a source.
    """
    if source is None:
        return [fetch(file, downloads) for file in files]
    if not files:
        raise InputError("--source: the data is generated, it has no source")
    if not source.exists():
        raise InputError(f"--source {source}: there is no such file or folder")
    paths = []
    for file in files:
        in_folder = [source / file.name, source / Path(file.name).name]
        same_name = [source] if source.name == Path(file.name).name else []
        for path in in_folder if source.is_dir() else same_name:
            if path.is_file():
                paths.append(path)
                _compare(path, file)
                break
    return paths if len(paths) == len(files) else [source]


def fetch(file: PublicFile, folder: Path) -> Path:
    """Download ``file`` into ``folder`` unless it is there, and return its path.

    The file appears under its name when it is complete and its checksum is right.

    Raises
    ------
    InputError
        where it cannot be had: no network, no such page, a connection that is cut, a checksum
        that differs, no space. Nothing is then kept.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    advice = "try again, or get the file in another way and give it with --source PATH"
    path = folder / file.name
    bar: Any = sys.stderr.isatty()  # then pooch makes one
    if not bar:
        bar = cli.progress_bar(total=0, desc=file.name, unit="B", unit_scale=True)
        bar.reset = bar.close  # at the end, pooch empties the bar and fills it again
    try:
        pooch.retrieve(
            file.url,
            known_hash=file.checksum,
            fname=file.name,
            path=folder,
            downloader=pooch.HTTPDownloader(
                progressbar=bar,
                timeout=TIMEOUT,
                # Else a server may compress what is compressed, and the bytes differ.
                headers={"Accept-Encoding": "identity"},
            ),
        )
    except requests.HTTPError as error:
        assert error.response is not None
        status = f"{error.response.status_code} {error.response.reason}"
        raise InputError(f"{file.url} could not be downloaded ({status}): {advice}") from None
    except (requests.ConnectTimeout, requests.ReadTimeout):
        raise InputError(f"{file.url} did not answer in {TIMEOUT} s: {advice}") from None
    except requests.exceptions.ChunkedEncodingError:
        raise InputError(f"{file.url}: the connection was cut, nothing is kept: {advice}") from None
    except requests.RequestException as error:
        kind = type(error).__name__
        raise InputError(f"{file.url} could not be reached ({kind}): {advice}") from None
    except ValueError:
        raise InputError(
            f"{file.url} is not the file expected ({file.checksum} differs), nothing is kept: "
            f"{advice}"
        ) from None
    except OSError as error:
        raise InputError(f"{path} could not be written: {error.strerror or error}") from None
    if file.checksum is None:
        _compare(path, file)
    return path


def _compare(path: Path, file: PublicFile) -> None:
    """Print one line where ``path`` is not known to be the public file."""
    algorithm, _, expected = (file.checksum or "sha256:").partition(":")
    try:
        with open(path, "rb") as content:
            found = hashlib.file_digest(content, algorithm).hexdigest()
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if not expected:
        print(f"{path}: no checksum is published; read {size:,} bytes, sha256 {found}")
    elif found != expected:
        print(f"{path} differs from the public file: {algorithm} {found}, not {expected}")
