"""A copy of the repository whose toy grid is tiny, and what runs it."""

import functools
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import ROOT, copy_source, write_json

# file: what is replaced in it, and by what
SMALL = {
    "attention_dynamics/classification/datasets/toy.py": {
        "import Corpus, Examples": "import RUNS, Corpus, Examples",
        '"train": 2000, "test": 500': '"train": 60, "test": 30',
        'name="toy",': 'name="toy",\n    runs=(RUNS[0], RUNS[1], RUNS[-1]),',
        "--steps 120 --custom_saves 0,5,10,15,20,25,30,40,60,80": "--steps 40 --save_every 20",
        "(0, 5, 10, 15, 20, 25, 30, 40, 60, 80, 119)": "(0, 20, 39)",
        "--epochs 20": "--epochs 2",
    },
    "attention_dynamics/translation/datasets/toy.py": {
        '"train": 4000, "val": 200': '"train": 200, "val": 20',
        '        PublishedRun("Normal_C", 14),\n        PublishedRun("Normal_D", 15),\n': "",
        "--save_every 125 --custom_saves 0,50,100,150,175,200,300": "--save_every 10",
        "(0, 50, 100, 150, 175, 200, 250, 300, 375)": "(0, 10, 20)",
        "--epochs 10": "--epochs 2",
    },
    "attention_dynamics/copying/experiments.py": {
        "--seq_length 20 --hidden_dim 64 --bsize 64 --steps 120 --lr 0.003 --seeds 4": (
            "--seq_length 4 --hidden_dim 8 --bsize 8 --steps 20 --seeds 2"
        ),
    },
}
SIZES = {
    "classification/configs/model.json": {
        "h_dim": 8,
        "intermediate_dim": 8,
        "embed_dim": 8,
        "b_size": 16,
    },
    "translation/configs/toy_model.json": {"h_dim": 8, "dropout": 0.1, "n_layers": 1, "b_size": 32},
}
BASH = """
set -e
for task in classification translation; do
  cd $task
  "$PYTHON" prepare_data.py --dataset toy
  ./train_runs.sh toy
  ./dump_logs.sh toy
  ./embedding_runs.sh toy
  [ $task = translation ] || ./logistic_runs.sh toy
  "$PYTHON" collect_${task}_stats.py --datasets toy --out_file outputs/toy_stats.pkl \\
    --include_kendall_tau --include_train_results >outputs/toy_table.txt
  "$PYTHON" plot_dynamics.py --datasets toy --stats outputs/toy_stats.pkl
  "$PYTHON" explore.py --dataset toy
  cd ..
done
cd SequenceCopying
./copying_runs.sh toy
"$PYTHON" plot_copying.py --experiments toy_20of20 toy_20of30 --name toy
cd ..
"$PYTHON" report.py
"""
# They hold how long something took; .pdf and .svg the date, or ids of this process.
TIMED = {"run.json", "resume.pt"}
TASKS = ("classification", "translation", "SequenceCopying")
FOLDERS = ("data", "models", "outputs", "logs")


def find_snakemake() -> str | None:
    """``$SNAKEMAKE``, that of the environment, or that of ``.cluster`` (docs/cluster.md)."""
    own = ROOT / ".cluster" / "bin" / "snakemake"
    return os.environ.get("SNAKEMAKE") or shutil.which("snakemake") or (own.exists() and str(own))


def environment(root: Path) -> dict[str, str]:
    own = {"PYTHONPATH": str(root), "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "JOBS": "2"}
    return os.environ | own


def make_small(root: Path) -> Path:
    """A copy of the repository whose toy grid takes seconds."""
    copy_source(root, without=("tests", "docs", "notebooks", "benchmarks"))
    for name, changes in SMALL.items():
        for old, new in changes.items():
            change(root / name, old, new)
    for name, sizes in SIZES.items():
        write_json(root / name, sizes)
    return root


@functools.cache
def results_by_bash() -> dict[str, bytes]:
    """The results of the small toy grid by the bash scripts."""
    with tempfile.TemporaryDirectory() as folder:
        root = make_small(Path(folder) / "root")
        command, env = ["bash", "-c", BASH], environment(root)
        end = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
        assert end.returncode == 0, end.stdout + end.stderr
        return results(root)


def snakemake_command(*arguments: str, python: Path | str = sys.executable) -> list[str]:
    return [find_snakemake() or "", *arguments, "--config", f"python={python}"]


def run_snakemake(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = snakemake_command(*arguments)
    return subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True)


def planned(root: Path, *arguments: str) -> dict[str, int]:
    """How many jobs of each rule ``snakemake -n`` lists."""
    end = run_snakemake(root, "-n", *arguments)
    assert end.returncode == 0, end.stdout + end.stderr
    lines = (end.stdout + end.stderr).partition("Job stats:")[2].splitlines()[3:]
    counts = {}
    for line in lines:
        rule, *count = line.split()
        if rule == "total":
            break
        counts[rule] = int(count[0])
    return counts


def results(root: Path) -> dict[str, bytes]:
    """What the stages wrote, without what records times."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for task, folder in itertools.product(TASKS, FOLDERS)
        for path in sorted((root / task / folder).rglob("*"))
        if path.is_file() and path.name not in TIMED and path.suffix not in (".pdf", ".svg")
    }


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, (path, old)
    path.write_text(text.replace(old, new))
