"""Agreements over training, and the performance reached by then: the paper's tables.

    python collect_translation_stats.py --datasets multi30k --out_file outputs/stats.pkl

Reads what ``eval_dump.py`` and ``embedding_beta.py`` wrote, prints a table, and writes a pickle:
``{(dataset, metric, "val" | "train", performance): summary}`` with ``"top 5% match"``,
``"kendall tau"`` or ``"spearman"`` as metric, and the summary of
``attention_dynamics/dynamics.py``; the performance is ``"val_acc"`` or ``"val_bleu"`` of the split
``"val"``, ``"train_acc"`` or ``"train_bleu"`` of ``"train"``.
"""

from typing import Any

import numpy as np

from attention_dynamics import cli, collection, dynamics
from attention_dynamics.cli import InputError
from attention_dynamics.ragged import Ragged, offsets_of

from data import ALIASES, DATASETS, beta_path


def parse_args():
    parser = collection.parser(
        "Collect the paper's figures from what the stages wrote.", __file__, DATASETS, ALIASES
    )
    parser.add_argument(
        "--include_bleu_results", action="store_true", help="BLEU as performance too"
    )
    return parser.parse_args()


def evidence_of(
    dump: dict[str, Any], betas: dict[str, np.ndarray], split: str, performance: str
) -> dynamics.Evidence:
    """The columns of one split: a row for each target token, an entry for each source token."""
    again = f'run "python eval_dump.py --dataset {dump["dataset"]}'
    sentences = dump["sentences"]
    if split not in sentences["split"]:
        raise InputError(
            f"--include_train_results: the dump of {dump['dataset']} has no training sentences: "
            f'{again} --include_train_subset"'
        )
    if any((*key, performance) not in dump["metas"] for key in dump["alpha"]):
        raise InputError(
            f"--include_bleu_results: the dump of {dump['dataset']} has no {performance}: "
            f'{again} --eval_bleu"'
        )
    source = Ragged(sentences["source"], sentences["source_offsets"])
    # the targets after <s>, and for each the sentence that it is in
    target_offsets = sentences["target_offsets"]
    n_target = np.diff(target_offsets) - 1
    sentence = np.repeat(np.arange(len(n_target)), n_target)
    target = np.delete(sentences["target"], target_offsets[:-1])

    chosen = collection.rows_of_split(sentences["split"], split)
    ends = offsets_of(n_target)
    rows = slice(ends[chosen.start], ends[chosen.stop])
    lengths = source.lengths[sentence]

    def of_words(_: slice) -> dict[str, np.ndarray]:
        words = source.take(sentence[rows]).values, np.repeat(target[rows], lengths[rows])
        return {name: beta[words] for name, beta in betas.items()}

    return collection.evidence(
        dump,
        offsets_of(lengths),
        rows,
        performance,
        of_words,
        sentence=sentence[rows] - chosen.start,
    )


def main():
    args = parse_args()
    performances = {
        split: [f"{split}_acc"] + [f"{split}_bleu"] * args.include_bleu_results
        for split in ("val", "train")
    }
    collection.collect(args, performances, beta_path, evidence_of)


if __name__ == "__main__":
    cli.run(main)
