"""Validation during training, and the columns of a dump."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.kernels.products import multiplier
from attention_dynamics.translation.data import Pairs, batches_of_like_length, to_tensors
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
    alone.
    The vocabulary's logits are made for ``PAIRS_AT_ONCE`` pairs at a time.
    """
    encoded = model.encode(model.embedding(source), source_lengths)
    inputs, lengths = without_last(target, target_lengths)
    decoded, _ = model.decode(padded(inputs, lengths), encoded.state)
    alpha = model.attend(decoded, encoded)
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


def evaluate_checkpoint(model, pairs: Pairs, splits: dict[str, np.ndarray], device) -> dict:
    """Columns alpha and beta of one checkpoint: see ``attention_dynamics/files/dump.py``.

    Parameters
    ----------
    splits : the rows of each split, which metas are given of
    """
    n_source, n_target = pairs.source.lengths, pairs.target.lengths - 1
    offsets = offsets_of(n_source * n_target)
    alpha, beta = (Ragged(np.empty(offsets[-1], np.float32), offsets) for _ in range(2))
    losses, correct = np.empty(len(pairs)), np.empty(len(pairs))  # sums over a sentence's tokens
    for rows, batch in batches_of_like_length(pairs, EVAL_TOKENS):
        source, source_lengths, target, target_lengths = to_tensors(batch, device)
        output, evidence = token_evidence(model, source, source_lengths, target, target_lengths)
        places = alpha.places(rows)
        alpha.values[places] = output.alpha.cpu().numpy()
        beta.values[places] = evidence.cpu().numpy()
        predicted = without_first(target, target_lengths)
        starts = offsets_of(n_target[rows])[:-1]
        token_losses = nll(output.logits, predicted).double().cpu().numpy()
        token_correct = (output.logits.argmax(dim=1) == predicted).double().cpu().numpy()
        losses[rows] = np.add.reduceat(token_losses, starts)
        correct[rows] = np.add.reduceat(token_correct, starts)
    metas = {}
    for split, rows in splits.items():
        count = n_target[rows].sum()
        metas[f"{split}_acc"] = float(100 * correct[rows].sum() / count)
        metas[f"{split}_perplexity"] = math.exp(losses[rows].sum() / count)
    return {"alpha": alpha.values, "beta": beta.values, "grad": None, "metas": metas}
