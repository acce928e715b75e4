"""Fit the word baseline beta^px: each target token from the mean of the source embeddings.

beta^px[i, o] = softmax(E W)[i, o] of the epoch with the lowest validation loss: a matrix of source
tokens x target tokens. A fit that was interrupted resumes.

reads:   data/<dataset>/, from prepare_data.py
writes:  outputs/<dataset>embedding<embed_dim>translation.pkl
next:    collect_translation_stats.py

example:
  python embedding_beta.py --dataset multi30k
"""

from attention_dynamics import cli

# cli first: Ctrl-C during the slow imports is then one line
# isort: split
import numpy as np
from torch import Tensor

from attention_dynamics.files import locks
from attention_dynamics.training import word_baseline
from attention_dynamics.translation.data import Pairs, add_vocab_size, beta_path, load_dataset
from attention_dynamics.translation.datasets import DATASETS
from attention_dynamics.translation.word_baseline import WordBaseline, summed_loss


def parse_args():
    parser = word_baseline.parser(__doc__, DATASETS, lr=0.001)
    parser.add_argument(
        "--published_loss",
        action="store_true",
        help="count <s> and padding in the training loss, as the published code did",
    )
    add_vocab_size(parser)
    cli.add_folders(parser, __file__, "data", "outputs")
    cli.add_device(parser)
    locks.add_flag(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    dataset = load_dataset(args.data_dir, args.dataset, args.vocab_size)
    path = beta_path(args.outputs_dir, args.dataset, args.embed_dim)
    settings = word_baseline.settings_of(
        args, published_loss=args.published_loss, data=dataset.digest
    )
    locks.hold(path, args.wait)
    if word_baseline.is_fitted(path, settings):
        return

    cli.seed_everything(args.seed)
    model = WordBaseline(len(dataset.vocab), args.embed_dim).to(device)

    def batch_loss(pairs: Pairs, rows: np.ndarray, training: bool) -> Tensor:
        """Summed negative log-likelihood; the published one is for training alone."""
        return summed_loss(model, pairs.take(rows), device, args.published_loss and training)

    word_baseline.fit(model, batch_loss, dataset.train, dataset.val, dataset.vocab, path, settings)


if __name__ == "__main__":
    cli.run(main)
