"""One transformer layer of the BiLSTM's size."""

from torch import Tensor, nn

from attention_dynamics.encoder_sizes import bilstm_parameters, feed_forward_size
from attention_dynamics.kernels.transformer import TransformerLayer
from attention_dynamics.translation.encoders.state import first_state, means


class Transformer(nn.Module):
    """One head, sinusoidal positions. One layer, whatever ``n_layers``: that is the decoder's.

    The feed-forward part has as many units as make the parameters those of the BiLSTM of
    ``n_layers`` layers: ``F = (P - 4 h (h + 1) - 7 h) / (2 h + 1)`` rounded, with h = ``h_dim``
    and ``P = 8 h (2 h + 2) + (n_layers - 1) 8 h (3 h + 2)``.

    The decoder's first h is the mean of the sentence's states in every layer; c is 0.
    """

    def __init__(self, h_dim: int, n_layers: int, dropout: float):
        super().__init__()
        parameters = bilstm_parameters(h_dim, h_dim)
        parameters += (n_layers - 1) * bilstm_parameters(2 * h_dim, h_dim)
        self.layer = TransformerLayer(h_dim, feed_forward_size(h_dim, parameters), dropout)
        self.n_layers = n_layers
        self.width = h_dim

    def forward(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        states = self.layer(embedded, lengths)
        h = means(states, lengths)
        return states, first_state(h.expand(self.n_layers, -1, -1))
