"""attention_dynamics/files/storage.py: whole or nothing, and no code from files."""

import builtins
import csv
import errno
import fcntl
import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import textwrap
from collections import OrderedDict

import numpy as np
import pytest
import torch
from conftest import files_in

from attention_dynamics.cli import InputError
from attention_dynamics.files import storage

SAVERS = {
    "json": (storage.save_json, {"a": [1, 2]}, {"b": "ü" * 10_000}),
    "pickle": (storage.save_pickle, {"a": np.arange(3)}, {"b": np.arange(10_000)}),
    "torch": (storage.save_torch, {"a": torch.arange(3)}, {"b": torch.arange(10_000)}),
    "text": (storage.save_text, "old", "new" * 10_000),
}


# Writing


@pytest.mark.parametrize("kind", SAVERS)
def test_what_is_saved_replaces_the_old_and_leaves_nothing_else(kind, tmp_path):
    save, old, new = SAVERS[kind]
    path = tmp_path / "deep" / "er" / "file"
    save(old, path)
    first = path.read_bytes()
    save(new, path)
    assert path.read_bytes() != first
    assert list(files_in(path.parent)) == ["file"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), InputError("bad")])
def test_a_failure_while_writing_leaves_the_old_file(error, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), storage.atomic_write(path) as file:
        file.write(b"half of the n")
        file.flush()
        assert path.read_bytes() == b"old"
        raise error
    assert path.read_bytes() == b"old"
    assert list(files_in(tmp_path)) == ["file"]


