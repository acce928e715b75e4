"""The encoders of the translator, by the name that ``"encoder"`` has in ``configs/*.json``.

An encoder is built as ``Encoder(h_dim, n_layers, dropout)``. ``forward(embedded, lengths)`` takes
the embeddings of source sentences, which stand end to end, (total, h_dim), and int64 (batch,) on
the CPU. It gives the states (total, width), and the decoder's first ``(h, c)``, each (n_layers,
batch, h_dim). ``width`` is an attribute.

To add one: a file here, and a line below. A recurrent layer without a fast kernel can use
:func:`attention_dynamics.kernels.plain.packed`.
"""

from torch import nn

from attention_dynamics.translation.encoders.average import Average
from attention_dynamics.translation.encoders.bilstm import BiLSTM
from attention_dynamics.translation.encoders.gru import BiGRU
from attention_dynamics.translation.encoders.transformer import Transformer

# The first is the default. All but "average" have about as many parameters.
ENCODERS: dict[str, type[nn.Module]] = {
    "bilstm": BiLSTM,
    "gru": BiGRU,
    "transformer": Transformer,
    "average": Average,
}
