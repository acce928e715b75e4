"""What --dry-run expects a job to take."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT, write_json

from attention_dynamics import estimates, grid
from attention_dynamics.estimates import Cost, Measured
from attention_dynamics.translation.model import build, load_config

CONFIG = json.loads((ROOT / "classification" / "configs" / "model.json").read_text())
FURD = "train_classifier.py --dataset Furd --seed 20 --steps 4000 --save_every 250"
CUSTOM = "--custom_saves 0,10,50,100,150,200,250"


def write_run(models, dataset, step, seconds, steps=4000, seed=13, uniform=False, **config):
    """A run as train_classifier.py leaves it: its record, a checkpoint, its state."""
    settings = CONFIG | {"seed": seed, "uniform": uniform} | config
    folder = models / dataset / f"seed={seed},{uniform}"
    record = {"settings": settings, "step": step, "seconds": seconds, "steps": steps}
    write_json(folder / "run.json", record)
    (folder / "model0").write_bytes(b"0" * 1000)
    (folder / "resume.pt").write_bytes(b"0" * 3000)
    return folder


def cost_of(command, folder, task="classification"):
    flags = [f"--{name}_dir {folder}" for name in ("models", "data", "outputs")]
    return estimates.estimate(task, " ".join([command, *flags]))


def test_the_rate_of_this_machine_comes_first(tmp_path):
    write_run(tmp_path, "Furd", 1000, 500)
    write_run(tmp_path, "Furd", 4000, 1000, seed=14)
    write_run(tmp_path, "Furd", 4000, 9999, seed=15, h_dim=64)  # another model
    cost = cost_of(FURD, tmp_path)
    assert cost.seconds == pytest.approx(4000 * 1500 / 5000)
    assert cost.how == "4,000 steps of 0.3 s, measured here"
    # 16 saves, the end, and resume.pt as large as three
    assert cost.bytes == (16 + 1 + 3) * 1000
    assert cost_of(f"{FURD} {CUSTOM}", tmp_path).bytes == (21 + 1 + 3) * 1000
    assert cost_of(f"{FURD} --drop_resume", tmp_path).bytes == 17 * 1000


def test_the_table_comes_next_and_then_another_dataset(tmp_path, monkeypatch):
    write_run(tmp_path, "SNS", 1000, 700)
    monkeypatch.setitem(estimates.MEASURED, "Furd", Measured(step=0.1, checkpoint_bytes=50))
    assert cost_of(FURD, tmp_path) == Cost(400, 1000, "4,000 steps of 0.1 s, RESULTS.md")
    cost = cost_of(FURD.replace("Furd", "Yelp"), tmp_path)
    assert cost == Cost(2800, None, "4,000 steps of 0.7 s, the rate of SNS")
    assert cost_of(FURD.replace("Furd", "Yelp"), tmp_path / "none") == Cost()


def test_what_is_done_does_not_count(tmp_path):
    folder = write_run(tmp_path, "Furd", 1000, 100, seed=20)
    write_run(tmp_path, "Furd", 4000, 400, seed=20, uniform=True)
    cost = cost_of(FURD, tmp_path)
    here = sum(path.stat().st_size for path in folder.iterdir())
    assert (cost.seconds, cost.bytes) == (pytest.approx(300), 20 * 1000 - here)
    assert cost_of(f"{FURD} --uniform", tmp_path) == Cost(0, 0, "finished")
    assert cost_of(f"{FURD.replace('4000', '5000')} --uniform", tmp_path).seconds == 100


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        ("--attention_from 200", {"attention_from": 200}),
        ("--attention_lr 1e-4", {"attention_lr": 0.0001}),
        ("--attend_to 20 --shuffle_attention", {"attend_to": 20, "shuffle_attention": True}),
        ("--config {}", {"encoder": "gru"}),
    ],
)
def test_a_run_of_another_setting_is_not_this_run(flags, settings, tmp_path):
    config = tmp_path / "gru.json"
    write_json(config, CONFIG | {"encoder": "gru"})
    changed = f"{FURD} {flags.format(config)}"
    write_run(tmp_path / "changed", "Furd", 4000, 400, seed=20, **settings)
    assert cost_of(changed, tmp_path / "changed").how == "finished"
    assert cost_of(FURD, tmp_path / "changed").how != "finished"
    write_run(tmp_path / "published", "Furd", 4000, 400, seed=20)
    assert cost_of(FURD, tmp_path / "published").how == "finished"
    assert cost_of(changed, tmp_path / "published").how != "finished"


def test_other_saves_count(tmp_path):
    write_run(tmp_path, "Furd", 4000, 400)
    saved = cost_of(FURD, tmp_path).bytes // 1000
    # 1, 16, 252 and 3999, of which the end is one already
    assert cost_of(f"{FURD} --save_at log:4", tmp_path).bytes // 1000 == saved + 3
    assert cost_of(f"{FURD} --attention_until 100", tmp_path).how != "finished"
    assert cost_of(f"{FURD} --attention_until 100", tmp_path).bytes // 1000 == saved + 1


@pytest.mark.parametrize(
    "flags", ["--steps x", "--steps", "--save_every 0", "--custom_saves 1,a", "--save_at 5x"]
)
def test_a_value_that_cannot_be_read(flags, tmp_path):
    command = f"train_classifier.py --dataset Furd --seed 20 {flags}"
    assert cost_of(command, tmp_path) == Cost(how="the value of a flag cannot be read")


@pytest.mark.parametrize("task", ["classification", "translation"])
def test_a_config_that_cannot_be_read(task, tmp_path):
    command = f"{grid.TRAIN_SCRIPTS[task]} --dataset toy --seed 20 --config {tmp_path / 'x.json'}"
    assert cost_of(command, tmp_path, task) == Cost(how="the config cannot be read")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": {}, "step": 3}'])
def test_a_record_that_cannot_be_read_is_no_record(content, tmp_path):
    folder = write_run(tmp_path, "Furd", 1000, 100, seed=20)
    write_json(folder / "run.json", content)
    assert cost_of(FURD, tmp_path).how == "4,000 steps of 0.051 s, RESULTS.md"


def test_the_steps_of_a_translation_follow_from_its_data(tmp_path):
    command = "train_translation.py --dataset {} --seed 20 --epochs 3"
    assert cost_of(command.format("multi30k"), tmp_path, "translation").seconds == (
        pytest.approx(-(-3 * 29_000 // 16) * estimates.MEASURED["multi30k"].step)
    )
    news = command.format("news_commentary_v14_en_nl")
    assert cost_of(news, tmp_path, "translation") == Cost(how="the data are not prepared")
    folder = tmp_path / "news-commentary-v14-en-nl"
    folder.mkdir()
    (folder / "train.src").write_text('["a", "b"]')
    (folder / "train.src_raw").write_text("a\n" * 160)
    cost = cost_of(news, tmp_path, "translation")
    # 30 steps: saved at 0, the best epoch, the end, and resume.pt
    assert cost == Cost(None, (1 + 1 + 1 + 3) * estimates.TRANSLATOR)


def test_the_size_of_a_translator():
    config = load_config(ROOT / "translation" / "configs" / "model.json")
    model = build(config, 8000, uniform=False)
    assert 4 * sum(p.numel() for p in model.parameters()) == estimates.TRANSLATOR


def test_an_evaluation(tmp_path):
    command = "eval_dump.py --dataset Furd"
    assert cost_of(command, tmp_path) == Cost(how="no checkpoint is there yet")
    for seed in (13, 14):
        write_run(tmp_path, "Furd", 4000, 400, seed=seed)
    assert cost_of(command, tmp_path) == Cost(3.2, None, "2 at 1.6 s a checkpoint, RESULTS.md")
    assert cost_of(f"{command} --attend_to 20", tmp_path).how == "no checkpoint is there yet"
    (tmp_path / "Furd_logs.parts").mkdir()
    (tmp_path / "Furd_logs.parts" / "Normal_B-0.pkl").touch()
    assert cost_of(command, tmp_path).seconds == 1.6
    (tmp_path / "Furd_logs.pkl").touch()
    assert cost_of(command, tmp_path) == Cost(0, 0, "finished")
    write_run(tmp_path, "Furd", 4000, 400, seed=15, attend_to=20)  # of another setting
    assert cost_of(command, tmp_path).how == "finished"
    os.utime(tmp_path / "Furd_logs.pkl", (0, 0))
    assert cost_of(command, tmp_path) == Cost(how="some checkpoints are evaluated already")


def test_an_evaluation_of_runs_without_a_record(tmp_path):
    """As in the authors' data folder."""
    (write_run(tmp_path, "Furd", 4000, 400) / "run.json").unlink()
    cost = cost_of("eval_dump.py --dataset Furd", tmp_path)
    assert cost == Cost(1.6, None, "1 at 1.6 s a checkpoint, RESULTS.md")


