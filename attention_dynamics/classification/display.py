"""How figures and the explorer show the task's sentences."""

from typing import Any

import numpy as np

from attention_dynamics.analysis import collection
from attention_dynamics.analysis.ragged import Ragged
from attention_dynamics.classification.data import BOS, EOS, SPECIALS
from attention_dynamics.views import explorer, figures

PERFORMANCES = {"val": ["test_acc"], "train": ["train_acc"]}


def sentence_of(dump: dict[str, Any], number: int | None) -> figures.Sentence:
    """An evaluated sentence by its number, or one that fits a page."""
    sentences = dump["sentences"]
    offsets = sentences["offsets"]
    number = figures.sentence_number(number, np.diff(offsets), dump["dataset"])
    entries = slice(offsets[number], offsets[number + 1])
    label = int(sentences["target"][number])
    return figures.Sentence(
        title=f"{dump['dataset']}, sentence {number} ({sentences['split'][number]}), label {label}",
        source=[dump["vocab"][token] for token in sentences["tokens"][entries]],
        target=None,
        entries=entries,
        sign=2 * label - 1,
    )


def sentences_of(dump: dict[str, Any], split: str) -> explorer.Sentences:
    """The sentences of a split, with their labels."""
    columns = dump["sentences"]
    chosen = collection.rows_of_split(columns["split"], split)
    rows = np.arange(chosen.start, chosen.stop)
    source = Ragged(columns["tokens"], columns["offsets"])
    return explorer.Sentences(source.take(rows), labels=columns["target"][rows])


def show(words: list[str]) -> tuple[list[str], str]:
    """Words are written as they are."""
    ends = (SPECIALS[BOS], SPECIALS[EOS])
    return words, " ".join(word for word in words if word not in ends)
