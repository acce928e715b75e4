"""No recurrence: what the decoder reads of the source are embeddings."""

import torch
from torch import Tensor, nn


class Average(nn.Module):
    """A token's state is its embedding. Without parameters, so not matched in size.

    The decoder's first h is the mean of the sentence's embeddings in every layer, its c is 0.
    """

    def __init__(self, h_dim: int, n_layers: int, dropout: float):
        super().__init__()
        self.n_layers = n_layers
        self.width = h_dim

    def forward(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        return embedded, first_state(means(embedded, lengths), self.n_layers)


def means(states: Tensor, lengths: Tensor) -> Tensor:
    """The mean of each sentence's states (total, width), which stand end to end: (batch, width)."""
    sentence = torch.repeat_interleave(lengths).to(states.device)
    sums = states.new_zeros(len(lengths), states.shape[1]).index_add(0, sentence, states)
    return sums / lengths.to(states.device)[:, None]


def first_state(h: Tensor, n_layers: int) -> tuple[Tensor, Tensor]:
    """The decoder's first (h, c) with ``h`` (batch, h_dim) in every layer and c = 0."""
    h = h.expand(n_layers, -1, -1).contiguous()
    return h, torch.zeros_like(h)
