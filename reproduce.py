"""Make a dataset's results again: all stages, from the raw file to the tables in results/.

Finished stages are skipped and interrupted ones resume, as always. Every process has one thread,
so that the figures do not depend on the number of cores.

reads:   the public file, or --source; of data that are prepared already, these
writes:  data/, models/ and outputs/ of the task; in --out_dir: <dataset>.csv, the figures of the
         table; <dataset>_curves.csv, agreement and performance at each iteration; the numbers of
         its figures; <dataset>_costs.csv, the commands with their time and memory;
         <dataset>_about.csv, commit, versions, seeds and sizes; <dataset>_data.txt, what
         prepare_data.py said (results/README.md describes them)
next:    python results/make.py, which writes them into RESULTS.md

example:
  python reproduce.py --dataset Newsgroups --source 20news-bydate.tar.gz
"""

import csv
import datetime
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from attention_dynamics import cli
from attention_dynamics.analysis import tables
from attention_dynamics.analysis.task import Task
from attention_dynamics.classification.task import TASK as CLASSIFICATION
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import BaseCorpus
from attention_dynamics.files import storage
from attention_dynamics.translation.task import TASK as TRANSLATION

ROOT = Path(__file__).resolve().parent
TASKS = (CLASSIFICATION, TRANSLATION)
COLLECT = (
    *("--include_kendall_tau", "--include_spearman", "--include_train_results"),
    *("--gold", "all"),
)
KIB = (10, 20)  # shifts to MiB: the system counts KiB, macOS bytes
FIGURES = ("dynamics", "sentence", "words")


@dataclass
class Cost:
    """What a stage took, over all times that it was called.

    ``peak_mib`` is the memory of its largest process, ``seconds`` is time by the clock.
    """

    stage: str
    command: str
    seconds: float = 0
    cpu_seconds: float = 0
    peak_mib: int = 0


def parse_args():
    parser = cli.Parser(__doc__)
    parser.add_argument("--dataset", required=True, metavar="NAME", help="of either task")
    parser.add_argument(
        "--task", choices=[task.name for task in TASKS], help="of the toy data, which both have"
    )
    parser.add_argument(
        "--source", type=Path, help="prepare this (default: the data there, else a download)"
    )
    parser.add_argument(
        "--jobs",
        type=cli.positive_int,
        default=os.cpu_count() or 1,
        help="number of runs to train at once",
    )
    parser.add_argument(
        "--train_flags", type=str.split, default=[], help="more flags of the training, in quotes"
    )
    parser.add_argument("--out_dir", type=Path, default=ROOT / "results", help="folder of the CSVs")
    return parser.parse_args()


def main():
    args = parse_args()
    task, corpus = find(args.dataset, args.task)
    folder = ROOT / task.name
    if args.source and not args.source.exists():
        raise InputError(f"--source {args.source}: there is no such file or folder")
    environment = {
        **os.environ,
        "JOBS": str(args.jobs),
        "OMP_NUM_THREADS": "1",
        "PYTHON": sys.executable,
    }
    outputs = folder / "outputs"
    costs_path = outputs / f"{corpus.name}_costs.csv"
    costs = read_costs(costs_path)
    said_path = outputs / f"{corpus.name}_data.txt"
    for stage, command in stages(task, corpus, folder / "data", args.source, args.train_flags):
        said = run(stage, command, folder, environment, costs)
        storage.save_csv([f.name for f in fields(Cost)], map(astuple, costs.values()), costs_path)
        if stage == "prepare_data":
            place = f"{args.source.resolve().parent}/" if args.source else ""
            storage.save_text(said.replace(place, "") if place else said, said_path)

    results = tables.load_results(outputs / f"{corpus.name}_stats.pkl", "delete it and start again")
    about = {"key": "value", **about_run(corpus, folder)}
    texts = {
        "": tables.csv_table(results, task.levels),
        "_curves": tables.curves_csv(results),
        "_costs": costs_path.read_text(),
        "_about": "".join(f"{key},{value}\n" for key, value in about.items()),
        **{f"_{name}": (outputs / f"{corpus.name}_{name}.csv").read_text() for name in FIGURES},
    }
    for ending, text in texts.items():
        path = args.out_dir / f"{corpus.name}{ending}.csv"
        old = path.read_text() if path.exists() else None
        storage.save_text(text, path)
        print(f"{path}: {'new' if old is None else 'the same' if old == text else 'changed'}")
    if said_path.exists():
        storage.save_text(said_path.read_text(), args.out_dir / said_path.name)


