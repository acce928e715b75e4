"""One layer of a transformer encoder with one head, over sentences of different lengths.

Sentences stand end to end, so that no work goes into padding. Attention stays inside a sentence:
sentences of one length are multiplied together, without a mask.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attention_dynamics.kernels.dropout import dropout
from attention_dynamics.kernels.products import linear


class TransformerLayer(nn.Module):
    """Pre-norm: ``x = e + positions``, ``x = x + Attention(LN(x))``, ``x = x + FFN(LN(x))``, and a
    token's state is ``LN(x)``.

    ``Attention(x) = W_p softmax(q k^T / sqrt(width)) v + b_p`` with one head and biases,
    ``FFN(x) = W_2 ReLU(W_1 x + b_1) + b_2``. Dropout is on what is added to ``x`` (Vaswani et al.
    2017, section 5.4).

    Parameters
    ----------
    width : of the embeddings and states
    feed_forward : units of the feed-forward layer
    dropout : probability
    """

    def __init__(self, width: int, feed_forward: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)  # W_p, b_p
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.ModuleList(  # W_1, b_1 and W_2, b_2
            [nn.Linear(width, feed_forward), nn.Linear(feed_forward, width)]
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """States (total, width) of embeddings (total, width); ``lengths`` (batch,) on the CPU."""
        place = torch.arange(len(embedded)) - torch.repeat_interleave(
            lengths.cumsum(0) - lengths, lengths
        )
        table = sinusoids(int(lengths.max()), embedded.shape[1]).to(embedded)
        x = embedded + table[place.to(embedded.device)]
        attended = attend(multiply(self.query_key_value, self.attention_norm(x)), lengths)
        x = x + dropout(multiply(self.projection, attended), self.dropout, self.training)
        first, second = self.feed_forward
        inner = F.relu(multiply(first, self.feed_forward_norm(x)))
        x = x + dropout(multiply(second, inner), self.dropout, self.training)
        return self.norm(x)


def multiply(layer: Any, x: Tensor) -> Tensor:
    """The ``nn.Linear`` of ``x``, by the fastest product at hand."""
    return linear(x, layer.weight, layer.bias)


def attend(query_key_value: Tensor, lengths: Tensor) -> Tensor:
    """``softmax(q k^T / sqrt(width)) v`` inside each sentence, (total, width).

    ``query_key_value`` (total, 3 * width) has q, k and v side by side.
    """
    sorted_lengths, order = torch.sort(lengths, stable=True)
    starts = (lengths.cumsum(0) - lengths)[order]
    # tokens of the shortest sentence first
    offset = torch.repeat_interleave(sorted_lengths.cumsum(0) - sorted_lengths, sorted_lengths)
    places = torch.repeat_interleave(starts, sorted_lengths) + torch.arange(len(offset)) - offset
    rows = query_key_value.index_select(0, places.to(query_key_value.device))
    scale, zero = 1 / math.sqrt(rows.shape[1] / 3), rows.new_zeros(1)
    found = []
    distinct, counts = torch.unique_consecutive(sorted_lengths, return_counts=True)
    # split, not slices: the backward pass of a slice fills a tensor as large as the whole
    for part, length in zip(rows.split((distinct * counts).tolist()), distinct.tolist()):
        q, k, v = part.unflatten(0, (-1, length)).chunk(3, dim=2)  # (sentences, length, width)
        alpha = torch.baddbmm(zero, q, k.transpose(1, 2), beta=0, alpha=scale).softmax(dim=2)
        found.append((alpha @ v).flatten(0, 1))
    return torch.cat(found).index_select(0, places.argsort().to(query_key_value.device))


def sinusoids(length: int, width: int) -> Tensor:
    """Position p in dimensions 2i and 2i + 1: sin and cos of ``p / 10000^(2i / width)``.

    float64 (length, width), of Vaswani et al. 2017, section 3.5. Any length and width will do.
    """
    rates = 10000 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]
