"""Evaluate saved checkpoints: alpha, beta and Delta on test and training sentences.

The published checkpoints of the dataset are evaluated, or those that configs/<dataset>.json (or
<dataset>_log.json) lists. A listed iteration past the end of training is left out. If it is
interrupted, the same command resumes; run again later, it adds what is new.

reads:   models/<dataset>/, from train_classifier.py; data/
writes:  outputs/<dataset>_logs.pkl (attention_dynamics/analysis/dump.py describes it)
next:    embedding_beta.py, then collect_classification_stats.py

example:
  python eval_dump.py --dataset IMDB
"""

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis.dump import dump_path, evaluate_missing
from attention_dynamics.classification.columns import COLUMNS
from attention_dynamics.classification.data import evaluated_sentences, load_dataset
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.classification.evaluation import evaluate_checkpoint
from attention_dynamics.classification.model import VERSION, build, load_config
from attention_dynamics.corpus import find
from attention_dynamics.files import locks
from attention_dynamics.training import checkpoints


def parse_args():
    parser = cli.Parser(__doc__)
    cli.add_model_config(parser, __file__)
    cli.add_dataset(parser, DATASETS)
    parser.add_argument(
        "--test_set_size",
        type=cli.positive_int,
        default=4000,
        help="evaluate at most this many test sentences, and equally many training sentences",
    )
    cli.add_folders(parser, __file__, "data", "models", "outputs", "configs")
    cli.add_device(parser)
    locks.add_flag(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    config = load_config(args.config)
    corpus = find(DATASETS, args.dataset)
    evaluated = checkpoints.listed(args.configs_dir, corpus, grad_by_default=True)
    dataset = load_dataset(args.data_dir, args.dataset)
    settings = {**config, "version": VERSION, "data": dataset.digest}
    train = f'"python train_classifier.py --dataset {args.dataset} ..." makes them'
    evaluated, paths = checkpoints.evaluated_checkpoints(
        evaluated, args.models_dir, args.dataset, config, settings, train, end_is_last=True
    )
    sentences, splits = evaluated_sentences(dataset, args.test_set_size)
    settings |= {"columns": {name: column.version for name, column in COLUMNS.items()}}
    header = {
        "dataset": args.dataset,
        "settings": settings | {split: len(rows) for split, rows in splits.items()},
        "vocab": dataset.vocab,
        "sentences": {
            "tokens": sentences.tokens.values.astype(np.int32),
            "offsets": sentences.tokens.offsets,
            "target": sentences.gold,
            "split": np.repeat(list(splits), [len(rows) for rows in splits.values()]),
        },
    }

    def evaluate(entry: checkpoints.CheckpointSpec, checkpoint):
        model = build(config, len(dataset.vocab), entry.uniform).to(device).requires_grad_(False)
        checkpoints.load_weights(model, checkpoint, train, entry)
        columns = evaluate_checkpoint(model, sentences, splits, entry.calculate_grad, device)
        metas = columns["metas"]
        cli.say(
            f"{entry.name} {entry.iteration:>6}   test accuracy {metas['test_acc']:.4f}   "
            f"train accuracy {metas['train_acc']:.4f}"
        )
        return columns

    path = dump_path(args.outputs_dir, args.dataset)
    locks.hold(path, args.wait)
    count = evaluate_missing(path, header, evaluated, paths, evaluate)
    print(f"{path}: {len(evaluated)} checkpoints, {count} of them evaluated now")


if __name__ == "__main__":
    cli.run(main)
