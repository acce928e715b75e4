"""Reproduce a dataset's results: run all stages, from the raw file to the CSVs in results/.

What is trained and evaluated already is reused, and what was interrupted resumes. Every process has
one thread, so that the values do not depend on the number of cores.

reads:   the raw file: --source, else a download; skipped if data/ has the dataset already
writes:  data/, models/ and outputs/ of the task; in --out_dir: <dataset>.csv, the values of the
         table; <dataset>_curves.csv, agreement and performance at each iteration; the values of
         its plots; <dataset>_costs.csv, the commands with their time and memory;
         <dataset>_about.csv, versions, machine, seeds and sizes; <dataset>_data.txt, what
         prepare_data.py printed (results/README.md describes them)
next:    python results/make.py, which writes them into RESULTS.md

example:
  python reproduce.py --dataset Newsgroups --source 20news-bydate.tar.gz
"""

import contextlib
import csv
import datetime
import io
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attention_dynamics import cli
from attention_dynamics.analysis import tables
from attention_dynamics.analysis.dump import dump_path, load_dump
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.task import Task
from attention_dynamics.classification.task import TASK as CLASSIFICATION
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import INTERVENTIONS, BaseCorpus
from attention_dynamics.files import storage
from attention_dynamics.training.runs import run_folder
from attention_dynamics.translation.task import TASK as TRANSLATION
from attention_dynamics.views.figures import FIGURES

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results"
TASKS = (CLASSIFICATION, TRANSLATION)
COLLECT = (
    *("--include_kendall_tau", "--include_spearman", "--include_train_results"),
    *("--gold", "all"),
)
# What the evaluation has to be told as well.
OF_OTHER_STAGES = [
    *("--config", "--dataset", "--seed", "--data_dir", "--models_dir"),
    *(f"--{key}" for key in INTERVENTIONS),
]
COSTS = ("stage", "started", "commit", "status", "seconds", "cpu_seconds", "peak_mib", "command")


def parse_args():
    parser = cli.Parser(__doc__)
    parser.add_argument("--dataset", required=True, metavar="NAME", help="a dataset of either task")
    parser.add_argument(
        "--task",
        choices=[task.name for task in TASKS],
        help="needed if both tasks have the dataset (toy), or for the --source of a new one",
    )
    parser.add_argument(
        "--source",
        type=Path,
        help="raw file to prepare, or a folder or table of your own data (default: what is in "
        "data/, else a download)",
    )
    parser.add_argument(
        "--jobs",
        type=cli.positive_int,
        default=os.cpu_count() or 1,
        help="number of runs to train at once",
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        default=[],
        metavar="NAME",
        help="such as Normal_A Normal_B uniform (default: all)",
    )
    parser.add_argument(
        "--train_flags",
        type=str.split,
        default=[],
        metavar="FLAGS",
        help='more flags of each training: --train_flags="--steps 1000"',
    )
    parser.add_argument("--out_dir", type=Path, default=RESULTS, help="folder of the CSVs")
    return parser.parse_args()


