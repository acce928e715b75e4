"""CONTRIBUTING.md: every worked example applies to the repository as it is, and works."""

import csv
import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, copy_source, load, write_json, write_list

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "docs" / "examples"
SIZES = {"h_dim": 8, "intermediate_dim": 4, "embed_dim": 6, "b_size": 32}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A copy of the repository with three small runs on the toy data, and their word baseline."""
    copy = tmp_path_factory.mktemp("repository")
    copy_source(copy)
    write_json(copy / "classification" / "configs" / "model.json", SIZES)
    write_list(copy / "classification" / "configs" / "toy.json", (0, 4))
    run(copy, "prepare_data.py --dataset toy")
    for seed in ("20", "13", "12 --uniform"):
        run(copy, f"train_classifier.py --dataset toy --steps 5 --custom_saves 4 --seed {seed}")
    run(copy, "embedding_beta.py --dataset toy --epochs 1")
    return copy


@pytest.fixture
def example(trained, request):
    """The copy with the diff that the test is named after; it is taken back at the end."""
    name = request.node.originalname.removeprefix("test_")
    apply(trained, name)
    yield trained
    apply(trained, name, "--reverse")


def apply(copy: Path, name: str, *flags: str) -> None:
    command = ["git", "apply", *flags, str(EXAMPLES / f"{name}.diff")]
    # outside of a git repository, whatever lies above the copy
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(copy.parent)}
    end = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert end.returncode == 0, end.stderr


def run(copy: Path, line: str, folder: str = "classification") -> str:
    """Run a stage, or ``-c`` or ``-m``, with the package of the copy."""
    script, *flags = line.split(" ") if not line.startswith("-c ") else ("-c", line[3:])
    end = subprocess.run(
        [sys.executable, script, *flags],
        cwd=copy / folder,
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
    )
    assert end.returncode == 0, end.stderr
    return end.stdout


def test_classification_dataset(example, tmp_path):
    with open(tmp_path / "movie_reviews.csv", "w", newline="") as file:
        for number in range(60):
            words = ["a fine film", "so dull a plot"][number % 2]
            csv.writer(file).writerow(["pos" if number % 2 == 0 else "neg", f"{words} {number}"])
    out = run(example, f"prepare_data.py --dataset MR --source {tmp_path / 'movie_reviews.csv'}")
    assert "train: 48 sentences kept" in out
    run(example, "train_classifier.py --dataset MR --seed 20 --steps 2")
    listed = run(example, "-m attention_dynamics.grid classification train_runs MR").splitlines()
    assert len(listed) == 7 and all("--dataset MR --seed" in line for line in listed)


def test_translation_dataset(example, tmp_path):
    for split, count in (("train", 30), ("val", 5)):
        for language, word in (("fr", "un chien"), ("en", "a dog")):
            text = "".join(f"{word} {number}\n" for number in range(count))
            with gzip.open(tmp_path / f"{split}.{language}.gz", "wt") as file:
                file.write(text)
    line = f"prepare_data.py --dataset captions_fr_en --source {tmp_path}"
    assert "train: 30 sentence pairs" in run(example, line, "translation")
    listed = run(example, "-m attention_dynamics.grid translation train_runs captions_fr_en")
    assert len(listed.splitlines()) == 3


def test_encoder(example):
    folder = example / "classification"
    assert json.loads((folder / "configs" / "model_elman.json").read_text())["encoder"] == "elman"
    write_json(folder / "configs" / "small_elman.json", SIZES | {"encoder": "elman"})
    flags = "--dataset toy --seed 20 --steps 2 --config configs/small_elman.json"
    run(example, f"train_classifier.py {flags}")
    (run_folder,) = folder.glob("models/toy/*encoder=elman*")
    assert (run_folder / "model1").exists()


def test_metric(example):
    assert "--include_cosine" in run(example, "collect_classification_stats.py --help")
    program = """
