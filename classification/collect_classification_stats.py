"""Agreements over training, and the performance reached by then: the paper's tables.

    python collect_classification_stats.py --datasets IMDB SNS --out_file outputs/stats.pkl

Reads what ``eval_dump.py`` and ``embedding_beta.py`` wrote (and ``logistic_beta.py``, if it has
run), prints a table, and writes a pickle: ``{(dataset, metric, "val" | "train", "test_acc" |
"train_acc"): summary}``. The metrics are those of ``analysis/metrics``, the summary is that of
``analysis/dynamics.py`` with ``"dump"``, the id of the dump. Results that are in the pickle
already, and are not collected again, stay in it.
"""

from attention_dynamics import cli
from attention_dynamics.analysis import collection
from attention_dynamics.classification.task import TASK


def parse_args():
    return collection.parser("Collect the paper's tables.", __file__, TASK).parse_args()


def main():
    collection.collect(parse_args(), TASK)


if __name__ == "__main__":
    cli.run(main)
