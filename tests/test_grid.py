"""The tables of datasets, and the published grid that follows from them."""

import shlex
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
from conftest import ROOT, write_json

from attention_dynamics import grid
from attention_dynamics.classification.datasets import DATASETS as CLASSIFICATION
from attention_dynamics.cli import InputError, unknown
from attention_dynamics.training import checkpoints
from attention_dynamics.training.runs import saved_steps
from attention_dynamics.translation.datasets import DATASETS as TRANSLATION

EVERY = [(task, name) for task, table in grid.TASKS.items() for name in table]


def flags_of(task: str, name: str) -> dict[str, str]:
    words = shlex.split(grid.TASKS[task][name].train)
    return dict(zip(words[::2], words[1::2]))


def test_the_grid_loads_the_standard_library_only():
    """The bash scripts ask it each time, also where nothing is installed."""
    program = "import sys, attention_dynamics.grid; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in end.stdout.split()}
    assert "attention_dynamics" in loaded and "argparse" in loaded
    assert not loaded & {"numpy", "torch", "tqdm", "pooch", "torchtext", "sentencepiece"}


def test_some_runs():
    every = grid.jobs("classification", "train_runs", ["SNS"])
    assert [job.split("seed=")[1].split("|")[0] for job in every][::6] == ["20", "12"]
    for flags in (["--runs", "Normal_A", "uniform"], ["--runs", "uniform,normal_a"]):
        found = grid.jobs("classification", "train_runs", ["SNS"], [*flags, "--steps", "9"])
        assert found == [f"{job} --steps 9" for job in every[::6]]
    (dump,) = grid.jobs("classification", "dump_logs", ["SNS"], ["--runs", "uniform"])
    assert dump.endswith("eval_dump.py --dataset SNS --runs uniform")
    with pytest.raises(InputError, match="name one run or more"):
        grid.jobs("classification", "train_runs", ["SNS"], ["--runs", "--steps", "9"])
    with pytest.raises(InputError, match="unknown run Normal_Z"):
        grid.jobs("translation", "train_runs", ["multi30k"], ["--runs", "Normal_Z"])


def test_a_flag_and_its_value_may_be_one_word(capsys):
    """Which runs are trained, and which data are looked for, depend on some flags."""
    words = ["--attention_from", "200", "--runs", "Normal_B", "Normal_A"]
    grid.main("classification", "train_runs", "SNS", *words)
    separate = capsys.readouterr().out
    assert separate.count("\n") == 2
    words = ["--attention_from=200", "--runs=Normal_B,Normal_A"]
    grid.main("classification", "train_runs", "SNS", *words)
    assert capsys.readouterr().out == separate


@pytest.mark.parametrize(
    "words", [[], ["nothing", "train_runs"], ["classification", "nothing", "SNS"]]
)
def test_an_unknown_task_or_stage_is_one_line(words):
    command = [sys.executable, "-m", "attention_dynamics.grid", *words]
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 2 and not end.stdout
    assert end.stderr.count("\n") == 1 and "unknown" in end.stderr and "(known: " in end.stderr


def test_names():
    names = "IMDB Furd AG_News Newsgroups Yelp Amzn SNS SMS toy"
    assert " ".join(CLASSIFICATION.names()) == names
    assert TRANSLATION.names() == [
        *("multi30k", "iwslt14", "news_commentary_v14_en_nl", "news_commentary_v14_en_pt"),
        *("news_commentary_v14_it_pt", "toy"),
    ]
    for table in grid.TASKS.values():
        assert [corpus.name for corpus in table.values()] == list(table)
        assert len(set(table.names())) == len(table.names())
        assert [name for name, corpus in table.items() if not corpus.published] == ["toy"]