@pytest.mark.parametrize("operation", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_an_error_of_the_system_is_one_line(operation, code, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, operation, fail)
    with pytest.raises(InputError) as raised:
        storage.save_text("new", path)
    assert str(path) in str(raised.value) and os.strerror(code) in str(raised.value)
    assert path.read_bytes() == b"old"
    assert list(files_in(tmp_path)) == ["file"]


@pytest.mark.parametrize("kind", SAVERS)
@pytest.mark.slow
def test_a_disk_that_is_full(kind, tmp_path):
    """A limit on the size of files stands for it: the system refuses the write itself."""
    save, old, _ = SAVERS[kind]
    path = tmp_path / "file"
    save(old, path)
    before = path.read_bytes()
    script = """
        import resource, signal, sys
        from pathlib import Path
        from attention_dynamics import cli
        from attention_dynamics.files import storage

        kind, path = sys.argv[1:]
        if kind == "torch":
            import torch

            value = torch.zeros(100_000)
        else:
            value = {"text": "x" * 100_000} if kind == "json" else "x" * 100_000
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        cli.run(lambda: getattr(storage, f"save_{kind}")(value, Path(path)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), kind, str(path)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert str(path) in done.stderr and "could not be written" in done.stderr
    assert path.read_bytes() == before
    assert list(files_in(tmp_path)) == ["file"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="could not be written"):
        storage.save_text("new", tmp_path / "file" / "inside")
    with pytest.raises(InputError, match="could not be written"):
        storage.save_text("new", tmp_path)
    assert list(files_in(tmp_path)) == ["file"]


def test_what_a_killed_process_left_is_no_obstacle(tmp_path):
    path = tmp_path / "file"
    script = """
        import os, sys
        from pathlib import Path
        from attention_dynamics.files import storage

        with storage.atomic_write(Path(sys.argv[1])) as file:
            file.write(b"x" * 100_000)
            file.flush()
            os.kill(os.getpid(), 9)
    """
    path.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(path)], timeout=100, check=False
    )
    assert done.returncode == -9
    assert path.read_bytes() == b"old" and len(files_in(tmp_path)) == 2
    storage.save_text("new", path)
    assert path.read_text() == "new" and list(files_in(tmp_path)) == ["file"]


def test_two_processes_do_not_write_the_same_file(tmp_path):
    path = tmp_path / "file"
    with storage.atomic_write(path) as file:
        file.write(b"first")
        with pytest.raises(InputError, match="another process"):
            storage.save_text("second", path)
    assert path.read_bytes() == b"first"


def test_a_writer_that_comes_as_another_ends_does_not_touch_the_whole_file(tmp_path, monkeypatch):
    """Between opening the temporary file and locking it, the other may have renamed it."""
    path = tmp_path / "file"
    flock = fcntl.flock
    other = storage.atomic_write(path)
    other.__enter__().write(b"first")

    def other_ends_first(*arguments):
        monkeypatch.setattr(fcntl, "flock", flock)
        other.__exit__(None, None, None)
        return flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", other_ends_first)
    try:
        storage.save_text("second", path)
        expected = b"second"
    except InputError:
        expected = b"first"
    assert path.read_bytes() == expected
    assert list(files_in(tmp_path)) == ["file"]


@pytest.mark.parametrize("value", [{"w": torch.arange(6.0).reshape(2, 3), "n": 3}, torch.ones(4)])
def test_the_same_tensors_give_the_same_bytes_whatever_the_file_is_called(value, tmp_path):
    paths = [tmp_path / "model0", tmp_path / "a" / "another name.pt"]
    for path in paths:
        storage.save_torch(value, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


# Reading

VALUES = [
    {("Normal_A", 250, "test_acc"): 0.5, ("uniform", 0, "train_acc"): None},
    {("Normal_A", 250): np.arange(7, dtype=np.float32)},
    [1, 2.5, "text", b"bytes", True, None, (1, (2,)), {3}, frozenset([4]), 10**30],
    OrderedDict(a=1),
    np.array(["val", "train", "val"]),
    np.array([], dtype=np.float64),
    np.array([[True], [False]]),
    np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
    np.arange(20)[::3],
    np.float32(0.1),
    np.int64(-3),
    np.bool_(True),
    np.str_("text"),
]


def assert_equal(ours, expected):
    assert type(ours) is type(expected)
    if isinstance(expected, dict):
        assert list(ours) == list(expected)
        for key, value in expected.items():
            assert_equal(ours[key], value)
    elif isinstance(expected, np.ndarray):
        assert ours.dtype == expected.dtype and ours.shape == expected.shape
        assert (ours == expected).all()
    else:
        assert ours == expected


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_plain_values_come_back_from_a_pickle(value, tmp_path):
    storage.save_pickle(value, tmp_path / "file")
    assert_equal(storage.load_pickle(tmp_path / "file", ""), value)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_pickles_of_arrays_by_other_programs_are_read(protocol, tmp_path):
    value = {"film": np.arange(3, dtype=np.float32), "n": np.float64(2), "words": ["a"]}
    (tmp_path / "file").write_bytes(pickle.dumps(value, protocol))
    assert_equal(storage.load_pickle(tmp_path / "file", ""), value)


def test_pickles_of_numpy_1_are_read(tmp_path):
    value = {"film": np.arange(3, dtype=np.float32), "n": np.float64(2)}
    new = pickle.dumps(value, 2 + 1)
    old = new.replace(b"numpy._core.", b"numpy.core.")
    assert old != new
    (tmp_path / "file").write_bytes(old)
    assert_equal(storage.load_pickle(tmp_path / "file", ""), value)


class Call:
    """Pickles as the call of a function, as a malicious file does."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def malicious(marker):
    command, code = f"touch {marker}", f"open({str(marker)!r}, 'w')"
    array = np.empty(1, dtype=object)
    array[0] = Call(os.system, command)
    return {
        "os.system": Call(os.system, command),
        "eval": Call(builtins.eval, code),
        "exec": Call(builtins.exec, code),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "open": Call(io.open, str(marker), "w"),
        "subprocess": Call(subprocess.check_output, command, True),
        "in a dict": {"alpha": [1, (Call(os.system, command),)]},
        "in an array": array,
        "numpy's loader": Call(np.load, str(marker), None, True),
        "numpy.memmap": Call(np.memmap, str(marker), np.uint8, "w+", 0, (10,)),
        "a bound method": Call(random.Random().seed, 1),
        "a tensor": torch.ones(2),
    }


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("kind", malicious("marker"))
def test_a_malicious_pickle_is_refused_and_not_run(kind, protocol, tmp_path):
    marker = tmp_path / "marker"
    path = tmp_path / "file"
    path.write_bytes(pickle.dumps(malicious(marker)[kind], protocol))
    with pytest.raises(InputError, match="remake it") as error:
        storage.load_pickle(path, "remake it")
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert not marker.exists()


def test_a_malicious_pickle_by_names_with_dots_is_refused(tmp_path):
    """Protocol 4 looks up ``ndarray.tofile`` in numpy: an attribute of what is admitted."""
    for module, name in [("numpy", "ndarray.tofile"), ("numpy", "dtype.__class__")]:
        text = b"\x80\x04"
        for part in (module, name):
            text += pickle.SHORT_BINUNICODE + bytes([len(part)]) + part.encode()
        (tmp_path / "file").write_bytes(text + pickle.STACK_GLOBAL + b".")
        with pytest.raises(InputError):
            storage.load_pickle(tmp_path / "file", "")


# Bytes taken for a pointer to a Python object: who chooses them has the process in his hand.
POINTER = struct.pack("P", id(None))


def forged_dtype(flags):
    """``dtype([("a", object)])``, its state with the flag "holds objects" taken out."""
    state = (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, flags)
    return Call(np.dtype, "V8", False, True, state=state)


def forged_arrays():
    rebuild, frombuffer = np._core.multiarray._reconstruct, np._core.numeric._frombuffer
    subarray = Call(
        np.dtype, "V8", False, True, state=(3, "|", (np.dtype("O"), (1,)), None, None, 8, 1, 0)
    )
    plain = Call(np.dtype, "O8", False, True, state=(3, "|", None, None, None, -1, -1, 0))
    return {
        "numpy.ndarray over bytes": Call(np.ndarray, (1,), np.dtype("O"), bytearray(POINTER)),
        "frombuffer, forged flags": Call(frombuffer, POINTER, forged_dtype(0), (1,), "C"),
        "frombuffer, forged flags of object": Call(frombuffer, POINTER, plain, (1,), "C"),
        "frombuffer, forged subarray": Call(frombuffer, POINTER, subarray, (1,), "C"),
        "state of bytes, forged flags": Call(
            rebuild, np.ndarray, (0,), b"b", state=(1, (1,), forged_dtype(0), False, POINTER)
        ),
        "state of bytes": Call(
            rebuild, np.ndarray, (0,), b"b", state=(1, (1,), np.dtype("O"), False, POINTER)
        ),
        "frombuffer": Call(frombuffer, POINTER, np.dtype("O"), (1,), "C"),
    }


@pytest.mark.parametrize("kind", forged_arrays())
def test_a_pickle_cannot_make_an_array_of_objects_from_raw_bytes(kind, tmp_path):
    """The address here is that of None, so that the test survives where the file is read."""
    path = tmp_path / "file"
    path.write_bytes(pickle.dumps(forged_arrays()[kind], 5))
    with pytest.raises(InputError, match="remake it"):
        storage.load_pickle(path, "remake it")


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "random", "zeros", "folder"])
def test_a_damaged_pickle_is_one_line(kind, tmp_path):
    path = tmp_path / "file"
    whole = pickle.dumps({("a", 1): np.arange(100.0), "b": ["text"] * 10}, 5)
    rng = random.Random(0)
    contents = {
        "truncated": [whole[:n] for n in range(0, len(whole), 7)],
        "empty": [b""],
        "text": [b"not a pickle at all\n", b'{"json": 1}'],
        "random": [rng.randbytes(50) for _ in range(50)],
        "zeros": [bytes(1000)],
        "folder": [],
    }[kind]
    if kind == "folder":
        with pytest.raises(InputError, match="cannot be read: Is a directory"):
            storage.load_pickle(tmp_path, "remake it")
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(InputError, match="remake it") as error:
            storage.load_pickle(path, "remake it")
        assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("load", [storage.load_pickle, storage.load_json, storage.load_torch])
