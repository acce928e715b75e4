"""The translator's encoders against their formulas, and what follows of them. In double precision.

Position after position: ``plain_encoders.py``.
"""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT
from plain_encoders import TRANSLATION
from test_translation_model import CASES, CPU, random_pairs

from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.cli import InputError
from attention_dynamics.training.runs import run_folder
from attention_dynamics.translation import data, decoding, evaluation, influence, model, plain
from attention_dynamics.translation.encoders import ENCODERS

VOCAB, H = 23, 6
OTHERS = list(ENCODERS)[1:]


def make(encoder, uniform=False, n_layers=2, dropout=0.5):
    torch.manual_seed(0)
    translator = model.Translator(VOCAB, H, n_layers, dropout, uniform, encoder).double().eval()
    with torch.no_grad():  # larger weights than at the start, so that attention is not flat
        for weight in translator.parameters():
            weight *= 2
    return translator


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("lengths", [[5, 1, 9, 2, 1, 5], [4, 4], [1], [60, 2]], ids=str)
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_states_and_the_decoder_s_first_state_are_the_formula_s(encoder, n_layers, lengths):
    module = make(encoder, n_layers=n_layers).encoder
    weights = {name: weight.detach().numpy() for name, weight in module.named_parameters()}
    embedded = torch.randn(sum(lengths), H, dtype=torch.float64)
    states, (h, c) = module(embedded, torch.tensor(lengths))
    assert states.shape[1] == module.width and h.shape == c.shape == (n_layers, len(lengths), H)
    for row, (inputs, found) in enumerate(zip(embedded.split(lengths), states.split(lengths))):
        expected = TRANSLATION[encoder](inputs.numpy(), weights, n_layers)
        for ours, others in zip((found, h[:, row], c[:, row]), expected):
            np.testing.assert_allclose(ours.detach().numpy(), others, rtol=0, atol=1e-12)


def of_sentence(translator, source, target):
    """log p (predicted, vocabulary), α and β (predicted, source), token after token."""
    embedded = translator.embedding(source)
    h, state = translator.encoder(embedded, torch.tensor([len(source)]))
    log_probs, alphas, betas = [], [], []
    for t, token in enumerate(target[:-1]):
        d, finals = translator.embedding(token)[None], []
        for layer, lstm in enumerate(translator.decoder):
            d, final = lstm(d, tuple(part[layer] for part in state))
            finals.append(final)
        state = tuple(torch.stack(parts) for parts in zip(*finals))
        logits = h @ translator.query(d[0]) * (not translator.uniform)
        alpha = logits.softmax(dim=0)

        def log_p(mean, d=d[0]):
            context = translator.context(mean)
            combined = translator.combine(torch.cat([d, context])).relu()
            return translator.output(combined).log_softmax(dim=0)

        log_probs.append(log_p(alpha @ h))
        alphas.append(alpha)
        betas.append(torch.stack([log_p(h_s)[target[t + 1]] for h_s in h]))
    return torch.stack(log_probs), torch.stack(alphas), torch.stack(betas)


