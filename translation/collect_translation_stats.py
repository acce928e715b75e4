"""Agreements over training, and the performance reached by then: the paper's tables.

    python collect_translation_stats.py --datasets multi30k --out_file outputs/stats.pkl

Reads what ``eval_dump.py`` and ``embedding_beta.py`` wrote, prints a table, and writes a pickle:
``{(dataset, metric, "val" | "train", performance): summary}``. The performance is ``"val_acc"`` or
``"val_bleu"`` of the split ``"val"``, ``"train_acc"`` or ``"train_bleu"`` of ``"train"``. The
metrics are those of ``analysis/metrics``, the summary is that of ``analysis/dynamics.py`` with
``"dump"``, the id of the dump. Results that are in the pickle already, and are not collected
again, stay in it.
"""

from attention_dynamics import cli
from attention_dynamics.analysis import collection
from attention_dynamics.translation.task import TASK


def parse_args():
    parser = collection.parser("Collect the paper's tables.", __file__, TASK)
    parser.add_argument(
        "--include_bleu_results", action="store_true", help="add results with BLEU as performance"
    )
    return parser.parse_args()


def main():
    args = parse_args()
    collection.collect(args, TASK, every_performance=args.include_bleu_results)


if __name__ == "__main__":
    cli.run(main)
