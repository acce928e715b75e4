"""Gradient influence Δ of every token, from one backward pass."""

from contextlib import nullcontext

import torch
from torch import Tensor

from attention_dynamics.classification.model import Classifier, Output, nll


def gradient_influence(
    model: Classifier, tokens: Tensor, lengths: Tensor, labels: Tensor
) -> tuple[Output, Tensor]:
    """The model's output, and Δ of every token: (total,). ``labels`` are gold labels, int64.

    ``delta_l = -d NLL / d m_l``, where ``m_l = 1`` multiplies the embedding of token ``l``: that
    is ``-<d NLL / d e_l, e_l>``. Sentences do not touch one another, so one backward pass over
    the sum of their losses serves them all. α that is another model's counts as a constant.
    """
    embedded = model.embedding(tokens).detach().requires_grad_()
    # cuDNN has no backward pass for a model in eval mode
    way = nullcontext() if model.training else torch.backends.cudnn.flags(enabled=False)
    with way:
        output = model.from_embedded(embedded, lengths, model.given(tokens, lengths))
        (gradient,) = torch.autograd.grad(nll(output.score, labels).sum(), embedded)
    return output, -(gradient * embedded.detach()).sum(dim=1)
