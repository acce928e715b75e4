"""What a benchmark finds, and the pieces that it is measured with."""

import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

# Targets are stated for two cores.
THREADS = min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)


@dataclass(frozen=True)
class Result:
    """Seconds that the same work took in two ways.

    Attributes
    ----------
    work : what was done, in a line
    ours, plain : seconds
    gemm_share : useful flop/s of our way over :func:`gemm_rate`; None where it says nothing
    difference : largest difference between the two ways' results, by the name of the result
    notes : more to print, a line each
    children : the work was done by processes of its own
    unit : of ``ours`` and ``plain``, where it is not seconds
    """

    work: str
    ours: float
    plain: float
    gemm_share: float | None = None
    difference: dict[str, float] | None = None
    notes: tuple[str, ...] = ()
    children: bool = False
    unit: str = "s"

    @property
    def ratio(self) -> float:
        return self.plain / self.ours


def seconds(function: Callable, *args) -> float:
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def alternate(ours: Callable, plain: Callable, inputs: Iterable) -> tuple[list, list]:
    """Seconds of both functions on each of the inputs, one after the other.

    Whatever else the machine does meanwhile then slows both. The first input is for warming up
    and does not count.
    """
    times = [(seconds(ours, value), seconds(plain, value)) for value in inputs]
    ours_times, plain_times = zip(*times[1:])
    return list(ours_times), list(plain_times)


def update(loss: Callable[..., torch.Tensor], optimizer: torch.optim.Optimizer) -> Callable:
    """The function that makes an update on a batch, whose loss is ``loss(batch)``."""

    def make(batch) -> None:
        value = loss(batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return make


def gemm_rate() -> float:
    """The machine's rate of float32 matrix multiplication, in flop/s, with torch's threads.

    The best of several runs of two libraries at several sizes: ``torch.mm`` (on x86 this is MKL)
    and ``F.linear`` of tensors in oneDNN's own layout, which on AMD processors is twice as fast.
    The LSTM kernels are oneDNN's, so a share of MKL's rate could exceed 1.
    """
    rates = []
    with torch.no_grad():
        for n in (512, 1024, 2048):
            a, b = torch.rand(n, n), torch.rand(n, n)
            ways = [(torch.mm, a, b)]
            if torch.backends.mkldnn.is_available():
                ways.append((F.linear, a.to_mkldnn(), b.to_mkldnn()))
            for way in ways:
                seconds(*way)
                rates.append(2 * n**3 / min(seconds(*way) for _ in range(8)))
    return max(rates)


def share_of_gemm_rate(flop_rate: float) -> tuple[float, tuple[str, ...]]:
    """``flop_rate`` over :func:`gemm_rate`, and a note that tells both."""
    fastest = gemm_rate()
    note = (
        f"{torch.get_num_threads()} threads; useful {flop_rate / 1e9:.0f} Gflop/s, "
        f"matrix multiplication {fastest / 1e9:.0f} Gflop/s"
    )
    return flop_rate / fastest, (note,)


def lstm_flop(input_size: int, hidden_size: int, directions: int = 2) -> int:
    """Flop of a token in the forward pass of one layer.

    Each of the 4 gates multiplies the token's input and the state before it. A backward pass
    takes as much again for the gradient of inputs and states, and as much for that of weights.
    """
    return directions * 2 * 4 * hidden_size * (input_size + hidden_size)


def linear_flop(in_features: int, out_features: int) -> int:
    """Flop of a row in the forward pass of a linear layer."""
    return 2 * in_features * out_features


def largest_difference(a: torch.Tensor | np.ndarray, b: torch.Tensor | np.ndarray) -> float:
    return float(abs(a - b).max())


def flop_rate(flop: Iterable[float], times: Iterable[float]) -> float:
    """The median rate of runs that did ``flop`` in ``times`` seconds each."""
    return statistics.median(work / time for work, time in zip(flop, times))
