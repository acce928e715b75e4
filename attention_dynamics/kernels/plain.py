"""A recurrent layer over sentences of different lengths, the plain way: packed sequences."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


def packed(
    rnn: nn.RNNBase, inputs: Tensor, lengths: Tensor, state: Any = None
) -> tuple[Tensor, Any]:
    """``rnn(sentence)`` of each sentence, for any kind of ``rnn``, layers and directions.

    For encoders without a fast kernel. On CUDA for all recurrent ones: it is the fast way of cuDNN.

    Parameters
    ----------
    inputs : (total, features), the sentences end to end
    lengths : int64 (batch,) on the CPU, each at least 1; their sum is ``total``
    state : what it starts from, as the module takes it; None for zeros

    Returns
    -------
    outputs : (total, directions * hidden)
    state : the final one, (layers * directions, batch, hidden); of an LSTM a pair of them
    """
    sorted_lengths, order = torch.sort(lengths, descending=True, stable=True)
    first = (lengths.cumsum(0) - lengths)[order]  # where each sentence starts in ``inputs``
    step = torch.arange(int(sorted_lengths[0]))[:, None]
    under_way = step < sorted_lengths  # (time, sentences)
    positions = (first + step)[under_way].to(inputs.device)
    sequence = PackedSequence(
        inputs[positions],
        under_way.sum(dim=1),
        sorted_indices=order.to(inputs.device),
        unsorted_indices=order.argsort().to(inputs.device),
    )
    # PyTorch's own forward: ``rnn`` may be an encoder, which has another.
    forward: Callable = getattr(nn, rnn.mode, nn.RNN).forward
    output, state = forward(rnn, sequence, state)
    return torch.empty_like(output.data).index_copy(0, positions, output.data), state
