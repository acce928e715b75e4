"""The sequences to copy. Each batch is a function of a seed and a step, and of nothing else.

What a model learns depends therefore neither on the models trained beside it nor on where a run
was interrupted.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attention_dynamics.copying.settings import Repeating, Settings

TRAINING, EVALUATION, POOL, REPEATED = 1, 2, 3, 4  # streams of random numbers
EVALUATED = 400  # sequences that all models are evaluated on


def training_batch(settings: Settings, seed: int, step: int) -> Tensor:
    """The sequences that a step trains on: int64 (batch, length + 1), the last token </s>.

    With ``no_eos`` they are (batch, length).
    """
    batch = _sequences(settings, [TRAINING, seed, step], settings.batch_size)
    if isinstance(settings, Repeating):
        count = round(settings.share * settings.batch_size)
        pool = _sequences(settings, [POOL, seed], settings.pool)
        drawn = np.random.default_rng([REPEATED, seed, step]).integers(settings.pool, size=count)
        batch[:count] = pool[torch.from_numpy(drawn)]
    return batch


def evaluation_batch(settings: Settings) -> Tensor:
    """The sequences that all models are evaluated on, from a stream apart from training's."""
    return _sequences(settings, [EVALUATION], EVALUATED)


def _sequences(settings: Settings, stream: list[int], count: int) -> Tensor:
    """``count`` random sequences: int64 (count, length + 1), or (count, length) with ``no_eos``.

    Tokens are below ``n_vocab``, with </s> (``n_vocab``) at the end. With ``no_rep`` no sequence
    has a token twice: each is ``length`` of the ``n_vocab`` tokens (at least ``length``) in random
    order.
    """
    rng = np.random.default_rng(stream)
    n_vocab, length = settings.n_vocab, settings.length
    if settings.no_rep:
        sequences = rng.random((count, n_vocab)).argsort(axis=1)[:, :length]
    else:
        sequences = rng.integers(n_vocab, size=(count, length))
    return F.pad(torch.from_numpy(sequences), (0, 0 if settings.no_eos else 1), value=n_vocab)
