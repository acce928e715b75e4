"""Train a classifier with single-head attention and save checkpoints along the way.

    python train_classifier.py --dataset IMDB --seed 20 --steps 4000

The checkpoint ``model<step>`` in the run's folder under ``models/`` holds the weights after
``step`` updates; the last, ``model<steps - 1>``, those at the end. A run that was interrupted goes
on from its last save and ends with the same bytes as one that was not.
"""

import torch

from attention_dynamics import cli
from attention_dynamics.analysis.ragged import training_rows
from attention_dynamics.classification.data import (
    DATASETS,
    load_dataset,
    to_tensors,
)
from attention_dynamics.classification.evaluation import validate
from attention_dynamics.classification.model import build, load_config, nll
from attention_dynamics.training import runs


def parse_args():
    parser = cli.Parser(description="Train a classifier with single-head attention.")
    parser.add_argument("--seed", type=cli.seed, required=True, help="seed of this run")
    cli.add_dataset(parser, DATASETS)
    parser.add_argument("--steps", type=cli.positive_int, default=2000, help="updates to make")
    parser.add_argument("--uniform", action="store_true", help="uniform attention")
    cli.add_model_config(parser, __file__)
    parser.add_argument(
        "--test_set_size",
        type=cli.positive_int,
        default=4000,
        help="validate on at most this many test sentences",
    )
    parser.add_argument(
        "--save_every", type=cli.positive_int, default=250, help="save each time after so many"
    )
    parser.add_argument(
        "--custom_saves", type=cli.steps, default=[], help="more steps to save at: 0,10,50"
    )
    cli.add_folders(parser, __file__, "data", "models")
    cli.add_device(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    config = load_config(args.config)
    saves = runs.saved_steps(args.steps, args.save_every, args.custom_saves, end_is_last=True)
    dataset = load_dataset(args.data_dir, args.dataset)
    test_set = dataset.test.first(args.test_set_size)

    folder = runs.run_folder(args.models_dir, args.dataset, config, args.seed, args.uniform)
    settings = {**config, "seed": args.seed, "uniform": args.uniform, "data": dataset.digest}
    progress = runs.Progress(folder, settings, args.steps, saves)
    if progress.step == args.steps:
        print(f"{folder} is finished: {args.steps} steps")
        return

    cli.seed_everything(args.seed)
    model = build(config, len(dataset.vocab), args.uniform).to(device)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    progress.restore(model, optimizer)

    losses = []  # since the last save

    def save(step: int, name: int) -> None:
        train_loss = sum(losses) / len(losses) if losses else float("nan")
        losses.clear()
        test_loss, test_acc = validate(model, test_set, device)
        row = {"train_loss": train_loss, "test_loss": test_loss, "test_acc": test_acc}
        progress.save(step, name, model, optimizer, row)
        cli.say(
            f"model{name:<6} train loss {train_loss:.4f}   "
            f"test loss {test_loss:.4f}   test accuracy {test_acc:.4f}"
        )

    print(folder)
    for step in cli.progress_bar(
        range(progress.step, args.steps), initial=progress.step, total=args.steps, unit="step"
    ):
        if step in saves and step not in progress.saved:
            save(step, name=step)
        rows = training_rows(len(dataset.train), config["b_size"], args.seed, step)
        tokens, lengths, labels = to_tensors(dataset.train.take(rows), device)
        loss = nll(model(tokens, lengths).score, labels).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    save(args.steps, name=args.steps - 1)


if __name__ == "__main__":
    cli.run(main)
