"""Agreements over training, and the performance reached by then: the paper's tables.

    python collect_translation_stats.py --datasets multi30k --out_file outputs/stats.pkl

Reads what ``eval_dump.py`` and ``embedding_beta.py`` wrote, prints a table, and writes a pickle:
``{(dataset, metric, "val" | "train", performance): summary}`` with ``"top 5% match"``,
``"kendall tau"`` or ``"spearman"`` as metric, and the summary of
``analysis/dynamics.py``; the performance is ``"val_acc"`` or ``"val_bleu"`` of the split
``"val"``, ``"train_acc"`` or ``"train_bleu"`` of ``"train"``.
"""

from attention_dynamics import cli
from attention_dynamics.analysis import collection
from attention_dynamics.translation.data import DATASETS, beta_path
from attention_dynamics.translation.evidence import evidence_of


def parse_args():
    parser = collection.parser(
        "Collect the paper's figures from what the stages wrote.", __file__, DATASETS
    )
    parser.add_argument(
        "--include_bleu_results", action="store_true", help="BLEU as performance too"
    )
    return parser.parse_args()


def main():
    args = parse_args()
    performances = {
        split: [f"{split}_acc"] + [f"{split}_bleu"] * args.include_bleu_results
        for split in ("val", "train")
    }
    collection.collect(args, performances, beta_path, evidence_of)


if __name__ == "__main__":
    cli.run(main)
