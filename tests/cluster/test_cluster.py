"""The grid as jobs, and by Snakemake: the same commands and the same bytes as the bash scripts'."""

import graphlib
import shutil
from dataclasses import replace

import grid_cost
import pytest
from small_grid import (
    change,
    find_snakemake,
    make_small,
    planned,
    results,
    results_by_bash,
    run_snakemake,
)

from attention_dynamics import cluster, corpus, grid
from attention_dynamics.classification.datasets import DATASETS as CLASSIFICATION

needs_snakemake = pytest.mark.skipif(
    not find_snakemake(),
    reason="snakemake is not installed: docs/cluster.md says how; $SNAKEMAKE names it",
)
LOCAL = ("--profile", "profiles/local", "--cores", "2", "toy")
# of the small toy grid
JOBS = {
    **{"prepare": 2, "train": 6, "evaluate": 6, "gather": 2, "embedding": 2, "logistic": 1},
    **{"collect": 2, "plot": 2, "explore": 2, "copy": 2, "plot_copying": 1, "report": 1, "toy": 1},
}


def kinds(jobs) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in jobs:
        kind = name.partition("/")[0]
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def needed(jobs: dict[str, cluster.Job], name: str) -> set[str]:
    """A job and all that must have ended before it."""
    return {name}.union(*(needed(jobs, other) for other in jobs[name].needs))


def test_the_published_grid():
    jobs = cluster.all_jobs()
    graphlib.TopologicalSorter({name: job.needs for name, job in jobs.items()}).prepare()
    counts = kinds(needed(jobs, "report/all"))
    assert counts == {
        **{"prepare": 12, "train": 64, "evaluate": 64, "gather": 12, "embedding": 12},
        **{"logistic": 7, "collect": 12, "plot": 12, "explore": 12},
        **{"copy": 3, "plot_copying": 1, "report": 1},
    }
    both = needed(jobs, "report/classification") | needed(jobs, "report/translation")
    assert "copy" not in kinds(both) and kinds(both)["train"] == 64
    assert kinds(needed(jobs, "report/SMS"))["train"] == 7


@pytest.mark.parametrize("task", grid.TASKS)
@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        *(("train", "train_runs"), ("gather", "dump_logs"), ("embedding", "embedding_runs")),
        ("logistic", "logistic_runs"),
    ],
)
def test_commands_are_those_of_the_bash_scripts(task, kind, stage):
    jobs = cluster.all_jobs()
    for name in grid.TASKS[task]:
        found = [
            job.command for key, job in jobs.items() if key.startswith(f"{kind}/{task}/{name}")
        ]
        lines = grid.jobs(task, stage, [name])
        if (grid.ROOT / task / f"{stage}.sh").exists():
            assert found == [f"python {line.partition('|')[2]} --wait" for line in lines]
        else:
            assert not found


def test_a_line_in_a_table_is_enough(monkeypatch, tmp_path):
    monkeypatch.setattr(grid, "ROOT", tmp_path)  # not what users made here
    runs = CLASSIFICATION["Furd"].runs[:2]
    new = replace(CLASSIFICATION["Furd"], name="mine", other_names=(), runs=runs)
    monkeypatch.setitem(CLASSIFICATION, "mine", new)
    jobs = cluster.all_jobs()
    assert jobs.keys() >= {f"train/classification/mine/{run.name}" for run in runs}
    assert "train/classification/mine/Normal_A" in needed(jobs, "report/all")
    assert needed(jobs, "report/mine") - needed(jobs, "report/all") == {"report/mine"}


def test_a_list_of_checkpoints_is_one_job(monkeypatch, tmp_path):
    """It may name other runs than the table."""
    monkeypatch.setattr(grid, "ROOT", tmp_path)
    path = tmp_path / "classification" / "configs" / "SMS_log.json"
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    jobs = cluster.all_jobs()
    for name in ("SNS", "SMS"):
        needs = jobs[f"gather/classification/{name}"].needs
        assert kinds(needs) == {"train": 7}
        assert f"evaluate/classification/{name}/Normal_A" not in jobs
    assert kinds(jobs["gather/classification/Furd"].needs) == {"evaluate": 7}


