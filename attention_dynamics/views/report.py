"""The sections of the report: what the stages left, what is missing and what is out of date."""

import os
import statistics
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

from attention_dynamics.analysis import tables
from attention_dynamics.analysis.dump import dump_id, dump_path
from attention_dynamics.analysis.metrics import DEFAULT, METRICS
from attention_dynamics.analysis.tables import Results
from attention_dynamics.analysis.task import Task
from attention_dynamics.cli import InputError
from attention_dynamics.copying.histories import (
    kinds_of_combinations,
    learned_at,
    load_combinations,
    load_experiment,
)
from attention_dynamics.files import storage
from attention_dynamics.views import copying
from attention_dynamics.views.blocks import Block, Code, Figure, Heading, Link, Note, Table, Text
from attention_dynamics.views.drawing import STYLES, WIDTHS, variant
from attention_dynamics.views.figures import FIGURES

LEGEND = (
    "α is attention, β a word's evidence for the output, βᵘᶠ that of a model with uniform "
    "attention, βᵖˣ that of a word baseline, and Δ gradient influence. A(u, v) is their agreement; "
    "Â what is left of it when attention is shuffled within each sentence; ξ the performance that "
    "models of other seeds have reached when their attention first agrees with the gold run's more "
    "than that; ξ* the gold run's best. Brackets hold 95% intervals. How the authors "
    "prepared their data is not published, so figures beside theirs differ in more than the seed."
)
IGNORE = "delete it if the report can do without"

# the variants of a figure, and the screens that they are for: the first that fits is shown
NARROW, DARK = "(max-width: 40rem)", "(prefers-color-scheme: dark)"
SCREENS = {
    variant("dark", "column"): f"{NARROW} and {DARK}",
    variant("light", "column"): NARROW,
    variant("dark"): DARK,
}
VARIANTS = [name for pair in product(STYLES, WIDTHS) if (name := variant(*pair))]
STAGES = ("train_runs", "dump_logs", "embedding_runs")
DRAW_COPYING = 'run "cd SequenceCopying; python plot_copying.py" again'

Missing = list[list[str]]  # what, and the command that makes it


def task_blocks(task: Task, folder: Path, out_dir: Path, missing: Missing) -> list[Block]:
    """Tables, figures, explorers and runs of a task; only its datasets are looked for."""
    known = task.datasets.names(folder / "data")  # not by their dumps: a copy of one is no dataset
    outputs = folder / "outputs"
    ids = {name: dump_id(dump_path(outputs, name)) for name in known}
    evaluated = evaluated_in(folder, task)
    results = load_results(outputs, known, ids)
    old = [key for key, summary in results.items() if is_old(key, summary, ids)]
    blocks: list[Block] = [Heading(2, task.name.capitalize())]
    if results:
        heads = tables.heads_of(results, task.levels)
        keys = list(heads)
        middle = keys.index("baseline") + 1
        # two tables, which fit a page: the agreements, then the performances
        for part in (keys[:middle], keys[middle:]):
            rows = []
            for key, summary in results.items():
                dataset, metric, _, performance = key
                figures = [tables.figure_with_interval(name, summary) for name in part]
                rows += [[dataset, metric, performance, *figures]]
                rows += rows_of_authors(task, key, summary, part)
            blocks += [Table([*tables.NAMES, *(heads[name].text for name in part)], rows)]
        blocks += [Text(note) for note in tables.notes(results)]
    for dataset in dict.fromkeys(key[0] for key in old):
        metrics = dict.fromkeys(key[1] for key in old if key[0] == dataset)
        flags = [METRICS[name].flag for name in metrics if name in METRICS]
        of_dataset = [key for key in old if key[0] == dataset]
        flags += ["--include_train_results"] * any(key[2] == "train" for key in of_dataset)
        flags += ["--include_bleu_results"] * any(key[3].endswith("bleu") for key in of_dataset)
        command = " ".join(filter(None, [collect_command(task, dataset), *flags]))
        blocks.append(older(f"Results of {dataset} ({', '.join(metrics)})", command))
    for dataset in evaluated:
        if not any(key[0] == dataset for key in results):
            missing.append([f"{task.name}: results of {dataset}", collect_command(task, dataset)])
        old_results = any(key[0] == dataset for key in old)
        blocks += dataset_blocks(task, outputs, dataset, old_results, out_dir, missing)
    corpora = task.datasets.values()
    absent = sorted(corpus.name for corpus in corpora if not {*corpus.names} & {*evaluated})
    if absent:
        stages = f"cd {task.name}; prepare_data.py, train_runs.sh, dump_logs.sh, embedding_runs.sh"
        missing.append([f"{task.name}: {', '.join(absent)}", stages])
    return blocks + run_blocks(folder / "models", outputs, known)


