"""The classifier the plain way: a padded batch, packed for ``nn.LSTM``, and padded again.

Functions take and give what the fast ways do, :meth:`Classifier.forward` and
:func:`influence.gradient_influence`. Of the published encoder, "bilstm", alone.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from attention_dynamics.classification.model import Classifier, Output, nll


def classify(
    model: Classifier, tokens: Tensor, lengths: Tensor, multipliers: Tensor | None = None
) -> Output:
    """What ``model(tokens, lengths)`` gives.

    ``multipliers`` (total,) of the tokens' embeddings, all 1 if None.
    """
    rows = lengths.tolist()
    padded = pad_sequence(tokens.split(rows), batch_first=True)  # (batch, length)
    embedded = model.embedding(padded)
    if multipliers is not None:
        embedded = embedded * pad_sequence(multipliers.split(rows), batch_first=True)[:, :, None]
    sentences = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
    states, _ = nn.LSTM.forward(model.lstm, sentences)
    hidden, _ = pad_packed_sequence(states, batch_first=True)  # (batch, length, 2 * hidden)

    mask = (torch.arange(padded.shape[1]) < lengths[:, None]).to(tokens.device)
    logits = model.attention(hidden).squeeze(2)
    if model.uniform:
        logits = torch.zeros_like(logits)
    alpha = logits.masked_fill(~mask, float("-inf")).softmax(dim=1)
    beta = model.evidence(hidden)  # (batch, length, 1), or (batch, length, K) of K > 2 labels
    score = (alpha[:, :, None] * beta).sum(dim=1)
    return Output(alpha[mask], beta[mask].squeeze(1), score.squeeze(1))


def gradient_influence(
    model: Classifier, tokens: Tensor, lengths: Tensor, labels: Tensor
) -> tuple[Output, Tensor]:
    """The output, and ``delta_l = -d NLL / d m_l`` by a backward pass to the multipliers."""
    multipliers = torch.ones(len(tokens), dtype=model.evidence.weight.dtype, requires_grad=True)
    output = classify(model, tokens, lengths, multipliers.to(tokens.device))
    (gradient,) = torch.autograd.grad(nll(output.score, labels).sum(), multipliers)
    return output, -gradient
