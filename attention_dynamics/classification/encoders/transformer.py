"""One transformer layer of the BiLSTM's size."""

from attention_dynamics.encoder_sizes import bilstm_parameters, feed_forward_size
from attention_dynamics.kernels.transformer import TransformerLayer


class Transformer(TransformerLayer):
    """One head, sinusoidal positions, no dropout; a token's state is as wide as its embedding.

    The feed-forward part has as many units as make the parameters those of the BiLSTM:
    ``F = (8 h (e + h + 2) - 4 e (e + 1) - 7 e) / (2 e + 1)`` rounded, with e = ``embed_dim`` and
    h = ``h_dim``, and at least 1.
    """

    def __init__(self, embed_dim: int, h_dim: int):
        parameters = bilstm_parameters(embed_dim, h_dim)
        super().__init__(embed_dim, feed_forward_size(embed_dim, parameters))
        self.width = embed_dim