def evaluated_in(folder: Path, task: Task) -> list[str]:
    """The task's datasets that have a dump."""
    names = task.datasets.names(folder / "data")
    return sorted(name for name in names if dump_path(folder / "outputs", name).exists())


def collect_command(task: Task, dataset: str) -> str:
    out_file = "--out_file outputs/stats.pkl"
    return f"cd {task.name}; python {task.collect_script} --datasets {dataset} {out_file}"


def older(what: str, command: str) -> Note:
    return Note(f'{what}: older than its dump: run "{command}" again')


def load_results(outputs: Path, known: list[str], ids: dict[str, str | None]) -> Results:
    """The results of known datasets in the files ``*stats.pkl`` of ``outputs``.

    If several files have a key, those of the present dump win, then those of the newest file.
    """
    found: Results = {}
    for path in sorted(outputs.glob("*stats.pkl"), key=lambda path: path.stat().st_mtime):
        for key, summary in tables.load_results(path, "delete it or collect them again").items():
            worse = key in found and is_old(key, summary, ids) > is_old(key, found[key], ids)
            if key[0] in known and not worse:
                found[key] = summary
    return dict(sorted(found.items(), key=lambda item: item[0][0]))


def is_old(key: tuple, summary: dict, ids: dict[str, str | None]) -> bool:
    """Whether a summary is of another dump than the present one."""
    return ids[key[0]] not in (None, summary.get("dump"))


def rows_of_authors(
    task: Task, key: tuple[str, str, str, str], summary: dict[str, Any], keys: list[str]
) -> list[list[str]]:
    """The authors' figures, and ours less theirs; no rows if they report none of this kind."""
    dataset, metric, split, performance = key
    theirs = next((c.authors for c in task.datasets.values() if dataset in c.names), None)
    if not theirs or (metric, split, performance) != (DEFAULT, "val", task.performances["val"][0]):
        return []
    authors, differences = ["", "", "authors"], ["", "", "difference"]
    for name in keys:
        value, ours = theirs.get(name), summary.get(name)
        authors.append(tables.figure(name, theirs) if name in theirs else "")
        if value is None or ours is None:
            differences.append("")
        else:
            differences.append(tables.rounded(name, ours - value, summary["best_perf"], "+"))
    return [authors, differences]


def dataset_blocks(
    task: Task, outputs: Path, dataset: str, old_results: bool, out_dir: Path, missing: Missing
) -> list[Block]:
    """The figures of one dataset, and a link to its explorer."""
    blocks: list[Block] = []
    made = dump_path(outputs, dataset).stat().st_mtime

    def add(what: str, command: str, block: Block | None, drawn: float) -> None:
        command = f"cd {task.name}; python {command} {dataset}"
        if block is None:
            missing.append([f"{task.name}: {what}", command])
            return
        blocks.append(block)
        if drawn < made:
            blocks.append(older(what[0].upper() + what[1:], command))

    for figure in FIGURES.values():
        block, drawn = figure_of(
            outputs / f"{dataset}_{figure.name}", task.name, f"{dataset}: {figure.caption}", out_dir
        )
        drawn = 0 if figure.from_results and old_results else drawn
        add(f"figure of {dataset}, {figure.name}", "plot_dynamics.py --datasets", block, drawn)
    page = outputs / f"{dataset}_explorer.html"
    name, drawn = copy(page, task.name, out_dir)
    text = f"Explorer of {dataset}: sentence by sentence, over training"
    link = Link(name, text) if name else None
    add(f"explorer of {dataset}", "explore.py --dataset", link, drawn)
    return [Heading(3, dataset), *blocks] if blocks else []


