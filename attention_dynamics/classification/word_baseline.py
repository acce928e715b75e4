"""The word baseline β^px: a linear classifier of the mean of a sentence's embeddings."""

import numpy as np
from torch import Tensor, nn

from attention_dynamics.classification.model import n_logits


class WordBaseline(nn.Module):
    """Logit of ``p(y = 1)``: ``mean(E[t]) . u + b`` over all tokens of a sentence.

    More than two labels have a ``u``, a ``b`` and a logit each, of a softmax.
    """

    def __init__(self, vocab_size: int, embed_dim: int, n_labels: int = 2):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, mode="mean")
        self.output = nn.Linear(embed_dim, n_logits(n_labels))

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """``tokens`` (total,), ``lengths`` (batch,) on the CPU; logits (batch,) or (batch, K)."""
        starts = (lengths.cumsum(0) - lengths).to(tokens.device)
        return self.output(self.embedding(tokens, starts)).squeeze(1)

    def beta(self) -> np.ndarray:
        """β^px: float32 (vocabulary,), for label 1; of K > 2 labels (vocabulary, K)."""
        return (self.embedding.weight @ self.output.weight.T.squeeze(1)).detach().cpu().numpy()
