"""Agreements over training, and the performance reached by then: the paper's tables.

    python collect_classification_stats.py --datasets IMDB SNS --out_file outputs/stats.pkl

Reads what ``eval_dump.py`` and ``embedding_beta.py`` wrote (and ``logistic_beta.py``, where it has
run), prints a table, and writes a pickle: ``{(dataset, metric, "val" | "train", "test_acc" |
"train_acc"): summary}`` with ``"top 5% match"``, ``"kendall tau"`` or ``"spearman"`` as metric, and
the summary of ``attention_dynamics/dynamics.py``.
"""

from typing import Any

import numpy as np

from attention_dynamics import cli, collection, dynamics

from data import ALIASES, DATASETS, beta_path, logistic_path

# The performance that goes with the sentences of each split.
PERFORMANCES = {"val": ["test_acc"], "train": ["train_acc"]}


def evidence_of(
    dump: dict[str, Any], betas: dict[str, np.ndarray], split: str, performance: str
) -> dynamics.Evidence:
    """The columns of one split, turned so that larger means "speaks for the gold label"."""
    sentences = dump["sentences"]
    rows = collection.rows_of_split(sentences["split"], split)
    lengths = np.diff(sentences["offsets"])[rows]
    tokens = sentences["tokens"]
    sign = np.repeat(2 * sentences["target"][rows] - 1, lengths).astype(np.float32)
    return collection.evidence(
        dump,
        sentences["offsets"],
        rows,
        performance,
        lambda entries: {name: beta[tokens[entries]] for name, beta in betas.items()},
        sign,
    )


def main():
    args = collection.parser(
        "Collect the paper's figures from what the stages wrote.", __file__, DATASETS, ALIASES
    ).parse_args()
    collection.collect(args, PERFORMANCES, beta_path, evidence_of, logistic_path)


if __name__ == "__main__":
    cli.run(main)
