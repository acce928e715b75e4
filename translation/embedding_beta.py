"""Fit the word baseline: each target token from the mean of the source sentence's embeddings.

    python embedding_beta.py --dataset multi30k

``beta^px[i, o] = softmax(E W)[i, o]`` of the epoch with the lowest validation loss, a matrix of
source tokens x target tokens, goes to ``outputs/<dataset>embedding<dim>translation.pkl``. With
``--published_loss`` the training loss is that of the published code. The result replaces a fit
without it; ``settings`` in the file tells which one it is.
"""

import numpy as np

from attention_dynamics import cli
from attention_dynamics.training import word_baseline
from attention_dynamics.translation.data import (
    DATASETS,
    Pairs,
    add_vocab_size,
    beta_path,
    load_dataset,
)
from attention_dynamics.translation.word_baseline import WordBaseline, summed_loss


def parse_args():
    parser = word_baseline.parser(DATASETS, lr=0.001)
    parser.add_argument(
        "--published_loss",
        action="store_true",
        help="count <s> and padding in the training loss, as the published code did",
    )
    add_vocab_size(parser)
    cli.add_folders(parser, __file__, "data", "outputs")
    cli.add_device(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    dataset = load_dataset(args.data_dir, args.dataset, args.vocab_size)
    path = beta_path(args.outputs_dir, args.dataset, args.embed_dim)
    settings = word_baseline.settings_of(
        args, published_loss=args.published_loss, data=dataset.digest
    )
    if word_baseline.is_fitted(path, settings):
        print(f"{path} is finished")
        return

    cli.seed_everything(args.seed)
    model = WordBaseline(len(dataset.vocab), args.embed_dim).to(device)

    def losses(pairs: Pairs, order: np.ndarray):
        """The loss of each batch; the published one is for training alone."""
        published = args.published_loss and pairs is dataset.train
        for start in range(0, len(order), args.bsize):
            batch = pairs.take(order[start : start + args.bsize])
            yield summed_loss(model, batch, device, published)

    word_baseline.fit(model, losses, dataset.train, dataset.val, dataset.vocab, path, settings)


if __name__ == "__main__":
    cli.run(main)
