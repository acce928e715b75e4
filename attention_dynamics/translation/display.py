"""How figures and the explorer show the task's sentences."""

from typing import Any

import numpy as np

from attention_dynamics.analysis import collection
from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.views import explorer, figures

PERFORMANCES = {"val": ["val_acc", "val_bleu"], "train": ["train_acc", "train_bleu"]}
SPACE = "▁"  # SentencePiece's: it begins a word
ENDS = ("<s>", "</s>")


def sentence_of(dump: dict[str, Any], number: int | None) -> figures.Sentence:
    """An evaluated sentence by its number, or one that fits a page."""
    sentences = dump["sentences"]
    source = Ragged(sentences["source"], sentences["source_offsets"])
    target = Ragged(sentences["target"], sentences["target_offsets"])
    number = figures.sentence_number(number, source.lengths, dump["dataset"])
    offsets = offsets_of(source.lengths * (target.lengths - 1))
    return figures.Sentence(
        title=f"{dump['dataset']}, sentence {number} ({sentences['split'][number]})",
        source=[dump["vocab"][token] for token in source[number]],
        target=[dump["vocab"][token] for token in target[number][1:]],
        entries=slice(offsets[number], offsets[number + 1]),
    )


def sentences_of(dump: dict[str, Any], split: str) -> explorer.Sentences:
    """The sentences of a split: source tokens, and the target tokens after <s>."""
    columns = dump["sentences"]
    chosen = collection.rows_of_split(columns["split"], split)
    rows = np.arange(chosen.start, chosen.stop)
    source = Ragged(columns["source"], columns["source_offsets"])
    begins = columns["target_offsets"]
    predicted = Ragged(np.delete(columns["target"], begins[:-1]), begins - np.arange(len(begins)))
    return explorer.Sentences(source.take(rows), target=predicted.take(rows))


def show(pieces: list[str]) -> tuple[list[str], str]:
    """A piece that begins a word is written without SPACE, one that goes on with a word after ·"""
    text = "".join(piece for piece in pieces if piece not in ENDS)
    return [_written(piece) for piece in pieces], text.replace(SPACE, " ").strip()


def _written(piece: str) -> str:
    if piece in (*ENDS, "<unk>"):
        return piece
    if piece.startswith(SPACE):
        return piece[len(SPACE) :].replace(SPACE, " ") or "␣"
    return "·" + piece.replace(SPACE, " ")
