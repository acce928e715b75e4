"""From dumps and word baselines to the paper's tables: what both collection scripts do."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis import dynamics, tables
from attention_dynamics.files import storage
from attention_dynamics.files.dump import dump_path, load_dump
from attention_dynamics.training import word_baseline


def parser(description: str, script: str, datasets: list[str]) -> cli.Parser:
    """The flags that both scripts have."""
    parser = cli.Parser(description=description)
    cli.add_dataset(parser, datasets, several=True)
    parser.add_argument("--out_file", type=Path, required=True, help="pickle to write")
    parser.add_argument(
        "--include_kendall_tau", action="store_true", help="Kendall's tau beside top-5%% match"
    )
    parser.add_argument(
        "--include_spearman", action="store_true", help="Spearman's rank correlation too"
    )
    parser.add_argument(
        "--include_train_results", action="store_true", help="training sentences too"
    )
    parser.add_argument(
        "--embed_dim", type=cli.positive_int, default=256, help="of the word baseline to use"
    )
    parser.add_argument(
        "--format", choices=tables.FORMATS, default="text", help="of the table that is printed"
    )
    parser.add_argument(
        "--resamples",
        type=cli.natural,
        default=1000,
        help="of the sentences, for the 95%% intervals; 0 for none",
    )
    parser.add_argument("--bootstrap_seed", type=cli.seed, default=0, help="of the resamples")
    cli.add_folders(parser, script, "outputs")
    return parser


def collect(
    args: argparse.Namespace,
    performances: dict[str, Sequence[str]],
    beta_path: Callable[[Path, str, int], Path],
    evidence_of: Callable[[dict[str, Any], dict[str, np.ndarray], str, str], dynamics.Evidence],
    logistic_path: Callable[[Path, str], Path] | None = None,
) -> None:
    """Summarize each dataset, metric, split and performance; write them, and print a table.

    Parameters
    ----------
    args : of :func:`parser`
    performances : the splits, and the performance keys that go with the sentences of each
    beta_path : where the word baseline of (outputs folder, dataset, dimension) is
    evidence_of : gives the evidence of (dump, word baselines, split, performance key), where the
        baselines are arrays over words by their names in :class:`dynamics.Evidence`
    logistic_path : where the logistic word baseline of (outputs folder, dataset) is; it is used
        where there is one
    """
    metrics = ["top 5% match"]
    metrics += ["kendall tau"] * args.include_kendall_tau + ["spearman"] * args.include_spearman
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
        if baseline["settings"].get("published_loss"):
            print(f"{dataset}: the word baseline was fitted with --published_loss")
        betas = {"beta_px": baseline["beta"]}
        if logistic_path and (path := logistic_path(args.outputs_dir, dataset)).exists():
            make = f'run "python logistic_beta.py --dataset {dataset}"'
            logistic = word_baseline.load_baseline(path, dump["vocab"], make)
            betas["beta_logistic"] = logistic["beta"]
        for metric in metrics:
            for split, performance in summaries:
                results[dataset, metric, split, performance] = dynamics.summarize(
                    runs,
                    evidence_of(dump, betas, split, performance),
                    metric,
                    resamples=args.resamples,
                    bootstrap_seed=args.bootstrap_seed,
                )
                bar.update()
    bar.close()
    storage.save_pickle(results, args.out_file)
    print(tables.FORMATS[args.format](results))


def rows_of_split(split_column: np.ndarray, split: str) -> slice:
    """The rows of a split: a run of neighbours."""
    rows = np.flatnonzero(split_column == split)
    return slice(rows[0], rows[-1] + 1) if len(rows) else slice(0, 0)


def evidence(
    dump: dict[str, Any],
    offsets: np.ndarray,
    rows: slice,
    performance: str,
    of_words: Callable[[slice], dict[str, np.ndarray]],
    sign: np.ndarray | float = 1.0,
    sentence: np.ndarray | None = None,
) -> dynamics.Evidence:
    """The columns of a run of rows.

    Parameters
    ----------
    offsets : of all the dump's rows
    of_words : gives the word baselines' values at a slice of the columns
    sign : of those columns' β and word baselines, so that larger means "speaks for the gold label"
    sentence : that each row is in, from 0; None where each is a sentence
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
        performance=lambda name, iteration: dump["metas"][name, iteration, performance],
        sentence=sentence,
        **{name: values * sign for name, values in of_words(entries).items()},
    )
