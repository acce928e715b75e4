"""The published grid as commands, one a job. The bash scripts ask for it:

    python -m attention_dynamics.grid classification train_runs SNS Furd
    python -m attention_dynamics.grid tasks train_runs SNS multi30k
    python -m attention_dynamics.grid classification settings

The first prints a line ``label|script flags`` for each job of ``train_runs.sh`` in
``classification/``; no name means all that is published. Flags after the names are added to each
command. The second prints which of the names belong to which task, the third the settings of
``settings_runs.sh``. A name is known if it is in
the task's table, or if its data folder has such a dataset of the user's own. This module loads in a
moment: it imports the standard library only.
"""

import itertools
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from attention_dynamics import cli
from attention_dynamics.classification.datasets import DATASETS as CLASSIFICATION
from attention_dynamics.cli import InputError
from attention_dynamics.copying.experiments import EXPERIMENTS
from attention_dynamics.corpus import INTERVENTIONS, BaseCorpus, Datasets
from attention_dynamics.translation.datasets import DATASETS as TRANSLATION

TASKS: dict[str, Datasets[Any]] = {"classification": CLASSIFICATION, "translation": TRANSLATION}
# What settings_runs.sh does beside the published runs: docs/settings.md.
ENCODERS = ("gru", "transformer", "average")
BEFORE_AND_AFTER = {"classification": (200, 100), "translation": (2000, 1000)}  # in updates
ROOT = Path(__file__).resolve().parents[1]
TRAIN_SCRIPTS = {"classification": "train_classifier.py", "translation": "train_translation.py"}


def jobs(task: str, stage: str, names: Sequence[str] = (), flags: Sequence[str] = ()) -> list[str]:
    """A line ``label|script flags`` for each job of a stage.

    Parameters
    ----------
    task : ``classification``, ``translation`` or ``copying``
    stage : the bash script's name without ``.sh``
    names : datasets or, of ``copying``, experiments; none for all that are published
    flags : for each job, after its own, so that they win

    Raises
    ------
    InputError
        where a name is unknown, or bash would change a flag.
    """
    for flag in flags:
        if not re.fullmatch(r"[\w.,:=+/~@%-]+", flag):
            raise InputError(
                f"{flag!r} cannot be passed on: run the commands of --dry-run yourself"
            )
    chosen: list[str] = []
    if stage == "train_runs":  # the other stages' own flag
        chosen, flags = without_runs(flags)
    added = " ".join(["", *flags])
    if task == "copying":
        for name in names:
            if name not in EXPERIMENTS:
                raise cli.unknown("experiment", name, EXPERIMENTS)
        experiments = names or ("seq2seq", "multihead")
        return [job + added for name in experiments for job in EXPERIMENTS[name]]
    table = TASKS[task]
    names = names or [name for name, entry in table.items() if entry.published]
    entries = [table.find(name, data_folder(task, flags)) for name in names]
    if stage == "train_runs" and {f"--{key}" for key in INTERVENTIONS} & {*flags}:
        # uniform attention cannot be changed: that run is the one without interventions
        runs = [tuple(run for run in entry.runs if not run.uniform) for entry in entries]
        entries = [replace(entry, runs=kept) for entry, kept in zip(entries, runs)]
    if chosen:
        entries = [only(entry, chosen) for entry in entries]
    return [job + added for entry in entries for job in dataset_jobs(task, stage, entry)]


