"""The encoders of the classifier, by the name that ``"encoder"`` has in ``configs/*.json``.

An encoder is built as ``Encoder(embed_dim, h_dim)``. It gives the states of embedded sentences,
which stand end to end: ``forward(embedded, lengths)`` takes (total, embed_dim) and int64 (batch,)
on the CPU, and gives (total, width). ``width`` is an attribute.

To add one: a file here, and a line below. A recurrent layer without a fast kernel can use
:func:`attention_dynamics.kernels.plain.packed`.
"""

from torch import nn

from attention_dynamics.classification.encoders.average import Average
from attention_dynamics.classification.encoders.bilstm import BiLSTM
from attention_dynamics.classification.encoders.gru import BiGRU
from attention_dynamics.classification.encoders.transformer import Transformer

# The first is the default. All but "average" have about as many parameters.
ENCODERS: dict[str, type[nn.Module]] = {
    "bilstm": BiLSTM,
    "gru": BiGRU,
    "transformer": Transformer,
    "average": Average,
}
