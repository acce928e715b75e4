"""Validation during training, and the columns of a dump."""

import math
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attention_dynamics.analysis.columns import columns_of
from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.kernels.products import multiplier
from attention_dynamics.translation.columns import COLUMNS
from attention_dynamics.translation.data import Pairs, batches_of_like_length, to_tensors
from attention_dynamics.translation.influence import gradient_influence
from attention_dynamics.translation.model import (
    Output,
    Translator,
    log_probs_in_place,
    nll,
    padded,
    token_mask,
    tokens_of,
    without_first,
    without_last,
)

EVAL_TOKENS = 1024  # tokens in a batch: the logits then take 32 MB
PAIRS_AT_ONCE = 512  # pairs whose logits are made at a time: they then stay in the cache
# Sums of exponentials between which what underflowed is too little to count.
SAFE_TOTALS = 1e-20, 1e30


def perplexity(loss: float) -> float:
    """``exp(loss)`` of the loss per token; infinite, not an error, if the loss is huge."""
    return math.exp(loss) if not loss > 700 else math.inf


@torch.no_grad()
def validate(model: Translator, pairs: Pairs, device: torch.device) -> tuple[float, float]:
    """Mean negative log-likelihood of a target token, and token accuracy in percent.

    Dropout is off meanwhile.
    """
    was_training = model.training
    model.eval()
    loss = correct = count = 0.0
    for _, batch in batches_of_like_length(pairs, EVAL_TOKENS):
        source, source_lengths, target, target_lengths = to_tensors(batch, device)
        logits = model(source, source_lengths, target, target_lengths).logits
        predicted = without_first(target, target_lengths)
        loss += nll(logits, predicted).sum().item()
        correct += (logits.argmax(dim=1) == predicted).sum().item()
        count += len(predicted)
    model.train(was_training)
    return loss / count, 100 * correct / count


@torch.no_grad()
def token_evidence(
    model: Translator,
    source: Tensor,
    source_lengths: Tensor,
    target: Tensor,
    target_lengths: Tensor,
) -> tuple[Output, Tensor]:
    """The model's output, and β of every pair of source token and predicted token: (pairs,).

    ``beta_ts = log p(y_t)`` where the context is ``W_c h_s + b_c``, that of source token ``s``
    alone. The vocabulary's logits are made for ``PAIRS_AT_ONCE`` pairs at a time. The plain way is
    :func:`plain.token_evidence`.
    """
    encoded = model.encode(model.embedding(source), source_lengths)
    inputs, lengths = without_last(target, target_lengths)
    decoded, _ = model.decode(padded(inputs, lengths), encoded.state)
    given = model.given(source, source_lengths, target, target_lengths)
    alpha = model.attend(decoded, encoded) if given is None else given
    mask = token_mask(lengths, source.device)
    context = alpha @ encoded.values
    logits = model.predict(tokens_of(decoded, mask), tokens_of(context, mask))

    pair_mask = mask[:, :, None] & encoded.mask[:, None, :]
    sentence, step, token = pair_mask.nonzero(as_tuple=True)
    predicted = padded(without_first(target, target_lengths), lengths)[sentence, step]
    # W_f [d; c] is a part of d and a part of c: each is made once a token, not once a pair
    weight_d, weight_c = model.combine.weight.chunk(2, dim=1)
    from_decoded = F.linear(decoded, weight_d, model.combine.bias)
    from_values = encoded.values @ weight_c.T
    output = multiplier(model.output.weight, model.output.bias)
    beta = decoded.new_empty(len(predicted))
    for start in range(0, len(beta), PAIRS_AT_ONCE):
        at = slice(start, start + PAIRS_AT_ONCE)
        i = sentence[at]
        combined = F.relu(from_decoded[i, step[at]] + from_values[i, token[at]])
        logits_of_pairs = output(combined)
        chosen = logits_of_pairs.gather(1, predicted[at, None])[:, 0]
        # Without the usual shift by the largest logit: three passes over memory less.
        totals = logits_of_pairs.exp_().sum(dim=1)
        if SAFE_TOTALS[0] < totals.min() and totals.max() < SAFE_TOTALS[1]:
            beta[at] = chosen - totals.log()
        else:
            beta[at] = log_probs_in_place(output(combined), predicted[at])
    return Output(alpha[pair_mask], logits), beta