def without_runs(flags: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names that follow ``--runs``, and all other flags."""
    names: list[str] = []
    others: list[str] = []
    of_runs = False
    for flag in flags:
        if flag.startswith("-"):
            of_runs = flag == "--runs"
        if not of_runs:
            others.append(flag)
        elif flag != "--runs":
            names += flag.split(",")
    if "--runs" in flags and not names:
        raise InputError("--runs: name one run or more")
    return names, others


def only(dataset: BaseCorpus, names: Sequence[str]) -> BaseCorpus:
    """The dataset with these of its runs."""
    chosen = cli.chosen_runs(names, [run.name for run in dataset.runs])
    return replace(dataset, runs=tuple(run for run in dataset.runs if run.name in chosen))


def data_folder(task: str, flags: Sequence[str] = ()) -> Path:
    """The folder with a task's data: what follows ``--data_dir``, else that beside the stages."""
    for flag, value in itertools.pairwise(flags):
        if flag == "--data_dir":
            return Path(value)
    return ROOT / task / "data"


def dataset_jobs(task: str, stage: str, dataset: BaseCorpus) -> list[str]:
    name = dataset.name
    if stage == "train_runs":
        return [
            f"{name} seed={run.seed}|{TRAIN_SCRIPTS[task]} --dataset {name} --seed {run.seed} "
            f"{dataset.train}" + (" --uniform" if run.uniform else "")
            for run in dataset.runs
        ]
    if stage == "dump_parts":  # dump_logs, a job a run; dump_logs then gathers them
        evaluate = f"eval_dump.py --dataset {name} {dataset.evaluate}".rstrip()
        return [
            f"{name} {run.name}|{evaluate} --runs {run.name} --parts_only" for run in dataset.runs
        ]
    others = {
        "dump_logs": ("eval_dump.py", dataset.evaluate),
        "embedding_runs": ("embedding_beta.py", dataset.embedding),
        "logistic_runs": ("logistic_beta.py", ""),
    }
    if stage not in others:
        raise cli.unknown("stage", stage, ("train_runs", "dump_parts", *others))
    script, flags = others[stage]
    return [f"{name}|{script} --dataset {name} {flags}".rstrip()]


def settings(task: str) -> list[str]:
    """A line ``name|flags of training and evaluation`` for each setting; the first is published."""
    start, stop = BEFORE_AND_AFTER[task]
    return [
        "bilstm|",
        f"attention_from|--attention_from {start}",
        f"attention_until|--attention_until {stop}",
        "slow_attention|--attention_lr 0.0001",
        "fast_attention|--attention_lr 0.01",
        "attend_to|--attend_to 20",
        "shuffled|--attend_to 20 --shuffle_attention",
        *(f"{encoder}|--config configs/model_{encoder}.json" for encoder in ENCODERS),
    ]


def tasks_of(words: Sequence[str], flags: Sequence[str] = ()) -> dict[str, list[str]]:
    """Which of the datasets named belong to which task; words may also name tasks, to ask no other.

    Raises
    ------
    InputError
        where a name is unknown to the tasks.
    """
    tasks = [task for task in TASKS if task in words] or list(TASKS)
    names = [word for word in words if word not in TASKS]
    known = {task: TASKS[task].names(data_folder(task, flags)) for task in tasks}
    for name in names:
        if not any(name in known[task] for task in tasks):
            every_name = dict.fromkeys(name for task in tasks for name in known[task])
            raise cli.unknown("dataset", name, every_name)
    found = {task: [name for name in names if name in known[task]] for task in tasks}
    return {task: here for task, here in found.items() if here or not names}


def main(task: str = "", stage: str = "", *words: str) -> None:
    known = ("tasks", *TASKS, "copying")
    if task not in known:
        raise cli.unknown("task", task, known)
    names = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
    # --flag=value as two words
    parts = [word.split("=", 1) if word[:2] == "--" else [word] for word in words[len(names) :]]
    flags = list(itertools.chain(*parts))
    if flags and not {*names} - {*TASKS}:
        raise InputError(f"{flags[0]}: name a dataset first; flags after it go to each command")
    if task == "tasks":
        lines = [" ".join([task, *here]) for task, here in tasks_of(names, flags).items()]
    elif stage == "settings":
        lines = settings(task)
    else:
        lines = jobs(task, stage, names, flags)
    print("\n".join(lines))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except InputError as error:
        print(f"{'.'.join([*sys.argv[2:3], 'sh'])}: {error}", file=sys.stderr)
        sys.exit(2)