def figure_of(
    source: Path, folder: str, caption: str, out_dir: Path
) -> tuple[Figure | None, float]:
    """A figure with its variants and files, copied into the report, and when the oldest was drawn.

    Parameters
    ----------
    source : its path without ending
    folder : of the task, which the copies are named after
    """
    ages: list[float] = []

    def copied(kind: str, ending: str = "") -> str | None:
        name, drawn = copy(source.with_name(f"{source.name}{ending}.{kind}"), folder, out_dir)
        ages.append(drawn)
        return name

    files = {kind: copied(kind) for kind in ("svg", "png", "pdf", "csv")}
    path = files["svg"] or files["png"]
    if path is None:
        return None, 0
    sources = []
    for ending, media in SCREENS.items():
        shown = copied("svg", ending) or copied("png", ending)
        sources += [(media, shown)] if shown else []
    links = [(kind.upper(), name) for kind, name in files.items() if name]
    return Figure(path, caption, tuple(sources), tuple(links)), min(age for age in ages if age)


def run_blocks(models: Path, outputs: Path, known: list[str]) -> list[Block]:
    """Time and disk of the training runs: settings, seed, and what they were made with."""
    rows: list[list[str]] = []
    totals: dict[str, list[float]] = {}
    for path in sorted(models.glob("*/*/run.json")):
        dataset = path.parent.parent.name
        if dataset not in known:
            continue
        record = storage.load_json(path, IGNORE)
        if not isinstance(record, dict) or not {"step", "seconds", "made_with"} <= record.keys():
            raise InputError(f"{path} is not the record of a run: {IGNORE}")
        made_with = record["made_with"]
        size = sum(file.stat().st_size for file in path.parent.iterdir())
        total = totals.setdefault(dataset, [0, 0, 0])
        for place, value in enumerate((1, record["seconds"], size)):
            total[place] += value
        planned = record.get("steps", record["step"])
        unfinished = f" of {planned:,}, unfinished" if planned != record["step"] else ""
        rows.append(
            [
                dataset,
                path.parent.name.replace(",", ", "),
                f"{record['step']:,}{unfinished}",
                f"{record['seconds'] / 60:.1f}",
                f"{size / 1e6:.1f}",
                f"{made_with['device']}, {made_with['threads']} thread(s)",
                f"{made_with['python']}, {made_with['torch']}",
            ]
        )
    if not rows:
        return []
    sums = []
    for dataset, (runs, seconds, disk) in totals.items():
        dump = dump_path(outputs, dataset)
        of_dump = f"{dump.stat().st_size / 1e6:.1f}" if dump.exists() else "-"
        sums.append([dataset, f"{runs:.0f}", f"{seconds / 60:.1f}", f"{disk / 1e6:.1f}", of_dump])
    head = ["dataset", "run", "steps", "minutes", "MB", "device", "Python, torch"]
    return [
        Heading(3, "Training runs"),
        Table(["dataset", "runs", "minutes", "MB of checkpoints", "MB of the dump"], sums),
        Table(head, rows),
    ]