def main():
    args = parse_args()
    task, corpus = find(args)
    if args.source and not args.source.exists():
        raise InputError(f"--source {args.source}: there is no such file or folder")
    for flag in ("runs", "train_flags"):
        if getattr(args, flag) and not corpus.own and args.out_dir.resolve() == RESULTS:
            raise InputError(f"--{flag} changes the published experiment: give --out_dir, too")
    if args.runs:
        runs = cli.chosen_runs(args.runs, [run.name for run in corpus.runs])
        RunNames.of({(name, 0) for name in runs}, "--runs")  # those that the figures need
    for flag in args.train_flags:
        if flag.partition("=")[0] in OF_OTHER_STAGES:
            raise InputError(f"--train_flags: {flag} concerns the evaluation too: run the stages")
    folder = ROOT / task.name
    outputs = folder / "outputs"
    costs_path = outputs / f"{corpus.name}_costs.csv"
    costs = read_costs(costs_path)
    printed_path = outputs / f"{corpus.name}_data.txt"
    for stage, command in stages(task, corpus, folder / "data", args):
        try:
            printed = run(stage, command, folder, args.jobs, costs)
        finally:
            storage.save_csv(COSTS, ([row[key] for key in COSTS] for row in costs), costs_path)
        if stage == "prepare_data":
            places = [folder, *([args.source.resolve().parent] if args.source else [])]
            for place in places:  # paths of this machine
                printed = printed.replace(f"{place}/", "")
            storage.save_text(printed, printed_path)

    results = tables.load_results(outputs / f"{corpus.name}_stats.pkl", "delete it and start again")
    about = about_runs(task, corpus, folder, args.train_flags)
    name = corpus.name
    contents = {
        f"{name}.csv": tables.csv_table(results, task.levels).encode(),
        f"{name}_curves.csv": tables.curves_csv(results).encode(),
        f"{name}_costs.csv": costs_path.read_bytes(),
        f"{name}_about.csv": two_columns(about),
    }
    copied = [f"{name}_{figure.name}.csv" for figure in FIGURES.values()]
    copied += [printed_path.name] * printed_path.exists()
    contents |= {path: (outputs / path).read_bytes() for path in copied}
    for name, content in contents.items():
        path = args.out_dir / name
        old = path.read_bytes() if path.exists() else None
        storage.save_bytes(content, path)
        print(f"{path}: {'new' if old is None else 'the same' if old == content else 'changed'}")


def find(args) -> tuple[Task, BaseCorpus]:
    """The task that has the dataset, and its entry."""
    name = args.dataset
    tasks = [task for task in TASKS if args.task in (None, task.name)]
    known = {task.name: task.datasets.names(ROOT / task.name / "data") for task in tasks}
    with_it = [task for task in tasks if name in known[task.name]]
    if len(with_it) > 1:
        raise InputError(f"--dataset {name}: both tasks have it: add --task classification")
    if with_it:
        return with_it[0], with_it[0].datasets.find(name, ROOT / with_it[0].name / "data")
    if not (args.source and args.task):
        names = dict.fromkeys(name for names in known.values() for name in names)
        raise InputError(
            f"{cli.unknown('dataset', name, names)}; your own data: --task and --source"
        )
    tasks[0].datasets.check_new(name)
    return tasks[0], tasks[0].datasets.own(name)


def stages(task: Task, corpus: BaseCorpus, data: Path, args) -> Iterator[tuple[str, list[str]]]:
    """The name of each stage, and its command."""
    name = corpus.name
    if args.source or not any((data / path).exists() for path in corpus.training_files):
        more = ["--source", str(args.source.resolve())] if args.source else []
        yield "prepare_data", ["python", "prepare_data.py", "--dataset", name, *more]
    runs = ["--runs", *args.runs] if args.runs else []
    yield "train_runs", ["./train_runs.sh", name, *runs, *args.train_flags]
    yield "dump_logs", ["./dump_logs.sh", name, *runs]
    for script in ["embedding_runs"] + ["logistic_runs"] * (task is CLASSIFICATION):
        yield script, [f"./{script}.sh", name]
    stats = f"outputs/{name}_stats.pkl"
    bleu = ["--include_bleu_results"] * (task is TRANSLATION)
    collect = ["python", task.collect_script, "--datasets", name, "--out_file", stats]
    yield "collect", [*collect, *COLLECT, *bleu]
    plot = ["python", "plot_dynamics.py", "--datasets", name, "--stats", stats]
    yield "plot_dynamics", [*plot, "--formats", "png"]


