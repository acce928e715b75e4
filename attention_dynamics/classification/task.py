"""The task as the analysis sees it."""

from typing import Any

from attention_dynamics.analysis.ragged import Ragged
from attention_dynamics.analysis.sentences import Sentences
from attention_dynamics.analysis.task import Task
from attention_dynamics.classification.columns import COLUMNS
from attention_dynamics.classification.data import BOS, EOS, SPECIALS, beta_path, logistic_path
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.text import printable


def sentences_of(dump: dict[str, Any]) -> Sentences:
    """The evaluated sentences, with their labels."""
    columns = dump["sentences"]
    source = Ragged(columns["tokens"], columns["offsets"])
    names = dump.get("labels", ["0", "1"])
    return Sentences(source, columns["split"], labels=columns["target"], label_names=names)


def show(words: list[str]) -> tuple[list[str], str]:
    """Words are written as they are, as far as they can be."""
    ends, words = (SPECIALS[BOS], SPECIALS[EOS]), list(map(printable, words))
    return words, " ".join(word for word in words if word not in ends)


TASK = Task(
    name="classification",
    datasets=DATASETS,
    columns=COLUMNS,
    performances={"val": ["test_acc"], "train": ["train_acc"]},
    sentences_of=sentences_of,
    show=show,
    beta_path=beta_path,
    logistic_path=logistic_path,
)
