"""The sections of the report: what the stages left, what is missing and what is out of date."""

import statistics
from pathlib import Path
from typing import Any

from attention_dynamics.analysis import tables
from attention_dynamics.analysis.dump import dump_id, dump_path
from attention_dynamics.analysis.levels import symbols
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
from attention_dynamics.views.blocks import Block, Figure, Heading, Link, Note, Table, Text
from attention_dynamics.views.figures import FIGURES

LEGEND = (
    "α is attention, β a word's evidence for the output, βᵘᶠ that of a model with uniform "
    "attention, βᵖˣ that of a word baseline, and Δ gradient influence. A(u, v) is their agreement; "
    "Â what is left of it when attention is shuffled within each sentence; ξ the performance that "
    "models of other seeds have reached when their attention first agrees with the gold run's more "
    "than that; ξ* the gold run's best."
)
IGNORE = "delete it if the report can do without"

# What the authors report (top 5% match, test or validation sentences); None is "never".
AUTHORS_FIGURES = (
    *("agr_unif", "agr_px", "agr_grad", "baseline"),
    *("xi_unif", "xi_px", "xi_grad", "best_perf"),
)
AUTHORS = {
    "Furd": (0.198, 0.336, 0.224, 0.083, 0.782, None, 0.782, 0.835),
    "IMDB": (0.526, 0.816, 0.616, 0.056, 0.868, 0.889, 0.868, 0.896),
    "multi30k": (0.310, 0.344, 0.271, 0.071, 43.4, 43.4, 43.4, 66.3),
}

Missing = list[list[str]]  # what, and the command that makes it


def task_blocks(task: Task, folder: Path, out_dir: Path, missing: Missing) -> list[Block]:
    """Tables, figures, explorers and runs of a task; only its datasets are looked for."""
    known = task.datasets.names(folder / "data")  # not by their dumps: a copy of one is no dataset
    outputs = folder / "outputs"
    ids = {name: dump_id(dump_path(outputs, name)) for name in known}
    evaluated = sorted(name for name in known if dump_path(outputs, name).exists())
    results = load_results(outputs, known, ids)
    old = [key for key, summary in results.items() if is_old(key, summary, ids)]
    blocks: list[Block] = [Heading(2, task.name.capitalize())]
    if results:
        heads = tables.heads_of(results, task.levels)
        rows = [row for name in results for row in tables.cells(name, results[name], list(heads))]
        blocks += [Table([*tables.NAMES, *(head.text for head in heads.values())], rows)]
        blocks += [Text(note) for note in tables.notes(results)]
    for dataset in dict.fromkeys(key[0] for key in old):
        metrics = dict.fromkeys(key[1] for key in old if key[0] == dataset)
        flags = [METRICS[name].flag for name in metrics if name in METRICS]
        command = " ".join(filter(None, [collect_command(task, dataset), *flags]))
        blocks.append(older(f"Results of {dataset} ({', '.join(metrics)})", command))
    compared = comparison(task, results)
    if compared:
        blocks += [Heading(3, f"Beside the authors' figures ({DEFAULT})"), compared]
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
    return blocks + run_blocks(folder / "models", known)


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


def comparison(task: Task, results: Results) -> Table | None:
    """Our figures, the authors' and the difference, if both are known."""
    rows = []
    for (dataset, metric, split, performance), summary in results.items():
        wanted = (DEFAULT, "val", task.performances["val"][0])
        if dataset not in AUTHORS or (metric, split, performance) != wanted:
            continue
        ours = {key: summary.get(key) for key in AUTHORS_FIGURES}
        theirs: dict[str, Any] = dict(zip(AUTHORS_FIGURES, AUTHORS[dataset]))
        difference = {
            key: None if None in (ours[key], theirs[key]) else ours[key] - theirs[key]
            for key in AUTHORS_FIGURES
        }
        digits = {key: tables.decimals(key, theirs["best_perf"]) for key in AUTHORS_FIGURES}
        for label, values in (("here", ours), ("authors", theirs), ("difference", difference)):
            signs = "+" if label == "difference" else ""
            cells = []
            for key in AUTHORS_FIGURES:
                if values[key] is not None:
                    cells.append(f"{values[key]:{signs}.{digits[key]}f}")
                elif label == "difference":
                    cells.append("")
                else:  # ξ is never reached, or there is no agreement for it to reach
                    never = values.get(key.replace("xi_", "agr_")) is not None
                    cells.append("never" if never else "-")
            rows.append([dataset if label == "here" else "", label, *cells])
    heads = symbols(task.levels)
    head = ["dataset", "", *(heads[key].text for key in AUTHORS_FIGURES)]
    return Table(head, rows) if rows else None


def dataset_blocks(
    task: Task, outputs: Path, dataset: str, old_results: bool, out_dir: Path, missing: Missing
) -> list[Block]:
    """The figures of one dataset, and a link to its explorer."""
    blocks: list[Block] = []
    made = dump_path(outputs, dataset).stat().st_mtime

    def add(what: str, file: str, command: str, block: Block, old: bool) -> None:
        source = outputs / f"{dataset}_{file}"
        command = f"cd {task.name}; python {command} {dataset}"
        if not copy(source, out_dir / f"{task.name}_{source.name}"):
            missing.append([f"{task.name}: {what}", command])
            return
        blocks.append(block)
        if old or source.stat().st_mtime < made:
            blocks.append(older(what[0].upper() + what[1:], command))

    for figure in FIGURES.values():
        file = f"{figure.name}.png"
        block = Figure(f"{task.name}_{dataset}_{file}", f"{dataset}: {figure.caption}")
        old = figure.from_results and old_results
        what = f"figure of {dataset}, {figure.name}"
        add(what, file, "plot_dynamics.py --datasets", block, old)
    file = "explorer.html"
    text = f"Explorer of {dataset}: sentence by sentence, over training"
    link = Link(f"{task.name}_{dataset}_{file}", text)
    add(f"explorer of {dataset}", file, "explore.py --dataset", link, False)
    return [Heading(3, dataset), *blocks] if blocks else []


def run_blocks(models: Path, known: list[str]) -> list[Block]:
    """A table of the training runs: settings, seed, time, and what they were made with."""
    rows = []
    for path in sorted(models.glob("*/*/run.json")):
        if path.parent.parent.name not in known:
            continue
        record = storage.load_json(path, IGNORE)
        if not isinstance(record, dict) or not {"step", "seconds", "made_with"} <= record.keys():
            raise InputError(f"{path} is not the record of a run: {IGNORE}")
        made_with = record["made_with"]
        rows.append(
            [
                path.parent.parent.name,
                path.parent.name.replace(",", ", "),
                f"{record['step']:,}",
                f"{record['seconds'] / 60:.1f}",
                f"{made_with['device']}, {made_with['threads']} thread(s)",
                f"{made_with['python']}, {made_with['torch']}",
            ]
        )
    head = ["dataset", "run", "steps", "minutes", "device", "Python, torch"]
    return [Heading(3, "Training runs"), Table(head, rows)] if rows else []


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
    for path in sorted(folder.glob("outputs/*.png")):
        name = f"copying_{path.name}"
        copy(path, out_dir / name)
        blocks.append(Figure(name, f"{path.stem}: learning curves"))
    return [Heading(2, "Sequence copying"), *blocks] if blocks else []


def copy(source: Path, target: Path) -> bool:
    """Copy a file, if it exists."""
    if not source.is_file():
        return False
    with storage.atomic_write(target) as file:
        file.write(source.read_bytes())
    return True