def test_a_missing_file_says_what_to_do(load, tmp_path):
    with pytest.raises(InputError, match="missing: run this"):
        load(tmp_path / "file", "run this")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"vocab": ["a", "b"], "XY": [[[0, 1',
        b"[1, 2]]",
        b"\xff\xfe\xfa",
        b"['a']",
        b"\x80\x05K\x01.",
        b"[" * 100_000,
        b"9" * 10_000,
    ],
    ids=range(9),
)
def test_damaged_json(content, tmp_path):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="remake it") as error:
        storage.load_json(path, "remake it")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_json_comes_back(tmp_path):
    value = {"vocab": ["naïve", "日本", "a\nb"], "XY": [[[0, 1], 1]]}
    storage.save_json(value, tmp_path / "file.json")
    assert storage.load_json(tmp_path / "file.json", "") == value
    # what other programs write
    (tmp_path / "file.json").write_text(json.dumps(value), encoding="utf-8")
    assert storage.load_json(tmp_path / "file.json", "") == value
    with pytest.raises(InputError, match="cannot be read"):
        storage.load_json(tmp_path, "")


def test_csv_comes_back_and_an_error_between_rows_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.csv"
    rows = [["a,b", 'say "x"', None, 0.1], ["two\nlines", "√", 1, -1e-30]]
    storage.save_csv(["one", "two", "three", "four"], rows, path)
    with path.open(newline="", encoding="utf-8") as file:
        found = list(csv.reader(file))
    assert found[0] == ["one", "two", "three", "four"]
    assert found[1:] == [[str("" if x is None else x) for x in row] for row in rows]
    before = path.read_bytes()

    def failing():
        yield from rows
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        storage.save_csv(["one", "two", "three", "four"], failing(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_torch_files_come_back(tmp_path):
    value = {"weights": {"w": torch.randn(3, 2)}, "step": 7, "history": [{"loss": 0.5}], "x": None}
    storage.save_torch(value, tmp_path / "file")
    loaded = storage.load_torch(tmp_path / "file", "")
    assert torch.equal(loaded["weights"].pop("w"), value["weights"].pop("w"))
    assert loaded == value


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_torch_files_with_code_are_refused_and_not_run(tmp_path):
    path, marker = tmp_path / "file", tmp_path / "marker"
    for value in (Call(os.system, f"touch {marker}"), {"w": [Call(builtins.eval, "1")]}):
        for new_format in (True, False):
            torch.save(value, path, _use_new_zipfile_serialization=new_format)
            with pytest.raises(InputError, match="remake it"):
                storage.load_torch(path, "remake it")
        path.write_bytes(pickle.dumps(value))
        with pytest.raises(InputError, match="remake it"):
            storage.load_torch(path, "remake it")
    torch.save(torch.nn.Linear(2, 2), path)  # a module is code too
    with pytest.raises(InputError, match="remake it"):
        storage.load_torch(path, "remake it")
    assert not marker.exists()


def test_damaged_torch_files(tmp_path):
    path = tmp_path / "file"
    storage.save_torch({"w": torch.randn(30)}, path)
    whole = path.read_bytes()
    for content in (b"", b"text", *(whole[:n] for n in range(1, len(whole), 97))):
        path.write_bytes(content)
        with pytest.raises(InputError, match="remake it") as error:
            storage.load_torch(path, "remake it")
        assert "\n" not in str(error.value)


# Fingerprints


def test_digest_tells_files_and_bytes_apart(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(bytes(3_000_000))
    second.write_bytes(bytes(2_999_999) + b"1")
    assert storage.digest(first) != storage.digest(second)
    assert storage.digest(first) == storage.digest(bytes(3_000_000))
    assert storage.digest(first, b"x") != storage.digest(first)
    assert storage.digest(first, second) != storage.digest(second, first)
