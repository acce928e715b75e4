"""Collect the values of the paper's tables: agreement over training, and the accuracy reached.

reads:   outputs/<dataset>_logs.pkl, from eval_dump.py;
         outputs/<dataset>embedding<embed_dim>translation.pkl, from embedding_beta.py
writes:  a table to the terminal, and --out_file: a pickle of {(dataset, metric, "val" | "train",
         performance): {"agr_unif": ..., "xi_unif": ..., ...}}; the performance is "val_acc" or
         "val_bleu", "train_acc" or "train_bleu"; docs/files.md has all keys
next:    plot_dynamics.py and explore.py; report.py in the root

example:
  python collect_translation_stats.py --datasets multi30k --out_file outputs/stats.pkl
"""

from attention_dynamics import cli
from attention_dynamics.analysis import collection
from attention_dynamics.translation.task import TASK


def parse_args():
    parser = collection.parser(__doc__, __file__, TASK)
    parser.add_argument(
        "--include_bleu_results", action="store_true", help="add results with BLEU as performance"
    )
    return parser.parse_args()


def main():
    args = parse_args()
    collection.collect(args, TASK, every_performance=args.include_bleu_results)


if __name__ == "__main__":
    cli.run(main)
