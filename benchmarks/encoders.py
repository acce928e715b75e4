"""A training step with each encoder, in both tasks, beside one with the published encoder.

All but ``average`` have as many parameters. The lengths are those of short messages (SNS), and of
multi30k.
"""

import statistics
from collections.abc import Callable

import classifier
import lengths
import measure
import numpy as np
import torch
import translator
from torch import nn

from attention_dynamics.classification import data as classification_data
from attention_dynamics.classification import model as classification
from attention_dynamics.translation import data as translation_data
from attention_dynamics.translation import model as translation


def steps(quick: bool) -> measure.Result:
    """The ratio is that of the slowest encoder of the classifier to the published one."""
    rng = np.random.default_rng(0)
    repeats = 12 if quick else 60
    fastest = measure.gemm_rate()
    notes = [
        f"{torch.get_num_threads()} threads; matrix multiplication {fastest / 1e9:.0f} Gflop/s",
        f"{'':16}{'encoder':14}{'ms':>8}{'of bilstm':>11}{'share':>8}",
    ]
    slowest = {}
    for task, make, draw, flop in (
        ("classification", classification_step, classification_batch, classification_flop),
        ("translation", translation_step, translation_batch, translation_flop),
    ):
        batches = [draw(rng) for _ in range(repeats + 2)]  # the first two are to warm up
        models, times = {}, {}
        for encoder in classification.ENCODERS:
            torch.manual_seed(0)
            models[encoder], times[encoder] = make(encoder), []
        for batch in batches:
            for encoder, (_, update) in models.items():
                times[encoder].append(measure.seconds(update, batch))
        medians = {encoder: statistics.median(found[2:]) for encoder, found in times.items()}
        for encoder, (model, _) in models.items():
            rate = measure.flop_rate([flop(model, b) for b in batches[2:]], times[encoder][2:])
            notes.append(
                f"{task:16}{encoder:14}{1000 * medians[encoder]:8.1f}"
                f"{medians[encoder] / medians['bilstm']:11.2f}{rate / fastest:8.2f}"
            )
        slowest[task] = medians["bilstm"], max(medians["gru"], medians["transformer"])
    plain, ours = slowest["classification"]
    return measure.Result(
        work="a training step with each encoder; below, the classifier's slowest against bilstm",
        ours=ours,
        plain=plain,
        notes=tuple(notes),
    )


def classification_batch(rng: np.random.Generator):
    return classifier.random_sentences("SNS", classifier.CONFIG["b_size"], rng)


def translation_batch(rng: np.random.Generator):
    return translator.random_pairs(translator.CONFIG["b_size"], rng)


def classification_step(encoder: str) -> tuple[classification.Classifier, Callable]:
    config = classifier.CONFIG | {"encoder": encoder}
    model = classification.build(config, lengths.VOCAB_SIZE["SNS"], uniform=False)

    def loss(batch) -> torch.Tensor:
        tokens, row_lengths, labels = classification_data.to_tensors(batch)
        return classification.nll(model(tokens, row_lengths).score, labels).mean()

    return model, measure.update(loss, torch.optim.Adam(model.parameters(), fused=True))


def translation_step(encoder: str) -> tuple[translation.Translator, Callable]:
    config = translator.CONFIG | {"encoder": encoder}
    model = translation.build(config, translator.VOCAB_SIZE, uniform=False).train()

    def loss(batch) -> torch.Tensor:
        return model.losses(*translation_data.to_tensors(batch)).mean()

    return model, measure.update(loss, torch.optim.Adam(model.parameters(), fused=True))


def matrix_flop(*modules: nn.Module) -> int:
    """Flop of a token in a forward pass: each entry of a matrix multiplies once."""
    weights = [weight for module in modules for weight in module.parameters()]
    return 2 * sum(weight.numel() for weight in weights if weight.dim() == 2)


def self_attention_flop(encoder: nn.Module, n_tokens: np.ndarray) -> float:
    """Of all sentences: q k^T and alpha v of each pair of tokens."""
    widths = [m.in_features for name, m in encoder.named_modules() if "query_key" in name]
    return sum(4.0 * width * (n_tokens**2).sum() for width in widths)


def classification_flop(model: classification.Classifier, batch) -> float:
    """Of a step: a backward pass takes twice the forward pass."""
    per_token = matrix_flop(model.lstm, model.attention, model.evidence)
    n_tokens = batch.tokens.lengths
    return 3 * (per_token * n_tokens.sum() + self_attention_flop(model.lstm, n_tokens))


def translation_flop(model: translation.Translator, batch) -> float:
    n_source, n_target = batch.source.lengths, batch.target.lengths - 1
    bridge = getattr(model.encoder, "to_decoder", nn.ModuleList())  # once a sentence: left out
    per_source = matrix_flop(model.encoder, model.query, model.context) - matrix_flop(bridge)
    per_target = matrix_flop(model.decoder, model.combine, model.output)
    h = model.embedding.embedding_dim
    attention = 4 * h * (n_source * n_target).sum()
    inner = self_attention_flop(model.encoder, n_source)
    return 3 * float(per_source * n_source.sum() + per_target * n_target.sum() + attention + inner)
