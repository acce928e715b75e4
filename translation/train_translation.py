"""Train a translator with single-head attention and save checkpoints along the way.

    python train_translation.py --dataset multi30k --seed 20

The checkpoint ``model<step>`` in the run's folder under ``models/`` holds the weights after
``step`` updates; ``model`` those of the epoch with the best validation accuracy; ``history.csv``
the loss at every save and validation after every epoch; ``best.json`` the best epoch and its BLEU.
A run that was interrupted goes on from its last save and ends with the same bytes as one that was
not.
"""

import math
from pathlib import Path

import torch

from attention_dynamics import cli
from attention_dynamics.analysis.ragged import training_rows
from attention_dynamics.files import storage
from attention_dynamics.training import checkpoints, runs
from attention_dynamics.translation.data import (
    DATASETS,
    Dataset,
    add_vocab_size,
    load_dataset,
    to_tensors,
)
from attention_dynamics.translation.decoding import bleu
from attention_dynamics.translation.evaluation import validate
from attention_dynamics.translation.model import build, load_config


def parse_args():
    parser = cli.Parser(description="Train a translator with single-head attention.")
    parser.add_argument("--seed", type=cli.seed, required=True, help="seed of this run")
    cli.add_dataset(parser, DATASETS)
    parser.add_argument("--epochs", type=cli.positive_int, default=20, help="epochs to train for")
    parser.add_argument("--uniform", action="store_true", help="uniform attention")
    cli.add_model_config(parser, __file__)
    parser.add_argument(
        "--save_every", type=cli.positive_int, default=250, help="save each time after so many"
    )
    parser.add_argument(
        "--custom_saves", type=cli.steps, default=[], help="more steps to save at: 0,10,50"
    )
    add_vocab_size(parser)
    cli.add_folders(parser, __file__, "data", "models")
    cli.add_device(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    config = load_config(args.config)
    dataset = load_dataset(args.data_dir, args.dataset, args.vocab_size)
    epoch_ends = [
        math.ceil(epoch * len(dataset.train) / config["b_size"])
        for epoch in range(1, args.epochs + 1)
    ]
    steps = epoch_ends[-1]
    saves = runs.saved_steps(steps, args.save_every, args.custom_saves)

    folder = runs.run_folder(args.models_dir, args.dataset, config, args.seed, args.uniform)
    settings = {**config, "seed": args.seed, "uniform": args.uniform, "data": dataset.digest}
    progress = runs.Progress(folder, settings, steps, saves)
    if progress.step == steps:
        print(f"{folder} is finished: {steps} steps")
        say_best(folder, progress.history, config, dataset, args.uniform, device)
        return

    cli.seed_everything(args.seed)
    model = build(config, len(dataset.vocab), args.uniform).to(device)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    progress.restore(model, optimizer)

    losses = []  # since the last save

    def save(step: int) -> None:
        row = {"epoch": None, "train_loss": sum(losses) / len(losses) if losses else math.nan}
        row |= {"val_loss": None, "val_perplexity": None, "val_acc": None}
        losses.clear()
        line = f"step {step:<6} train loss {row['train_loss']:.4f}"
        best = False
        if step in epoch_ends:
            row["epoch"] = epoch_ends.index(step) + 1
            row["val_loss"], row["val_acc"] = validate(model, dataset.val, device)
            row["val_perplexity"] = math.exp(row["val_loss"])
            best = row["val_acc"] > max(
                (r["val_acc"] for r in epochs_of(progress.history)), default=-1
            )
            line += (
                f"   epoch {row['epoch']}: validation perplexity {row['val_perplexity']:.3f}   "
                f"accuracy {row['val_acc']:.2f}%"
            )
        name = step if step in saves else None
        progress.save(step, name, model, optimizer, row, best)
        cli.say(line)

    print(folder)
    for step in cli.progress_bar(
        range(progress.step, steps), initial=progress.step, total=steps, unit="step"
    ):
        validated = any(row["step"] == step for row in epochs_of(progress.history))
        if (step in saves and step not in progress.saved) or (step in epoch_ends and not validated):
            save(step)
        rows = training_rows(len(dataset.train), config["b_size"], args.seed, step)
        loss = model.losses(*to_tensors(dataset.train.take(rows), device)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    save(steps)
    say_best(folder, progress.history, config, dataset, args.uniform, device)


def epochs_of(history: list[dict]) -> list[dict]:
    """The rows that an epoch ended with."""
    return [row for row in history if row["epoch"] is not None]


def say_best(
    folder: Path, history: list[dict], config: dict, dataset: Dataset, uniform: bool, device
) -> None:
    """Compute the BLEU of the best epoch's model, unless ``best.json`` has it, and print it."""
    best = max(epochs_of(history), key=lambda row: row["val_acc"])  # the first of equals
    best = {key: best[key] for key in ("epoch", "step", "val_acc", "val_perplexity")}
    path = folder / "best.json"
    found = storage.load_json(path, "") if path.exists() else {}
    if best.items() <= found.items():
        best = found
    else:
        model = build(config, len(dataset.vocab), uniform).to(device).eval()
        checkpoints.load_weights(model, folder / "model", f"delete {folder} to train again")
        best["val_bleu"] = bleu(model, dataset, dataset.val, device)
        storage.save_json(best, path)
    print(
        f"best: epoch {best['epoch']}   validation accuracy {best['val_acc']:.2f}%   "
        f"perplexity {best['val_perplexity']:.3f}   BLEU {best['val_bleu']:.2f}"
    )


if __name__ == "__main__":
    cli.run(main)
