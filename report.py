"""Gather what the stages left into one report: report/index.html and report/results.md.

    python report.py

Everything in it comes from the files that the stages wrote (``outputs/``, ``models/``, ``logs/``);
only the authors' figures, to compare with, stand here. Figures and explorers are copied, so that
the folder can be moved or sent. What is missing is named, with the command that makes it.
"""

import html
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attention_dynamics import cli
from attention_dynamics.analysis import dynamics, tables
from attention_dynamics.cli import InputError
from attention_dynamics.copying.histories import (
    kinds_of_combinations,
    learned_at,
    load_combinations,
    load_experiment,
)
from attention_dynamics.files import storage

COLLECT = {
    "classification": "collect_classification_stats.py",
    "translation": "collect_translation_stats.py",
}
METRIC = "top 5% match"
SAME = {"SNS": "SMS", "SMS": "SNS"}  # two names of one dataset
LEGEND = (
    "α is attention, β a word's evidence for the output, βᵘᶠ that of a model with uniform "
    "attention, βᵖˣ that of a word baseline, and Δ gradient influence. A(u, v) is their agreement; "
    "Â what is left of it when attention is shuffled within each sentence; ξ the performance that "
    "models of other seeds have reached when their attention first agrees with the gold run's more "
    "than that; ξ* the gold run's best."
)

# What the authors report (top 5% match, test or validation sentences); None is "never".
AUTHORS = {
    "Furd": (0.198, 0.336, 0.224, 0.083, 0.782, None, 0.782, 0.835),
    "IMDB": (0.526, 0.816, 0.616, 0.056, 0.868, 0.889, 0.868, 0.896),
    "multi30k": (0.310, 0.344, 0.271, 0.071, 43.4, 43.4, 43.4, 66.3),
}
COMPARED = (
    *("agr_unif", "agr_px", "agr_grad", "baseline"),
    *("xi_unif", "xi_px", "xi_grad", "best_perf"),
)


# A report is a list of blocks, which both formats know how to write.


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Table:
    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Figure:
    path: str  # relative to the report's folder
    caption: str


@dataclass(frozen=True)
class Link:
    path: str
    text: str


Block = Heading | Text | Table | Figure | Link


def parse_args():
    here = Path(__file__).resolve().parent
    parser = cli.Parser("Gather tables, figures and explorers into one report.")
    parser.add_argument("--root", type=Path, default=here, help="folder of the tasks' folders")
    parser.add_argument("--out_dir", type=Path, help="folder to write; by itself report")
    return parser.parse_args()


def main():
    args = parse_args()
    out_dir = args.out_dir or args.root / "report"
    if not all((args.root / task).is_dir() for task in COLLECT):
        raise InputError(f"--root {args.root} is no folder with {' and '.join(COLLECT)} in it")
    missing: list[list[str]] = []  # what, and the command that makes it
    blocks: list[Block] = [Heading(1, "How single head attention learns: results"), Text(LEGEND)]
    for task in COLLECT:
        blocks += task_blocks(args.root / task, out_dir, missing)
    blocks += copying_blocks(args.root / "SequenceCopying", out_dir, missing)
    if missing:
        blocks += [Heading(2, "What is not there"), Table(["what", "made by"], missing)]
    for name, written in (("results.md", to_markdown(blocks)), ("index.html", to_html(blocks))):
        storage.save_text(written, out_dir / name)
        print(out_dir / name)


