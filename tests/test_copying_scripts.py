"""The sequence-copying scripts as a user calls them, on tiny models."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import (
    assert_one_line,
    call_script,
    command_of,
    files_in,
    flags_of,
    load,
    load_script,
)

from attention_dynamics.copying.heads import time_left
from attention_dynamics.copying.histories import COLUMNS
from attention_dynamics.files import storage

pytestmark = pytest.mark.slow  # whole trainings

call = partial(call_script, "SequenceCopying")

SMALL = {
    "num_vocab": 6,
    "seq_length": 5,
    "hidden_dim": 12,
    "bsize": 8,
    "steps": 16,
    "eval_every": 5,
    "jobs": 1,
}
LEVEL = 0.294
# heads after a few steps on tiny models are good or bad by luck, which is what is needed here
HEADS = SMALL | {
    "n_heads": 2,
    "good_heads": 2,
    "bad_heads": 3,
    "random_heads": 4,
    "samples": 3,
    "data_seeds": 2,
    "max_heads": 64,
    "lr": 0.02,
    "steps": 11,
    "learned": LEVEL,
    "failed": LEVEL,
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seq2seq_flags(folder: Path, **changes) -> list[str]:
    return ["--no_rep", *flags_of(SMALL | {"seeds": 2, "logs_dir": folder} | changes)]


def multihead_flags(folder: Path, **changes) -> list[str]:
    paths = {"logs_dir": folder / "logs", "out_file": folder / "curves.pkl"}
    return flags_of(HEADS | paths | changes)


@pytest.fixture
def interrupted(monkeypatch, capsys):
    """A function that runs a script, with a Ctrl-C after it has written so many files.

    Its clock is fast: unfinished models are saved at every evaluation.
    """

    def run(script: str, flags: list[str], saves: int) -> None:
        ticks, written, replace = count(step=1000.0), [], os.replace

        def interrupting(*paths):
            replace(*paths)
            written.append(paths)
            if len(written) == saves:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(time, "monotonic", lambda: next(ticks))
            patch.setattr(os, "replace", interrupting)
            status, _, err = call(script, *flags, capsys=capsys)
        assert status == 130, err
        assert "last save" in err

    return run


@pytest.fixture(scope="module")
def whole_seq2seq(tmp_path_factory) -> Path:
    """What an uninterrupted run leaves, from a process of its own in another folder."""
    folder = tmp_path_factory.mktemp("seq2seq")
    command = command_of("SequenceCopying", "seq2seq.py", *seq2seq_flags(folder, exp_name="a"))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    end = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    (folder / "output.txt").write_text(end.stdout)
    return folder


@pytest.fixture(scope="module")
def whole_multihead(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("multihead")
    command = command_of("SequenceCopying", "multihead.py", *multihead_flags(folder))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    end = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (folder / "output.txt").write_text(end.stdout)
    return folder


class TestSeq2seq:
    def test_results(self, whole_seq2seq):
        assert {path.name for path in whole_seq2seq.iterdir()} == {"a.pkl", "output.txt"}
        results = storage.load_pickle(whole_seq2seq / "a.pkl", "")
        assert results["settings"]["n_vocab"] == 6 and results["settings"]["no_rep"] is True
        assert list(results["histories"]) == [0, 1]
        for history in results["histories"].values():
            assert list(history) == list(COLUMNS)
            assert history["step"] == [1, 6, 11, 16]
        first, second = results["histories"].values()
        assert first["token_accuracy"] != second["token_accuracy"]

    def test_table(self, whole_seq2seq):
        histories = load(whole_seq2seq / "a.pkl")["histories"].values()
        lines = (whole_seq2seq / "output.txt").read_text().splitlines()
        assert "0 of 2 seeds learned to copy (token accuracy over 0.95)" in lines
        row = next(line for line in lines if line.startswith("token accuracy  "))
        final = [history["token_accuracy"][-1] for history in histories]
        assert [float(word) for word in row.split()[2:]] == pytest.approx(
            np.quantile(final, [0, 0.25, 0.5, 0.75, 1]), abs=6e-5
        )

    def test_seeds_that_learn_are_counted(self, tmp_path, capsys):
        learning = {"steps": 120, "lr": 0.02, "hidden_dim": 24, "bsize": 32, "eval_every": 20}
        status, out, err = call("seq2seq.py", *seq2seq_flags(tmp_path, **learning), capsys=capsys)
        assert status == 0, err
        (path,) = tmp_path.iterdir()
        at = [
            next(step for step, a in zip(h["step"], h["token_accuracy"]) if a > 0.95)
            for h in load(path)["histories"].values()
        ]
        assert (
            "2 of 2 seeds learned to copy (token accuracy over 0.95), half of them by step " in out
        )
        assert f"half of them by step {np.median(at):g}" in out
        assert f"copies from step {at[0]}" in out

    def test_the_published_second_command(self, tmp_path, capsys):
        names = set()
        for words in ([], ["num_vocab=7"], ["num_vocab=7", "hidden_dim=10"]):
            flags = [*seq2seq_flags(tmp_path, seeds=1), *words]
            status, out, err = call("seq2seq.py", *flags, capsys=capsys)
            assert status == 0, err
            names.add(out.splitlines()[0])
        assert len(names) == len(list(tmp_path.iterdir())) == 3
        sizes = {(load(path)["settings"]["n_vocab"]) for path in tmp_path.iterdir()}
        assert sizes == {6, 7}

    def test_published_names_of_flags(self, tmp_path, capsys):
        flags = {
            name: value for name, value in SMALL.items() if name not in ("steps", "eval_every")
        }
        flags |= {"steps_s1": 16, "save_every": 5, "seeds": 1, "logs_dir": tmp_path}
        words = ["--no_rep", "--invasive_uniform", *flags_of(flags)]
        status, _, err = call("seq2seq.py", *words, capsys=capsys)
        assert status == 0, err
        (path,) = tmp_path.iterdir()
        settings = load(path)["settings"]
        assert (settings["steps"], settings["eval_every"], settings["uniform"]) == (16, 5, True)

    def test_controls_are_other_experiments(self, tmp_path, capsys):
        """Each is in the settings and in the name of the results, and changes what is learned."""
        curves = {}
        for control in ("", "--no_context", "--no_eos", "--no_bias"):
            flags = [*seq2seq_flags(tmp_path, seeds=1), *control.split()]
            status, out, err = call("seq2seq.py", *flags, capsys=capsys)
            assert status == 0, err
            path = Path(out.splitlines()[0])
            assert control.lstrip("-") in path.stem.split(",") or not control
            results = load(path)
            assert [results["settings"][f"no_{name}"] for name in ("context", "eos", "bias")] == [
                control == f"--no_{name}" for name in ("context", "eos", "bias")
            ]
            curves[control] = str(results["histories"][0]["loss"])
        assert len(set(curves.values())) == 4

    def test_another_optimizer(self, whole_seq2seq, tmp_path, capsys):
        """It is in the settings and in the name of the results, and changes what is learned."""
        flags = seq2seq_flags(tmp_path, optimizer="sgd", lr=0.5)
        status, _, err = call("seq2seq.py", *flags, capsys=capsys)
        assert status == 0, err
        (path,) = tmp_path.iterdir()
        assert {"optimizer=sgd", "lr=0.5"} < set(path.stem.split(","))
        results = load(path)
        assert (results["settings"]["optimizer"], results["settings"]["lr"]) == ("sgd", 0.5)
        other = load(whole_seq2seq / "a.pkl")
        assert other["settings"]["optimizer"] == "adam" and other["settings"]["version"] >= 1
        assert results["histories"][0]["loss"] != other["histories"][0]["loss"]

    def test_default_names(self):
        seq2seq = load_script("SequenceCopying", "seq2seq")
        defaults = {"no_rep": False, "num_vocab": 40, "lr": 0.001}
        assert seq2seq.name_of(defaults, defaults.get) == "seq2seq"
        changed = defaults | {"no_rep": True, "num_vocab": 60}
        assert seq2seq.name_of(changed, defaults.get) == "seq2seq,no_rep,num_vocab=60"

    def test_a_finished_run_says_so(self, whole_seq2seq, capsys):
        before = files_in(whole_seq2seq)
        flags = seq2seq_flags(whole_seq2seq, exp_name="a")
        status, out, _ = call("seq2seq.py", *flags, capsys=capsys)
        assert status == 0 and "is finished: 2 seeds" in out
        table = (whole_seq2seq / "output.txt").read_text().split("\n\n")[1]
        assert out.split("\n\n")[1] == table
        assert files_in(whole_seq2seq) == before

    @pytest.mark.parametrize("saves", [1, 2, 4, 6])
    def test_an_interrupted_run_ends_with_the_same_bytes(
        self, whole_seq2seq, tmp_path, capsys, interrupted, saves
    ):
        """Within a seed (1, 2), at the end of one (4), within the second (6)."""
        flags = seq2seq_flags(tmp_path, exp_name="a")
        interrupted("seq2seq.py", flags, saves)
        assert {path.name for path in (tmp_path / "a.parts").iterdir()} == {
            1: {"seed0.pt"},
            2: {"seed0.pt"},
            4: {"seed0.pkl", "seed0.pt"},
            6: {"seed0.pkl", "seed1.pt"},
        }[saves]
        status, _, err = call("seq2seq.py", *flags, capsys=capsys)
        assert status == 0, err
        assert files_in(tmp_path) == {"a.pkl": (whole_seq2seq / "a.pkl").read_bytes()}

    def test_more_seeds_and_more_jobs(self, whole_seq2seq, tmp_path, capsys):
        """A third seed is added; all three, by two processes side by side."""
        shutil.copy(whole_seq2seq / "a.pkl", tmp_path)
        flags = seq2seq_flags(tmp_path, exp_name="a", seeds=3)
        assert call("seq2seq.py", *flags, capsys=capsys)[0] == 0
        flags = seq2seq_flags(tmp_path, exp_name="b", seeds=3, jobs=2)
        command = command_of("SequenceCopying", "seq2seq.py", *flags)
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        assert (tmp_path / "a.pkl").read_bytes() == (tmp_path / "b.pkl").read_bytes()

    def test_another_run_of_the_same_results_is_refused_meanwhile(
        self, tmp_path, capsys, monkeypatch
    ):
        """A run of two seeds has trained them; before it ends, another is asked for three."""
        flags = seq2seq_flags(tmp_path, exp_name="a")
        save, ends = storage.save_pickle, []

        def save_while_another_begins(content, path):
            save(content, path)
            if path.name == "seed1.pkl":
                three = command_of("SequenceCopying", "seq2seq.py", *flags, "--seeds", 3)
                ends.append(subprocess.run(three, capture_output=True, text=True))

        monkeypatch.setattr(storage, "save_pickle", save_while_another_begins)
        assert call("seq2seq.py", *flags, capsys=capsys)[0] == 0
        assert ends[0].returncode == 2 and "being worked on by process" in ends[0].stderr
        assert list(load(tmp_path / "a.pkl")["histories"]) == [0, 1]
        assert call("seq2seq.py", *flags, "--seeds", 3, capsys=capsys)[0] == 0
        assert list(load(tmp_path / "a.pkl")["histories"]) == [0, 1, 2]

    def test_processes_end_with_their_parent(self, tmp_path):
        flags = seq2seq_flags(tmp_path, jobs=2, steps=100000)
        process = subprocess.Popen(
            command_of("SequenceCopying", "seq2seq.py", *flags), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline().strip().endswith(".pkl")
        children = []
        while len(children) < 2:  # beside them is Python's resource tracker
            listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            children = [
                child
                for child in listed
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
            ]
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 300  # they may still be importing torch
        while any(is_running(child) for child in children) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(is_running(child) for child in children)


def is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class TestSeq2seqBadInput:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"num_vocab": 4}, ["without repetition", "no 5 different tokens", "vocabulary of 4"]),
            ({"num_vocab": 0}, ["--num_vocab", "0 is not a positive"]),
            ({"num_vocab": 2**40}, ["--num_vocab", "at most"]),
            ({"seq_length": -5}, ["--seq_length", "-5 is not a positive"]),
            ({"seeds": 0}, ["--seeds"]),
            ({"steps": "many"}, ["--steps", "'many'"]),
            ({"eval_every": 0}, ["--eval_every"]),
            ({"steps_s1": 0}, ["--steps", "0 is not a positive"]),
            ({"hidden_dim": 0}, ["--hidden_dim"]),
            ({"bsize": 0}, ["--bsize"]),
            ({"jobs": 0}, ["--jobs"]),
            ({"lr": 0}, ["--lr", "0 is not a positive"]),
            ({"lr": "nan"}, ["--lr"]),
            ({"device": "tpu"}, ["--device tpu"]),
            ({"way": "fast"}, ["--way", "'fast'"]),
            ({"exp_name": "a/b"}, ["--exp_name: 'a/b'"]),
            ({"exp_name": ""}, ["--exp_name: ''"]),
            ({"exp_name": "a" * 300}, ["--exp_name"]),
        ],
    )
    def test_flags(self, tmp_path, capsys, changes, words):
        result = call("seq2seq.py", *seq2seq_flags(tmp_path / "logs", **changes), capsys=capsys)
        assert_one_line(result, *words)
        assert not (tmp_path / "logs").exists()

    @pytest.mark.parametrize(
        ("word", "named"),
        [
            ("vocab=60", "--vocab=60"),
            ("num_vocab", "num_vocab"),
            ("num_vocab=some", "'some'"),
            ("no_rep=1", "--no_rep"),
            ("--heads", "--heads"),
        ],
    )
    def test_words(self, tmp_path, capsys, word, named):
        flags = [*seq2seq_flags(tmp_path / "logs"), word]
        assert_one_line(call("seq2seq.py", *flags, capsys=capsys), named)
        assert not (tmp_path / "logs").exists()

    def test_a_run_of_other_settings(self, whole_seq2seq, capsys):
        before = files_in(whole_seq2seq)
        for changes, words in (
            ({"lr": 0.1}, "lr: 0.001, now 0.1"),
            ({"steps": 9}, "steps: 16"),
            ({"optimizer": "sgd"}, "optimizer: adam, now sgd"),
        ):
            flags = seq2seq_flags(whole_seq2seq, exp_name="a", **changes)
            assert_one_line(call("seq2seq.py", *flags, capsys=capsys), "a.pkl", words)
        flags = [*seq2seq_flags(whole_seq2seq, exp_name="a"), "--bi"]
        assert_one_line(call("seq2seq.py", *flags, capsys=capsys), "bi: False, now True")
        assert files_in(whole_seq2seq) == before

    def test_results_of_another_version_of_the_models(self, whole_seq2seq, tmp_path, capsys):
        results = load(whole_seq2seq / "a.pkl")
        results["settings"]["version"] -= 1
        storage.save_pickle(results, tmp_path / "a.pkl")
        before = files_in(tmp_path)
        result = call("seq2seq.py", *seq2seq_flags(tmp_path, exp_name="a"), capsys=capsys)
        assert_one_line(result, "a.pkl was made with other settings (version: ", "--exp_name")
        assert files_in(tmp_path) == before

    def test_an_unfinished_run_of_other_settings(self, tmp_path, capsys, interrupted):
        interrupted("seq2seq.py", seq2seq_flags(tmp_path, exp_name="a"), 4)
        before = files_in(tmp_path)
        flags = seq2seq_flags(tmp_path, exp_name="a", hidden_dim=8)
        status, _, err = call("seq2seq.py", *flags, capsys=capsys)
        assert status == 2 and "(hidden_dim: 12, now 8)" in err
        assert "seed0.pkl was made with other settings" in err
        assert files_in(tmp_path) == before

    @pytest.mark.parametrize("name", ["a.pkl", "a.parts/seed1.pkl", "a.parts/seed0.pt"])
    @pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1]), "code"])
    def test_damaged_files(self, tmp_path, capsys, name, content):
        marker = tmp_path / "marker"

        class Attack:
            def __reduce__(self):
                return (Path.touch, (marker,))

        path = tmp_path / "logs" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(pickle.dumps(Attack()) if content == "code" else content)
        flags = seq2seq_flags(tmp_path / "logs", exp_name="a")
        status, _, err = call("seq2seq.py", *flags, capsys=capsys)
        assert status == 2 and len(err.splitlines()) == 1
        assert path.name in err and "delete" in err
        assert not marker.exists()
        assert list(files_in(tmp_path)) == [f"logs/{name}"]

    def test_a_folder_that_cannot_be_made(self, tmp_path, capsys):
        (tmp_path / "file").touch()
        flags = seq2seq_flags(tmp_path / "file")
        status, _, err = call("seq2seq.py", *flags, capsys=capsys)
        assert status == 2 and len(err.splitlines()) == 1 and "cannot be written" in err


class TestMultihead:
    def test_curves(self, whole_multihead):
        curves = storage.load_pickle(whole_multihead / "curves.pkl", "")
        assert isinstance(curves, tuple)
        output = (whole_multihead / "output.txt").read_text()
        good, bad = (
            [int(word) for word in output.split(f"{kind} heads: ")[1].splitlines()[0].split()]
            for kind in ("good", "bad")
        )
        assert len(good) == 2 and len(bad) == 3 and not set(good) & set(bad)
        for kind in curves:
            assert len(kind) == 3
            for heads, history in kind.items():
                assert len(heads) == 2 == len(set(heads))
                assert list(history) == list(COLUMNS) and history["step"] == [0, 5, 10]
        of_bad, of_good, of_random = curves
        assert all(set(heads) <= set(bad) for heads in of_bad)
        assert all(heads[0] in bad and heads[1] in good for heads in of_good)
        assert all(set(heads) <= set(range(4)) for heads in of_random)

    def test_heads_are_what_they_are_called(self, whole_multihead):
        """Every head that was tried, judged again from its kept curves."""
        outcomes = {"good": [], "bad": []}
        parts = whole_multihead / "logs" / "curves" / "heads-base0"
        for head in range(64):
            if not (parts / f"head{head}-data1.pkl").exists():
                continue
            curves = [
                load(parts / f"head{head}-data{seed}.pkl")["history"]["token_accuracy"]
                for seed in range(2)
            ]
            if all(max(curve) > LEVEL for curve in curves):
                outcomes["good"].append(head)
            elif all(max(curve) <= LEVEL and curve[-1] < LEVEL for curve in curves):
                outcomes["bad"].append(head)
        output = (whole_multihead / "output.txt").read_text()
        for outcome, wanted in (("good", 2), ("bad", 3)):
            assert f"{outcome} heads: {' '.join(map(str, outcomes[outcome][:wanted]))}\n" in output

    def test_a_trial_stops_when_it_is_settled(self, whole_multihead):
        parts = whole_multihead / "logs" / "curves" / "heads-base0"
        curves = [load(path)["history"]["token_accuracy"] for path in parts.iterdir()]
        for curve in curves:
            assert all(accuracy <= LEVEL for accuracy in curve[:-1])
            assert len(curve) == 3 or curve[-1] > LEVEL

    def test_table(self, whole_multihead):
        lines = (whole_multihead / "output.txt").read_text().splitlines()
        curves = load(whole_multihead / "curves.pkl")
        labels = ("2 bad heads", "1 good, 1 bad heads", "2 random heads")
        for label, histories in zip(labels, curves):
            (line,) = (line for line in lines if line.startswith(f"{label}  "))
            final = [history["token_accuracy"][-1] for history in histories.values()]
            samples, mean, std = line[len(label) :].split()[:3]
            assert int(samples) == 3
            assert float(mean) == pytest.approx(np.mean(final), abs=6e-5)
            assert float(std) == pytest.approx(np.std(final, ddof=1), abs=6e-5)
            attention = [history["attention_accuracy"][-1] for history in histories.values()]
            assert float(line.split()[-1]) == pytest.approx(np.mean(attention), abs=6e-5)

    def test_attention_of_the_heads_that_were_found(self, whole_multihead):
        """It tells heads that copy by attention from those that copy without it."""
        lines = (whole_multihead / "output.txt").read_text().splitlines()
        parts = whole_multihead / "logs" / "curves" / "heads-base0"
        for outcome in ("good", "bad"):
            (at,) = (i for i, line in enumerate(lines) if line.startswith(f"{outcome} heads: "))
            at_end = [
                load(parts / f"head{head}-data{seed}.pkl")["history"]["attention_accuracy"][-1]
                for head in lines[at].split()[2:]
                for seed in range(2)
            ]
            mean, least, most = np.mean(at_end), min(at_end), max(at_end)
            assert lines[at + 1].endswith(f"{mean:.4f} on average, {least:.4f} to {most:.4f}")

    def test_a_finished_run_says_so(self, whole_multihead, capsys):
        before = files_in(whole_multihead)
        flags = multihead_flags(whole_multihead)
        status, out, err = call("multihead.py", *flags, capsys=capsys)
        assert status == 0, err
        assert "is finished" in out and "heads tried" not in out
        assert files_in(whole_multihead) == before

    @pytest.mark.parametrize("saves", [1, 8, 60])
    def test_an_interrupted_run_ends_with_the_same_bytes(
        self, whole_multihead, tmp_path, capsys, interrupted, saves
    ):
        interrupted("multihead.py", multihead_flags(tmp_path), saves)
        assert not (tmp_path / "curves.pkl").exists()
        status, _, err = call("multihead.py", *multihead_flags(tmp_path), capsys=capsys)
        assert status == 0, err
        whole = (whole_multihead / "curves.pkl").read_bytes()
        assert (tmp_path / "curves.pkl").read_bytes() == whole

    def test_fewer_combinations_than_samples(self, tmp_path, capsys):
        flags = multihead_flags(tmp_path, bad_heads=2, good_heads=1, samples=4, random_heads=2)
        status, out, err = call("multihead.py", *flags, capsys=capsys)
        assert status == 0, err
        assert "bad: only 1 different combinations of 2 heads exist" in out
        assert [len(kind) for kind in load(tmp_path / "curves.pkl")] == [1, 2, 1]

    def test_fewer_heads_than_asked_for(self, tmp_path, capsys):
        flags = multihead_flags(tmp_path, bad_heads=15, max_heads=17)
        status, out, err = call("multihead.py", *flags, capsys=capsys)
        assert status == 0, err
        assert "fewer than the 15 wanted: a larger --max_heads continues the search" in out
        assert all(load(tmp_path / "curves.pkl"))

    def test_no_head_is_good(self, tmp_path, capsys):
        """What there is is combined: random and bad heads. A longer search then goes on."""
        flags = multihead_flags(tmp_path, learned=0.99, failed=0.99, max_heads=6)
        status, out, err = call("multihead.py", *flags, capsys=capsys)
        assert status == 0, err
        assert "of 6 heads: 0 good, 6 bad, 0 neither, 0 not tried further" in out
        assert "6 heads tried: 0 good, 6 bad, 0 neither, 0 not tried further" in out
        assert "no good head yet, so the time left is unknown (--max_heads 6 stops here" in out
        assert "good: only 0 different combinations of 2 heads exist" in out
        assert [len(kind) for kind in load(tmp_path / "curves.pkl")] == [3, 0, 3]
        (line,) = (line for line in out.splitlines() if line.startswith("1 good, 1 bad heads"))
        assert line.split()[-1] == "0"
        before = files_in(tmp_path / "logs")
        flags = multihead_flags(tmp_path, learned=0.99, failed=0.99, max_heads=7)
        status, out, err = call("multihead.py", *flags, capsys=capsys)
        assert status == 0 and "of 7 heads: 0 good, 7 bad" in out
        assert before.items() < files_in(tmp_path / "logs").items()  # no trial is repeated

    def test_no_head_is_bad(self, tmp_path, capsys):
        flags = multihead_flags(tmp_path, learned=0.001, failed=0.001, max_heads=3)
        status, out, err = call("multihead.py", *flags, capsys=capsys)
        assert status == 0, err
        assert "of 3 heads: 3 good, 0 bad" in out
        assert [len(kind) for kind in load(tmp_path / "curves.pkl")] == [0, 0, 3]

    def test_data_seeds_of_combinations(self, whole_multihead, tmp_path, capsys):
        """Data seed 0 for all; with a flag another for each sample."""
        names = [path.stem for path in (whole_multihead / "logs/curves/combinations").iterdir()]
        assert {name.split("-data")[1] for name in names} == {"0"}
        shutil.copytree(whole_multihead / "logs", tmp_path / "logs")
        flags = [*multihead_flags(tmp_path), "--fresh_data"]
        status, _, err = call("multihead.py", *flags, capsys=capsys)
        assert status == 0, err
        new = {path.stem for path in (tmp_path / "logs/curves/combinations").iterdir()} - {*names}
        assert {name.split("-data")[1] for name in new} == {"2", "3", "4"}

    def test_attention_of_each_head_is_kept(self, whole_multihead):
        for kind in load(whole_multihead / "curves.pkl"):
            for history in kind.values():
                heads = np.array(history["attention_accuracy_heads"])
                assert heads.shape == (3, 2)
                np.testing.assert_allclose(heads.mean(axis=1), history["attention_accuracy"])

    def test_time_left(self):
        wanted = {"good": 20, "bad": 20}
        found = {"good": list(range(30)), "bad": [1, 2]}
        # 18 more at 2 of 32: 288 heads of 75 s
        assert time_left(found, wanted, 32, 75.0) == ("; at this rate about 6 h 0 min for the rest")
        assert "no bad head yet" in time_left(found | {"bad": []}, wanted, 32, 75.0)
        found["bad"] = list(range(20))
        assert time_left(found, wanted, 32, 75.0) == ""

    def test_survey(self, whole_multihead, tmp_path, capsys):
        """Heads of two bases, all with their full trials; base 0's serve the search too."""
        shutil.copytree(whole_multihead / "logs", tmp_path / "logs")
        before = files_in(tmp_path / "logs")
        flags = [*multihead_flags(tmp_path, max_heads=4), "--base_seeds", "0", "3"]
        status, out, err = call("multihead.py", *flags, capsys=capsys)
        assert status == 0, err
        assert not (tmp_path / "curves.pkl").exists()
        after = files_in(tmp_path / "logs")
        assert before.items() < after.items()
        rows = [line.split(",") for line in after["curves/survey.csv"].decode().splitlines()]
        assert rows[0][:5] == ["base", "head", "data_seed", "step", "token_accuracy"]
        curves = {}
        for base, head, data_seed, step, accuracy, *_ in rows[1:]:
            curves.setdefault((base, head), {}).setdefault(data_seed, []).append(float(accuracy))
            path = tmp_path / f"logs/curves/heads-base{base}/head{head}-data{data_seed}.pkl"
            history = load(path)["history"]
            at = history["step"].index(int(step))
            assert float(accuracy) == pytest.approx(history["token_accuracy"][at], abs=6e-5)
        counts = {base: dict.fromkeys(("good", "bad", "neither"), 0) for base in "03"}
        for (base, _), trials in curves.items():
            learned = [max(curve) > LEVEL for curve in trials.values()]
            outcome = "neither" if len(set(learned)) > 1 else "good" if learned[0] else "bad"
            assert outcome == "neither" or len(trials) == 2
            counts[base][outcome] += 1
        rows_of_text = [line.split() for line in out.splitlines()]
        for base, by_fate in counts.items():
            assert [base, "4", *map(str, by_fate.values())] in rows_of_text
        failing = [line for line in out.splitlines() if "|" in line][1:]
        assert len(failing) == sum(
            max(curve) <= LEVEL for trials in curves.values() for curve in trials.values()
        )

    def test_quick_changes_defaults_alone(self, monkeypatch):
        multihead = load_script("SequenceCopying", "multihead")

        def parse(*flags):
            monkeypatch.setattr(sys, "argv", ["multihead.py", *flags])
            return vars(multihead.parse_args())

        plain, quick = parse(), parse("--quick")
        assert {key for key in plain if plain[key] != quick[key]} == {"quick", *multihead.QUICK}
        assert quick["out_file"] != plain["out_file"]
        explicit = parse("--bad_heads", "20", "--quick", "--lr", "0.5")
        assert explicit["bad_heads"] == 20 and explicit["lr"] == 0.5
        assert explicit["hidden_dim"] == multihead.QUICK["hidden_dim"]


