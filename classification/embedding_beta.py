"""Fit the word baseline: a linear classifier of the mean of a sentence's embeddings.

    python embedding_beta.py --dataset IMDB

``beta^px[w] = E[w] . u`` of the epoch with the lowest validation loss goes to
``outputs/<dataset>embedding<dim>beta.pkl``.
"""

import numpy as np
import torch
from torch import Tensor, nn

from attention_dynamics import cli, word_baseline

from data import ALIASES, DATASETS, Sentences, beta_path, load_dataset, to_tensors
from model import nll


def parse_args():
    parser = cli.Parser(description="Fit the word baseline beta^px.")
    cli.add_dataset(parser, DATASETS, ALIASES)
    parser.add_argument("--bsize", type=cli.positive_int, default=64, help="batch size")
    parser.add_argument("--epochs", type=cli.positive_int, default=30, help="epochs to train for")
    parser.add_argument(
        "--embed_dim", type=cli.positive_int, default=256, help="dimension of the embeddings"
    )
    parser.add_argument(
        "--test_set_size",
        type=cli.positive_int,
        default=4000,
        help="number of test sentences to validate on, at most",
    )
    parser.add_argument("--lr", type=cli.positive_float, default=0.0002, help="Adam's rate")
    parser.add_argument("--seed", type=cli.seed, default=0, help="seed of the fit")
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
    settings = {
        name: getattr(args, name) for name in ("bsize", "epochs", "embed_dim", "lr", "seed")
    }
    settings |= {"test_set_size": len(test_set), "data": dataset.digest}
    if word_baseline.is_fitted(path, settings):
        print(f"{path} is finished")
        return

    cli.seed_everything(args.seed)
    model = WordBaseline(len(dataset.vocab), args.embed_dim).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr, fused=True)

    def batches(sentences: Sentences, order: np.ndarray):
        for start in range(0, len(order), args.bsize):
            yield to_tensors(sentences.take(order[start : start + args.bsize]), device)

    def train_epoch(epoch: int) -> float:
        order = np.random.default_rng([args.seed, epoch]).permutation(len(dataset.train))
        total = 0.0
        for tokens, lengths, labels in batches(dataset.train, order):
            loss = nll(model(tokens, lengths), labels).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / len(dataset.train)

    @torch.no_grad()
    def validate() -> float:
        loss = 0.0
        for tokens, lengths, labels in batches(test_set, np.arange(len(test_set))):
            loss += nll(model(tokens, lengths), labels).sum().item()
        return loss / len(test_set)

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
