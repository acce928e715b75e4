"""Agreements over training, and the performance reached by then: the paper's tables.

    python collect_classification_stats.py --datasets IMDB SNS --out_file outputs/stats.pkl

Reads what ``eval_dump.py`` and ``embedding_beta.py`` wrote (and ``logistic_beta.py``, where it has
run), prints a table, and writes a pickle: ``{(dataset, metric, "val" | "train", "test_acc" |
"train_acc"): summary}`` with ``"top 5% match"``, ``"kendall tau"`` or ``"spearman"`` as metric, and
the summary of ``analysis/dynamics.py``.
"""

from attention_dynamics import cli
from attention_dynamics.analysis import collection
from attention_dynamics.classification.data import DATASETS, beta_path, logistic_path
from attention_dynamics.classification.evidence import evidence_of

# The performance that goes with the sentences of each split.
PERFORMANCES = {"val": ["test_acc"], "train": ["train_acc"]}


def main():
    args = collection.parser(
        "Collect the paper's figures from what the stages wrote.", __file__, DATASETS
    ).parse_args()
    collection.collect(args, PERFORMANCES, beta_path, evidence_of, logistic_path)


if __name__ == "__main__":
    cli.run(main)