def task_blocks(folder: Path, out_dir: Path, missing: list[list[str]]) -> list[Block]:
    """Tables, figures, explorers and runs of ``classification`` or ``translation``."""
    task = folder.name
    results = load_results(folder / "outputs")
    blocks: list[Block] = [Heading(2, task.capitalize())]
    if results:
        keys = tables.figures_in(results)
        rows = [row for name in results for row in tables.cells(name, results[name], keys)]
        blocks += [Table([*tables.NAMES, *(dynamics.NOTATION[key] for key in keys)], rows)]
        blocks += [Text(note) for note in tables.notes(results)]
    compared = comparison(results)
    if compared:
        blocks += [Heading(3, f"Beside the authors' figures ({METRIC})"), compared]
    absent = []
    evaluated = {path.name.removesuffix("_logs.pkl") for path in folder.glob("outputs/*_logs.pkl")}
    configs = {path.stem.removesuffix("_log") for path in folder.glob("configs/*.json")}
    for dataset in sorted(evaluated | configs):
        if dataset.endswith("model"):
            continue
        if dataset in evaluated:
            collected = any(name[0] == dataset for name in results)
            blocks += dataset_blocks(folder, dataset, collected, out_dir, missing)
        elif SAME.get(dataset) not in evaluated:
            absent.append(dataset)
    if absent:
        stages = f"cd {task}; prepare_data.py, train_runs.sh, dump_logs.sh, embedding_runs.sh"
        missing.append([f"{task}: {', '.join(absent)}", stages])
    return blocks + run_blocks(folder / "models")


def dataset_blocks(
    folder: Path, dataset: str, collected: bool, out_dir: Path, missing: list[list[str]]
) -> list[Block]:
    """The figures of one dataset, and a link to its explorer."""
    task = folder.name
    blocks: list[Block] = []
    captions = {
        "dynamics": "agreement and performance over training. A marker stands where the agreement "
        "of attention between seeds first exceeds a level.",
        "sentence": "one sentence at several checkpoints: attention α, evidence βᵘᶠ, gradient "
        "influence Δ.",
    }
    for kind, caption in captions.items():
        name = f"{task}_{dataset}_{kind}.png"
        if copy(folder / "outputs" / f"{dataset}_{kind}.png", out_dir / name):
            blocks.append(Figure(name, f"{dataset}: {caption}"))
        else:
            plot = f"cd {task}; python plot_dynamics.py --datasets {dataset}"
            missing.append([f"{task}: figure of {dataset}, {kind}", plot])
    name = f"{task}_{dataset}_explorer.html"
    if copy(folder / "outputs" / f"{dataset}_explorer.html", out_dir / name):
        blocks.append(Link(name, f"Explorer of {dataset}: sentence by sentence, over training"))
    else:
        explore = f"cd {task}; python explore.py --dataset {dataset}"
        missing.append([f"{task}: explorer of {dataset}", explore])
    if not collected:
        collect = f"cd {task}; python {COLLECT[task]} --datasets {dataset} --out_file …"
        missing.append([f"{task}: results of {dataset}", collect])
    return [Heading(3, dataset), *blocks] if blocks else []


def load_results(outputs: Path) -> dict[tuple, dict[str, Any]]:
    """The results in ``outputs``; where several files have a key, those of the newest."""
    results = {}
    for path in sorted(outputs.glob("*stats*.pkl"), key=lambda path: path.stat().st_mtime):
        found = storage.load_pickle(path, "delete it, or collect the results again")
        if not tables.are_results(found):
            raise InputError(f"{path} holds no results of this version: collect them again")
        results |= found
    return dict(sorted(results.items(), key=lambda item: item[0][0]))


def comparison(results: dict[tuple, dict[str, Any]]) -> Table | None:
    """Our figures, the authors' and the difference, where both are known."""
    rows = []
    for (dataset, metric, split, performance), summary in results.items():
        if metric != METRIC or split != "val" or performance not in ("test_acc", "val_acc"):
            continue
        if dataset not in AUTHORS:
            continue
        ours = {key: summary[key] for key in COMPARED}
        theirs = dict(zip(COMPARED, AUTHORS[dataset]))
        difference = {
            key: None if None in (ours[key], theirs[key]) else ours[key] - theirs[key]
            for key in COMPARED
        }
        digits = {key: tables.decimals(key, theirs["best_perf"]) for key in COMPARED}
        for label, values in (("here", ours), ("authors", theirs), ("difference", difference)):
            signs = "+" if label == "difference" else ""
            cells = []
            for key in COMPARED:
                if values[key] is not None:
                    cells.append(f"{values[key]:{signs}.{digits[key]}f}")
                elif label == "difference":
                    cells.append("")
                else:  # ξ is never reached, or there is no agreement for it to reach
                    never = values.get(key.replace("xi_", "agr_")) is not None
                    cells.append("never" if never else "-")
            rows.append([dataset if label == "here" else "", label, *cells])
    head = ["dataset", "", *(dynamics.NOTATION[key] for key in COMPARED)]
    return Table(head, rows) if rows else None


