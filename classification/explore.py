"""Write a page to look at training with: each word's alpha, beta and Delta at each checkpoint.

    python explore.py --dataset IMDB

Reads what ``eval_dump.py`` and ``embedding_beta.py`` wrote, and writes one HTML file,
``outputs/<dataset>_explorer.html``, for any browser.
"""

from typing import Any

import numpy as np

from attention_dynamics import cli, collection, explorer
from attention_dynamics.ragged import Ragged

from data import BOS, DATASETS, EOS, SPECIALS, beta_path
from evidence import evidence_of

PERFORMANCES = {"val": ["test_acc"], "train": ["train_acc"]}


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


def main():
    args = explorer.parser(
        "Write a page to look at training with.", __file__, DATASETS
    ).parse_args()
    explorer.explore(args, PERFORMANCES, beta_path, evidence_of, sentences_of, show)


if __name__ == "__main__":
    cli.run(main)
