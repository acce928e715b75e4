"""The decoder's first state, where the encoder has none of an LSTM."""

import torch
from torch import Tensor


def means(states: Tensor, lengths: Tensor) -> Tensor:
    """The mean of each sentence's states (total, width), which stand end to end: (batch, width)."""
    sentence = torch.repeat_interleave(lengths).to(states.device)
    sums = states.new_zeros(len(lengths), states.shape[1]).index_add(0, sentence, states)
    return sums / lengths.to(states.device)[:, None]


def first_state(h: Tensor) -> tuple[Tensor, Tensor]:
    """The first (h, c) of the decoder's layers, with ``h`` (n_layers, batch, h_dim) and c = 0."""
    return h, torch.zeros_like(h)
