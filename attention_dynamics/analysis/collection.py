"""From dumps and word baselines to the paper's tables: what both collection scripts do."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis import dynamics, onsets, tables
from attention_dynamics.analysis.dump import dump_path, load_dump
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.metrics import METRICS
from attention_dynamics.analysis.task import Task
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import add_dataset
from attention_dynamics.files import locks, storage
from attention_dynamics.training import word_baseline


def parser(description: str, script: str, task: Task) -> cli.Parser:
    """The flags that both scripts have."""
    parser = cli.Parser(description)
    add_dataset(parser, task.datasets, several=True)
    parser.add_argument(
        "--out_file",
        type=Path,
        required=True,
        help="pickle to write; results in it that are not collected again stay",
    )
    for metric in METRICS.values():
        if metric.flag:
            help = f"add the metric {metric.name}: {metric.help}"
            parser.add_argument(metric.flag, action="store_true", help=help, dest=metric.name)
    parser.add_argument(
        "--include_train_results", action="store_true", help="add results on training sentences"
    )
    parser.add_argument(
        "--include_onsets",
        action="store_true",
        help="also print a second table: the updates at which evidence and attention begin to "
        "agree with the gold attention; needs --resamples",
    )
    parser.add_argument(
        "--embed_dim", type=cli.positive_int, default=256, help="dimension of the word baseline"
    )
    add_gold(
        parser,
        "add the mean, smallest and largest of each figure over gold runs; each normal run is the "
        "gold run in turn, the others are the comparison runs",
    )
    parser.add_argument(
        "--format", choices=tables.FORMATS, default="text", help="format of the printed table"
    )
    parser.add_argument(
        "--resamples",
        type=cli.natural,
        default=1000,
        help="bootstrap resamples of the sentences, for the 95%% intervals; 0: no intervals",
    )
    parser.add_argument("--bootstrap_seed", type=cli.seed, default=0, help="seed of the resamples")
    cli.add_folders(parser, script, "outputs")
    parser.checks.append(needs_resamples)
    return parser


def needs_resamples(args: argparse.Namespace) -> None:
    if args.include_onsets and not args.resamples:
        raise InputError("--include_onsets needs --resamples above 0")


def add_gold(parser: cli.Parser, all_runs: str) -> None:
    """``--gold``, and what it does with all runs."""
    choices = ["Normal_A", "all"]
    parser.add_argument("--gold", choices=choices, default=choices[0], help=f"all: {all_runs}")


def collect(args: argparse.Namespace, task: Task, every_performance: bool = False) -> None:
    """Summarize each dataset, metric, split and performance; write them, and print a table.

    Parameters
    ----------
    args : of :func:`parser`
    every_performance : collect for every performance of the task, not the first of a split alone

    Raises
    ------
    InputError
        if a file is missing or damaged, or ``args.out_file`` holds something else than results.
    """
    results_in(args.out_file)  # an unusable file is refused before the work
    metrics = [name for name, metric in METRICS.items() if not metric.flag or vars(args)[name]]
    splits = ["val"] + ["train"] * args.include_train_results
    summaries = [
        (split, performance)
        for split in splits
        for performance in task.performances[split][: None if every_performance else 1]
    ]
    results = {}
    total = len(args.datasets) * len(metrics) * len(summaries)
    bar = cli.progress_bar(None, total=total, unit="summary")
    for dataset in args.datasets:
        dump = load_dump(args.outputs_dir, dataset)
        runs = RunNames.of(set(dump["alpha"]), str(dump_path(args.outputs_dir, dataset)))
        betas = load_betas(task, args.outputs_dir, dataset, args.embed_dim, dump["vocab"])
        for metric in metrics:
            for split, performance in summaries:
                evidence = task.evidence_of(dump, betas, split, performance)
                what = (runs, evidence, METRICS[metric], task.levels)
                summary = dynamics.summarize(
                    *what, resamples=args.resamples, bootstrap_seed=args.bootstrap_seed
                )
                if args.gold == "all":
                    summary |= dynamics.over_gold(*what)
                if args.include_onsets:
                    curves = onsets.curves(runs, evidence, METRICS[metric])
                    times = onsets.onsets(curves, args.resamples, args.bootstrap_seed)
                    summary["onsets"] = {key: asdict(time) for key, time in times.items()}
                results[dataset, metric, split, performance] = summary | {"dump": dump["id"]}
                bar.update()
    bar.close()
    with locks.held(args.out_file, wait=True):  # another process may add its own
        before = results_in(args.out_file)
        storage.save_pickle(before | results, args.out_file)
    kept = [key for key in before if key not in results]
    if kept:
        datasets = ", ".join(dict.fromkeys(key[0] for key in kept))
        # stdout is for the table, which may go to a file
        print(f"{args.out_file}: kept {len(kept)} other results, of {datasets}", file=sys.stderr)
    print(tables.FORMATS[args.format](results, task.levels))
    if args.include_onsets and args.format != "csv":  # which has them in its columns
        print("\n" + tables.onset_table(results, args.format))


def results_in(path: Path) -> tables.Results:
    """The results in a file; none if there is no file."""
    do = "choose another --out_file or delete it"
    return tables.load_results(path, do) if path.exists() else {}


def load_betas(
    task: Task, outputs_dir: Path, dataset: str, embed_dim: int, vocab: list[str]
) -> dict[str, np.ndarray]:
    """The word baseline, and the logistic one if it was fitted: {"px": beta, "logistic": beta}."""
    make = f'run "python embedding_beta.py --dataset {dataset} --embed_dim {embed_dim}"'
    path = task.beta_path(outputs_dir, dataset, embed_dim)
    baseline: dict[str, Any] = word_baseline.load_baseline(path, vocab, make)
    if baseline["settings"].get("published_loss"):
        print(f"{dataset}: the word baseline was fitted with --published_loss", file=sys.stderr)
    betas = {"px": baseline["beta"]}
    if task.logistic_path and (path := task.logistic_path(outputs_dir, dataset)).exists():
        make = f'run "python logistic_beta.py --dataset {dataset}"'
        betas["logistic"] = word_baseline.load_baseline(path, vocab, make)["beta"]
    return betas
