"""No recurrence: what the decoder reads of the source are embeddings."""

from torch import Tensor, nn

from attention_dynamics.translation.encoders.state import first_state, means


class Average(nn.Module):
    """A token's state is its embedding. Without parameters, so not matched in size.

    The decoder's first h is the mean of the sentence's embeddings in every layer; c is 0.
    """

    def __init__(self, h_dim: int, n_layers: int, dropout: float):
        super().__init__()
        self.n_layers = n_layers
        self.width = h_dim

    def forward(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h = means(embedded, lengths)
        return embedded, first_state(h.expand(self.n_layers, -1, -1))