def test_an_entry_is_called_as_it_was_asked_for(tmp_path):
    sms, sns = CLASSIFICATION.find("SMS"), CLASSIFICATION.find("SNS")
    assert (sms.names, sns.names) == (("SMS", "SNS"), ("SNS", "SMS"))
    assert replace(sms, name="SNS", other_names=("SMS",)) == sns == CLASSIFICATION["SNS"]
    endings = (".json", "_log.json")
    assert sms.find_file(tmp_path, *endings) is None
    for name in ("SNS.json", "SMS_log.json"):
        path = write_json(tmp_path / name, [])
        assert sms.find_file(tmp_path, *endings) == path
    assert sns.find_file(tmp_path, *endings) == tmp_path / "SNS.json"
    assert CLASSIFICATION.find("IMDB").find_file(tmp_path, *endings) is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("imdb", ": did you mean IMDB?"),
        ("AG News", ": did you mean AG_News?"),
        ("sms", ": did you mean SMS?"),
        ("MNIST", ""),
        ("", ""),
    ],
)
def test_an_unknown_name(name, hint):
    known = " ".join(CLASSIFICATION.names())
    with pytest.raises(InputError) as error:
        CLASSIFICATION.find(name)
    own = f"your own data: python prepare_data.py --dataset {name} --source FILE"
    assert str(error.value) == f"unknown dataset {name}{hint} (known: {known}); {own}"
    assert str(unknown("metric", "Kendal", ["top", "kendall"])) == (
        "unknown metric Kendal: did you mean kendall? (known: top kendall)"
    )


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_every_run_saves_what_is_evaluated(task, name):
    corpus = grid.TASKS[task][name]
    assert all(a < b for a, b in pairwise(corpus.iterations))
    flags = flags_of(task, name)
    last = corpus.iterations[-1]
    save_every = int(flags.get("--save_every", 250))
    custom = [int(step) for step in flags["--custom_saves"].split(",")]
    steps = int(flags["--steps"]) if task == "classification" else last
    saved = saved_steps(steps, save_every, custom, end_is_last=task == "classification")
    assert set(corpus.iterations) <= {*saved, last}
    assert last == steps - 1 or last % save_every == 0


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_the_published_list(task, name, tmp_path):
    """Every run of the grid at every evaluated iteration; Delta of the gold run alone."""
    corpus = grid.TASKS[task][name]
    entries = checkpoints.known(tmp_path, tmp_path, corpus, {}, True)
    runs = [("Normal_A", 20, False, True), ("Normal_B", 13, False, False)]
    others = "CDEF" if task == "classification" else "CD" if name == "toy" else ""
    runs += [(f"Normal_{letter}", seed, False, False) for seed, letter in enumerate(others, 14)]
    runs.append(("uniform", 12, True, False))
    assert entries == [
        checkpoints.CheckpointSpec(run, iteration, seed, uniform, grad)
        for run, seed, uniform, grad in runs
        for iteration in corpus.iterations
    ]


def test_published_iterations_of_classification():
    every = [0, 10, 50, 100, 150, 200, *range(250, 3751, 250), 3999]
    for name, corpus in CLASSIFICATION.items():
        assert name == "toy" or list(corpus.iterations) == every


def test_a_new_entry_is_enough(monkeypatch, tmp_path):
    """The grid, and with it every bash script, needs nothing besides the table."""
    monkeypatch.setattr(grid, "ROOT", tmp_path)  # not what users made here
    new = replace(CLASSIFICATION["Furd"], name="mine", other_names=("ours",), embedding="--lr 1")
    monkeypatch.setitem(CLASSIFICATION, "mine", new)
    jobs = grid.jobs("classification", "train_runs", ["ours"])
    assert len(jobs) == 7
    assert jobs[0].startswith("ours seed=20|train_classifier.py --dataset ours --seed 20 --steps ")
    assert grid.jobs("classification", "embedding_runs")[-1] == (
        "mine|embedding_beta.py --dataset mine --lr 1"
    )
    assert grid.tasks_of(["mine", "toy"]) == {
        "classification": ["mine", "toy"],
        "translation": ["toy"],
    }
