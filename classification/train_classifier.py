"""Train a classifier with single-head attention and save checkpoints along the way.

A run that was interrupted resumes from its last save and ends with the same bytes as one that was
not. The same command with more --steps extends a finished run.

reads:   data/<dataset>_train.json and _test.json, from prepare_data.py
writes:  models/<dataset>/<run>/: model<step>, the weights after <step> updates; the last one,
         model<steps - 1>, those at the end; history.csv, run.json, resume.pt
next:    eval_dump.py, when all runs of the dataset are trained (train_runs.sh trains them)

example:
  python train_classifier.py --dataset IMDB --seed 20 --steps 4000
"""

from attention_dynamics import cli

# cli first: Ctrl-C during the slow imports is then one line
# isort: split
from pathlib import Path

from torch import Tensor

from attention_dynamics.analysis.ragged import training_rows
from attention_dynamics.classification.data import load_dataset, to_tensors
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.classification.evaluation import validate
from attention_dynamics.classification.model import VERSION, Classifier, build, load_config, nll
from attention_dynamics.corpus import add_dataset
from attention_dynamics.files import locks
from attention_dynamics.training import interventions, optimizers, runs
from attention_dynamics.training.checkpoints import load_weights
from attention_dynamics.training.engine import mean, shown
from attention_dynamics.training.runs import Run, run_folder, saved_steps


def parse_args():
    parser = cli.Parser(__doc__)
    parser.add_argument("--seed", type=cli.seed, required=True, help="seed of this run")
    add_dataset(parser, DATASETS)
    parser.add_argument("--steps", type=cli.positive_int, default=2000, help="updates to make")
    parser.add_argument("--uniform", action="store_true", help="uniform attention")
    cli.add_model_config(parser, __file__)
    optimizers.add_flags(parser)
    interventions.add_flags(parser)
    parser.add_argument(
        "--test_set_size",
        type=cli.positive_int,
        default=4000,
        help="validate on at most this many test sentences",
    )
    runs.add_saves(parser)
    cli.add_folders(parser, __file__, "data", "models")
    runs.add_drop_resume(parser)
    cli.add_device(parser)
    locks.add_flag(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    config = interventions.add_to(load_config(args.config), args, args.steps)
    saves = [*args.custom_saves, *interventions.saves(config)]
    saves = saved_steps(args.steps, args.save_every, saves, True, args.save_at)
    dataset = load_dataset(args.data_dir, args.dataset)
    test_set = dataset.test.first(args.test_set_size)

    settings = {**config, "seed": args.seed, "uniform": args.uniform, "version": VERSION}
    settings |= {"optimizer": args.optimizer, "lr": args.lr, "data": dataset.digest}
    folder = run_folder(args.models_dir, args.dataset, config, args.seed, args.uniform)
    locks.hold(folder, args.wait)
    run = Run(folder, settings, args.steps, saves)
    if run.finished:
        print(f"{folder} is finished: {args.steps} steps")
        run.end(args.drop_resume)
        return

    def load(path: Path) -> Classifier:
        other = build(config, len(dataset.vocab), False, len(dataset.labels)).to(device)
        load_weights(other, path, "train that run again")
        return other.requires_grad_(False)

    attention = interventions.Attention(config, args.models_dir, args.dataset, load)
    cli.seed_everything(args.seed)
    model = build(config, len(dataset.vocab), args.uniform, len(dataset.labels)).to(device)
    run.begin(model, optimizers.build(settings, model.parameters(), model.attention.parameters()))

    def loss(step: int) -> Tensor:
        attention.set(model, args.seed, step, updating=True)
        rows = training_rows(len(dataset.train), config["b_size"], args.seed, step)
        tokens, lengths, labels = to_tensors(dataset.train.take(rows), device)
        return nll(model(tokens, lengths).score, labels).mean()

    for step, losses in run.updates(loss, args.steps, set(saves) - set(run.saved)):
        attention.set(model, args.seed, step)
        name = step if step < args.steps else args.steps - 1
        row = {"train_loss": mean(losses)}
        row["test_loss"], row["test_acc"] = validate(model, test_set, device)
        run.save_checkpoint(step, name, row)
        cli.say(
            f"model{name:<6} train loss {shown(row['train_loss'])}   "
            f"test loss {row['test_loss']:.4f}   test accuracy {row['test_acc']:.4f}"
        )
    run.end(args.drop_resume)


if __name__ == "__main__":
    cli.run(main)
