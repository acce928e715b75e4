"""Training one copier."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attention_dynamics.copying.data import evaluation_batch, training_batch
from attention_dynamics.copying.evaluation import evaluate
from attention_dynamics.copying.histories import History, Stop, history_of
from attention_dynamics.copying.model import AnyCopier, nll
from attention_dynamics.copying.settings import Settings
from attention_dynamics.training import optimizers
from attention_dynamics.training.engine import Training

SAVE_AFTER = 30  # seconds between saves of an unfinished model, at least
DO = "delete its folder or choose another name for the results"


def train(
    model: AnyCopier,
    settings: Settings,
    seed: int,
    stop: Stop | None = None,
    path: Path | None = None,
    context: dict[str, Any] | None = None,
) -> History:
    """Train ``model`` (on its device) to copy sequences drawn from ``seed``.

    Parameters
    ----------
    stop : asked after each evaluation; training ends when it says so
    path : keeps the unfinished state, written at evaluations, at most every ``SAVE_AFTER``
        seconds; an interrupted training resumes from there and ends the same
    context : more settings, which the state must have too

    Raises
    ------
    InputError
        if ``path`` is damaged or of other settings.
    """
    device = next(model.parameters()).device
    threads = torch.get_num_threads()
    identity = asdict(settings) | (context or {})
    training = Training(path, identity, DO, every=SAVE_AFTER)
    training.begin(model, optimizers.build(identity, model.parameters()))
    held_out = evaluation_batch(settings).to(device)

    def loss(step: int) -> Tensor:
        source = training_batch(settings, seed, step).to(device)
        return nll(model(source).logits, source)

    last = settings.evaluations[-1]
    pauses = set(settings.evaluations) - {row["step"] for row in training.history}
    for step, losses in training.updates(loss, last, pauses, bar=False):
        mean = torch.stack(losses).mean().item() if losses else math.nan
        row = {"step": step, "loss": mean} | evaluate(model, settings, held_out)
        history = history_of([*training.history, row])
        if step == last or (stop is not None and stop(history)):
            break
        training.save(step, row)
    torch.set_num_threads(threads)  # resuming takes the number of the interrupted training
    return history
