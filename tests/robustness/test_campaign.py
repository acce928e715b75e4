"""What kills, damage, hostile files and full disks may do: docs/reliability.md has the promises.

./run_tests.sh tests/robustness                       a few tries of each kind
./run_tests.sh tests/robustness -n 0 -s --long 60     60 minutes of them, and the counts
"""

import gzip
import io
import json
import os
import pickle
import random
import signal
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import (
    STAGES,
    Stage,
    Tries,
    copy,
    die_at,
    ended,
    fill_disk,
    limit_memory,
    make_root,
    one_line,
    results,
    run,
    started,
)

from attention_dynamics.cli import InputError
from attention_dynamics.files import archives, storage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
KINDS_OF_TRIES = 6  # that share the time of --long
MEMORY = 600 << 20  # bytes that reading a hostile file may take


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> dict[str, Path]:
    """The folders as each stage finds them, by its name; "end" is after the last of them."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("stages") / "root"
    root.mkdir()
    make_root(root)
    found = {}
    for name, stage in STAGES.items():
        found[name] = copy(root, root.with_name(f"before {name}"))
        end = run(root, stage)
        assert end.status == 0, (name, end)
    return found | {"end": root}


@pytest.fixture
def tries(request) -> Tries:
    return Tries(60 * request.config.getoption("--long") / KINDS_OF_TRIES)


def after(before: dict[str, Path], name: str) -> dict[str, bytes]:
    """The results of a stage that nothing happened to."""
    names = [*before]
    return results(before[names[names.index(name) + 1]])


def say(what: str, counts: dict[str, int]) -> None:
    print(f"\n{what}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))


# Kills


def test_kills_lose_nothing(before, tries, tmp_path):
    """Killed at any operation on files, or at any time, any number of times: the same bytes."""
    counts = {"runs": 0, "kills": 0}
    for number in tries(14):
        rng = random.Random(f"kills {number}")
        name = rng.choice([*STAGES]) if tries.seconds else [*STAGES][number % len(STAGES)]
        root = copy(before[name], tmp_path / str(number))
        counts["runs"] += 1
        for _ in range(rng.randint(1, 3)):
            if rng.random() < 0.6:
                end = run(root, STAGES[name], die_at(rng.randint(1, 60)))
            else:
                with started(root, STAGES[name]) as (child, folder):
                    time.sleep(rng.random())
                    os.kill(child, signal.SIGKILL)
                    end = ended(child, folder)
            assert end.status in (0, -signal.SIGKILL), (name, end)
            counts["kills"] += end.status != 0
        end = run(root, STAGES[name])
        assert end.status == 0, (name, end)
        run(root, STAGES[name])  # nothing to do: what was left over goes
        assert lasting_results(root) == after(before, name), name
    say("kills", counts)


def lasting_results(root: Path) -> dict[str, bytes]:
    """Without what an ended process may leave for the next: its lock, and the work that it did."""
    return {
        name: content
        for name, content in results(root).items()
        if not name.endswith((".lock", ".tmp")) and ".parts/" not in name
    }


@pytest.mark.parametrize("name", ["train", "train translation", "baseline", "copying"])
def test_sigterm_saves_and_ends_with_143(name, before, tmp_path):
    root = copy(before[name], tmp_path / "root")
    statuses = []
    for delay in (0.3, 0.5, 0.8):
        with started(root, STAGES[name]) as (child, folder):
            time.sleep(delay)
            os.kill(child, signal.SIGTERM)
            end = ended(child, folder)
        statuses.append(end.status)
        assert end.status == 0 or (
            end.status == 143 and "terminated" in end.err and end.err.count("\n") == 1
        ), end
    assert run(root, STAGES[name]).status == 0
    run(root, STAGES[name])
    assert results(root) == after(before, name)


def test_a_training_that_is_terminated_again_and_again_makes_progress(before, tmp_path):
    """Each process makes one update: the end is the same as that of one process."""
    root = copy(before["train"], tmp_path / "root")

    def ask_to_end() -> None:
        from attention_dynamics import cli

        run_script = cli.run

        def run_and_ask(main):
            original = signal.signal

            def and_ask(number, handler):
                found = original(number, handler)
                if handler == cli.Termination.note:
                    cli.Termination.deferred = True
                    os.kill(os.getpid(), signal.SIGTERM)
                return found

            signal.signal = and_ask
            run_script(main)

        cli.run = run_and_ask

    statuses = [run(root, STAGES["train"], ask_to_end).status for _ in range(9)]
    assert statuses[:5] == [143] * 5 and statuses[-1] == 0, statuses
    assert results(root) == after(before, "train")


# Damage


def readers(root: Path) -> list[tuple[Path, object]]:
    """Every file that a stage writes for another, and how it is read."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        if path.suffix == ".pkl":
            found.append((path, storage.load_pickle))
        elif (path.name.startswith("model") and not path.suffix) or path.suffix == ".pt":
            found.append((path, storage.load_torch))
        elif path.name in ("run.json", "best.json"):
            found.append((path, storage.load_json))
    assert len(found) > 15
    return found


