"""Agreements over training, and the performance reached by then: the paper's tables.

    python collect_classification_stats.py --datasets IMDB SNS --out_file outputs/stats.pkl

Reads what ``eval_dump.py`` and ``embedding_beta.py`` wrote, prints a table, and writes a pickle:
``{(dataset, "top 5% match" | "kendall tau", "val" | "train", "test_acc" | "train_acc"): summary}``
with the summary of ``attention_dynamics/dynamics.py``.
"""

from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli, dynamics, storage, word_baseline
from attention_dynamics.dump import dump_path, load_dump

from data import ALIASES, DATASETS, beta_path

# The performance that goes with the sentences of each split.
PERFORMANCE = {"val": "test_acc", "train": "train_acc"}


def parse_args():
    parser = cli.Parser(description="Collect the paper's figures from what the stages wrote.")
    cli.add_dataset(parser, DATASETS, ALIASES, several=True)
    parser.add_argument("--out_file", type=Path, required=True, help="pickle to write")
    parser.add_argument(
        "--include_kendall_tau", action="store_true", help="Kendall's tau beside top-5%% match"
    )
    parser.add_argument(
        "--include_train_results", action="store_true", help="training sentences too"
    )
    parser.add_argument(
        "--embed_dim", type=cli.positive_int, default=256, help="of the word baseline to use"
    )
    cli.add_folders(parser, __file__, "outputs")
    return parser.parse_args()


def evidence_of(dump: dict[str, Any], beta_px: np.ndarray, split: str) -> dynamics.Evidence:
    """The columns of one split, turned so that larger means "speaks for the gold label"."""
    sentences = dump["sentences"]
    rows = np.flatnonzero(sentences["split"] == split)  # a run of neighbours
    offsets = sentences["offsets"][rows[0] : rows[-1] + 2]
    tokens = slice(offsets[0], offsets[-1])
    sign = np.repeat(2 * sentences["target"][rows] - 1, np.diff(offsets)).astype(np.float32)

    def grad(name: str, iteration: int) -> np.ndarray | None:
        column = dump["grad"].get((name, iteration))
        return None if column is None else column[tokens]

    return dynamics.Evidence(
        offsets=offsets - offsets[0],
        alpha=lambda name, iteration: dump["alpha"][name, iteration][tokens],
        beta=lambda name, iteration: dump["beta"][name, iteration][tokens] * sign,
        grad=grad,
        beta_px=beta_px[sentences["tokens"][tokens]] * sign,
        performance=lambda name, iteration: dump["metas"][name, iteration, PERFORMANCE[split]],
    )


def main():
    args = parse_args()
    metrics = ["top 5% match"] + ["kendall tau"] * args.include_kendall_tau
    splits = ["val"] + ["train"] * args.include_train_results
    results = {}
    bar = cli.progress_bar(None, total=len(args.datasets) * len(metrics) * len(splits))
    for dataset in args.datasets:
        dump = load_dump(args.outputs_dir, dataset)
        runs = dynamics.RunNames.of(set(dump["alpha"]), str(dump_path(args.outputs_dir, dataset)))
        baseline = word_baseline.load_baseline(
            beta_path(args.outputs_dir, dataset, args.embed_dim),
            dump["vocab"],
            f'run "python embedding_beta.py --dataset {dataset} --embed_dim {args.embed_dim}"',
        )
        for metric in metrics:
            for split in splits:
                evidence = evidence_of(dump, baseline["beta"], split)
                key = (dataset, metric, split, PERFORMANCE[split])
                results[key] = dynamics.summarize(runs, evidence, metric)
                bar.update()
    bar.close()
    storage.save_pickle(results, args.out_file)
    print(dynamics.format_table(results))


if __name__ == "__main__":
    cli.run(main)
