"""Evaluate saved checkpoints: alpha, beta and Delta on test and training sentences.

    python eval_dump.py --dataset IMDB

Reads the list of checkpoints in ``configs/<dataset>.json`` (or ``<dataset>_log.json``), writes
``outputs/<dataset>_logs.pkl`` (see ``files/dump.py``). A listed iteration
past the end of training is left out. Interrupted, it keeps what it has evaluated; run again, it
adds what is missing.
"""

import numpy as np

from attention_dynamics import cli
from attention_dynamics.classification.data import (
    DATASETS,
    evaluated_sentences,
    load_dataset,
    name_of_files,
)
from attention_dynamics.classification.evaluation import evaluate_checkpoint
from attention_dynamics.classification.model import build, load_config
from attention_dynamics.files.dump import dump_path, evaluate_missing
from attention_dynamics.training import checkpoints


def parse_args():
    parser = cli.Parser(description="Dump alpha, beta and Delta of saved checkpoints.")
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
    return parser.parse_args()


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    config = load_config(args.config)
    config_name = name_of_files(args.configs_dir, args.dataset, ".json", "_log.json")
    evaluated = checkpoints.load_evaluated(
        checkpoints.evaluated_path(args.configs_dir, config_name), grad_by_default=True
    )
    dataset = load_dataset(args.data_dir, args.dataset)
    train = f'"python train_classifier.py --dataset {args.dataset} ..." makes them'
    evaluated, paths = checkpoints.evaluated_checkpoints(
        evaluated, args.models_dir, args.dataset, config, train, end_is_last=True
    )

    test_rows, train_rows = evaluated_sentences(dataset, args.test_set_size)
    sentences = dataset.test.take(test_rows).concatenate(dataset.train.take(train_rows))
    in_test = np.arange(len(sentences)) < len(test_rows)
    header = {
        "dataset": args.dataset,
        "vocab": dataset.vocab,
        "sentences": {
            "tokens": sentences.tokens.values.astype(np.int32),
            "offsets": sentences.tokens.offsets,
            "target": sentences.gold,
            "split": np.where(in_test, "val", "train"),
        },
    }

    def evaluate(entry: checkpoints.Evaluated, checkpoint):
        model = build(config, len(dataset.vocab), entry.uniform).to(device).requires_grad_(False)
        checkpoints.load_weights(model, checkpoint, train)
        columns = evaluate_checkpoint(model, sentences, in_test, entry.calculate_grad, device)
        metas = columns["metas"]
        cli.say(
            f"{entry.name} {entry.iteration:>6}   test accuracy {metas['test_acc']:.4f}   "
            f"train accuracy {metas['train_acc']:.4f}"
        )
        return columns

    path = dump_path(args.outputs_dir, args.dataset)
    count = evaluate_missing(path, header, evaluated, paths, evaluate)
    print(f"{path}: {len(evaluated)} checkpoints, {count} of them evaluated now")


if __name__ == "__main__":
    cli.run(main)
