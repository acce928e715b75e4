"""Fit the word baseline: each target token from the mean of the source sentence's embeddings.

    python embedding_beta.py --dataset multi30k

``beta^px[i, o] = softmax(E W)[i, o]`` of the epoch with the lowest validation loss, a matrix of
source tokens x target tokens, goes to ``outputs/<dataset>embedding<dim>translation.pkl``. With
``--published_loss`` the training loss is that of the published code. The result replaces a fit
without it; ``settings`` in the file tells which one it is.
"""

import numpy as np
import torch
from torch import Tensor, nn

from attention_dynamics import cli, word_baseline

from data import DATASETS, Pairs, add_vocab_size, beta_path, load_dataset, to_tensors
from model import padded, without_first


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


class WordBaseline(nn.Module):
    """Log-probabilities ``log_softmax(mean(E[s]) W + b)``, the same for every target token."""

    def __init__(self, vocab_size: int, embed_dim: int):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, mode="mean")
        self.output = nn.Linear(embed_dim, vocab_size)

    def forward(self, source: Tensor, lengths: Tensor) -> Tensor:
        """``source`` (total,), ``lengths`` (batch,) on the CPU; (batch, vocabulary)."""
        starts = (lengths.cumsum(0) - lengths).to(source.device)
        return self.output(self.embedding(source, starts)).log_softmax(dim=1)

    @torch.no_grad()
    def beta(self) -> np.ndarray:
        """β^px: float32 (vocabulary, vocabulary), source x target; rows sum to 1.

        Without the bias: it says how frequent a target token is, whatever the source token.
        """
        return (self.embedding.weight @ self.output.weight.T).softmax(dim=1).cpu().numpy()


def summed_loss(model: WordBaseline, batch: Pairs, device: torch.device, published: bool) -> Tensor:
    """Negative log-likelihood of every target token after <s>, summed over a batch.

    As published, <s> counts as well, and so does each place of padding after a target that is
    shorter than the longest of the batch.
    """
    source, source_lengths, target, target_lengths = to_tensors(batch, device)
    log_probs = model(source, source_lengths)
    if published:
        return -log_probs.gather(1, padded(target, target_lengths)).sum()  # PAD is 0
    sentence = torch.arange(len(target_lengths)).repeat_interleave(target_lengths - 1)
    predicted = without_first(target, target_lengths)
    return -log_probs[sentence.to(device), predicted].sum()


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
