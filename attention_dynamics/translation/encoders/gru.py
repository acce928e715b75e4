"""Bidirectional GRUs of the BiLSTM's size."""

from typing import Any

import torch
from torch import Tensor, nn

from attention_dynamics.encoder_sizes import bilstm_parameters, positive_root
from attention_dynamics.kernels.dropout import dropout
from attention_dynamics.kernels.gru import bigru
from attention_dynamics.kernels.products import linear
from attention_dynamics.translation.encoders.state import first_state


class BiGRU(nn.Module):
    """Layers of bidirectional GRUs, with dropout between them.

    A token's state is those of both directions in the last layer. The decoder's first h is, per
    layer, ``W m + b``, where m is the mean of the two directions' final states; c is 0, as a GRU
    has none.

    The hidden size g is not ``h_dim`` (h): the parameters, ``W`` and ``b`` included, are those of
    the BiLSTM, as nearly as whole numbers can. With L = ``n_layers``:
    ``6 g (h + g + 2) + (L - 1) 6 g (3 g + 2) + L h (g + 1)
    = 8 h (2 h + 2) + (L - 1) 8 h (3 h + 2)``.
    """

    def __init__(self, h_dim: int, n_layers: int, dropout: float):
        super().__init__()
        more = n_layers - 1
        parameters = bilstm_parameters(h_dim, h_dim) + more * bilstm_parameters(2 * h_dim, h_dim)
        size = positive_root(
            6 + 18 * more,
            6 * (h_dim + 2) + 12 * more + n_layers * h_dim,
            parameters - n_layers * h_dim,
        )
        self.layers = nn.ModuleList(
            nn.GRU(h_dim if layer == 0 else 2 * size, size, bidirectional=True)
            for layer in range(n_layers)
        )
        self.to_decoder = nn.ModuleList(nn.Linear(size, h_dim) for _ in range(n_layers))
        self.dropout = dropout
        self.width = 2 * size

    def forward(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        states, h = embedded, []
        pairs: Any = zip(self.layers, self.to_decoder)
        for layer, (rnn, to_decoder) in enumerate(pairs):
            if layer > 0:
                states = dropout(states, self.dropout, self.training)
            states, final = bigru(rnn, states, lengths)
            h.append(linear(final.mean(dim=0), to_decoder.weight, to_decoder.bias))
        return states, first_state(torch.stack(h))
