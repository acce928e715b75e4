"""The published grid as commands, one a job. The bash scripts ask for it:

    python -m attention_dynamics.grid classification train_runs SNS Furd
    python -m attention_dynamics.grid tasks train_runs SNS multi30k

The first prints a line ``label|script flags`` for each job of ``train_runs.sh`` in
``classification/``; no name means all that is published. The second prints which of the names
belong to which task. This module loads in a moment: it imports the standard library only.
"""

import sys
from collections.abc import Mapping, Sequence

from attention_dynamics import cli
from attention_dynamics.classification.datasets import DATASETS as CLASSIFICATION
from attention_dynamics.cli import InputError
from attention_dynamics.copying.experiments import EXPERIMENTS
from attention_dynamics.corpus import BaseCorpus, find
from attention_dynamics.translation.datasets import DATASETS as TRANSLATION

TASKS: dict[str, Mapping[str, BaseCorpus]] = {
    "classification": CLASSIFICATION,
    "translation": TRANSLATION,
}
TRAIN_SCRIPTS = {"classification": "train_classifier.py", "translation": "train_translation.py"}


def jobs(task: str, stage: str, names: Sequence[str] = ()) -> list[str]:
    """A line ``label|script flags`` for each job of a stage.

    Parameters
    ----------
    task : ``classification``, ``translation`` or ``copying``
    stage : the bash script's name without ``.sh``
    names : datasets or, of ``copying``, experiments; none for all that are published

    Raises
    ------
    InputError
        where a name is unknown.
    """
    if task == "copying":
        for name in names:
            if name not in EXPERIMENTS:
                raise cli.unknown("experiment", name, EXPERIMENTS)
        return [job for name in names or ("seq2seq", "multihead") for job in EXPERIMENTS[name]]
    table = TASKS[task]
    names = names or [name for name, entry in table.items() if entry.published]
    return [job for name in names for job in dataset_jobs(task, stage, find(table, name))]


def dataset_jobs(task: str, stage: str, dataset: BaseCorpus) -> list[str]:
    name = dataset.name
    if stage == "train_runs":
        return [
            f"{name} seed={run.seed}|{TRAIN_SCRIPTS[task]} --dataset {name} --seed {run.seed} "
            f"{dataset.train}" + (" --uniform" if run.uniform else "")
            for run in dataset.runs
        ]
    script, flags = {
        "dump_logs": ("eval_dump.py", dataset.evaluate),
        "embedding_runs": ("embedding_beta.py", dataset.embedding),
        "logistic_runs": ("logistic_beta.py", ""),
    }[stage]
    return [f"{name}|{script} --dataset {name} {flags}".rstrip()]


def tasks_of(words: Sequence[str]) -> dict[str, list[str]]:
    """Which of the datasets named belong to which task; words may also name tasks, to ask no other.

    Raises
    ------
    InputError
        where a name is unknown to the tasks.
    """
    tasks = [task for task in TASKS if task in words] or list(TASKS)
    names = [word for word in words if word not in TASKS]
    known = {task: cli.known_names(TASKS[task]) for task in tasks}
    for name in names:
        if not any(name in known[task] for task in tasks):
            every_name = dict.fromkeys(name for task in tasks for name in known[task])
            raise cli.unknown("dataset", name, every_name)
    found = {task: [name for name in names if name in known[task]] for task in tasks}
    return {task: here for task, here in found.items() if here or not names}


def main(task: str, stage: str, *names: str) -> None:
    if task == "tasks":
        lines = [" ".join([task, *here]) for task, here in tasks_of(names).items()]
    else:
        lines = jobs(task, stage, names)
    print("\n".join(lines))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except InputError as error:
        print(f"{sys.argv[2]}.sh: {error}", file=sys.stderr)
        sys.exit(2)
