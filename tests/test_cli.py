"""The command line: devices that are asked for, and memory that is refused."""

import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, call_script

from attention_dynamics import cli
from attention_dynamics.cli import InputError


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_by_its_name(name, monkeypatch):
    """``torch.cuda.set_device`` refuses a device without an index."""
    chosen = []
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda size, device: empty(size))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: chosen.append(device.index))
    assert cli.find_device(name) == torch.device(name)
    assert chosen == ([1] if name == "cuda:1" else [])


@pytest.mark.parametrize("name", ["tpu", "meta", "privateuseone", "cuda:99", "cpu:x", ""])
def test_a_device_that_is_not_there(name):
    with pytest.raises(InputError, match="there is no such device here; try cpu"):
        cli.find_device(name)


def too_large_for_numpy():
    np.empty(2**50)


def too_large_for_torch():
    torch.empty(2**60)


def too_large_for_a_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1024.00 GiB.")


@pytest.mark.parametrize("main", [too_large_for_numpy, too_large_for_torch, too_large_for_a_gpu])
def test_memory_that_is_refused_is_one_line(main, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.run(main)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "not enough memory: try smaller sizes or batches" in err


def test_other_errors_keep_their_traceback():
    def main():
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        cli.run(main)


STAGES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("classification", "translation", "SequenceCopying", "results", ".")
    for path in sorted((ROOT / folder).glob("*.py"))
]


@pytest.mark.parametrize("stage", STAGES)
def test_every_help_says_what_is_read_and_written_and_gives_an_example(stage, capsys):
    folder, _, script = stage.rpartition("/")
    status, out, _ = call_script(folder or ".", script, "--help", capsys=capsys)
    assert status == 0
    for heading in ("reads:", "writes:", "next:", "example"):
        assert f"\n{heading}" in out, heading
    example = out.rstrip().splitlines()[-1]
    # one script is called by another's name too
    assert (
        example.startswith((f"  python {script}", f"  python {stage}"))
        or "collect_classification_stats.py" in stage
    )
    assert "by itself" not in out and "go on" not in out and "None)" not in out


# Progress


@pytest.fixture
def clock(monkeypatch):
    """tqdm's clock; it moves when the test moves it."""
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    return now


def test_progress_is_a_line_a_minute_where_there_is_no_terminal(clock, capsys):
    for step in cli.progress_bar(range(100, 400), initial=100, total=400, unit="step"):
        clock[0] += 0.5
        if step == 350:
            cli.say("a result")
    out, err = capsys.readouterr()
    assert out == "a result\n"
    assert err.splitlines() == [
        "step 220 of 400,  2.00step/s, 01:30 left",
        "step 340 of 400,  2.00step/s, 00:30 left",
    ]


def test_no_progress_of_what_takes_less_than_a_minute(clock, capsys):
    for _ in cli.progress_bar(range(59), unit="step"):
        clock[0] += 1
    bar = cli.progress_bar(None, total=3, unit="run")
    for _ in range(3):
        clock[0] += 19
        bar.update()
    bar.close()
    assert capsys.readouterr() == ("", "")


def test_progress_of_updates_and_of_what_has_no_length(clock, capsys):
    bar = cli.progress_bar(None, total=3, unit="run", desc="of SNS")
    for _ in range(2):
        clock[0] += 45
        bar.update()
    bar.close()
    for _ in cli.progress_bar(iter(range(100)), unit="sentence", desc="train"):
        clock[0] += 1
    assert capsys.readouterr().err.splitlines() == [
        "of SNS run 2 of 3, 45.00s/run, 00:45 left",
        "train sentence 60,  1.00sentence/s",
    ]


def test_a_terminal_has_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(cli.progress_bar(range(3), unit="step")) == [0, 1, 2]
    assert "3/3 [" in capsys.readouterr().err


@pytest.mark.parametrize(("ended", "status"), [(cli.Terminated, 143), (KeyboardInterrupt, 130)])
def test_a_signal_while_a_class_is_made(ended, status, monkeypatch, capsys):
    """As during an import: Python 3.11 wraps it in a RuntimeError."""

    class Field:
        def __set_name__(self, *_):
            raise ended

    def main():
        try:
            type("Made", (), {"field": Field()})
        except ended as error:  # later versions of Python do not wrap it
            raise RuntimeError from error

    monkeypatch.setattr(sys, "argv", ["train.py"])
    with pytest.raises(SystemExit) as end:
        cli.run(main)
    assert end.value.code == status
    assert "the same command resumes" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("script", ["train_classifier.py", "embedding_beta.py", "explore.py"])
def test_an_interrupt_during_the_imports_is_one_line(script):
    """A module that torch imports sends the signal, in the middle of torch's import."""
    program = f"""
import os, runpy, signal, sys

class Interrupt:
    def find_spec(self, name, *_):
        if name in ("numpy", "torch._C"):
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = [{str(ROOT / "classification" / script)!r}, "--dataset", "toy", "--seed", "1"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    end = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert end.stderr.strip() == f"{script}: interrupted"
    assert end.returncode == -signal.SIGINT