class Evaluation:
    """What a model finds in pairs of sentences: what columns (``columns.py``) are computed from.

    Attributes
    ----------
    alpha, beta, delta : float32 (pairs of source token and predicted token,); Δ is computed when
        it is first asked for
    token_losses : float64 (predicted tokens of all sentences,)
    losses, correct : (sentences,), sums over a sentence's predicted tokens
    """

    def __init__(self, model: Translator, pairs: Pairs, device: torch.device, grad_bsize: int = 16):
        self.model, self.pairs, self.device, self.grad_bsize = model, pairs, device, grad_bsize
        n_source, n_target = pairs.source.lengths, pairs.target.lengths - 1
        offsets = offsets_of(n_source * n_target)
        alpha, beta = (Ragged(np.empty(offsets[-1], np.float32), offsets) for _ in range(2))
        self.alpha, self.beta = alpha.values, beta.values
        losses = Ragged(np.empty(n_target.sum()), offsets_of(n_target))
        self.token_losses, self.correct = losses.values, np.empty(len(pairs))
        for rows, batch in batches_of_like_length(pairs, EVAL_TOKENS):
            source, source_lengths, target, target_lengths = to_tensors(batch, device)
            output, evidence = token_evidence(model, source, source_lengths, target, target_lengths)
            places = alpha.indices(rows)
            self.alpha[places] = output.alpha.cpu().numpy()
            self.beta[places] = evidence.cpu().numpy()
            predicted = without_first(target, target_lengths)
            starts = offsets_of(n_target[rows])[:-1]
            token_losses = nll(output.logits, predicted).double().cpu().numpy()
            self.token_losses[losses.indices(rows)] = token_losses
            token_correct = (output.logits.argmax(dim=1) == predicted).double().cpu().numpy()
            self.correct[rows] = np.add.reduceat(token_correct, starts)
        self.losses = np.add.reduceat(losses.values, losses.offsets[:-1])

    @cached_property
    def delta(self) -> np.ndarray:
        return gradient_influence(self.model, self.pairs, self.device, self.grad_bsize)


def dumped_sentences(pairs: Pairs, splits: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The evaluated pairs as a dump has them; ``splits`` are their rows, in order."""
    return {
        "source": pairs.source.values.astype(np.int32),
        "source_offsets": pairs.source.offsets,
        "target": pairs.target.values.astype(np.int32),
        "target_offsets": pairs.target.offsets,
        "split": np.repeat(list(splits), [len(rows) for rows in splits.values()]),
    }


def evaluate_checkpoint(
    model: Translator,
    pairs: Pairs,
    splits: dict[str, np.ndarray],
    grad: bool,
    device: torch.device,
    grad_bsize: int = 16,
) -> dict[str, Any]:
    """The columns and metas of one checkpoint: see ``analysis/dump.py``.

    Parameters
    ----------
    splits : the rows of each split, which metas are given of
    grad : compute the columns that are computed on request too
    grad_bsize : sentences whose Δ is computed together, at most
    """
    evaluation = Evaluation(model, pairs, device, grad_bsize)
    metas = {}
    for split, rows in splits.items():
        count = (pairs.target.lengths[rows] - 1).sum()
        metas[f"{split}_acc"] = float(100 * evaluation.correct[rows].sum() / count)
        metas[f"{split}_perplexity"] = perplexity(evaluation.losses[rows].sum() / count)
    return columns_of(COLUMNS, evaluation, grad) | {"metas": metas}
