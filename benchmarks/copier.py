"""Sequence copying at its published sizes: a step of one model, and several models at once.

The plain way of a step has the same weights, the recurrence step by step, and Adam as
``torch.optim.Adam(model.parameters())`` gives it.
"""

import copy
import statistics
import tempfile
from functools import partial
from pathlib import Path

import measure
import numpy as np
import torch
from torch import nn

from attention_dynamics import cli
from attention_dynamics.copying import batched
from attention_dynamics.copying.data import training_batch
from attention_dynamics.copying.many import Task, train_all
from attention_dynamics.copying.model import (
    Copier,
    MultiHeadCopier,
    build_copier,
    build_multihead,
    nll,
)
from attention_dynamics.copying.settings import Settings
from attention_dynamics.copying.training import train
from attention_dynamics.copying.ways import Way, way_of_training

SIZES = {"n_vocab": 40, "hidden_dim": 256}
LENGTH, BATCH, HEADS, SEEDS = 40, 128, 8, 20


def step(quick: bool) -> measure.Result:
    return training_steps("a copier", copier(), repeats=5 if quick else 30)


def step_heads(quick: bool) -> measure.Result:
    return training_steps(f"a copier of {HEADS} heads", multihead(), repeats=3 if quick else 15)


def training_steps(name: str, ours: nn.Module, repeats: int) -> measure.Result:
    """A whole step: forward, backward, Adam. Each on a batch of its own, as in training."""
    plain = copy.deepcopy(ours)
    plain.fused = False
    batches = [training_batch(settings(repeats), 0, number) for number in range(repeats + 1)]
    difference = differences(ours, plain, batches[0])

    def loss(model: nn.Module, source: torch.Tensor) -> torch.Tensor:
        return nll(model(source).logits, source)

    ours_times, plain_times = measure.alternate(
        measure.update(partial(loss, ours), torch.optim.Adam(ours.parameters(), fused=True)),
        measure.update(partial(loss, plain), torch.optim.Adam(plain.parameters())),
        batches,
    )
    seconds = statistics.median(ours_times)
    flop = 3 * BATCH * (LENGTH + 1) * forward_flop(ours)
    share, notes = measure.share_of_gemm_rate(flop / seconds)
    return measure.Result(
        work=f"a training step of {name}, {BATCH} sequences of {LENGTH} tokens and </s>",
        ours=seconds,
        plain=statistics.median(plain_times),
        gemm_share=share,
        difference=difference,
        notes=notes,
    )


def jobs(quick: bool) -> measure.Result:
    """Two seeds side by side, one thread each, against one after the other with all threads.

    The processes have started, and have trained for a moment: they live as long as a whole run.
    """
    steps, repeats = (15, 1) if quick else (60, 3)
    times, found = {"ours": [], "plain": []}, {}

    def take(name: str, way: Way, steps: int) -> float:
        tasks = {str(seed): Task(builder(seed), seed) for seed in range(2)}
        with tempfile.TemporaryDirectory() as folder:
            arguments = tasks, settings(steps), way, Path(folder), {}
            return measure.seconds(lambda: found.update({name: train_all(*arguments)}))

    with way_of_training("cpu", "separate", 2, 2) as side_by_side:
        one_by_one = Way(side_by_side.device, batched=False, pool=None)
        ways = {"ours": side_by_side, "plain": one_by_one}
        for name, way in ways.items():
            take(name, way, steps=1)
        for _ in range(repeats):
            for name, way in ways.items():
                times[name].append(take(name, way, steps))
    return measure.Result(
        work=f"two copiers of {steps} steps",
        ours=statistics.median(times["ours"]),
        plain=statistics.median(times["plain"]),
        difference=curve_difference(found["ours"].values(), found["plain"].values()),
        children=True,
    )


def batch(quick: bool) -> measure.Result:
    """Seeds trained as one, against one after the other, on the device at hand.

    The target is for a GPU: there one such model leaves most of the device idle. Two cores it
    keeps busy, and training as one gains nothing.
    """
    device = cli.find_device(None)
    few, many = (50, 200) if device.type == "cuda" else (2, 20)
    steps = few if quick else many
    # on two cores 20 would take more than the 40 seconds of a quick run
    seeds = list(range(SEEDS if device.type == "cuda" or not quick else SEEDS // 2))
    found = {}

    def ours(steps: int) -> None:
        models = [builder(seed)() for seed in seeds]
        histories = dict(batched.train(models, seeds, settings(steps), device))
        found["ours"] = [histories[seed] for seed in seeds]

    def plain(steps: int) -> None:
        found["plain"] = [
            train(builder(seed)().to(device), settings(steps), seed) for seed in seeds
        ]

    # without warming up on a CPU, where it takes long and matters little
    inputs = [10, steps] if device.type == "cuda" else [steps]
    for value in inputs:
        ours_time = measure.seconds(ours, value)
        plain_time = measure.seconds(plain, value)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "the CPU"
    return measure.Result(
        work=f"{len(seeds)} copiers of {steps} steps, on {where}",
        ours=ours_time,
        plain=plain_time,
        difference=curve_difference(found["ours"], found["plain"]),
    )


def settings(steps: int) -> Settings:
    """The published ones, but evaluated at the beginning and at the end alone."""
    return Settings(SIZES["n_vocab"], LENGTH, True, BATCH, steps + 1, eval_every=steps)


def builder(seed: int):
    return partial(build_copier, seed, **SIZES)


def copier() -> Copier:
    return builder(0)()


def multihead() -> MultiHeadCopier:
    return build_multihead(0, tuple(range(HEADS)), **SIZES)


def forward_flop(model: nn.Module) -> int:
    """Flop of a token in a forward pass."""
    h = SIZES["hidden_dim"]
    head = 2 * measure.linear_flop(h, h) + 2 * measure.linear_flop(h, LENGTH + 1)
    if isinstance(model, Copier):
        recurrence = 2 * measure.lstm_flop(h, h, directions=1)
    else:
        # a GRU has three gates for an LSTM's four
        recurrence = 2 * measure.lstm_flop(h, h, directions=1) * 3 // 4
        head *= HEADS
    last = measure.linear_flop(2 * h, h) + measure.linear_flop(h, SIZES["n_vocab"] + 2)
    return recurrence + head + last


def differences(ours: nn.Module, plain: nn.Module, source: torch.Tensor) -> dict[str, float]:
    """Of the attention and of the weights' gradients on a batch."""
    gradients = [
        torch.autograd.grad(nll(model(source).logits, source), list(model.parameters()))
        for model in (ours, plain)
    ]
    with torch.no_grad():
        alpha = measure.largest_difference(ours(source).alpha, plain(source).alpha)
    gradient = max(measure.largest_difference(a, b) for a, b in zip(*gradients))
    return {"alpha": alpha, "gradient of weights": gradient}


def curve_difference(ours, plain) -> dict[str, float]:
    """Of the mean training losses, of all models."""
    losses = [np.array([history["loss"][1:] for history in way]) for way in (ours, plain)]
    return {"loss": measure.largest_difference(*losses)}
