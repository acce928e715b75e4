"""Write a dump and its curves in formats that other programs read.

csv and parquet have a row for each token of each checkpoint, jsonl a line for each sentence, npz
the columns as arrays, published a pickle with a dict for each sentence. docs/files.md describes
them. A whole dump is large as csv or jsonl: choose --runs, --iterations and --split.

reads:   outputs/<dataset>_logs.pkl, from eval_dump.py; outputs/stats.pkl, from
         collect_classification_stats.py, if there
writes:  in outputs/<dataset>_export/: tokens.csv, tokens.parquet, columns.npz, sentences.jsonl or
         published.pkl; checkpoints.csv, the performance of each checkpoint; curves.csv and
         levels.csv, the collected results
next:    your own analysis

example:
  python export.py --dataset IMDB --format csv --runs Normal_A uniform --iterations 250
"""

from attention_dynamics import cli
from attention_dynamics.analysis import export
from attention_dynamics.classification.task import TASK


def main():
    export.export(export.parser(__doc__, __file__, TASK).parse_args(), TASK)


if __name__ == "__main__":
    cli.run(main)