import numpy as np
from attention_dynamics.analysis.metrics import METRICS
metric, rng = METRICS["cosine"], np.random.default_rng(0)
offsets = np.array([0, 1, 4, 20])
u, v = rng.normal(size=(2, 20))
u[1:4] = 0
found = metric.match(u, v, offsets)
plain = [metric.plain(u[a:b], v[a:b]) for a, b in zip(offsets, offsets[1:])]
np.testing.assert_allclose(found, plain)
assert np.isnan(found[1]) and abs(found[0]) == 1
"""
    run(example, f"-c {program}")


def test_column(example):
    run(example, "eval_dump.py --dataset toy --test_set_size 40 --outputs_dir outputs")
    dump = load(example / "classification" / "outputs" / "toy_logs.pkl")
    for key, share in dump["share"].items():
        np.testing.assert_array_equal(share, dump["alpha"][key] * dump["beta"][key])
    assert len(dump["share"]) == len(dump["alpha"]) == 6
    (example / "classification" / "outputs" / "toy_logs.pkl").unlink()
    run(example, "-m pytest -q tests/test_versions.py", ".")


def test_optimizer(example):
    models = example / "classification" / "with_adamw"
    line = "train_classifier.py --dataset toy --seed 20 --steps 2 --optimizer adamw --lr 0.1"
    run(example, f"{line} --models_dir {models}")
    (record,) = models.glob("*/*/run.json")
    assert '"optimizer": "adamw"' in record.read_text()


def test_figure(example):
    run(example, "eval_dump.py --dataset toy --test_set_size 40")
    run(example, "collect_classification_stats.py --datasets toy --out_file outputs/stats.pkl")
    out = run(example, "plot_dynamics.py --datasets toy --formats png")
    assert "toy_entropy.png" in out and "toy_sentence.png" in out
    numbers = (example / "classification" / "outputs" / "toy_entropy.csv").read_text()
    assert numbers.startswith("iteration,nats\n0,")
    run(example, "report.py", ".")
    assert "entropy of the gold run's attention" in (example / "report/results.md").read_text()
    (example / "classification" / "outputs" / "toy_logs.pkl").unlink()


def test_stage(example):
    positive = run(example, "top_words.py --dataset toy --words 3").splitlines()[1]
    assert positive.startswith("1 ") and len(positive.split()) == 4
    assert "example:\n  python top_words.py" in run(example, "top_words.py --help")


def test_mathematics(example):
    """The old runs are not taken for those of the new formula."""
    command = [sys.executable, "eval_dump.py", "--dataset", "toy"]
    environment = os.environ | {"PYTHONPATH": str(example)}
    end = subprocess.run(
        command, cwd=example / "classification", env=environment, capture_output=True, text=True
    )
    assert end.returncode == 2 and "other settings (version: 1, now 2)" in end.stderr
    run(example, "-m pytest -q tests/test_versions.py", ".")


def test_seed(example):
    listed = run(example, "-m attention_dynamics.grid classification train_runs SNS").splitlines()
    assert len(listed) == 8 and any("--seed 18" in line for line in listed)
    program = """
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.training.checkpoints import known
from pathlib import Path
names = {entry.name for entry in known(Path("nowhere"), Path("nowhere"), DATASETS["SNS"], {}, True)}
assert "Normal_G" in names and len(names) == 8, names
"""
    run(example, f"-c {program}")


def test_the_map_names_every_example_and_its_number_of_files():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\|.*\| (\d+) \| \[.*\]\(docs/examples/(\w+)\.diff\) \|$", text, re.M)
    assert len(rows) == 10
    assert {name for _, name in rows} == {path.stem for path in EXAMPLES.glob("*.diff")}
    for count, name in rows:
        diff = (EXAMPLES / f"{name}.diff").read_text()
        assert diff.count("diff --git ") == int(count), name
        assert f"test_{name}" in globals()
