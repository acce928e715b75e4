"""Evaluate saved checkpoints: alpha, beta and Delta of every target token, and BLEU.

The published checkpoints of the dataset are evaluated, or those that configs/<dataset>.json (or
<dataset>_log.json) lists; for your own data without a list, those that all runs saved. A listed
iteration past the end of training is left out. The same command resumes after an interruption,
and later adds new checkpoints.

reads:   models/<dataset>/, from train_translation.py; data/
writes:  outputs/<dataset>_logs.pkl (attention_dynamics/analysis/dump.py describes it); its columns
         have a row for each target token after <s>: a distribution over the source tokens
next:    embedding_beta.py, then collect_translation_stats.py

example:
  python eval_dump.py --dataset multi30k --eval_bleu --include_train_subset
"""

from pathlib import Path

from attention_dynamics import cli
from attention_dynamics.analysis.dump import dump_path, evaluate_missing, hold
from attention_dynamics.corpus import add_dataset
from attention_dynamics.files import locks
from attention_dynamics.training import checkpoints, interventions
from attention_dynamics.translation.columns import COLUMNS
from attention_dynamics.translation.data import add_vocab_size, evaluated_pairs, load_dataset
from attention_dynamics.translation.datasets import DATASETS
from attention_dynamics.translation.decoding import bleu
from attention_dynamics.translation.evaluation import dumped_sentences, evaluate_checkpoint
from attention_dynamics.translation.model import VERSION, Translator, build, load_config


def parse_args():
    parser = cli.Parser(__doc__)
    cli.add_model_config(parser, __file__)
    add_dataset(parser, DATASETS)
    parser.add_argument("--eval_bleu", action="store_true", help="BLEU as well as token accuracy")
    parser.add_argument(
        "--include_train_subset",
        action="store_true",
        help="also evaluate as many training sentences as there are validation sentences",
    )
    parser.add_argument(
        "--test_set_size",
        type=cli.positive_int,
        help="evaluate at most this many validation sentences (default: all)",
    )
    parser.add_argument(
        "--grad_bsize",
        type=cli.positive_int,
        default=16,
        help="number of sentences whose Delta is computed together, at most",
    )
    add_vocab_size(parser)
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
    dataset = load_dataset(args.data_dir, args.dataset, args.vocab_size)
    evaluated = checkpoints.to_evaluate(args, corpus, config, grad_by_default=False)
    settings = {**config, "version": VERSION, "data": dataset.digest}
    train = f'"python train_translation.py --dataset {args.dataset} ..." makes them'
    evaluated, paths = checkpoints.evaluated_checkpoints(
        evaluated, args.models_dir, args.dataset, config, settings, train
    )
    pairs, splits = evaluated_pairs(dataset, args.include_train_subset, args.test_set_size)
    settings |= {"columns": {name: column.version for name, column in COLUMNS.items()}}
    header = {
        "dataset": args.dataset,
        "settings": settings | {split: len(rows) for split, rows in splits.items()},
        "vocab": dataset.vocab,
        "sentences": dumped_sentences(pairs, splits),
    }

    def load(checkpoint: Path, entry: checkpoints.CheckpointSpec | None = None) -> Translator:
        uniform = entry is not None and entry.uniform
        model = build(config, len(dataset.vocab), uniform)
        checkpoints.load_weights(model, checkpoint, train, entry)
        return model.to(device).eval().requires_grad_(False)

    attention = interventions.Attention(config, args.models_dir, args.dataset, load)

    def evaluate(entry: checkpoints.CheckpointSpec, checkpoint: Path):
        model = load(checkpoint, entry)
        if not entry.uniform:
            attention.set(model, entry.seed, entry.iteration)
        columns = evaluate_checkpoint(
            model, pairs, splits, entry.calculate_grad, device, args.grad_bsize
        )
        metas = columns["metas"]
        if args.eval_bleu:
            for split, rows in splits.items():
                metas[f"{split}_bleu"] = bleu(model, dataset, pairs.take(rows), device)
        values = "   ".join(f"{key} {value:.2f}" for key, value in metas.items())
        cli.say(f"{entry.name} {entry.iteration:>6}   {values}")
        return columns

    path = dump_path(args.outputs_dir, args.dataset)
    hold(path, args.runs, args.parts_only, args.wait)
    needed = [f"{split}_bleu" for split in splits if args.eval_bleu]
    count = evaluate_missing(path, header, evaluated, paths, evaluate, needed, args.parts_only)
    print(f"{path}: {len(evaluated)} checkpoints, {count} of them evaluated now")


if __name__ == "__main__":
    cli.run(main)
