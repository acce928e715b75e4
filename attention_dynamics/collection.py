"""From dumps and word baselines to the paper's tables: what both collection scripts do."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli, dynamics, storage, word_baseline
from attention_dynamics.dump import dump_path, load_dump


def parser(description: str, script: str, datasets: list[str], aliases: dict) -> cli.Parser:
    """The flags that both scripts have."""
    parser = cli.Parser(description=description)
    cli.add_dataset(parser, datasets, aliases, several=True)
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
    cli.add_folders(parser, script, "outputs")
    return parser


def collect(
    args: argparse.Namespace,
    performances: dict[str, Sequence[str]],
    beta_path: Callable[[Path, str, int], Path],
    evidence_of: Callable[[dict[str, Any], np.ndarray, str, str], dynamics.Evidence],
) -> None:
    """Summarize each dataset, metric, split and performance; write them, and print a table.

    Parameters
    ----------
    args : of :func:`parser`
    performances : the splits, and the performance keys that go with the sentences of each
    beta_path : where the word baseline of (outputs folder, dataset, dimension) is
    evidence_of : gives the evidence of (dump, β^px, split, performance key)
    """
    metrics = ["top 5% match"] + ["kendall tau"] * args.include_kendall_tau
    splits = ["val"] + ["train"] * args.include_train_results
    summaries = [(split, key) for split in splits for key in performances[split]]
    results = {}
    bar = cli.progress_bar(None, total=len(args.datasets) * len(metrics) * len(summaries))
    for dataset in args.datasets:
        dump = load_dump(args.outputs_dir, dataset)
        runs = dynamics.RunNames.of(set(dump["alpha"]), str(dump_path(args.outputs_dir, dataset)))
        baseline = word_baseline.load_baseline(
            beta_path(args.outputs_dir, dataset, args.embed_dim),
            dump["vocab"],
            f'run "python embedding_beta.py --dataset {dataset} --embed_dim {args.embed_dim}"',
        )
        for metric in metrics:
            for split, performance in summaries:
                evidence = evidence_of(dump, baseline["beta"], split, performance)
                key = (dataset, metric, split, performance)
                results[key] = dynamics.summarize(runs, evidence, metric)
                bar.update()
    bar.close()
    storage.save_pickle(results, args.out_file)
    print(dynamics.format_table(results))


def rows_of_split(split_column: np.ndarray, split: str) -> slice:
    """The rows of a split: a run of neighbours."""
    rows = np.flatnonzero(split_column == split)
    return slice(rows[0], rows[-1] + 1) if len(rows) else slice(0, 0)


def evidence(
    dump: dict[str, Any],
    offsets: np.ndarray,
    rows: slice,
    performance: str,
    beta_px: Callable[[slice], np.ndarray] | None,
    sign: np.ndarray | float = 1.0,
) -> dynamics.Evidence:
    """The columns of a run of rows.

    Parameters
    ----------
    offsets : of all the dump's rows
    beta_px : gives the word baseline's values at a slice of the columns; None where there is none
    sign : of those columns' β and β^px, so that larger means "speaks for the gold label"
    """
    entries = slice(offsets[rows.start], offsets[rows.stop])

    def grad(name: str, iteration: int) -> np.ndarray | None:
        column = dump["grad"].get((name, iteration))
        return None if column is None else column[entries]

    return dynamics.Evidence(
        offsets=offsets[rows.start : rows.stop + 1] - offsets[rows.start],
        alpha=lambda name, iteration: dump["alpha"][name, iteration][entries],
        beta=lambda name, iteration: dump["beta"][name, iteration][entries] * sign,
        grad=grad,
        beta_px=None if beta_px is None else beta_px(entries) * sign,
        performance=lambda name, iteration: dump["metas"][name, iteration, performance],
    )
