"""Fit the word baseline beta^px: a linear classifier of the mean of a sentence's embeddings.

beta^px[w] = E[w] . u of the epoch with the lowest validation loss; more than two labels have a u
each. A fit that was interrupted resumes.

reads:   data/<dataset>_train.json and _test.json, from prepare_data.py
writes:  outputs/<dataset>embedding<embed_dim>beta.pkl
next:    collect_classification_stats.py

example:
  python embedding_beta.py --dataset IMDB --epochs 60 --lr 0.00005
"""

from attention_dynamics import cli

# cli first: Ctrl-C during the slow imports is then one line
# isort: split
import numpy as np
from torch import Tensor

from attention_dynamics.classification.data import Sentences, beta_path, load_dataset, to_tensors
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.classification.model import nll
from attention_dynamics.classification.word_baseline import WordBaseline
from attention_dynamics.files import locks
from attention_dynamics.training import word_baseline


def parse_args():
    parser = word_baseline.parser(__doc__, DATASETS, lr=0.0002)
    parser.add_argument(
        "--test_set_size",
        type=cli.positive_int,
        default=4000,
        help="validate on at most this many test sentences",
    )
    cli.add_folders(parser, __file__, "data", "outputs")
    cli.add_device(parser)
    locks.add_flag(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    dataset = load_dataset(args.data_dir, args.dataset)
    test_set = dataset.test.first(args.test_set_size)
    path = beta_path(args.outputs_dir, args.dataset, args.embed_dim)
    settings = word_baseline.settings_of(args, test_set_size=len(test_set), data=dataset.digest)
    locks.hold(path, args.wait)
    if word_baseline.is_fitted(path, settings):
        return

    cli.seed_everything(args.seed)
    model = WordBaseline(len(dataset.vocab), args.embed_dim, len(dataset.labels)).to(device)

    def batch_loss(sentences: Sentences, rows: np.ndarray, training: bool) -> Tensor:
        """Summed cross-entropy."""
        tokens, lengths, labels = to_tensors(sentences.take(rows), device)
        return nll(model(tokens, lengths), labels).sum()

    word_baseline.fit(model, batch_loss, dataset.train, test_set, dataset.vocab, path, settings)


if __name__ == "__main__":
    cli.run(main)
