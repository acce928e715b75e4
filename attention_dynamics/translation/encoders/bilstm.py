"""The encoder of the paper."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from attention_dynamics.kernels.dropout import dropout
from attention_dynamics.kernels.lstm import bilstm


class BiLSTM(nn.ModuleList):
    """Layers of bidirectional LSTMs, with dropout between them.

    A token's state is those of both directions in the last layer. The decoder's first h and c
    are, per layer, the mean of the two directions' final ones.
    """

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[nn.LSTM]: ...

    def __init__(self, h_dim: int, n_layers: int, dropout: float):
        super().__init__(
            nn.LSTM(h_dim if layer == 0 else 2 * h_dim, h_dim, bidirectional=True)
            for layer in range(n_layers)
        )
        self.dropout = dropout
        self.width = 2 * h_dim

    def forward(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        states, finals = embedded, []
        for layer, lstm in enumerate(self):
            if layer > 0:
                states = dropout(states, self.dropout, self.training)
            states, final = bilstm(lstm, states, lengths)
            finals.append([part.mean(dim=0) for part in final])  # h and c: (batch, h_dim)
        h, c = (torch.stack(parts) for parts in zip(*finals))
        return states, (h, c)
