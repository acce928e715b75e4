"""One process at a time works on a run, a dump, a baseline or a preparation."""

import contextlib
import errno
import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from attention_dynamics import cli
from attention_dynamics.cli import InputError

# What a file system says that has no locks, and one that cannot be written.
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
PAUSE = 0.2  # seconds between two tries
# On some network file systems the system's lock holds on one machine only. So a holder also touches
# the lock's file every BEAT seconds: for LEASE seconds after the last time, it holds on others too.
BEAT, LEASE = 20, 120


def add_flag(parser: cli.Parser) -> None:
    parser.add_argument(
        "--wait",
        action="store_true",
        help="if another process works on the same results, wait for it (default: exit with a "
        "message)",
    )


def hold(path: Path, wait: bool) -> None:
    """:func:`held` until the end of the script."""
    cli.AT_END.enter_context(held(path, wait))


@contextlib.contextmanager
def held(path: Path, wait: bool) -> Iterator[None]:
    """Hold the lock of ``path``, a file or a folder that need not exist yet.

    The lock is a file beside it, ``.<name>.lock``, that holds who works on it. The system frees the
    lock of a process that ends in any way; that of a process that died on another machine counts
    for two minutes more (``LEASE``). Where nothing can be written, no lock is needed. On a file
    system without locks, a line says so and work goes on.

    Parameters
    ----------
    wait : wait for the process that holds it

    Raises
    ------
    InputError
        if another process holds it, and ``wait`` is false.
    """
    lock = path.with_name(f".{path.name}.lock")
    made = [folder for folder in lock.parents if not folder.exists()]
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(lock, path, wait)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise InputError(f"{path} cannot be written: {error.strerror}") from None
        yield
        return
    ended = threading.Event()
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        threading.Thread(target=_touch, args=(descriptor, ended), daemon=True).start()
        yield
    finally:
        ended.set()
        lock.unlink(missing_ok=True)
        os.close(descriptor)
        with contextlib.suppress(OSError):  # the rest is in use
            for folder in made:
                folder.rmdir()


def _touch(descriptor: int, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(descriptor)


def _leased(descriptor: int) -> bool:
    """Whether a process on another machine touched the lock's file lately, by the file's clock."""
    who = _holder(descriptor)
    before = os.fstat(descriptor).st_mtime_ns
    os.utime(descriptor)
    now = os.fstat(descriptor).st_mtime_ns
    if not who or who.endswith(f" on {socket.gethostname()}") or now - before > LEASE * 10**9:
        return False
    os.utime(descriptor, ns=(before, before))
    return True


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode(errors="replace").strip()


def try_lock(path: Path) -> tuple[int, bool | None]:
    """Open ``path``, which need not exist, for writing, and lock it without waiting.

    Returns
    -------
    the descriptor; and whether it is locked, False if another process holds the lock, None on a
    file system without locks
    """
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Since the open, another process may have renamed or removed this very file.
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor, True
        except BlockingIOError:
            return descriptor, False
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno in NO_LOCKS:
                return descriptor, None
            os.close(descriptor)
            raise
        os.close(descriptor)


def _locked(lock: Path, path: Path, wait: bool) -> int:
    """Open the lock's file and lock it."""
    while True:
        descriptor, locked = try_lock(lock)
        if locked is None:
            print(f"{lock.parent} is on a file system without locks: run one process at a time")
            return descriptor
        if locked and not _leased(descriptor):
            return descriptor
        who = _holder(descriptor) or "another process"
        os.close(descriptor)
        if not wait:
            raise InputError(f"{path} is being worked on by {who}: try again later, or give --wait")
        time.sleep(PAUSE)
