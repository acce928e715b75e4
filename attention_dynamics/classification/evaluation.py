"""Validation during training, and the columns of a dump."""

from typing import Any

import numpy as np
import torch

from attention_dynamics.analysis.columns import columns_of
from attention_dynamics.analysis.evidence import SCORE, gold_evidence
from attention_dynamics.classification.columns import COLUMNS
from attention_dynamics.classification.data import Sentences, batches_of_like_length, to_tensors
from attention_dynamics.classification.influence import gradient_influence
from attention_dynamics.classification.model import Classifier, nll, predict

EVAL_TOKENS = 16384  # tokens in a batch


@torch.no_grad()
def validate(model: Classifier, sentences: Sentences, device: torch.device) -> tuple[float, float]:
    """Mean negative log-likelihood and accuracy, a fraction."""
    loss = correct = 0.0
    for _, batch in batches_of_like_length(sentences, EVAL_TOKENS):
        tokens, lengths, labels = to_tensors(batch, device)
        score = model(tokens, lengths).score
        loss += nll(score, labels).sum().item()
        correct += (predict(score).cpu().numpy() == batch.gold).sum().item()
    return loss / len(sentences), correct / len(sentences)


class Evaluation:
    """What a model finds in sentences: what columns (``columns.py``) are computed from.

    Attributes
    ----------
    alpha, beta, delta : float32 (tokens of all sentences,); Δ only with ``grad``. β is evidence
        for label 1; of K > 2 labels for the gold label against the rest
    scores : float32 (sentences, 1), the logit of label 1; of K > 2 labels (sentences, K)
    losses, correct : (sentences,)
    """

    def __init__(self, model: Classifier, sentences: Sentences, grad: bool, device: torch.device):
        total = sentences.tokens.offsets[-1]
        self.alpha, self.beta = np.empty(total, np.float32), np.empty(total, np.float32)
        self.delta = np.empty(total, np.float32) if grad else None
        self.scores = np.empty((len(sentences), model.evidence.out_features), np.float32)
        self.losses = np.empty(len(sentences))
        self.correct = np.empty(len(sentences), dtype=bool)
        for rows, batch in batches_of_like_length(sentences, EVAL_TOKENS):
            tokens, lengths, labels = to_tensors(batch, device)
            places = sentences.tokens.indices(rows)
            if self.delta is not None:
                gold = torch.from_numpy(batch.gold).to(device)
                output, delta = gradient_influence(model, tokens, lengths, gold)
                self.delta[places] = delta.cpu().numpy()
            else:
                with torch.no_grad():
                    output = model(tokens, lengths)
            self.alpha[places] = output.alpha.detach().cpu().numpy()
            beta = output.beta.detach().cpu().numpy()
            if beta.ndim == 2:
                beta = gold_evidence(beta, np.repeat(batch.gold, batch.tokens.lengths))
            self.beta[places] = beta
            score = output.score.detach()
            self.scores[rows] = score.cpu().numpy().reshape(len(rows), -1)
            self.losses[rows] = nll(score, labels).cpu().numpy()
            self.correct[rows] = predict(score).cpu().numpy() == batch.gold


def dumped_sentences(sentences: Sentences, splits: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The evaluated sentences as a dump has them; ``splits`` are their rows, in order."""
    return {
        "tokens": sentences.tokens.values.astype(np.int32),
        "offsets": sentences.tokens.offsets,
        "target": sentences.gold,
        "split": np.repeat(list(splits), [len(rows) for rows in splits.values()]),
    }


def evaluate_checkpoint(
    model: Classifier,
    sentences: Sentences,
    splits: dict[str, np.ndarray],
    grad: bool,
    device: torch.device,
) -> dict[str, Any]:
    """The columns, scores and metas of one checkpoint: see ``analysis/dump.py``.

    Parameters
    ----------
    splits : the rows of each split, which metas are given of
    grad : compute the columns that are computed on request too
    """
    evaluation = Evaluation(model, sentences, grad, device)
    metas = {}
    for split, rows in splits.items():
        name = "test" if split == "val" else split
        metas[f"{name}_acc"] = float(evaluation.correct[rows].mean())
        metas[f"{name}_loss"] = float(evaluation.losses[rows].mean())
    columns = columns_of(COLUMNS, evaluation, grad)
    return columns | {SCORE: evaluation.scores, "metas": metas}
