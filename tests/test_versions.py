"""The numbers that each version of the mathematics gives.

Runs and dumps record the versions, so that results of an older one are never taken for new ones.
That works only if a change of the numbers comes with a new version: this is what is tested here.
If a test fails after a change that is meant to change the numbers, raise the version (``VERSION``
of the model, ``version`` of the column) and write the new number down here.
"""

import numpy as np
import pytest
import torch
from torch import nn

from attention_dynamics.analysis.ragged import Ragged
from attention_dynamics.classification import columns as classifier_columns
from attention_dynamics.classification import evaluation as classifier_evaluation
from attention_dynamics.classification import model as classifier
from attention_dynamics.classification.data import Sentences
from attention_dynamics.translation import columns as translator_columns
from attention_dynamics.translation import evaluation as translator_evaluation
from attention_dynamics.translation import model as translator
from attention_dynamics.translation.data import Pairs

# (task, column or "losses"): (version, the sum of the values, each times its place)
RECORDED: dict[tuple[str, str], tuple[int, float]] = {
    ("classification", "alpha"): (1, 36.993125),
    ("classification", "beta"): (1, 189.0789),
    ("classification", "grad"): (1, 0.0041143831),
    ("classification", "losses"): (1, 7.9773893),
    ("translation", "alpha"): (1, 237.02541),
    ("translation", "beta"): (1, -3471.3108),
    ("translation", "grad"): (1, 0.25584155),
    ("translation", "losses"): (2, 57.698756),
}

CPU = torch.device("cpu")
VOCAB = 12


def fill(model: nn.Module) -> nn.Module:
    """Weights by a formula: the same on every version of torch."""
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            places = torch.arange(parameter.numel(), dtype=torch.float64)
            values = 0.7 * torch.sin(places * (1.3 + 0.1 * number) + number)
            parameter.copy_(values.view(parameter.shape))
    return model.eval().requires_grad_(False)


def ragged(*lengths: int) -> Ragged:
    rows = [[1, *(4 + (3 * row + 5 * i) % 8 for i in range(n)), 2] for row, n in enumerate(lengths)]
    return Ragged.from_rows(rows, dtype=np.int64)


def classification():
    model = fill(
        classifier.build({"embed_dim": 5, "h_dim": 4, "intermediate_dim": 3}, VOCAB, False)
    )
    sentences = Sentences(ragged(0, 3, 7, 2), np.array([0, 1, 1, 0]))
    evaluation = classifier_evaluation.Evaluation(model, sentences, True, CPU)
    return evaluation, classifier_columns.COLUMNS, classifier.VERSION


def translation():
    config = {"h_dim": 4, "n_layers": 2, "dropout": 0.0}
    model = fill(translator.build(config, VOCAB, False))
    pairs = Pairs(ragged(0, 3, 7, 2), ragged(2, 4, 1, 0), ["", "", "", ""])
    evaluation = translator_evaluation.Evaluation(model, pairs, CPU)
    return evaluation, translator_columns.COLUMNS, translator.VERSION


def found() -> dict[tuple[str, str], tuple[int, float]]:
    numbers = {}
    for task in (classification, translation):
        evaluation, columns, version = task()
        values = {name: (c.version, c.compute(evaluation)) for name, c in columns.items()}
        values["losses"] = (version, evaluation.losses)
        for name, (number, array) in values.items():
            places = np.arange(1, len(array) + 1)
            numbers[task.__name__, name] = number, float((places * array).sum())
    return numbers


@pytest.mark.parametrize("key", RECORDED)
def test_numbers_change_only_with_the_version(key):
    version, value = found()[key]
    recorded_version, recorded = RECORDED[key]
    same = value == pytest.approx(recorded, rel=1e-4, abs=1e-6)
    assert same == (version == recorded_version), f"version {version} gives {value:.8g}"


def test_every_column_is_recorded():
    assert found().keys() == RECORDED.keys()
