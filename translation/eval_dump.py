"""Evaluate saved checkpoints: alpha, beta and Delta of every target token, and BLEU.

    python eval_dump.py --dataset multi30k --eval_bleu --include_train_subset

Reads the list of checkpoints in ``configs/<dataset>.json`` (or ``<dataset>_log.json``), writes
``outputs/<dataset>_logs.pkl`` (described in ``attention_dynamics/dump.py``). Its columns have a row
for each target token after <s>: a distribution over the source tokens. A listed iteration past the
end of training is left out. Interrupted, it keeps what it has evaluated; run again, it adds what is
missing.
"""

import math

import numpy as np

from attention_dynamics import cli, runs
from attention_dynamics.dump import dump_path, evaluate_missing
from attention_dynamics.ragged import Ragged, offsets_of

from data import (
    DATASETS,
    Dataset,
    Pairs,
    add_vocab_size,
    batches_of_like_length,
    load_dataset,
    to_tensors,
    training_subset,
)
from decoding import bleu
from influence import gradient_influence
from model import EVAL_TOKENS, build, load_config, nll, token_evidence, without_first


def parse_args():
    parser = cli.Parser(description="Dump alpha, beta and Delta of saved checkpoints.")
    cli.add_model_config(parser, __file__)
    cli.add_dataset(parser, DATASETS)
    parser.add_argument("--eval_bleu", action="store_true", help="BLEU as well as token accuracy")
    parser.add_argument(
        "--include_train_subset",
        action="store_true",
        help="as many training sentences as there are validation sentences too",
    )
    parser.add_argument(
        "--grad_bsize",
        type=cli.positive_int,
        default=16,
        help="number of sentences whose Delta is computed together, at most",
    )
    add_vocab_size(parser)
    cli.add_folders(parser, __file__, "data", "models", "outputs", "configs")
    cli.add_device(parser)
    return parser.parse_args()


def evaluate_checkpoint(model, pairs: Pairs, splits: dict[str, np.ndarray], device) -> dict:
    """Columns alpha and beta of one checkpoint: see ``attention_dynamics/dump.py``.

    Parameters
    ----------
    splits : the rows of each split, which metas are given of
    """
    n_source, n_target = pairs.source.lengths, pairs.target.lengths - 1
    offsets = offsets_of(n_source * n_target)
    alpha, beta = (Ragged(np.empty(offsets[-1], np.float32), offsets) for _ in range(2))
    losses, correct = np.empty(len(pairs)), np.empty(len(pairs))  # sums over a sentence's tokens
    for rows, batch in batches_of_like_length(pairs, EVAL_TOKENS):
        source, source_lengths, target, target_lengths = to_tensors(batch, device)
        output, evidence = token_evidence(model, source, source_lengths, target, target_lengths)
        places = alpha.places(rows)
        alpha.values[places] = output.alpha.cpu().numpy()
        beta.values[places] = evidence.cpu().numpy()
        predicted = without_first(target, target_lengths)
        starts = offsets_of(n_target[rows])[:-1]
        token_losses = nll(output.logits, predicted).double().cpu().numpy()
        token_correct = (output.logits.argmax(dim=1) == predicted).double().cpu().numpy()
        losses[rows] = np.add.reduceat(token_losses, starts)
        correct[rows] = np.add.reduceat(token_correct, starts)
    metas = {}
    for split, rows in splits.items():
        count = n_target[rows].sum()
        metas[f"{split}_acc"] = float(100 * correct[rows].sum() / count)
        metas[f"{split}_perplexity"] = math.exp(losses[rows].sum() / count)
    return {"alpha": alpha.values, "beta": beta.values, "grad": None, "metas": metas}


def evaluated_pairs(dataset: Dataset, with_train: bool) -> tuple[Pairs, dict[str, np.ndarray]]:
    """The pairs to evaluate, and which of their rows belong to which split."""
    pairs, splits = dataset.val, {"val": np.arange(len(dataset.val))}
    if with_train:
        pairs = pairs.concatenate(dataset.train.take(training_subset(dataset)))
        splits["train"] = np.arange(len(dataset.val), len(pairs))
    return pairs, splits


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    config = load_config(args.config)
    evaluated = runs.load_evaluated(
        runs.evaluated_path(args.configs_dir, args.dataset), grad_by_default=False
    )
    dataset = load_dataset(args.data_dir, args.dataset, args.vocab_size)
    train = f'"python train_translation.py --dataset {args.dataset} ..." makes them'
    evaluated, checkpoints = runs.evaluated_checkpoints(
        evaluated, args.models_dir, args.dataset, config, train
    )
    pairs, splits = evaluated_pairs(dataset, args.include_train_subset)
    header = {
        "dataset": args.dataset,
        "vocab": dataset.vocab,
        "sentences": {
            "source": pairs.source.values.astype(np.int32),
            "source_offsets": pairs.source.offsets,
            "target": pairs.target.values.astype(np.int32),
            "target_offsets": pairs.target.offsets,
            "split": np.repeat(list(splits), [len(rows) for rows in splits.values()]),
        },
    }

    def evaluate(entry: runs.Evaluated, checkpoint):
        model = build(config, len(dataset.vocab), entry.uniform).to(device)
        model.eval().requires_grad_(False)
        runs.load_weights(model, checkpoint, train)
        columns = evaluate_checkpoint(model, pairs, splits, device)
        if entry.calculate_grad:
            columns["grad"] = gradient_influence(model, pairs, device, args.grad_bsize)
        metas = columns["metas"]
        if args.eval_bleu:
            for split, rows in splits.items():
                metas[f"{split}_bleu"] = bleu(model, dataset, pairs.take(rows), device)
        values = "   ".join(f"{key} {value:.2f}" for key, value in metas.items())
        cli.say(f"{entry.name} {entry.iteration:>6}   {values}")
        return columns

    path = dump_path(args.outputs_dir, args.dataset)
    needed = [f"{split}_bleu" for split in splits if args.eval_bleu]
    count = evaluate_missing(path, header, evaluated, checkpoints, evaluate, needed)
    print(f"{path}: {len(evaluated)} checkpoints, {count} of them evaluated now")


if __name__ == "__main__":
    cli.run(main)
