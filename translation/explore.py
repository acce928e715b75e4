"""Write a page to look at training with: alpha, beta and Delta of each token at each checkpoint.

    python explore.py --dataset multi30k

Reads what ``eval_dump.py`` and ``embedding_beta.py`` wrote, and writes one HTML file,
``outputs/<dataset>_explorer.html``, for any browser.
"""

from typing import Any

import numpy as np

from attention_dynamics import cli, collection, explorer
from attention_dynamics.ragged import Ragged

from data import DATASETS, beta_path
from evidence import evidence_of

PERFORMANCES = {"val": ["val_acc", "val_bleu"], "train": ["train_acc", "train_bleu"]}
SPACE = "▁"  # SentencePiece's: it begins a word
ENDS = ("<s>", "</s>")


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


def main():
    args = explorer.parser(
        "Write a page to look at training with.", __file__, DATASETS
    ).parse_args()
    explorer.explore(args, PERFORMANCES, beta_path, evidence_of, sentences_of, show)


if __name__ == "__main__":
    cli.run(main)