class TestMultiheadBadInput:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"num_vocab": 4}, ["no 5 different tokens", "vocabulary of 4"]),
            ({"n_heads": 0}, ["--n_heads", "0 is not a positive"]),
            ({"n_heads": 4}, ["--n_heads 4", "--bad_heads"]),
            ({"n_heads": 40, "bad_heads": 99, "random_heads": 99, "max_heads": 999}, ["at most"]),
            ({"random_heads": 1}, ["--random_heads"]),
            ({"max_heads": 0}, ["--max_heads"]),
            ({"steps": 5}, ["--steps 5 with --eval_every 5", "before the first step"]),
            ({"base_seeds": -1}, ["--base_seeds", "negative"]),
            ({"samples": -1}, ["--samples", "-1 is not a positive"]),
            ({"data_seeds": 0}, ["--data_seeds"]),
            ({"learned": 1.5}, ["--learned 1.5"]),
            ({"failed": 0.9, "learned": 0.5}, ["--failed 0.9"]),
            ({"seed": -1}, ["--seed", "negative"]),
            ({"device": "tpu"}, ["--device tpu"]),
            ({"heads": 3}, ["--heads"]),
        ],
    )
    def test_flags(self, tmp_path, capsys, changes, words):
        result = call("multihead.py", *multihead_flags(tmp_path, **changes), capsys=capsys)
        assert_one_line(result, *words)
        assert files_in(tmp_path) == {}

    def test_a_place_that_cannot_be_written_to(self, tmp_path, capsys):
        """It is said before the first model, not after the last one."""
        (tmp_path / "file").touch()
        flags = multihead_flags(tmp_path, out_file=tmp_path / "file" / "curves.pkl")
        assert_one_line(call("multihead.py", *flags, capsys=capsys), "cannot be written")
        assert list(files_in(tmp_path)) == ["file"]

    def test_a_result_of_unknown_origin_is_kept(self, tmp_path, capsys):
        (tmp_path / "curves.pkl").write_bytes(b"precious")
        result = call("multihead.py", *multihead_flags(tmp_path), capsys=capsys)
        assert_one_line(result, "curves.pkl", "--out_file")
        assert files_in(tmp_path) == {"curves.pkl": b"precious"}

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"lr": 0.5}, "lr: 0.02, now 0.5"),
            ({"optimizer": "sgd"}, "optimizer: adam, now sgd"),
            ({"seed": 3}, "seed: 0, now 3"),
            ({"learned": 0.7}, f"learned: {LEVEL}, now 0.7"),
        ],
    )
    def test_a_run_of_other_settings(self, whole_multihead, capsys, changes, words):
        before = files_in(whole_multihead)
        result = call("multihead.py", *multihead_flags(whole_multihead, **changes), capsys=capsys)
        assert_one_line(result, "data0.pkl", words)
        assert files_in(whole_multihead) == before
