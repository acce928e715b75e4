"""attention_dynamics/files/locks.py: one process at a time, on this machine and on others."""

import errno
import fcntl
import os
import socket
import threading
import time

import pytest
from conftest import files_in

from attention_dynamics.cli import InputError
from attention_dynamics.files import locks, storage


def test_a_lock_is_held_once_and_leaves_nothing(tmp_path):
    path = tmp_path / "new" / "folder" / "run"
    with locks.held(path, wait=False):
        who = f"process {os.getpid()} on {socket.gethostname()}"
        assert (path.parent / ".run.lock").read_text().strip() == who
        with pytest.raises(InputError, match=f"being worked on by {who}.*--wait"):
            locks.held(path, wait=False).__enter__()
        with locks.held(path.with_name("other"), wait=False):
            pass
    assert files_in(tmp_path) == {} and not list(tmp_path.iterdir())


def test_waiting_ends_when_the_lock_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PAUSE", 0.01)
    order = []

    def wait() -> None:
        with locks.held(tmp_path / "run", wait=True):
            order.append("second")

    with locks.held(tmp_path / "run", wait=False):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    ("who", "age", "taken_over"),
    [
        ("process 1 on elsewhere", 0, False),
        ("process 1 on elsewhere", locks.LEASE - 10, False),
        ("process 1 on elsewhere", locks.LEASE + 10, True),
        (f"process 1 on {socket.gethostname()}", 0, True),  # the system freed its lock
        ("", 0, True),
    ],
)
def test_the_file_of_a_holder_on_another_machine_counts_for_a_while(who, age, taken_over, tmp_path):
    """As on a network file system whose locks hold on one machine only."""
    lock = tmp_path / ".run.lock"
    lock.write_text(who)
    then = time.time() - age
    os.utime(lock, (then, then))
    if taken_over:
        with locks.held(tmp_path / "run", wait=False):
            assert str(os.getpid()) in lock.read_text()
        assert not lock.exists()
        return
    for _ in range(2):  # to ask does not extend it
        with pytest.raises(InputError, match="by process 1 on elsewhere"):
            locks.held(tmp_path / "run", wait=False).__enter__()
        assert lock.read_text() == who and abs(lock.stat().st_mtime - then) < 0.01


def test_a_holder_touches_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.01)
    with locks.held(tmp_path / "run", wait=False):
        lock = tmp_path / ".run.lock"
        os.utime(lock, (0, 0))
        end = time.monotonic() + 10
        while lock.stat().st_mtime < 1 and time.monotonic() < end:
            time.sleep(0.01)
        assert lock.stat().st_mtime > 1


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(code, tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locks.held(tmp_path / "run", wait=False):
        storage.save_set({tmp_path / "a": b"x"}, tmp_path / "record")
    assert f"{tmp_path} is on a file system without locks" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"a", "record"}