@pytest.mark.parametrize(
    ("task", "script", "file"),
    [
        ("classification", "embedding_beta.py", "SNSembedding256beta"),
        ("translation", "embedding_beta.py", "multi30kembedding256translation"),
        ("classification", "logistic_beta.py", "SNS_logistic_beta"),
    ],
)
def test_word_baselines(task, script, file, tmp_path):
    dataset = file.partition("_")[0].partition("embedding")[0]
    command = f"{script} --dataset {dataset}"
    (tmp_path / f"{file}.resume.pt").touch()  # unfinished
    cost = cost_of(command, tmp_path, task)
    assert cost.seconds == (30 * estimates.MEASURED[dataset].epoch if "emb" in script else None)
    (tmp_path / f"{file}.pkl").touch()
    assert cost_of(command, tmp_path, task) == Cost(0, 0, "finished")


@pytest.mark.parametrize("task", [*grid.TASKS, "copying"])
def test_every_published_job_has_an_answer(task):
    stages = ("train_runs", "dump_logs", "embedding_runs")
    for stage in stages if task != "copying" else ["copying_runs"]:
        names = ("seq2seq", "multihead", "law", "toy") if task == "copying" else ()
        for job in grid.jobs(task, stage, names):
            assert estimates.described(estimates.estimate(task, job.partition("|")[2]))


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        (1, "together: 6 min, 30 MB"),
        (2, "together: 4 min with JOBS=2 (6 min in all), 30 MB"),
        (9, "together: 4 min with JOBS=9 (6 min in all), 30 MB"),
    ],
)
def test_sums(jobs, words):
    costs = [Cost(240, 10e6), Cost(60, 20e6), Cost(60, 0)]
    assert estimates.total(costs, jobs) == words
    found = estimates.total([*costs, Cost(0.0, None), Cost()], 1)
    assert found == (
        "together: 6 min, 30 MB; time unknown for 1 of 5, not counted; "
        "disk unknown for 2 of 5, not counted"
    )
    assert estimates.total([Cost(), Cost()], 2) == "together: time unknown, disk unknown"


def test_units():
    durations = [estimates.duration(seconds) for seconds in (0, 3.2, 89, 91, 3000, 5400, 12_000)]
    assert durations == ["0 s", "4 s", "89 s", "2 min", "50 min", "1 h 30 min", "3 h 20 min"]
    assert [estimates.size(count) for count in (0, 1, 3.4e6, 1.25e9)] == [
        *("0 MB", "1 MB", "4 MB", "1.2 GB")
    ]


def test_a_dry_run_is_a_script():
    """Commands, each with a comment; the standard library is enough."""
    program = "import sys, attention_dynamics.estimates; print(*sys.modules)"
    end = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert not {"numpy", "torch", "tqdm"} & {name.partition(".")[0] for name in end.stdout.split()}
    script = str(ROOT / "classification" / "train_runs.sh")
    end = subprocess.run([script, "--dry-run", "SNS"], capture_output=True, text=True, check=True)
    *commands, total = end.stdout.splitlines()
    assert len(commands) == 7 and total.startswith("# together: ")
    assert all(line.startswith("python train_classifier.py ") for line in commands)
    assert all("  # " in line for line in commands)
