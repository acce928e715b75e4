"""Evaluate saved checkpoints: alpha, beta and Delta on test and training sentences.

The published checkpoints of the dataset are evaluated, or those that configs/<dataset>.json (or
<dataset>_log.json) lists; for your own data without a list, those that all runs saved. A listed
iteration past the end of training is left out. The same command resumes after an interruption,
and later adds new checkpoints.

reads:   models/<dataset>/, from train_classifier.py; data/
writes:  outputs/<dataset>_logs.pkl (attention_dynamics/analysis/dump.py describes it)
next:    embedding_beta.py, then collect_classification_stats.py

example:
  python eval_dump.py --dataset IMDB
"""

from pathlib import Path

from attention_dynamics import cli
from attention_dynamics.analysis.dump import dump_path, evaluate_missing, hold
from attention_dynamics.analysis.evidence import SCORE
from attention_dynamics.classification.columns import COLUMNS
from attention_dynamics.classification.data import evaluated_sentences, load_dataset
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.classification.evaluation import dumped_sentences, evaluate_checkpoint
from attention_dynamics.classification.model import VERSION, Classifier, build, load_config
from attention_dynamics.corpus import add_dataset
from attention_dynamics.files import locks
from attention_dynamics.training import checkpoints, interventions


def parse_args():
    parser = cli.Parser(__doc__)
    cli.add_model_config(parser, __file__)
    add_dataset(parser, DATASETS)
    parser.add_argument(
        "--test_set_size",
        type=cli.positive_int,
        default=4000,
        help="evaluate at most this many test sentences, and equally many training sentences",
    )
    checkpoints.add_flags(parser)
    interventions.add_flags(parser)
    cli.add_folders(parser, __file__, "data", "models", "outputs", "configs")
    cli.add_device(parser)
    locks.add_flag(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    config = interventions.add_to(load_config(args.config), args)
    corpus = DATASETS.find(args.dataset, args.data_dir, args.outputs_dir)
    dataset = load_dataset(args.data_dir, args.dataset)
    evaluated = checkpoints.to_evaluate(args, corpus, config, grad_by_default=True)
    settings = {**config, "version": VERSION, "data": dataset.digest}
    train = f'"python train_classifier.py --dataset {args.dataset} ..." makes them'
    evaluated, paths = checkpoints.evaluated_checkpoints(
        evaluated, args.models_dir, args.dataset, config, settings, train, end_is_last=True
    )
    sentences, splits = evaluated_sentences(dataset, args.test_set_size)
    versions = {name: column.version for name, column in COLUMNS.items()}
    if len(dataset.labels) > 2:
        versions |= {SCORE: VERSION}
    settings |= {"columns": versions}
    header = {
        "dataset": args.dataset,
        "settings": settings | {split: len(rows) for split, rows in splits.items()},
        "vocab": dataset.vocab,
        "labels": list(dataset.labels),
        "sentences": dumped_sentences(sentences, splits),
    }

    def load(checkpoint: Path, entry: checkpoints.CheckpointSpec | None = None) -> Classifier:
        uniform = entry is not None and entry.uniform
        model = build(config, len(dataset.vocab), uniform, len(dataset.labels))
        checkpoints.load_weights(model, checkpoint, train, entry)
        return model.to(device).requires_grad_(False)

    attention = interventions.Attention(config, args.models_dir, args.dataset, load)

    def evaluate(entry: checkpoints.CheckpointSpec, checkpoint: Path):
        model = load(checkpoint, entry)
        if not entry.uniform:
            attention.set(model, entry.seed, entry.iteration)
        columns = evaluate_checkpoint(model, sentences, splits, entry.calculate_grad, device)
        metas = columns["metas"]
        cli.say(
            f"{entry.name} {entry.iteration:>6}   test accuracy {metas['test_acc']:.4f}   "
            f"train accuracy {metas['train_acc']:.4f}"
        )
        return columns

    path = dump_path(args.outputs_dir, args.dataset)
    hold(path, args.runs, args.parts_only, args.wait)
    count = evaluate_missing(path, header, evaluated, paths, evaluate, parts_only=args.parts_only)
    print(f"{path}: {len(evaluated)} checkpoints, {count} of them evaluated now")


if __name__ == "__main__":
    cli.run(main)
