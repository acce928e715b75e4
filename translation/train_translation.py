"""Train a translator with single-head attention and save checkpoints along the way.

A run that was interrupted resumes from its last save and ends with the same bytes as one that was
not. The same command with more --epochs or --steps extends a finished run; if --steps ended it
within an epoch, that step stays a candidate for the best model.

reads:   data/<dataset>/, from prepare_data.py; the SentencePiece model is trained if it is missing
writes:  models/<dataset>/<run>/: model<step>, the weights after <step> updates; model, those of the
         epoch with the best validation accuracy; best.json, that epoch and its BLEU; history.csv,
         run.json, resume.pt
next:    eval_dump.py, when all runs of the dataset are trained (train_runs.sh trains them)

example:
  python train_translation.py --dataset multi30k --seed 20
"""

from attention_dynamics import cli

# cli first: Ctrl-C during the slow imports is then one line
# isort: split
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attention_dynamics.analysis.ragged import training_rows
from attention_dynamics.corpus import add_dataset
from attention_dynamics.files import locks, storage
from attention_dynamics.files.forms import fits, number
from attention_dynamics.training import interventions, optimizers, runs
from attention_dynamics.training.checkpoints import load_weights
from attention_dynamics.training.engine import mean, shown
from attention_dynamics.training.runs import Run, run_folder, saved_steps
from attention_dynamics.translation.data import Dataset, add_vocab_size, load_dataset, to_tensors
from attention_dynamics.translation.datasets import DATASETS
from attention_dynamics.translation.decoding import bleu
from attention_dynamics.translation.evaluation import perplexity, validate
from attention_dynamics.translation.model import VERSION, Translator, build, load_config


def parse_args():
    parser = cli.Parser(__doc__)
    parser.add_argument("--seed", type=cli.seed, required=True, help="seed of this run")
    add_dataset(parser, DATASETS)
    parser.add_argument("--epochs", type=cli.positive_int, default=20, help="epochs to train for")
    parser.add_argument(
        "--steps", type=cli.positive_int, help="updates to train for, in place of --epochs"
    )
    parser.add_argument("--uniform", action="store_true", help="uniform attention")
    cli.add_model_config(parser, __file__)
    optimizers.add_flags(parser)
    interventions.add_flags(parser)
    runs.add_saves(parser)
    add_vocab_size(parser)
    cli.add_folders(parser, __file__, "data", "models")
    runs.add_drop_resume(parser)
    cli.add_device(parser)
    locks.add_flag(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    config = load_config(args.config)
    dataset = load_dataset(args.data_dir, args.dataset, args.vocab_size)
    epochs = epoch_ends(len(dataset.train), config["b_size"], args.epochs, args.steps)
    steps = max(epochs)
    config = interventions.add_to(config, args, steps)
    saves = [*args.custom_saves, *interventions.saves(config)]
    saves = saved_steps(steps, args.save_every, saves, log_saves=args.save_at)

    settings = {**config, "seed": args.seed, "uniform": args.uniform, "version": VERSION}
    settings |= {"optimizer": args.optimizer, "lr": args.lr, "data": dataset.digest}
    folder = run_folder(args.models_dir, args.dataset, config, args.seed, args.uniform)
    locks.hold(folder, args.wait)
    run = Run(folder, settings, steps, saves)

    def load(path: Path) -> Translator:
        other = build(config, len(dataset.vocab), args.uniform).to(device).eval()
        load_weights(other, path, "delete its folder to train again")
        return other.requires_grad_(False)

    attention = interventions.Attention(config, args.models_dir, args.dataset, load)

    def load_best(step: int) -> Translator:
        best = load(folder / "model")
        attention.set(best, args.seed, step)
        return best

    if run.finished:
        print(f"{folder} is finished: {steps} steps")
        say_best(folder, run.history, load_best, dataset, device)
        run.end(args.drop_resume)
        return

    cli.seed_everything(args.seed)
    model = build(config, len(dataset.vocab), args.uniform).to(device)
    run.begin(model, optimizers.build(settings, model.parameters(), model.query.parameters()))

    def loss(step: int) -> Tensor:
        attention.set(model, args.seed, step, updating=True)
        rows = training_rows(len(dataset.train), config["b_size"], args.seed, step)
        return model.losses(*to_tensors(dataset.train.take(rows), device)).mean()

    validated = {row["step"] for row in epochs_of(run.history)}
    pauses = (set(saves) - set(run.saved)) | (set(epochs) - validated)
    for step, losses in run.updates(loss, steps, pauses):
        attention.set(model, args.seed, step)
        row: dict[str, Any] = {"epoch": None, "train_loss": mean(losses)}
        row |= {"val_loss": None, "val_perplexity": None, "val_acc": None}
        line = f"step {step:<6} train loss {shown(row['train_loss'])}"
        best = False
        if step in epochs:
            row["epoch"] = epochs[step]
            row["val_loss"], row["val_acc"] = validate(model, dataset.val, device)
            row["val_perplexity"] = perplexity(row["val_loss"])
            best = row["val_acc"] > max((r["val_acc"] for r in epochs_of(run.history)), default=-1)
            line += (
                f"   epoch {row['epoch']}: validation perplexity {row['val_perplexity']:.3f}   "
                f"accuracy {row['val_acc']:.2f}%"
            )
        run.save_checkpoint(step, step if step in saves else None, row, best)
        cli.say(line)
    say_best(folder, run.history, load_best, dataset, device)
    run.end(args.drop_resume)


def epoch_ends(n_pairs: int, b_size: int, epochs: int, steps: int | None) -> dict[int, float]:
    """The update at the end of each epoch, and the epoch's number.

    ``steps`` takes the place of ``epochs``; such a run may end within an epoch, say 1.5.
    """
    if steps:
        epochs = steps * b_size // n_pairs
    ends: dict[int, float] = {math.ceil(n * n_pairs / b_size): n for n in range(1, epochs + 1)}
    if steps:
        ends.setdefault(steps, round(steps * b_size / n_pairs, 2))
    return ends


def epochs_of(history: list[dict]) -> list[dict]:
    """The rows that an epoch ended with."""
    return [row for row in history if row["epoch"] is not None]


def say_best(
    folder: Path,
    history: list[dict],
    load: Callable[[int], Translator],
    dataset: Dataset,
    device: torch.device,
) -> None:
    """Compute the BLEU of the best epoch's model, unless ``best.json`` has it, and print it.

    ``load`` gives that model, by the step that it was saved at.
    """
    path, again = folder / "best.json", f"delete {folder} to train again"
    if not history:  # resume.pt was dropped, after best.json had been written
        best = storage.load_json(path, again)
    else:
        best = max(epochs_of(history), key=lambda row: row["val_acc"])  # the first of equals
        best = {key: best[key] for key in ("epoch", "step", "val_acc", "val_perplexity")}
    found = storage.load_json(path, "delete it") if path.exists() else {}
    if fits(found, {"val_bleu": number}) and best.items() <= found.items():
        best = found
    else:
        best["val_bleu"] = bleu(load(best["step"]), dataset, dataset.val, device)
        storage.save_json(best, path)
    print(
        f"best: epoch {best['epoch']}   validation accuracy {best['val_acc']:.2f}%   "
        f"perplexity {best['val_perplexity']:.3f}   BLEU {best['val_bleu']:.2f}"
    )


if __name__ == "__main__":
    cli.run(main)