def source_blocks(root: Path, shown: dict[str, list[str]]) -> list[Block]:
    """The commit, and the commands that make everything again.

    Parameters
    ----------
    root : of the repository
    shown : the evaluated datasets of each task
    """
    lines = []
    for task, datasets in shown.items():
        names = " ".join(datasets)
        stages = [*STAGES, *["logistic_runs"] * (task == "classification")]
        lines += [f"cd {task}"] + [f"./{stage}.sh {names}" for stage in stages]
        lines += [f"python collect_{task}_stats.py --datasets {names} --out_file outputs/stats.pkl"]
        lines += [f"python plot_dynamics.py --datasets {names}"]
        lines += [f"python explore.py --dataset {name}" for name in datasets] + ["cd .."]
    commands: list[Block] = [
        Text("To make it again:"),
        Code("\n".join([*lines, "python report.py"])),
    ]
    return [
        Heading(2, "Commit and commands"),
        Text(f"Commit: {commit_of(root)}"),
        *(commands if lines else []),
    ]


def commit_of(root: Path) -> str:
    """The commit that is checked out, and whether files differ from it; "unknown" without git."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty=, and local changes"]
    # a repository that lies above the root is another one
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(root.resolve().parent)}
    try:
        end = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return end.stdout.strip()


def copying_blocks(folder: Path, out_dir: Path, missing: Missing) -> list[Block]:
    """Tables and figures of sequence copying and of the multi-head experiment."""
    blocks: list[Block] = []
    rows = []
    for path in sorted(folder.glob("logs/*.pkl")):
        histories = list(load_experiment(path, IGNORE)["histories"].values())
        steps = [learned_at(history) for history in histories]
        learned = [step for step in steps if step is not None]
        final = sorted(history["token_accuracy"][-1] for history in histories)
        rows.append(
            [
                path.stem.replace(",", ", "),
                f"{len(learned)} of {len(histories)}",
                f"{statistics.median(learned):g}" if learned else "-",
                f"{statistics.median(final):.3f} ({final[0]:.3f} to {final[-1]:.3f})",
            ]
        )
    if rows:
        head = ["experiment", "seeds that learned to copy", "at step (median)", "final accuracy"]
        blocks += [Heading(3, "Copying"), Table(head, rows)]
    else:
        missing.append(["copying", "cd SequenceCopying; python seq2seq.py --no_rep"])
    path = folder / "re_8headcomb.pkl"
    if path.exists():
        curves = load_combinations(path)
        rows = []
        for kind, trials in zip(kinds_of_combinations(curves), curves):
            final = [history["token_accuracy"][-1] for history in trials.values()]
            spread = f"{statistics.stdev(final):.3f}" if len(final) > 1 else "-"
            mean = f"{statistics.mean(final):.3f}" if final else "-"
            rows.append([kind, str(len(final)), mean, spread])
        head = ["initial heads", "combinations", "final accuracy, mean", "spread"]
        blocks += [Heading(3, "Multi-head attention"), Table(head, rows)]
    else:
        missing.append(["multi-head attention", "cd SequenceCopying; python multihead.py"])
    outputs = folder / "outputs"
    stems = {path.stem for ending in ("svg", "png") for path in outputs.glob(f"*.{ending}")}
    variants = {f"{stem}{variant}" for stem in stems for variant in VARIANTS}
    for stem in sorted(stems - variants):
        is_law = (outputs / f"{stem}_fit.csv").exists()
        caption = copying.LAW_CAPTION if is_law else copying.CAPTION
        block, drawn = figure_of(outputs / stem, "copying", f"{stem}: {caption}", out_dir)
        blocks += [block] if block else []
        if not is_law and any(log.stat().st_mtime > drawn for log in folder.glob("logs/*.pkl")):
            blocks.append(Note(f"Figure {stem}: some learning curves are newer: {DRAW_COPYING}"))
    return [Heading(2, "Sequence copying"), *blocks] if blocks else []


def copy(source: Path, prefix: str, out_dir: Path) -> tuple[str, float] | tuple[None, float]:
    """Copy a file into the report, if it exists: the name of the copy, and the file's age."""
    if not source.is_file():
        return None, 0
    name = f"{prefix}_{source.name}"
    with storage.atomic_write(out_dir / name) as file:
        file.write(source.read_bytes())
    return name, source.stat().st_mtime
