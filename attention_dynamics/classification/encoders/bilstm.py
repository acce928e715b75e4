"""The encoder of the paper."""

from torch import Tensor, nn

from attention_dynamics.kernels.lstm import bilstm


class BiLSTM(nn.LSTM):
    """One layer of a bidirectional LSTM: a token's state is those of both directions."""

    def __init__(self, embed_dim: int, h_dim: int):
        super().__init__(embed_dim, h_dim, bidirectional=True)
        self.width = 2 * h_dim

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        return bilstm(self, embedded, lengths)[0]
