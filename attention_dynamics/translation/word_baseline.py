"""The word baseline β^px: each target token from the mean of the source sentence's embeddings."""

import numpy as np
import torch
from torch import Tensor, nn

from attention_dynamics.translation.data import Pairs, to_tensors
from attention_dynamics.translation.model import padded, without_first


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
