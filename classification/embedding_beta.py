"""Fit the word baseline: a linear classifier of the mean of a sentence's embeddings.

    python embedding_beta.py --dataset IMDB

``beta^px[w] = E[w] . u`` of the epoch with the lowest validation loss goes to
``outputs/<dataset>embedding<dim>beta.pkl``.
"""

import numpy as np
from torch import Tensor, nn

from attention_dynamics import cli, word_baseline

from data import DATASETS, Sentences, beta_path, load_dataset, to_tensors
from model import nll


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


class WordBaseline(nn.Module):
    """Logit of ``p(y = 1)``: ``mean(E[t]) . u + b`` over all tokens of a sentence."""

    def __init__(self, vocab_size: int, embed_dim: int):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, mode="mean")
        self.output = nn.Linear(embed_dim, 1)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """``tokens`` (total,), ``lengths`` (batch,) on the CPU; logits (batch,)."""
        starts = (lengths.cumsum(0) - lengths).to(tokens.device)
        return self.output(self.embedding(tokens, starts)).squeeze(1)

    def beta(self) -> np.ndarray:
        """β^px: float32 (vocabulary,)."""
        return (self.embedding.weight @ self.output.weight[0]).detach().cpu().numpy()


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
