"""Evaluating copiers: how often they copy, and how often they attend to what they copy."""

import torch
from torch import Tensor

from attention_dynamics.copying.model import AnyCopier, Output
from attention_dynamics.copying.settings import Settings


def accuracies(output: Output, source: Tensor, copied: int) -> dict[str, Tensor]:
    """Token accuracy, and how often attention is highest at the position that is copied.

    Token accuracy is over all predicted tokens, </s> included; attention accuracy over the first
    ``copied`` positions, without </s>. Also how often attention is highest one position before,
    and one after, if there is one (NaN if no sequence has one). With several heads, the mean over
    them, and the attention accuracy of each.

    Parameters
    ----------
    output : of ``source`` (batch, length)

    Returns
    -------
    scalars, and one tensor (heads,), under names of ``histories.COLUMNS``. No branch depends on a
    value, so that ``torch.vmap`` can run it.
    """
    length = source.shape[1]
    highest = output.alpha.argmax(dim=-1).reshape(len(source), length, -1)  # (batch, length, heads)
    highest = highest[:, :copied]
    position = torch.arange(copied, device=source.device)[:, None]
    at_position = (highest == position).double()
    return {
        "token_accuracy": (output.logits.argmax(dim=2) == source).double().mean(),
        "attention_accuracy": at_position.mean(),
        "attention_accuracy_before": (highest == position - 1)[:, 1:].double().mean(),
        "attention_accuracy_after": (highest == position + 1)[:, : length - 1].double().mean(),
        "attention_accuracy_heads": at_position.mean(dim=(0, 1)),
    }


@torch.no_grad()
def evaluate(model: AnyCopier, settings: Settings, batch: Tensor) -> dict[str, float | list[float]]:
    """:func:`accuracies` of a model on sequences (batch, length) that lie on its device."""
    measured = accuracies(model(batch), batch, settings.length)
    return {key: value.tolist() for key, value in measured.items()}