def find(name: str, wanted: str | None) -> tuple[Task, BaseCorpus]:
    """The task that has the dataset, and its entry."""
    tasks = [task for task in TASKS if wanted in (None, task.name)]
    with_it = [task for task in tasks if name in task.datasets.names(ROOT / task.name / "data")]
    if not with_it:
        known = [name for task in tasks for name in task.datasets.names(ROOT / task.name / "data")]
        raise cli.unknown("dataset", name, dict.fromkeys(known))
    if len(with_it) > 1:
        raise InputError(f"--dataset {name}: both tasks have it: add --task classification")
    return with_it[0], with_it[0].datasets.find(name, ROOT / with_it[0].name / "data")


def stages(
    task: Task, corpus: BaseCorpus, data: Path, source: Path | None, train_flags: Sequence[str] = ()
) -> Iterator[tuple[str, list[str]]]:
    """The name of each stage, and its command."""
    name = corpus.name
    prepared = any((data / path).exists() for path in corpus.training_files)
    if source or not prepared:
        more = ["--source", str(source.resolve())] if source else []
        yield "prepare_data", ["python", "prepare_data.py", "--dataset", name, *more]
    yield "train_runs", ["./train_runs.sh", name, *train_flags]
    scripts = ["dump_logs", "embedding_runs"] + ["logistic_runs"] * (task is CLASSIFICATION)
    for script in scripts:
        yield script, [f"./{script}.sh", name]
    stats = f"outputs/{name}_stats.pkl"
    bleu = ["--include_bleu_results"] * (task is TRANSLATION)
    collect = ["python", task.collect_script, "--datasets", name, "--out_file", stats]
    yield "collect", [*collect, *COLLECT, *bleu]
    draw = ["python", "plot_dynamics.py", "--datasets", name, "--stats", stats]
    yield "plot_dynamics", [*draw, "--formats", "png"]


def run(
    stage: str,
    command: list[str],
    folder: Path,
    environment: dict[str, str],
    costs: dict[str, Cost],
) -> str:
    """Run a stage, add what it took to ``costs``, and return what it printed to stdout.

    Raises
    ------
    InputError
        where the stage fails, which has said why.
    """
    cost = costs.setdefault(stage, Cost(stage, " ".join(command)))
    print("+", *command, flush=True)
    begin, said = time.monotonic(), []
    executable = [sys.executable if command[0] == "python" else command[0], *command[1:]]
    with subprocess.Popen(
        executable, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            for line in process.stdout:
                said.append(line)
                print(line, end="", flush=True)
        finally:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cost.seconds += round(time.monotonic() - begin, 1)
            cost.cpu_seconds += round(used.ru_utime + used.ru_stime, 1)
            cost.peak_mib = max(cost.peak_mib, used.ru_maxrss >> KIB[sys.platform == "darwin"])
    if process.returncode:
        raise InputError(f"{stage} ended with {process.returncode}: see above")
    return "".join(said)


def read_costs(path: Path) -> dict[str, Cost]:
    """By stage; none if there is no file."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {
            row["stage"]: Cost(
                row["stage"],
                row["command"],
                float(row["seconds"]),
                float(row["cpu_seconds"]),
                int(row["peak_mib"]),
            )
            for row in csv.DictReader(file)
        }


def about_run(corpus: BaseCorpus, folder: Path) -> dict[str, Any]:
    """Where the results come from."""
    import torch

    git = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    found = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    models = folder / "models" / corpus.name
    first = next(iter(sorted(models.glob("*/model0"))))
    sizes = [path.stat().st_size for path in models.rglob("*") if path.is_file()]
    dump = folder / "outputs" / f"{corpus.name}_logs.pkl"
    weights = torch.load(first, weights_only=True)
    parameters = sum(weight.numel() for weight in weights.values() if hasattr(weight, "numel"))
    return {
        "date": datetime.date.today().isoformat(),
        "commit": found.stdout.strip(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "seeds": " ".join(f"{run.name}={run.seed}" for run in corpus.runs),
        "parameters": parameters,
        "models_mib": round(sum(sizes) / 2**20),
        "dump_mib": round(dump.stat().st_size / 2**20),
    }


if __name__ == "__main__":
    cli.run(main)
