"""The word baseline β^px: a linear classifier of the mean of a sentence's embeddings."""

import numpy as np
from torch import Tensor, nn


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