@pytest.mark.parametrize("encoder", OTHERS)
@pytest.mark.parametrize(("case", "uniform"), CASES)
def test_alpha_beta_and_losses_are_those_of_one_sentence_at_a_time(case, uniform, encoder):
    translator, pairs = make(encoder, uniform), random_pairs(case)
    batch = data.to_tensors(pairs)
    with torch.no_grad():
        found = [
            of_sentence(translator, torch.from_numpy(s), torch.from_numpy(t))
            for s, t in zip(pairs.source, pairs.target)
        ]
        losses = translator.losses(*batch)
    log_probs = torch.cat([log_probs for log_probs, _, _ in found])
    alpha, beta = (torch.cat([parts[k].flatten() for parts in found]) for k in (1, 2))
    output, evidence = evaluation.token_evidence(translator, *batch)
    expected = log_probs.gather(1, model.without_first(*batch[2:])[:, None])[:, 0]
    assert torch.allclose(losses, -expected, rtol=0, atol=1e-12)
    assert torch.allclose(output.logits.log_softmax(dim=1), log_probs, rtol=0, atol=1e-12)
    assert torch.allclose(output.alpha, alpha, rtol=0, atol=1e-12)
    assert torch.allclose(evidence, beta, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tokens_at_once", [1, 20, 4096])
@pytest.mark.parametrize("encoder", OTHERS)
@pytest.mark.parametrize(("case", "uniform"), CASES)
def test_influence_is_a_backward_pass_for_each_target_token(
    case, uniform, encoder, tokens_at_once, monkeypatch
):
    monkeypatch.setattr(influence, "TOKENS_AT_ONCE", tokens_at_once)
    translator, pairs = make(encoder, uniform).requires_grad_(False), random_pairs(case)
    largest = 0.0
    for source, target in zip(pairs.source, pairs.target):
        source, target = torch.from_numpy(source), torch.from_numpy(target)
        (found,) = influence.influence_of_equal_lengths(translator, source[None], target[None])
        expected = plain.influence_of_sentence(translator, source, target)
        assert torch.allclose(found, expected, rtol=0, atol=1e-12)
        largest = max(largest, expected.abs().max().item())
    assert largest > 1e-3
    assert influence.is_written_out(translator)
    together = influence.gradient_influence(translator, pairs, CPU, 3)
    assert np.allclose(together, plain.gradient_influence(translator, pairs, CPU), atol=1e-6)


@pytest.mark.parametrize("encoder", OTHERS)
def test_influence_is_the_finite_difference(encoder):
    translator, pairs, step = make(encoder), random_pairs("ragged"), 1e-5
    delta = Ragged(
        influence.gradient_influence(translator, pairs, CPU, 4),
        offsets_of(pairs.source.lengths * (pairs.target.lengths - 1)),
    )
    for row, found in enumerate(delta):
        source, *rest = data.to_tensors(pairs.take(np.array([row])))
        predicted = model.without_first(*rest[1:])[:, None]
        embedded = translator.embedding(source).detach()
        for place, by_place in enumerate(found.reshape(len(predicted), len(source)).T):
            log_probs = []
            for change in (step, -step):
                scale = torch.ones(len(source), 1, dtype=torch.float64)
                scale[place] += change
                logits = translator.from_embedded(embedded * scale, *rest).logits.detach()
                log_probs.append(logits.log_softmax(dim=1).gather(1, predicted)[:, 0])
            expected = (log_probs[0] - log_probs[1]) / (2 * step)
            assert np.allclose(by_place, expected, atol=1e-6)


@pytest.mark.parametrize("encoder", OTHERS)
def test_beam_search_is_the_plain_one(encoder):
    translator = make(encoder)
    batch = data.to_tensors(random_pairs("ragged"))[:2]
    found, scores = decoding.beam_search(translator, *batch, max_tokens=12)
    expected, expected_scores = plain.beam_search(translator, *batch, max_tokens=12)
    assert found == expected and scores == pytest.approx(expected_scores, abs=1e-10)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_training_lowers_the_loss_and_reaches_every_weight(encoder):
    torch.manual_seed(0)
    config = {"h_dim": 72, "n_layers": 2, "dropout": 0.1, "encoder": encoder}
    translator = model.build(config, VOCAB, uniform=False).train()
    batch = data.to_tensors(random_pairs("ragged"))
    adam = torch.optim.Adam(translator.parameters())
    losses = []
    for _ in range(20):
        losses.append(translator.losses(*batch).mean())
        adam.zero_grad()
        losses[-1].backward()
        adam.step()
    assert losses[-1] < 0.8 * losses[0]
    assert all(weight.grad.any() for weight in translator.parameters())


@pytest.mark.parametrize("encoder", OTHERS)
def test_dropout_is_for_training_alone(encoder):
    """And it is drawn from the seed."""
    translator, batch = make(encoder), data.to_tensors(random_pairs("ragged"))
    assert torch.equal(translator(*batch).logits, translator(*batch).logits)
    translator.train()
    torch.manual_seed(3)
    one, two = translator(*batch).logits, translator(*batch).logits
    torch.manual_seed(3)
    assert not torch.equal(one, two) and torch.equal(one, translator(*batch).logits)


@pytest.mark.parametrize(("h", "n_layers"), [(256, 2), (256, 1), (128, 1), (512, 3), (200, 2)])
def test_encoders_have_the_parameters_of_the_bilstm(h, n_layers):
    counts = {name: count(encoder(h, n_layers, 0.5)) for name, encoder in ENCODERS.items()}
    layers = [8 * h * (h + h + 2), *[8 * h * (2 * h + h + 2)] * (n_layers - 1)]
    assert counts["bilstm"] == sum(layers)
    assert counts.pop("average") == 0
    for found in counts.values():
        assert abs(found / counts["bilstm"] - 1) < 0.01


@pytest.mark.parametrize("encoder", OTHERS)
def test_the_shipped_config_of_an_encoder(encoder, tmp_path):
    folder = ROOT / "translation" / "configs"
    published = model.load_config(folder / "model.json")
    config = model.load_config(folder / f"model_{encoder}.json")
    assert config == published | {"encoder": encoder}
    names = [run_folder(tmp_path, "x", c, 20, False).name for c in (published, config)]
    assert names[1] == f"{names[0]},encoder={encoder}"


def test_the_encoder_in_a_config(tmp_path):
    config = {"h_dim": 8, "dropout": 0.5, "n_layers": 2, "b_size": 4}
    path = tmp_path / "model.json"
    path.write_text(json.dumps(config | {"encoder": "bilstm"}))
    assert model.load_config(path) == config
    path.write_text(json.dumps(config | {"encoder": "lstm"}))
    with pytest.raises(InputError, match=r"not one of bilstm, gru, transformer, average$"):
        model.load_config(path)
