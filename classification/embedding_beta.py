"""Fit the word baseline: a linear classifier of the mean of a sentence's embeddings.

    python embedding_beta.py --dataset IMDB

``beta^px[w] = E[w] . u`` of the epoch with the lowest validation loss goes to
``outputs/<dataset>embedding<dim>beta.pkl``.
"""

import numpy as np

from attention_dynamics import cli
from attention_dynamics.classification.data import (
    DATASETS,
    Sentences,
    beta_path,
    load_dataset,
    to_tensors,
)
from attention_dynamics.classification.model import nll
from attention_dynamics.classification.word_baseline import WordBaseline
from attention_dynamics.training import word_baseline


def parse_args():
    parser = word_baseline.parser(DATASETS, lr=0.0002)
    parser.add_argument(
        "--test_set_size",
        type=cli.positive_int,
        default=4000,
        help="validate on at most this many test sentences",
    )
    cli.add_folders(parser, __file__, "data", "outputs")
    cli.add_device(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    dataset = load_dataset(args.data_dir, args.dataset)
    test_set = dataset.test.first(args.test_set_size)
    path = beta_path(args.outputs_dir, args.dataset, args.embed_dim)
    settings = word_baseline.settings_of(args, test_set_size=len(test_set), data=dataset.digest)
    if word_baseline.is_fitted(path, settings):
        print(f"{path} is finished")
        return

    cli.seed_everything(args.seed)
    model = WordBaseline(len(dataset.vocab), args.embed_dim).to(device)

    def losses(sentences: Sentences, order: np.ndarray):
        """Of each batch, the summed binary cross-entropy."""
        for start in range(0, len(order), args.bsize):
            batch = sentences.take(order[start : start + args.bsize])
            tokens, lengths, labels = to_tensors(batch, device)
            yield nll(model(tokens, lengths), labels).sum()

    word_baseline.fit(model, losses, dataset.train, test_set, dataset.vocab, path, settings)


if __name__ == "__main__":
    cli.run(main)
