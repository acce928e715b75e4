"""Fit the logistic word baseline beta^lr: a logistic regression on the relative counts of words.

A word's count in a sentence is divided by the sentence's number of tokens. So the logit is the
mean of beta^lr over all tokens plus a bias, as in embedding_beta.py, but this problem is convex:
it has one solution. More than two labels are fitted together (multinomial). A tenth of the
training set is held out to choose the strength of the L2 regularization; then all of the training
set is fitted. The test set takes no part.

reads:   data/<dataset>_train.json and _test.json, from prepare_data.py
writes:  outputs/<dataset>_logistic_beta.pkl
next:    collect_classification_stats.py, which adds A and xi for beta^lr if the file exists

example:
  python logistic_beta.py --dataset IMDB
"""

from attention_dynamics import cli

# cli first: Ctrl-C during the slow imports is then one line
# isort: split
import numpy as np
import torch

from attention_dynamics.classification.data import load_dataset, logistic_path
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.classification.logistic import choose_strength, fit, relative_counts
from attention_dynamics.classification.model import predict
from attention_dynamics.corpus import add_dataset
from attention_dynamics.files import locks
from attention_dynamics.training import word_baseline


def parse_args():
    parser = cli.Parser(__doc__)
    add_dataset(parser, DATASETS)
    parser.add_argument(
        "--test_set_size",
        type=cli.positive_int,
        default=4000,
        help="measure accuracy on at most this many test sentences",
    )
    parser.add_argument("--seed", type=cli.seed, default=0, help="seed of the held-out split")
    cli.add_folders(parser, __file__, "data", "outputs")
    locks.add_flag(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    dataset = load_dataset(args.data_dir, args.dataset)
    test_set = dataset.test.first(args.test_set_size)
    path = logistic_path(args.outputs_dir, args.dataset)
    settings = {"seed": args.seed, "test_set_size": len(test_set), "version": word_baseline.VERSION}
    settings |= {"data": dataset.digest}
    locks.hold(path, args.wait)
    if word_baseline.is_fitted(path, settings):
        return

    shares, labels = relative_counts(dataset.train, len(dataset.vocab)), dataset.train.gold
    strength, loss = choose_strength(shares, labels, args.seed, len(dataset.labels))
    beta, bias = fit(shares, labels, strength)
    logits = relative_counts(test_set, len(dataset.vocab)) @ beta + bias
    accuracy = float(np.mean(predict(torch.from_numpy(logits)).numpy() == test_set.gold))
    baseline = {
        "beta": beta.astype(np.float32),
        "vocab": dataset.vocab,
        "settings": settings,
        "bias": bias,
        "strength": strength,
        "val_loss": loss,
        "test_acc": accuracy,
    }
    word_baseline.save_baseline(path, baseline)
    print(f"{path}: C {strength:g}, validation loss {loss:.4f}, test accuracy {accuracy:.4f}")


if __name__ == "__main__":
    cli.run(main)