def test_a_marker_without_its_result_is_forgotten(monkeypatch, tmp_path):
    """And with it those of the jobs that need it."""
    monkeypatch.setattr(grid, "ROOT", tmp_path)
    every = cluster.all_jobs()
    names = needed(every, "gather/classification/SNS") | needed(
        every, "train/classification/SMS/uniform"
    )
    jobs = {name: job for name, job in every.items() if name in names}
    folder = tmp_path / "classification"
    seeds = (
        "20,normal",
        "13,normal",
        "14,normal",
        "15,normal",
        "16,normal",
        "17,normal",
        "12,uniform",
    )
    for run in seeds:
        (folder / "models/SNS" / f"h_dim=8,b_size=32,seed={run}").mkdir(parents=True)
        (folder / "models/SNS" / f"h_dim=8,b_size=32,seed={run}" / "run.json").touch()
    for path in ("data/SMS_train.json", "outputs/SNS_logs.pkl"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).touch()
    for name in jobs:
        (tmp_path / cluster.marker(name)).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / cluster.marker(name)).touch()
    assert cluster.forget(jobs) == ["train/classification/SMS/uniform"]
    (folder / "models/SNS/h_dim=8,b_size=32,seed=13,normal/run.json").unlink()
    lost = ("train/classification/SNS/Normal_B", "evaluate/classification/SNS/Normal_B")
    assert cluster.forget(jobs) == [*lost, "gather/classification/SNS"]
    assert cluster.forget(jobs) == []


def test_no_dataset_can_have_the_name_of_a_rule():
    kinds = {name.split("/")[0] for name in cluster.all_jobs()}
    datasets = {name for table in grid.TASKS.values() for name in table.names()}
    assert kinds | {*cluster.targets()} - datasets <= {*corpus.RESERVED}


def test_the_simulated_makespan():
    def job(*needs):
        return cluster.Job("", "", needs, ())

    jobs = {"a": job(), "b": job(), "c": job(), "d": job("a", "b")}
    seconds = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 3.0}
    times = [grid_cost.makespan(jobs, seconds, workers) for workers in (1, 2, 3, 9)]
    assert times == [10, 5, 5, 5]
    for name, seconds_of_job in {
        "train/classification/SNS/uniform": 0.048 * 4000,
        "evaluate/translation/multi30k/Normal_A": 45 * 20,
        "embedding/classification/Furd": 0.17 * 60,
    }.items():
        assert grid_cost.seconds_of(name, cluster.all_jobs()[name]) == pytest.approx(seconds_of_job)


@pytest.mark.slow
@needs_snakemake
def test_by_snakemake(tmp_path):
    """All that is missing is listed, run, and the same; then what is removed or added is listed."""
    root = make_small(tmp_path / "root")
    assert planned(root, "toy") == JOBS
    end = run_snakemake(root, *LOCAL)
    assert end.returncode == 0, end.stdout + end.stderr
    assert results(root) == results_by_bash()
    assert planned(root, "toy") == {}
    end = run_snakemake(root, *LOCAL)
    assert end.returncode == 0 and "Nothing to be done" in end.stdout + end.stderr

    after = ("gather", "collect", "plot", "explore", "report", "toy")
    shutil.rmtree(next(root.glob("classification/models/toy/*seed=13,normal")))
    counts = dict.fromkeys(("train", "evaluate", *after), 1)
    assert planned(root, "toy") == counts
    end = run_snakemake(root, *LOCAL)
    assert end.returncode == 0, end.stdout + end.stderr
    assert results(root) == results_by_bash()
    (root / "translation" / "outputs" / "toy_explorer.html").unlink()
    assert planned(root, "toy") == {"explore": 1, "report": 1, "toy": 1}

    table = root / "attention_dynamics/classification/datasets/toy.py"
    change(table, "--steps 40", "--steps 60")
    change(table, "(0, 20, 39)", "(0, 20, 40, 59)")
    assert planned(root, "toy") == {
        **dict.fromkeys(after, 1),
        **{"train": 3, "evaluate": 3, "explore": 2},
    }