def run(
    stage: str, command: Sequence[str], folder: Path, jobs: int, costs: list[dict[str, Any]]
) -> str:
    """Run a stage, add a row to ``costs`` in any case, and return what it printed to stdout.

    ``peak_mib`` is the memory of its largest process.

    Raises
    ------
    InputError
        where the stage fails, which has said why.
    """
    threads = {"JOBS": str(jobs), "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}
    shown = [Path(word).name if Path(word).is_absolute() else word for word in command]
    print("+", shlex.join(shown), flush=True)
    started, begin, printed = datetime.datetime.now(), time.monotonic(), []
    with subprocess.Popen(
        [sys.executable if word == "python" else word for word in command],
        cwd=folder,
        env=os.environ | threads,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,  # so that a signal reaches all its processes once
    ) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                printed.append(line)
                print(line, end="", flush=True)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            raise
        finally:
            process.stdout.read()  # a stage that was told to end may have more to say
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            wait_for_group(process.pid)
            kib = used.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
            costs.append(
                {
                    "stage": stage,
                    "started": started.isoformat(timespec="seconds"),
                    "commit": commit(),
                    "status": process.returncode,
                    "seconds": f"{time.monotonic() - begin:.1f}",
                    "cpu_seconds": f"{used.ru_utime + used.ru_stime:.1f}",
                    "peak_mib": kib >> 10,
                    "command": shlex.join(shown),
                }
            )
    if process.returncode:
        raise InputError(f"{stage} ended with {process.returncode}: see above")
    return "".join(printed)


def wait_for_group(group: int) -> None:
    """Wait until all processes of a group have saved and ended, but for a minute at most."""
    with contextlib.suppress(OSError):  # there is no such group any more
        for _ in range(600):
            os.killpg(group, 0)
            time.sleep(0.1)


def read_costs(path: Path) -> list[dict[str, Any]]:
    """The rows of earlier calls; none if there is no file.

    Raises
    ------
    InputError
        where it is no such file.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    if any({*row} != {*COSTS} for row in rows):
        raise InputError(f"{path} has not the columns {' '.join(COSTS)}: delete it")
    return rows


def commit() -> str:
    """Of the code; ``-dirty`` if it was changed since. What results are written to is no code."""
    written = (":!results", ":!RESULTS.md", ":!README.md", ":!docs")
    try:
        found = [
            subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
            for words in (
                ("rev-parse", "--short=12", "HEAD"),
                ("status", "--porcelain", "-uno", "--", ".", *written),
            )
        ]
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found[0].stdout.strip() + "-dirty" * bool(found[1].stdout)


def about_runs(
    task: Task, corpus: BaseCorpus, folder: Path, train_flags: Sequence[str]
) -> dict[str, Any]:
    """Where the results come from: of the runs that were evaluated."""
    dump = load_dump(folder / "outputs", corpus.name)
    sentences = task.sentences_of(dump)
    config = dump["settings"]
    names = {name for name, _ in dump["checkpoints"]}
    runs = [run for run in corpus.runs if run.name in names]
    folders = [
        run_folder(folder / "models", corpus.name, config, run.seed, run.uniform) for run in runs
    ]
    if missing := [str(path) for path in folders if not path.exists()]:
        raise InputError(f"{missing[0]}: missing, one of the runs of {corpus.name}")
    told = json.loads((folders[0] / "run.json").read_text(encoding="utf-8"))
    weights = storage.load_torch(folders[0] / f"model{told['saved'][0]}", "train it again")
    size = sum(file.stat().st_size for path in folders for file in path.iterdir())
    return {
        "key": "value",
        "date": datetime.date.today().isoformat(),
        **told["made_with"],
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30,
        "seeds": " ".join(f"{run.name}={run.seed}" for run in runs),
        "train_flags": shlex.join(train_flags),
        "steps": told["steps"],
        "checkpoints": len(dump["alpha"]),
        **{
            f"{split}_sentences": int(rows.stop - rows.start)
            for split in ("val", "train")
            if (rows := sentences.rows_of(split)).stop
        },
        "parameters": sum(weight.numel() for weight in weights.values()),
        "models_mib": size >> 20,
        "dump_mib": dump_path(folder / "outputs", corpus.name).stat().st_size >> 20,
    }


def two_columns(about: dict[str, Any]) -> bytes:
    """The keys and values as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(about.items())
    return text.getvalue().encode()


def processor() -> str:
    """The name of the processor, as far as the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    cli.run(main)
