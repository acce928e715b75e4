"""Collect the values of the paper's tables: agreement over training, and the accuracy reached.

reads:   in outputs/: <dataset>_logs.pkl, from eval_dump.py; <dataset>embedding<embed_dim>beta.pkl,
         from embedding_beta.py; <dataset>_logistic_beta.pkl, from logistic_beta.py, if it is there
writes:  a table to the terminal, and --out_file: a pickle of {(dataset, metric, "val" | "train",
         "test_acc" | "train_acc"): {"agr_unif": ..., ...}}; docs/files.md has all keys
next:    plot_dynamics.py and explore.py; report.py in the root

example:
  python collect_classification_stats.py --datasets IMDB SNS --out_file outputs/stats.pkl
"""

from attention_dynamics import cli
from attention_dynamics.analysis import collection
from attention_dynamics.classification.task import TASK


def main():
    collection.collect(collection.parser(__doc__, __file__, TASK).parse_args(), TASK)


if __name__ == "__main__":
    cli.run(main)
