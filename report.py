"""Gather tables, figures and explorers into one report.

Missing or outdated results are listed, with the command that makes them.

reads:   what the stages wrote: outputs/, models/ and logs/ in the three folders
writes:  report/index.html and report/results.md, and copies of figures and explorers beside them,
         so that the folder can be moved or sent
next:    open report/index.html

example:
  python report.py
"""

from pathlib import Path

from attention_dynamics import cli
from attention_dynamics.classification.task import TASK as CLASSIFICATION
from attention_dynamics.cli import InputError
from attention_dynamics.files import storage
from attention_dynamics.translation.task import TASK as TRANSLATION
from attention_dynamics.views import report
from attention_dynamics.views.blocks import (
    Block,
    Contents,
    Heading,
    Table,
    Text,
    to_html,
    to_markdown,
)

TASKS = [CLASSIFICATION, TRANSLATION]


def parse_args():
    here = Path(__file__).resolve().parent
    parser = cli.Parser(__doc__)
    where = "folder of classification/ and translation/"
    parser.add_argument("--root", type=Path, default=here, help=where)
    parser.add_argument("--out_dir", type=Path, help="folder to write (default: report)")
    return parser.parse_args()


def main():
    args = parse_args()
    out_dir = args.out_dir or args.root / "report"
    folders = {task.name: args.root / task.name for task in TASKS}
    if not all(folder.is_dir() for folder in folders.values()):
        raise InputError(f"--root {args.root} is no folder with {' and '.join(folders)} in it")
    missing: report.Missing = []
    blocks: list[Block] = [
        Heading(1, "How single head attention learns: results"),
        Text(report.LEGEND),
        Contents(),
    ]
    for task in TASKS:
        blocks += report.task_blocks(task, folders[task.name], out_dir, missing)
    blocks += report.copying_blocks(args.root / "SequenceCopying", out_dir, missing)
    evaluated = {task.name: report.evaluated_in(folders[task.name], task) for task in TASKS}
    blocks += report.source_blocks(args.root, {t: names for t, names in evaluated.items() if names})
    if missing:
        blocks += [Heading(2, "What is not there"), Table(["what", "made by"], missing)]
    for name, written in (("results.md", to_markdown(blocks)), ("index.html", to_html(blocks))):
        storage.save_text(written, out_dir / name)
        print(out_dir / name)


if __name__ == "__main__":
    cli.run(main)