def run_blocks(models: Path) -> list[Block]:
    """A table of the training runs: settings, seed, time, and what they were made with."""
    rows = []
    for path in sorted(models.glob("*/*/run.json")):
        do = "delete it to do without"
        record = storage.load_json(path, do)
        if not isinstance(record, dict) or not {"step", "seconds", "made_with"} <= record.keys():
            raise InputError(f"{path} is not the record of a run: {do}")
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


def copying_blocks(folder: Path, out_dir: Path, missing: list[list[str]]) -> list[Block]:
    """Tables and figures of sequence copying and of the multi-head experiment."""
    blocks: list[Block] = []
    rows = []
    for path in sorted(folder.glob("logs/*.pkl")):
        histories = list(load_experiment(path, "delete it to do without")["histories"].values())
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
        for kind, histories in zip(kinds_of_combinations(curves), curves):
            final = [history["token_accuracy"][-1] for history in histories.values()]
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
    with storage.write_whole(target) as file:
        file.write(source.read_bytes())
    return True


# The two formats.


def to_markdown(blocks: list[Block]) -> str:
    """GitHub's Markdown."""
    parts = []
    for block in blocks:
        match block:
            case Heading(level, text):
                parts.append("#" * level + " " + text)
            case Text(text):
                parts.append(text)
            case Table(head, rows):
                lines = [head, ["---"] * len(head), *rows]
                cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
                parts.append("\n".join("| " + " | ".join(line) + " |" for line in cells))
            case Figure(path, caption):
                parts.append(f"![{caption}]({path})\n\n{caption}")
            case Link(path, text):
                parts.append(f"[{text}]({path})")
    return "\n\n".join(parts) + "\n"


def to_html(blocks: list[Block]) -> str:
    """One page; figures and explorers lie beside it."""
    parts = []
    for block in blocks:
        match block:
            case Heading(level, text):
                parts.append(f"<h{level}>{html.escape(text)}</h{level}>")
            case Text(text):
                parts.append(f"<p>{html.escape(text)}</p>")
            case Table(head, rows):
                lines = [row_of("th", head), *(row_of("td", row) for row in rows)]
                parts.append('<div class="table"><table>\n' + "\n".join(lines) + "\n</table></div>")
            case Figure(path, caption):
                image = f'<img src="{html.escape(path)}" alt="{html.escape(caption)}">'
                note = f"<figcaption>{html.escape(caption)}</figcaption>"
                parts.append(f"<figure>{image}{note}</figure>")
            case Link(path, text):
                parts.append(f'<p><a href="{html.escape(path)}">{html.escape(text)}</a></p>')
    title = next(block.text for block in blocks if isinstance(block, Heading))
    return PAGE.format(title=html.escape(title), body="\n".join(parts))


def row_of(tag: str, cells: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; }}
body {{ max-width: 76rem; }}
h1, h2, h3 {{ line-height: 1.2; margin: 2.2rem 0 0.6rem; }}
p, figcaption {{ max-width: 46rem; }}
.table {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.2rem 0.7rem; text-align: right; white-space: nowrap; }}
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) {{ text-align: left; }}
th {{ border-bottom: 1px solid; }}
figure {{ margin: 1.5rem 0; }}
img {{ max-width: 100%; background: white; }}
figcaption {{ font-size: 0.9rem; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


if __name__ == "__main__":
    cli.run(main)
