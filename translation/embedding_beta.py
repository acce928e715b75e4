"""Fit the word baseline: each target token from the mean of the source sentence's embeddings.

    python embedding_beta.py --dataset multi30k

``beta^px[i, o] = softmax(E W)[i, o]`` of the epoch with the lowest validation loss, a matrix of
source tokens x target tokens, goes to ``outputs/<dataset>embedding<dim>translation.pkl``.
"""

import numpy as np
import torch
from torch import Tensor, nn

from attention_dynamics import cli, word_baseline

from data import ALIASES, DATASETS, Pairs, add_vocab_size, beta_path, load_dataset, to_tensors
from model import without_first


def parse_args():
    parser = cli.Parser(description="Fit the word baseline beta^px.")
    cli.add_dataset(parser, DATASETS, ALIASES)
    parser.add_argument("--bsize", type=cli.positive_int, default=64, help="batch size")
    parser.add_argument("--epochs", type=cli.positive_int, default=30, help="epochs to train for")
    parser.add_argument(
        "--embed_dim", type=cli.positive_int, default=256, help="dimension of the embeddings"
    )
    parser.add_argument("--lr", type=cli.positive_float, default=0.001, help="Adam's rate")
    parser.add_argument("--seed", type=cli.seed, default=0, help="seed of the fit")
    add_vocab_size(parser)
    cli.add_folders(parser, __file__, "data", "outputs")
    cli.add_device(parser)
    return parser.parse_args()


class WordBaseline(nn.Module):
    """Log-probabilities ``log_softmax(mean(E[s]) W)``, the same for every target token."""

    def __init__(self, vocab_size: int, embed_dim: int):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, mode="mean")
        self.output = nn.Linear(embed_dim, vocab_size, bias=False)

    def forward(self, source: Tensor, lengths: Tensor) -> Tensor:
        """``source`` (total,), ``lengths`` (batch,) on the CPU; (batch, vocabulary)."""
        starts = (lengths.cumsum(0) - lengths).to(source.device)
        return self.output(self.embedding(source, starts)).log_softmax(dim=1)

    @torch.no_grad()
    def beta(self) -> np.ndarray:
        """β^px: float32 (vocabulary, vocabulary), source x target; rows sum to 1."""
        return self.output(self.embedding.weight).softmax(dim=1).cpu().numpy()


def main():
    args = parse_args()
    device = cli.find_device(args.device)
    dataset = load_dataset(args.data_dir, args.dataset, args.vocab_size)
    path = beta_path(args.outputs_dir, args.dataset, args.embed_dim)
    settings = {
        name: getattr(args, name) for name in ("bsize", "epochs", "embed_dim", "lr", "seed")
    }
    settings |= {"data": dataset.digest}
    if word_baseline.is_fitted(path, settings):
        print(f"{path} is finished")
        return

    cli.seed_everything(args.seed)
    model = WordBaseline(len(dataset.vocab), args.embed_dim).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr, fused=True)

    def losses(pairs: Pairs, order: np.ndarray):
        """Of each batch, the summed negative log-likelihood of every target token after <s>."""
        for start in range(0, len(order), args.bsize):
            source, source_lengths, target, target_lengths = to_tensors(
                pairs.take(order[start : start + args.bsize]), device
            )
            log_probs = model(source, source_lengths)
            sentence = torch.arange(len(target_lengths)).repeat_interleave(target_lengths - 1)
            predicted = without_first(target, target_lengths)
            yield -log_probs[sentence.to(device), predicted].sum()

    def train_epoch(epoch: int) -> float:
        order = np.random.default_rng([args.seed, epoch]).permutation(len(dataset.train))
        total = 0.0
        for loss in losses(dataset.train, order):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / len(dataset.train)

    @torch.no_grad()
    def validate() -> float:
        total = sum(loss.item() for loss in losses(dataset.val, np.arange(len(dataset.val))))
        return total / len(dataset.val)

    epoch, loss = word_baseline.fit(
        model, optimizer, train_epoch, validate, args.epochs, path, settings
    )
    baseline = {
        "beta": model.beta(),
        "vocab": dataset.vocab,
        "settings": settings,
        "epoch": epoch,
        "val_loss": loss,
    }
    word_baseline.save_baseline(path, baseline)
    print(f"{path}: epoch {epoch}, validation loss {loss:.4f}")


if __name__ == "__main__":
    cli.run(main)
