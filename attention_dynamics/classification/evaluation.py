"""Validation during training, and the columns of a dump."""

import numpy as np
import torch

from attention_dynamics.classification.data import Sentences, batches_of_like_length, to_tensors
from attention_dynamics.classification.influence import gradient_influence
from attention_dynamics.classification.model import Classifier, nll

EVAL_TOKENS = 16384  # tokens in a batch


@torch.no_grad()
def validate(model: Classifier, sentences: Sentences, device) -> tuple[float, float]:
    """Mean negative log-likelihood and accuracy, a fraction."""
    loss = correct = 0.0
    for _, batch in batches_of_like_length(sentences, EVAL_TOKENS):
        tokens, lengths, labels = to_tensors(batch, device)
        score = model(tokens, lengths).score
        loss += nll(score, labels).sum().item()
        correct += ((score > 0).cpu().numpy() == batch.gold).sum().item()
    return loss / len(sentences), correct / len(sentences)


def evaluate_checkpoint(model, sentences: Sentences, in_test: np.ndarray, grad: bool, device):
    """Columns of one checkpoint: see ``attention_dynamics/files/dump.py``.

    Parameters
    ----------
    in_test : bool (rows,), which of the sentences belong to the test set; the others are from
        training
    grad : compute Delta too
    """
    offsets = sentences.tokens.offsets
    columns = {name: np.empty(offsets[-1], dtype=np.float32) for name in ("alpha", "beta", "grad")}
    losses, correct = np.empty(len(sentences)), np.empty(len(sentences), dtype=bool)
    for rows, batch in batches_of_like_length(sentences, EVAL_TOKENS):
        tokens, lengths, labels = to_tensors(batch, device)
        if grad:
            gold = torch.from_numpy(batch.gold).to(device)
            output, delta = gradient_influence(model, tokens, lengths, gold)
            found = {"alpha": output.alpha, "beta": output.beta, "grad": delta}
        else:
            with torch.no_grad():
                output = model(tokens, lengths)
            found = {"alpha": output.alpha, "beta": output.beta}
        places = sentences.tokens.places(rows)
        for name, values in found.items():
            columns[name][places] = values.detach().cpu().numpy()
        score = output.score.detach()
        losses[rows] = nll(score, labels).cpu().numpy()
        correct[rows] = (score > 0).cpu().numpy() == batch.gold
    if not grad:
        columns["grad"] = None
    metas = {}
    for split, chosen in (("test", in_test), ("train", ~in_test)):
        metas[f"{split}_acc"] = float(correct[chosen].mean())
        metas[f"{split}_loss"] = float(losses[chosen].mean())
    return {**columns, "metas": metas}
