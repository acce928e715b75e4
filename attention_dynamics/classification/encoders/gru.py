"""A bidirectional GRU of the BiLSTM's size."""

from torch import Tensor, nn

from attention_dynamics.encoder_sizes import bilstm_parameters, positive_root
from attention_dynamics.kernels.gru import bigru


class BiGRU(nn.GRU):
    """One layer: a token's state is those of both directions.

    Its hidden size g is not ``h_dim``: with three gates for four it is the larger one, so that the
    parameters are as many, ``6 g (embed_dim + g + 2) = 8 h_dim (embed_dim + h_dim + 2)``, as
    nearly as whole numbers can.
    """

    def __init__(self, embed_dim: int, h_dim: int):
        parameters = bilstm_parameters(embed_dim, h_dim)
        size = positive_root(6, 6 * (embed_dim + 2), parameters)
        super().__init__(embed_dim, size, bidirectional=True)
        self.width = 2 * size

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        return bigru(self, embedded, lengths)[0]