def same(first: object, second: object) -> bool:
    """Whether two values are equal, tensors and arrays in them too."""
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, (torch.Tensor, np.ndarray)):
        return first.dtype == second.dtype and bytes(np.asarray(first)) == bytes(np.asarray(second))
    return first == second or (first != first and second != second)


def test_a_flipped_bit_is_noticed(before, tries, tmp_path):
    counts = {"flips": 0, "noticed": 0, "in the seal alone": 0}
    files = readers(before["end"])
    for number in tries(400):
        rng = random.Random(f"flips {number}")
        path, read = files[number % len(files)]
        content = bytearray(path.read_bytes())
        place = rng.randrange(8 * len(content))
        content[place // 8] ^= 1 << place % 8
        damaged = tmp_path / path.name
        damaged.write_bytes(content)
        counts["flips"] += 1
        try:
            found = read(damaged, "remake it")
        except InputError as error:
            assert str(damaged) in str(error) and "\n" not in str(error)
            counts["noticed"] += 1
        else:
            expected = read(path, "")
            if read is storage.load_json:  # the flip may have renamed the key of the digest
                found = {key: found[key] for key in expected}
            assert same(found, expected), (path, place)
            counts["in the seal alone"] += 1
    say("flipped bits", counts)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Bytes cut off, put in, written over or taken from elsewhere."""
    start, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    end = min(end, start + 200)
    return rng.choice(
        [
            content[:start],
            content[start:],
            content[:start] + rng.randbytes(end - start) + content[end:],
            content[:start] + content[end:],
            content[:end] + content[start:],
            b"",
        ]
    )


ODD = [None, [], {}, "x", -1, 10**30, 1.5, [[]], {"a": {}}, (1, (2,)), b"", True, float("nan")]


def changed(value: object, rng: random.Random) -> object:
    """A value of the same kind of file with one part of another type, at any depth."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        return value | {key: changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        return [*value[:place], changed(value[place], rng), *value[place + 1 :]]
    if isinstance(value, torch.Tensor) and rng.random() < 0.5:
        return rng.choice(
            [value.reshape(-1)[:0], value.reshape(-1)[:1], value.double(), value[None]]
        )
    return rng.choice(ODD)


READERS = {
    "resume.pt": "train",
    "run.json": "dump",
    "toy_logs.pkl": "collect",
    "toyembedding256beta.pkl": "collect",
    "toy_logistic_beta.pkl": "collect",
    "stats.pkl": "collect",
    "small.pkl": "copying",
    "toy_train.json": "train",
    "toy_test.json": "train",
    "model5": "dump",
    "train.src": "train translation",
    "best.json": "train translation",
}


def test_mutated_files_end_with_one_line(before, tries, tmp_path):
    """Without a seal, as in older files: no traceback, no signal, no change of other files."""
    counts = {"inputs": 0, "refused": 0, "read": 0}
    for number in tries(36):
        rng = random.Random(f"mutated {number}")
        name = [*READERS][number % len(READERS)]
        root = copy(before["end"], tmp_path / str(number))
        path = rng.choice(sorted(root.rglob(name)))
        if name == "model5":
            for dump in root.rglob("toy_logs.pkl"):
                dump.unlink()
        for record in (*root.rglob("toy_files.json"), *root.rglob("files.json")):
            record.unlink()
        if path.suffix in (".pkl", ".pt") and rng.random() < 0.7:
            if path.suffix == ".pkl":
                path.write_bytes(pickle.dumps(changed(storage.load_pickle(path, ""), rng), 5))
            else:
                torch.save(changed(storage.load_torch(path, ""), rng), path)
        elif path.suffix == ".json" and rng.random() < 0.7:
            path.write_text(json.dumps(changed(storage.load_json(path, ""), rng), default=str))
        else:
            path.write_bytes(mutated(path.read_bytes(), rng))
        kept = lasting_results(root)
        stage = STAGES[READERS[name]]
        if name == "resume.pt":
            stage = Stage(stage.folder, stage.command.replace("--steps 6", "--steps 8"), ())
        end = run(root, stage)
        assert end.status == 0 or one_line(end), (name, number, end)
        if end.status == 2:
            assert lasting_results(root) == kept, (name, number, end)
        counts["inputs"] += 1
        counts["refused" if end.status else "read"] += 1
    say("mutated inputs", counts)


# Hostile files


def hostile_pickles() -> dict[str, bytes]:
    deep = b"\x80\x04" + b"(" * 100_000
    lists = b"\x80\x04]q\x00" + b"".join(
        b"]" + bytes([0x71, i + 1]) + b"(" + b"h" + bytes([i]) + (b"h" + bytes([i])) * 9 + b"e"
        for i in range(9)
    )
    tuples = b"\x80\x04)q\x00" + b"".join(
        b"(" + (b"h" + bytes([i])) * 10 + b"tq" + bytes([i + 1]) for i in range(9)
    )
    state = (
        b"\x80\x04cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
        b"(K\x01J\x00\xe4\x0bT\x85cnumpy\ndtype\n(X\x02\x00\x00\x00u1\x89\x88tR\x89"
        b"\x8a\x05\x00\xe4\x0bT\x02tb."
    )
    scalars = (  # of 100,000 bytes each
        b"\x80\x04cnumpy._core.multiarray\nscalar\nq\x00cnumpy\ndtype\n(X\x07\x00\x00\x00S100000"
        b"\x89\x88tRB" + struct.pack("<I", 100_000) + bytes(100_000) + b"\x86q\x01"
    )
    return {
        "memo index": b"\x80\x04Nr\xff\xff\xff\x7f.",
        "long index": b"\x80\x04Np2147483647\n.",
        "lists in lists": lists + b".",
        "tuple as key": tuples + b"}" + b"h\x09Ns.",
        "tuple in a set": tuples + b"\x8f(h\x09\x90.",
        "bytes of a number": state,
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",
        "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".",
        "text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b".",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b".",
        "long": b"\x80\x04\x8b" + struct.pack("<i", (1 << 31) - 1) + b".",
        "marks": deep,
        "altered constructor": b"\x80\x04cnumpy\ndtype\n}X\x05\x00\x00\x00_callNsb.",
        "altered class": b"\x80\x04cnumpy\ndtype\nN}X\x0c\x00\x00\x00__setstate__Ns\x86b.",
        "cycle": b"\x80\x04]q\x00h\x00a.",
        "scalars": scalars + b"]" + b"(" + b"h\x00h\x01R" * 20_000 + b"e.",
        "array of nothing": b"\x80\x04cnumpy\ndtype\nX\x02\x00\x00\x00V0\x89\x88\x87R.",
        "integers as keys": b"\x80\x04\x8b"
        + struct.pack("<i", 400_000)
        + b"\x01" * 400_000
        + b"q\x00}("
        + b"h\x00N" * 100_000
        + b"u.",
    }


HARMLESS = ("cycle", "lists in lists", "memo index", "long index")  # of this reader


def hostile_archives(folder: Path) -> dict[str, Path]:
    sparse = folder / "sparse.tar"
    info = tarfile.TarInfo("SMSSpamCollection")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 0
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:410] = b"00000000000\x0000000000000\x00"
    block[483:495] = b"\x80" + (20 << 30).to_bytes(11, "big")
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    sparse.write_bytes(bytes(block) + bytes(1024))
    line = folder / "line.zip"
    with (
        zipfile.ZipFile(line, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("SMSSpamCollection", "w") as file,
    ):
        for _ in range(64):
            file.write(b"ham\t" + b"x" * (1 << 20) if not _ else b"x" * (1 << 20))
    name = folder / "name.tar.gz"
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    with gzip.open(name, "wb", compresslevel=1) as packed:
        packed.write(long.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            packed.write(b"x" * (1 << 24))
    return {"sparse": sparse, "one line": line, "long name": name}


def in_bounds(action, folder: Path) -> None:
    """Call ``action`` in a child with little memory and time: it raises an InputError."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            limit_memory(MEMORY)()
            signal.alarm(20)
            action()
            (folder / "why").write_text("it was read")
        except InputError as error:
            status = 0 if "\n" not in str(error) else 1
        except BaseException as error:
            (folder / "why").write_text(repr(error))
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    why = (folder / "why").read_text() if (folder / "why").exists() else ""
    assert status == 0, (status, why)


@pytest.mark.parametrize("name", [n for n in hostile_pickles() if n not in HARMLESS])
def test_a_hostile_pickle_takes_neither_memory_nor_time(name, tmp_path):
    path = tmp_path / "file.pkl"
    path.write_bytes(hostile_pickles()[name])
    in_bounds(lambda: storage.load_pickle(path, "remake it"), tmp_path)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_pickle_that_would_harm_other_readers_is_read(name, tmp_path):
    """A billion entries in 200 bytes, none of them copied; memo entries at enormous places."""
    path = tmp_path / "file.pkl"
    path.write_bytes(hostile_pickles()[name])

    def read() -> None:
        try:
            storage.load_pickle(path, "")
        except InputError as error:
            raise AssertionError("it was refused") from error
        raise InputError("read")

    in_bounds(read, tmp_path)


@pytest.mark.parametrize("name", ["sparse", "one line", "long name"])
def test_a_hostile_archive_takes_neither_memory_nor_time(name, tmp_path):
    path = hostile_archives(tmp_path)[name]

    def read() -> None:
        for _, file in archives.read_files([path], ["SMSSpamCollection"]):
            for _ in archives.text_lines(file):
                pass

    in_bounds(read, tmp_path)


def test_a_checkpoint_that_unpacks_to_more_than_its_size_is_refused(tmp_path):
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(50_000_000)}, buffer)
    path = tmp_path / "model0"
    with (
        zipfile.ZipFile(buffer) as archive,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    assert path.stat().st_size < 1_000_000
    in_bounds(lambda: storage.load_torch(path, "remake it"), tmp_path)


def optimizer_states():
    """What becomes of the mean of the gradients in a saved state."""
    return {
        "empty": lambda tensor: tensor.reshape(-1)[:0],
        "one element": lambda tensor: tensor.reshape(-1)[:1],
        "one element, expanded": lambda tensor: (
            tensor.reshape(-1)[:1]
            .expand(tensor.numel())
            .reshape(-1)
            .as_strided(tensor.shape, [0] * tensor.dim())
        ),
        "halves": lambda tensor: tensor.half(),
        "no tensor": lambda tensor: 0.0,
    }


@pytest.mark.parametrize("kind", optimizer_states())
def test_an_optimizer_state_of_another_size_is_refused(kind, before, tmp_path):
    """Fused Adam would write past the end of it."""
    root = copy(before["end"], tmp_path / "root")
    path = next(root.glob("classification/models/toy/*seed=20*/resume.pt"))
    state = storage.load_torch(path, "")
    for values in state["optimizer"]["state"].values():
        values["exp_avg"] = optimizer_states()[kind](values["exp_avg"])
    torch.save(state, path)
    longer = Stage("classification", STAGES["train"].command.replace("--steps 6", "--steps 8"), ())
    end = run(root, longer)
    assert one_line(end) and "damaged" in end.err, end


# Disks, streams, two at once


def test_a_full_disk_loses_nothing(before, tries, tmp_path):
    counts = {"full disks": 0, "noticed": 0}
    for number in tries(11):
        rng = random.Random(f"disks {number}")
        name = [*STAGES][number % len(STAGES)]
        root = copy(before[name], tmp_path / str(number))
        written = [len(content) for content in after(before, name).values()]
        end = run(root, STAGES[name], fill_disk(rng.randrange(1, max(written))))
        assert end.status == 0 or one_line(end), (name, end)
        counts["full disks"] += 1
        counts["noticed"] += end.status != 0
        assert run(root, STAGES[name]).status == 0
        run(root, STAGES[name])
        assert lasting_results(root) == after(before, name), name
    say("full disks", counts)


def test_two_at_once(before, tries, tmp_path):
    """The second says who works there, or waits; the end is that of one."""
    counts = {"pairs": 0, "refused": 0, "waited": 0}
    names = [name for name in STAGES if name not in ("collect", "prepare", "prepare pairs")]
    for number in tries(10):
        name = names[number % len(names)]
        root = copy(before[name], tmp_path / str(number))
        wait = number % 2 == 1
        more = ("--wait",) if wait else ()
        with (
            started(root, STAGES[name], more=more) as first,
            started(root, STAGES[name], more=more) as second,
        ):
            ends = [ended(*first), ended(*second)]
        for end in ends:
            assert end.status == 0 or (not wait and one_line(end) and "worked on by" in end.err), (
                end
            )
        assert any(end.status == 0 for end in ends)
        counts["pairs"] += 1
        if wait:
            counts["waited"] += 1
        else:
            counts["refused"] += any(end.status == 2 for end in ends)
        assert lasting_results(root) == after(before, name), name
    say("pairs", counts)
    assert counts["refused"] > 0


def test_the_lock_of_a_dead_process_is_taken_over(before, tmp_path):
    root = copy(before["train"], tmp_path / "root")
    with started(root, STAGES["train"]) as (child, folder):
        time.sleep(0.5)
        os.kill(child, signal.SIGKILL)
        ended(child, folder)
    assert run(root, STAGES["train"]).status == 0


@pytest.mark.parametrize("stream", ["full disk", "closed", "ASCII", "no error output"])
def test_output_that_cannot_be_written(stream, before, tmp_path):
    root = copy(before["end"], tmp_path / "root")

    def install() -> None:
        import sys

        if stream == "full disk":
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        elif stream == "closed":
            sys.stdout = None
        elif stream == "no error output":
            sys.stderr = None
        else:
            sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding="ascii")

    end = run(root, STAGES["collect"], install)
    if stream == "full disk":
        assert one_line(end) and "No space left" in end.err, end
    else:
        assert end.status == 0 and not end.err.strip("\n ").startswith("Traceback"), end
    assert results(root).keys() == results(before["end"]).keys()


def test_a_read_only_disk(before, tmp_path, monkeypatch):
    """What is finished says so: nothing has to be written."""
    root = copy(before["end"], tmp_path / "root")

    def install() -> None:
        import errno

        original = os.open

        def refused(path, flags, *rest, **options):
            if flags & (os.O_WRONLY | os.O_RDWR) and str(path).startswith(str(root)):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return original(path, flags, *rest, **options)

        os.open = refused

    for name in ("train", "baseline", "logistic", "dump", "copying", "train translation"):
        end = run(root, STAGES[name], install)
        assert end.status == 0, (name, end)


def test_files_follow_the_umask_and_no_link_at_the_temporary_name(tmp_path):
    old = os.umask(0o027)
    try:
        storage.save_text("text", tmp_path / "file")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".other.tmp").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="could not be written"):
        storage.save_text("text", tmp_path / "other")
    assert (tmp_path / "victim").read_text() == "precious"


def test_sets_of_files_are_compared(before, tmp_path):
    """As if preparation had been killed between its renames: one file is of another draw."""
    root = copy(before["end"], tmp_path / "root")
    other = copy(before["prepare"], tmp_path / "other")
    again = Stage("classification", STAGES["prepare"].command + " --seed 2", ())
    assert run(other, again).status == 0
    for name in ("toy_train.json", "toy_test.json"):
        mixed = copy(root, tmp_path / name)
        new = other / "classification" / "data" / name
        (mixed / "classification" / "data" / name).write_bytes(new.read_bytes())
        end = run(mixed, Stage("classification", STAGES["train"].command + "1", ()))
        assert one_line(end) and name in end.err and "prepare_data.py" in end.err, end


def test_a_renamed_checkpoint_and_equal_weights_are_noticed(before, tmp_path):
    root = copy(before["dump"], tmp_path / "root")
    folder = next(root.glob("classification/models/toy/*seed=13*"))
    (folder / "model2").write_bytes((folder / "model0").read_bytes())
    end = run(root, STAGES["dump"])
    assert one_line(end) and "step 0, not 2" in end.err, end
    assert "model0, model2 have the same weights" in end.out
