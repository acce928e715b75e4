"""A bidirectional LSTM over sentences of different lengths, exact and fast.

PyTorch's packed sequences are slow on a CPU: the backward pass over a packed LSTM costs time
quadratic in the longest sentence. Its kernels for padded batches are fast, but a padded batch
changes the result (the backward direction would start in the padding) and wastes work. Here:

- the backward direction runs forward over each sentence reversed in place, so that two plain
  one-directional LSTMs do the work of a bidirectional one;
- sentences end together instead of starting together: short ones join the batch late, in a few
  *segments* of time, each a padded batch of the sentences that are under way. The recurrence
  then takes as many steps as the longest sentence has tokens, and its matrix products are as
  large as the batch allows;
- within a segment a sentence may have to wait for its first token. An extra input column holds
  the input gate shut there, so its state stays exactly zero, as if it had not begun.

On CUDA, cuDNN's packed path is the fast one, and is used.
"""

import numpy as np
import torch
from torch import Tensor, nn

from attention_dynamics.kernels.plain import packed

# A segment more costs about as much as this many padded tokens (measured on two CPU cores).
SEGMENT_COST = 100
# Its sigmoid is exactly 0, whatever the inputs add to it.
SHUT_GATE = -1e30

Result = tuple[Tensor, tuple[Tensor, Tensor]]


def segment_starts(lengths: np.ndarray, segment_cost: int = SEGMENT_COST) -> list[int]:
    """Times at which to let more sentences into the batch, at the least total cost.

    Sentences end together at time ``T = max(lengths)``; one of length ``n`` starts at ``T - n``.
    A segment from one time to the next is a padded batch of all sentences that start before its
    end. Its cost is its area (time x sentences) plus ``segment_cost``; the best set of cuts is
    found by dynamic programming over the distinct lengths.

    Parameters
    ----------
    lengths : int array (batch,), each at least 1

    Returns
    -------
    list of rising times, the first of them 0; segment ``k`` ends where ``k + 1`` starts, the last
    one at ``T``.
    """
    distinct, counts = np.unique(lengths, return_counts=True)
    start_times = distinct[-1] - distinct[::-1]  # rising, the first is 0
    under_way = counts[::-1].cumsum()  # sentences that have started by then
    ends = np.append(start_times[1:], distinct[-1])
    # best[j]: least cost of covering time up to ends[j - 1]
    best = np.zeros(len(distinct) + 1)
    choice = np.zeros(len(distinct) + 1, dtype=int)
    for j in range(1, len(distinct) + 1):
        area = (ends[j - 1] - start_times[:j]) * under_way[j - 1]
        costs = best[:j] + area + segment_cost
        choice[j] = costs.argmin()
        best[j] = costs[choice[j]]
    starts, j = [], len(distinct)
    while j > 0:
        j = choice[j]
        starts.append(int(start_times[j]))
    return starts[::-1]


def one_direction(
    inputs: Tensor, positions: list[Tensor], waits: list[Tensor], weights: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """One direction over the segments; ``positions`` say which input each cell reads."""
    weight_ih, weight_hh, *biases = weights
    hidden_size = weight_hh.shape[1]
    gate_column = weight_ih.new_zeros(4 * hidden_size, 1)
    gate_column[:hidden_size] = SHUT_GATE  # gates are stacked as input, forget, cell, output
    weights = [torch.cat([weight_ih, gate_column], dim=1), weight_hh, *biases]

    hidden = cell = inputs.new_zeros(1, 0, hidden_size)
    outputs, read = [], []
    for position, wait in zip(positions, waits):  # (time, sentences)
        newcomers = inputs.new_zeros(1, position.shape[1] - hidden.shape[1], hidden_size)
        segment = torch.cat([inputs[position], wait[:, :, None].to(inputs.dtype)], dim=2)
        output, hidden, cell = torch.lstm(
            segment,
            (torch.cat([hidden, newcomers], dim=1), torch.cat([cell, newcomers], dim=1)),
            weights,
            has_biases=bool(biases),
            num_layers=1,
            dropout=0.0,
            train=torch.is_grad_enabled(),
            bidirectional=False,
            batch_first=False,
        )
        outputs.append(output[~wait])
        read.append(position[~wait])
    output = torch.cat(outputs)
    return torch.empty_like(output).index_copy(0, torch.cat(read), output), hidden[0], cell[0]


def bilstm_segments(lstm: nn.LSTM, inputs: Tensor, lengths: Tensor) -> Result:
    """:func:`bilstm` by segments of time: the fast way on a CPU."""
    sorted_lengths, order = torch.sort(lengths, descending=True, stable=True)
    first = (lengths.cumsum(0) - lengths)[order]  # where each sentence starts in ``inputs``
    longest = int(sorted_lengths[0])
    starts = segment_starts(lengths.numpy())

    forward, backward, waits = [], [], []
    for start, end in zip(starts, [*starts[1:], longest]):
        under_way = int((sorted_lengths > longest - end).sum())
        n = sorted_lengths[:under_way]
        step = torch.arange(start, end)[:, None] - (longest - n)  # (time, sentences)
        waits.append(step < 0)
        step = step.clamp(min=0)
        forward.append(first[:under_way] + step)
        backward.append(first[:under_way] + n - 1 - step)

    weights: list[Tensor] = list(lstm.parameters())  # those of both directions
    half = len(weights) // 2
    out_f, h_f, c_f = one_direction(inputs, forward, waits, weights[:half])
    out_b, h_b, c_b = one_direction(inputs, backward, waits, weights[half:])
    restore = torch.argsort(order)
    hidden = torch.stack([h_f, h_b])[:, restore]
    cell = torch.stack([c_f, c_b])[:, restore]
    return torch.cat([out_f, out_b], dim=1), (hidden, cell)


def bilstm(lstm: nn.LSTM, inputs: Tensor, lengths: Tensor) -> Result:
    """One layer of a bidirectional LSTM over sentences of different lengths.

    The plain way is :func:`attention_dynamics.kernels.plain.packed`.

    Parameters
    ----------
    lstm : a bidirectional LSTM of one layer, whose weights are used
    inputs : (total, features), the sentences end to end
    lengths : int64 (batch,) on the CPU, each at least 1; their sum is ``total``

    Returns
    -------
    outputs : (total, 2 * hidden), at each token the forward and the backward state
    (hidden, cell) : (2, batch, hidden) each, the final states of the two directions, as
        ``nn.LSTM`` gives them
    """
    if lstm.num_layers != 1 or not lstm.bidirectional:
        raise ValueError("bilstm is for a bidirectional LSTM of one layer")
    way = packed if inputs.is_cuda else bilstm_segments
    return way(lstm, inputs, lengths)
