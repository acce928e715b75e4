"""The task as the analysis sees it."""

from typing import Any

import numpy as np

from attention_dynamics.analysis.ragged import Ragged
from attention_dynamics.analysis.sentences import Sentences
from attention_dynamics.analysis.task import Task
from attention_dynamics.text import printable
from attention_dynamics.translation.columns import COLUMNS
from attention_dynamics.translation.data import beta_path
from attention_dynamics.translation.datasets import DATASETS

SPACE = "▁"  # begins a word in SentencePiece
ENDS = ("<s>", "</s>")


def sentences_of(dump: dict[str, Any]) -> Sentences:
    """The evaluated sentences. The predicted tokens are those after <s>."""
    columns = dump["sentences"]
    source = Ragged(columns["source"], columns["source_offsets"])
    begins = columns["target_offsets"]
    predicted = Ragged(np.delete(columns["target"], begins[:-1]), begins - np.arange(len(begins)))
    return Sentences(source, columns["split"], target=predicted)


def show(pieces: list[str]) -> tuple[list[str], str]:
    """A piece that begins a word is written without SPACE, one inside a word after a ·."""
    pieces = list(map(printable, pieces))
    text = "".join(piece for piece in pieces if piece not in ENDS)
    return [_written(piece) for piece in pieces], text.replace(SPACE, " ").strip()


def begins_word(vocab: list[str]) -> np.ndarray:
    """Whether each piece begins a word, or is a special, which is a word: bool (pieces,)."""
    return np.array([piece in ENDS or piece.startswith(SPACE) for piece in vocab])


def _written(piece: str) -> str:
    if piece in (*ENDS, "<unk>"):
        return piece
    if piece.startswith(SPACE):
        return piece[len(SPACE) :].replace(SPACE, " ") or "␣"
    return "·" + piece.replace(SPACE, " ")


TASK = Task(
    name="translation",
    datasets=DATASETS,
    columns=COLUMNS,
    performances={"val": ["val_acc", "val_bleu"], "train": ["train_acc", "train_bleu"]},
    sentences_of=sentences_of,
    show=show,
    beta_path=beta_path,
    begins_word=begins_word,
    dump_flags={
        "train": "--include_train_subset",
        "val_bleu": "--eval_bleu",
        "train_bleu": "--eval_bleu",
    },
)
