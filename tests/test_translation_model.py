"""The translator, α, β and Δ against the plain way, and that against loops and differences.

In double precision.
"""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT
from torch import nn

from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.cli import InputError
from attention_dynamics.kernels.plain import packed
from attention_dynamics.kernels.products import linear, multiplier, product
from attention_dynamics.translation import (
    data,
    evaluation,
    influence,
    model,
    plain,
    word_baseline,
)

VOCAB, H = 23, 5
CPU = torch.device("cpu")
# lengths of source and target, <s> and </s> included
SHAPES = {
    "ragged": [(5, 7), (2, 2), (9, 3), (3, 11), (2, 4)],
    "equal": [(4, 4), (4, 4), (4, 4)],
    "single": [(6, 5)],
    "shortest": [(1, 2), (1, 2)],
    "one source length": [(4, 2), (4, 9), (4, 3), (4, 9)],
}
CASES = [(case, uniform) for case in SHAPES for uniform in (False, True)]


def make(uniform=False, n_layers=2, dropout=0.5, seed=0, dtype=torch.float64, vocab=VOCAB):
    torch.manual_seed(seed)
    translator = model.Translator(vocab, H, n_layers, dropout, uniform).to(dtype).eval()
    with torch.no_grad():  # larger weights than at the start, so that attention is not flat
        for weight in translator.parameters():
            weight *= 2
    return translator


def plain_of(translator):
    """The plain translator with the same weights."""
    sizes = len(translator.encoder), translator.dropout, translator.uniform
    theirs = plain.PlainTranslator(translator.output.out_features, H, *sizes)
    theirs.load_state_dict(translator.state_dict())
    return theirs.to(translator.output.weight.dtype).train(translator.training)


def random_pairs(case, seed=0, vocab=VOCAB):
    rng = np.random.default_rng(seed)

    def sentence(length):
        return [data.BOS, *rng.integers(4, vocab, max(0, length - 2)), data.EOS][-length:]

    source, target = (
        Ragged.from_rows([sentence(shape[side]) for shape in SHAPES[case]], np.int64)
        for side in (0, 1)
    )
    return data.Pairs(source, target, ["text"] * len(SHAPES[case]))


# The formulas for one sentence pair: PyTorch's own bidirectional LSTM of two layers, no batch


def of_sentence(translator, embedded, target):
    """log p of the whole vocabulary (predicted, vocabulary), α and β (predicted, source)."""
    n_layers = len(translator.encoder)
    encoder = nn.LSTM(H, H, n_layers, bidirectional=True, dtype=embedded.dtype)
    for layer, lstm in enumerate(translator.encoder):
        for name, weight in lstm.named_parameters():
            getattr(encoder, name.replace("l0", f"l{layer}")).data = weight.data
    h, (h_n, c_n) = encoder(embedded)
    state = tuple(x.view(n_layers, 2, H).mean(dim=1) for x in (h_n, c_n))
    decoder = nn.LSTM(H, H, n_layers, dtype=embedded.dtype)
    for layer, lstm in enumerate(translator.decoder):
        for name, weight in lstm.named_parameters():
            getattr(decoder, name.replace("l0", f"l{layer}")).data = weight.data
    d, _ = decoder(translator.embedding(target[:-1]), state)
    (w_a, b_a), (w_c, b_c), (w_f, b_f), (w_o, b_o) = (
        getattr(translator, name).parameters() for name in ("query", "context", "combine", "output")
    )

    def log_p(d_t, c_t):
        o_t = torch.relu(w_f @ torch.cat([d_t, c_t]) + b_f)
        return torch.log_softmax(w_o @ o_t + b_o, dim=0)

    log_probs, alphas, betas = [], [], []
    for t in range(len(target) - 1):
        q_t = w_a @ d[t] + b_a
        logits = torch.stack([q_t @ h_s for h_s in h]) * (not translator.uniform)
        alpha = torch.softmax(logits, dim=0)
        log_probs.append(log_p(d[t], w_c @ sum(a * h_s for a, h_s in zip(alpha, h)) + b_c))
        alphas.append(alpha)
        betas.append(torch.stack([log_p(d[t], w_c @ h_s + b_c)[target[t + 1]] for h_s in h]))
    return torch.stack(log_probs), torch.stack(alphas), torch.stack(betas)


def of_pairs(translator, pairs):
    found = [
        of_sentence(translator, translator.embedding(torch.from_numpy(s)), torch.from_numpy(t))
        for s, t in zip(pairs.source, pairs.target)
    ]
    log_probs, alphas, betas = zip(*found)
    return torch.cat(log_probs), *(torch.cat([x.flatten() for x in xs]) for xs in (alphas, betas))


@pytest.mark.parametrize(("case", "uniform"), CASES)
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_against_one_sentence_at_a_time(case, uniform, n_layers):
    translator, pairs = make(uniform, n_layers), random_pairs(case)
    batch = data.to_tensors(pairs)
    with torch.no_grad():
        log_probs, alpha, beta = of_pairs(translator, pairs)
        outputs = [translator(*batch), plain_of(translator)(*batch)]
    evidence = [
        evaluation.token_evidence(translator, *batch),
        plain.token_evidence(plain_of(translator), *batch),
    ]
    for output, (again, found_beta) in zip(outputs, evidence):
        assert torch.allclose(output.logits.log_softmax(dim=1), log_probs, atol=1e-10)
        assert torch.allclose(output.alpha, alpha, atol=1e-10)
        assert torch.allclose(again.logits, output.logits, atol=1e-12)
        assert torch.allclose(again.alpha, output.alpha, atol=1e-12)
        assert torch.allclose(found_beta, beta, atol=1e-10)


def test_evidence_in_chunks_is_the_same(monkeypatch):
    translator, batch = make(), data.to_tensors(random_pairs("ragged"))
    whole = evaluation.token_evidence(translator, *batch)[1]
    for size in (1, 7, len(whole)):
        monkeypatch.setattr(evaluation, "PAIRS_AT_ONCE", size)
        assert torch.allclose(evaluation.token_evidence(translator, *batch)[1], whole, atol=1e-12)


@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_evidence_where_exponentials_leave_the_range_of_floats(scale):
    """Logits of thousands, whose exponentials are infinite or 0."""
    translator, pairs = make(), random_pairs("ragged")
    with torch.no_grad():
        translator.output.weight *= scale
        _, _, beta = of_pairs(translator, pairs)
        output, found = evaluation.token_evidence(translator, *data.to_tensors(pairs))
    assert bool((output.logits.abs() > 1000).any()) == (scale > 1)
    assert torch.allclose(found, beta, rtol=1e-10, atol=1e-10)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("uniform", [False, True])
def test_alpha_is_a_distribution_over_the_sentence_s_own_tokens(uniform):
    pairs = random_pairs("ragged")
    alpha = make(uniform)(*data.to_tensors(pairs)).alpha.detach().numpy()
    n_source, n_target = pairs.source.lengths, pairs.target.lengths - 1
    rows = np.repeat(n_source, n_target)
    assert len(alpha) == rows.sum()
    starts = np.concatenate([[0], rows.cumsum()[:-1]])
    assert np.allclose(np.add.reduceat(alpha, starts), 1)
    if uniform:
        assert np.allclose(alpha, np.repeat(1 / rows, rows))
    else:
        assert np.ptp(alpha[: n_source[0]]) > 0.01


def test_padding_never_changes_a_result():
    """A sentence pair alone, and in a batch with longer and shorter ones."""
    translator, pairs = make(), random_pairs("ragged")
    together, beta = evaluation.token_evidence(translator, *data.to_tensors(pairs))
    delta = influence.gradient_influence(translator, pairs, CPU, 3)
    found = []
    for row in range(len(pairs)):
        alone = pairs.take(np.array([row]))
        output, evidence = evaluation.token_evidence(translator, *data.to_tensors(alone))
        influences = influence.gradient_influence(translator, alone, CPU, 3)
        found.append((output.alpha, output.logits, evidence, torch.from_numpy(influences)))
    alpha, logits, evidence, influences = (torch.cat(x) for x in zip(*found))
    assert torch.allclose(together.alpha, alpha, atol=1e-12)
    assert torch.allclose(together.logits, logits, atol=1e-12)
    assert torch.allclose(beta, evidence, atol=1e-12)
    assert np.allclose(delta, influences.numpy(), atol=1e-7)


@pytest.mark.parametrize(("case", "uniform"), CASES)
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.slow
def test_influence_against_a_backward_pass_per_target_token(case, uniform, n_layers):
    translator = make(uniform, n_layers).requires_grad_(False)
    pairs = random_pairs(case)
    expected = []
    for source, target in zip(pairs.source, pairs.target):
        embedded = translator.embedding(torch.from_numpy(source))
        scale = torch.ones(len(source), dtype=torch.float64, requires_grad=True)
        target = torch.from_numpy(target)
        log_probs, _, _ = of_sentence(translator, embedded * scale[:, None], target)
        for t, token in enumerate(target[1:]):
            (gradient,) = torch.autograd.grad(-log_probs[t, token], scale, retain_graph=True)
            expected.append(-gradient)
    expected = torch.cat(expected).numpy()
    found = [
        plain.gradient_influence(plain_of(translator), pairs, CPU),
        *(influence.gradient_influence(translator, pairs, CPU, size) for size in (1, 3, 16)),
    ]
    for delta in found:
        assert delta.dtype == np.float32
        assert abs(delta - expected).max() < 1e-6 * max(1, abs(expected).max())


@pytest.mark.parametrize(("case", "uniform"), CASES)
def test_influence_against_the_plain_way(case, uniform):
    """Sentence after sentence, in double precision; of this model and of the plain one."""
    translator, pairs = make(uniform), random_pairs(case)
    for source, target in zip(pairs.source, pairs.target):
        source, target = torch.from_numpy(source), torch.from_numpy(target)
        (found,) = influence.influence_of_equal_lengths(translator, source[None], target[None])
        for way in (translator, plain_of(translator)):
            expected = plain.influence_of_sentence(way, source, target)
            assert torch.allclose(found, expected, rtol=0, atol=1e-12)


class GRUTranslator(model.Translator):
    """A translator with another encoder, as a user would write it."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.encoder = nn.GRU(H, H, bidirectional=True)

    def encoder_states(self, embedded, lengths):
        hidden, final = packed(self.encoder, embedded, lengths)
        state = final.mean(dim=0).expand(len(self.decoder), -1, -1).contiguous()
        return hidden, (state, torch.zeros_like(state))


def test_influence_of_a_translator_with_another_encoder():
    """It is the plain way's; the fast one is for the published model alone."""
    torch.manual_seed(0)
    other = GRUTranslator(VOCAB, H, 2, 0.5, False).double().eval().requires_grad_(False)
    pairs, step = random_pairs("ragged"), 1e-5
    delta = Ragged(
        influence.gradient_influence(other, pairs, CPU, 3),
        offsets_of(pairs.source.lengths * (pairs.target.lengths - 1)),
    )
    for row, found in enumerate(delta):
        source, *rest = data.to_tensors(pairs.take(np.array([row])))
        predicted = model.without_first(*rest[1:])[:, None]
        embedded = other.embedding(source)
        for place, by_place in enumerate(found.reshape(len(predicted), len(source)).T):
            log_probs = []
            for change in (step, -step):
                scale = torch.ones(len(source), 1, dtype=torch.float64)
                scale[place] += change
                logits = other.from_embedded(embedded * scale, *rest).logits
                log_probs.append(logits.log_softmax(dim=1).gather(1, predicted)[:, 0])
            expected = (log_probs[0] - log_probs[1]) / (2 * step)
            assert np.allclose(by_place, expected, atol=1e-7)
    assert abs(delta.values).max() > 1e-3


def test_the_fast_influence_is_for_unchanged_translators_alone():
    translator = make()
    assert influence.is_written_out(translator)
    assert not influence.is_written_out(plain_of(translator))
    assert not influence.is_written_out(GRUTranslator(VOCAB, H, 2, 0.5, False))
    translator.decoder[1] = nn.GRU(H, H)
    assert not influence.is_written_out(translator)


@pytest.mark.parametrize("uniform", [False, True])
def test_influence_against_finite_differences(uniform):
    translator, pairs, step = make(uniform), random_pairs("one source length"), 1e-5
    found = influence.influence_of_equal_lengths(
        translator,
        torch.from_numpy(np.stack(list(pairs.source))),
        torch.from_numpy(np.stack([np.pad(t, (0, 9 - len(t))) for t in pairs.target])),
    )
    assert found.dtype == torch.float64
    for row, (source, target) in enumerate(zip(pairs.source, pairs.target)):
        target = torch.from_numpy(target)
        embedded = translator.embedding(torch.from_numpy(source)).detach()
        for place in range(len(source)):
            log_probs = []
            for change in (step, -step):
                scale = torch.ones(len(source), 1, dtype=torch.float64)
                scale[place] += change
                with torch.no_grad():
                    all_log_probs, _, _ = of_sentence(translator, embedded * scale, target)
                log_probs.append(all_log_probs.gather(1, target[1:, None])[:, 0])
            expected = (log_probs[0] - log_probs[1]) / (2 * step)  # -d NLL / d m
            assert torch.allclose(found[row, : len(expected), place], expected, atol=1e-8)


def test_influence_in_batches_of_every_size(monkeypatch):
    translator, pairs = make(), random_pairs("ragged")
    whole = influence.gradient_influence(translator, pairs, CPU, 16)
    monkeypatch.setattr(influence, "PAIRS_AT_ONCE", 1)
    one_by_one = influence.gradient_influence(translator, pairs, CPU, 16)
    assert np.allclose(whole, one_by_one, atol=1e-7)
    rng = np.random.default_rng(0)
    n_source, n_target = rng.integers(2, 6, (2, 50))
    monkeypatch.setattr(influence, "PAIRS_AT_ONCE", 60)
    batches = influence.batches_of_equal_source(n_source, n_target, 4)
    assert sorted(np.concatenate(batches)) == list(range(50))
    for rows in batches:
        assert len(set(n_source[rows])) == 1 and len(rows) <= 4
        assert len(rows) == 1 or len(rows) * n_source[rows[0]] * n_target[rows].max() <= 60


def test_dropout_is_for_training_alone():
    translator, batch = make(), data.to_tensors(random_pairs("ragged"))
    assert torch.equal(translator(*batch).logits, translator(*batch).logits)
    translator.train()
    torch.manual_seed(3)
    one = translator(*batch).logits
    two = translator(*batch).logits
    torch.manual_seed(3)
    assert not torch.equal(one, two) and torch.equal(one, translator(*batch).logits)


def test_validate_is_the_mean_over_target_tokens(monkeypatch):
    translator, pairs = make(), random_pairs("ragged")
    log_probs, _, _ = of_pairs(translator, pairs)
    predicted = torch.from_numpy(np.concatenate([target[1:] for target in pairs.target]))
    loss = -log_probs.gather(1, predicted[:, None]).mean().item()
    accuracy = 100 * (log_probs.argmax(dim=1) == predicted).double().mean().item()
    translator.train()
    for tokens in (1, 10, 1000):
        monkeypatch.setattr(evaluation, "EVAL_TOKENS", tokens)
        found = evaluation.validate(translator, pairs, CPU)
        assert found == pytest.approx((loss, accuracy), abs=1e-9)
    assert translator.training


def test_evaluation_columns_are_those_of_the_model(monkeypatch):
    """In the order of the sentences, whatever the batches; metas of each split."""
    translator, pairs = make(dtype=torch.float32), random_pairs("ragged")
    splits = {"val": np.arange(3), "train": np.arange(3, 5)}
    _, alpha, beta = of_pairs(translator, pairs)
    for tokens in (1, 12, 1000):
        monkeypatch.setattr(evaluation, "EVAL_TOKENS", tokens)
        with torch.no_grad():
            columns = evaluation.evaluate_checkpoint(translator, pairs, splits, False, CPU)
        assert abs(columns["alpha"] - alpha.detach().numpy()).max() < 1e-5
        assert abs(columns["beta"] - beta.detach().numpy()).max() < 1e-4
        for split, rows in splits.items():
            expected = evaluation.validate(translator, pairs.take(rows), CPU)
            metas = columns["metas"]
            assert metas[f"{split}_acc"] == pytest.approx(expected[1])
            assert np.log(metas[f"{split}_perplexity"]) == pytest.approx(expected[0], abs=1e-5)


def test_word_baseline_against_its_definition():
    torch.manual_seed(0)
    baseline = word_baseline.WordBaseline(VOCAB, 7).double()
    pairs = random_pairs("ragged")
    source, lengths, _, _ = data.to_tensors(pairs)
    e, w = baseline.embedding.weight.detach().numpy(), baseline.output.weight.detach().numpy().T
    b = baseline.output.bias.detach().numpy()
    for row, found in zip(pairs.source, baseline(source, lengths).detach().numpy()):
        logits = np.mean([e[token] for token in row], axis=0) @ w + b
        assert np.allclose(found, logits - np.log(np.exp(logits).sum()))
    beta = baseline.beta()
    exp = np.exp(e @ w)  # without the bias
    assert np.allclose(beta, exp / exp.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("published", [False, True])
def test_losses_of_the_word_baseline(case, published):
    """One token of the padded batch at a time; the published loss counts <s> and padding too."""
    torch.manual_seed(0)
    baseline = word_baseline.WordBaseline(VOCAB, 7).double()
    pairs = random_pairs(case)
    longest = max(SHAPES[case], key=lambda shape: shape[1])[1]
    expected = 0.0
    for source, target in zip(pairs.source, pairs.target):
        mean = baseline.embedding.weight[torch.from_numpy(source)].mean(dim=0)
        log_probs = baseline.output(mean).log_softmax(dim=0)
        counted = target.tolist()[1:]
        if published:
            counted = [*target.tolist(), *[data.PAD] * (longest - len(target))]
        for token in counted:
            expected -= log_probs[token].item()
    found = word_baseline.summed_loss(baseline, pairs, CPU, published)
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5), (17, 64, 33)])
def test_multiplier(dtype, shape):
    rows, features, outputs = shape
    torch.manual_seed(0)
    weight, x = torch.randn(outputs, features, dtype=dtype), torch.randn(rows, features).to(dtype)
    assert torch.allclose(multiplier(weight)(x), x @ weight.T, atol=1e-5)
    bias = torch.randn(outputs, dtype=dtype)
    assert torch.allclose(multiplier(weight, bias)(x), x @ weight.T + bias, atol=1e-5)
    across = torch.randn(features, outputs, dtype=dtype)
    assert torch.allclose(multiplier(across.T)(x), x @ across, atol=1e-5)
    assert torch.allclose(product(x, across.T), x @ across, atol=1e-5)
    assert torch.allclose(product(x[None], weight), (x @ weight.T)[None], atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 5), (17, 64, 33)])
def test_linear_has_the_gradients_of_a_linear_layer(dtype, shape):
    rows, features, outputs = shape
    torch.manual_seed(0)
    weight = torch.randn(outputs, features, dtype=dtype, requires_grad=True)
    for x in (torch.randn(rows, features, dtype=dtype), torch.randn(2, rows, features).to(dtype)):
        x.requires_grad_()
        expected, found = nn.functional.linear(x, weight), linear(x, weight)
        assert torch.allclose(found, expected, atol=1e-5)
        by_output = torch.randn_like(expected)
        wanted = torch.autograd.grad(expected, [x, weight], by_output)
        for ours, theirs in zip(torch.autograd.grad(found, [x, weight], by_output), wanted):
            assert torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(("case", "uniform"), CASES)
def test_losses_and_their_gradients_are_those_of_the_logits(case, uniform):
    """Of one target token more than of another, so that each has a gradient of its own.

    And of the plain way.
    """
    translator, batch = make(uniform), data.to_tensors(random_pairs(case))
    theirs = plain_of(translator)
    predicted = model.without_first(*batch[2:])
    found = [
        (translator, translator.losses(*batch)),
        (translator, model.nll(translator(*batch).logits, predicted)),
        (theirs, theirs.losses(*batch)),
    ]
    scale = torch.rand(len(predicted), dtype=torch.float64)
    gradients = [
        torch.autograd.grad((scale * losses).sum(), list(way.parameters()), allow_unused=uniform)
        for way, losses in found
    ]
    for _, losses in found[1:]:
        assert torch.allclose(found[0][1], losses, atol=1e-12)
    for name, ours, *others in zip(dict(translator.named_parameters()), *gradients):
        if uniform and name.startswith("query."):  # uniform attention has no use for it
            assert not any(g is not None and g.any() for g in (ours, *others))
        else:
            assert all(torch.allclose(ours, other, atol=1e-12) for other in others), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_probs_of_very_unlike_logits(dtype):
    """Where a probability is 0 in floating point, its log still is a number; ties are halves."""
    torch.manual_seed(0)
    logits = torch.randn(7, 50, dtype=dtype) * torch.logspace(-3, 4, 7, dtype=dtype)[:, None]
    logits = torch.cat([logits, torch.zeros(1, 50, dtype=dtype), 1e4 + logits[:1]])
    predicted = torch.randint(50, (len(logits),))
    expected = logits.double().log_softmax(dim=1)
    assert expected.min() < -1000
    found = model.log_probs_in_place(logits, predicted)
    expected_found = expected.gather(1, predicted[:, None])[:, 0]
    rtol = 1e-6 if dtype == torch.float32 else 1e-14
    assert torch.allclose(found.double(), expected_found, rtol=rtol, atol=10 * rtol)
    assert torch.allclose(logits.double(), expected.exp(), atol=1e-6)  # in place


def test_parameter_counts():
    """At the published sizes: 8,000 pieces, hidden size 256, two layers."""
    v, h = 8000, 256

    def lstm(inputs):
        return 4 * h * (inputs + h + 2)  # W_ih, W_hh and their biases, of four gates

    embedding = v * h
    encoder = 2 * lstm(h) + 2 * lstm(2 * h)
    decoder = 2 * lstm(h)
    query, context = 2 * h * h + 2 * h, 2 * h * h + h
    combine, output = 2 * h * h + h, v * h + v
    expected = embedding + encoder + decoder + query + context + combine + output
    assert expected == 8_180_544
    translator = model.Translator(v, h, 2, 0.5, False)
    assert sum(p.numel() for p in translator.parameters()) == expected
    baseline = word_baseline.WordBaseline(v, h)
    assert sum(p.numel() for p in baseline.parameters()) == v * h + v * h + v == 4_104_000


def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.full((1000, 200), 3.0, requires_grad=True)
    for p in (0.1, 0.5):
        found = model.dropout(x, p, True)
        values = found.unique()
        assert len(values) == 2 and values[0] == 0
        assert values[1].item() == pytest.approx(3 / (1 - p))
        assert (found == 0).float().mean().item() == pytest.approx(p, abs=0.01)
        (gradient,) = torch.autograd.grad(found.sum(), x)
        assert torch.allclose(gradient * 3, found)
    assert torch.equal(model.dropout(x, 0.5, False), x)
    assert torch.equal(model.dropout(x, 0.0, True), x)


def test_shipped_configs():
    folder = ROOT / "translation" / "configs"
    assert model.load_config(folder / "model.json") == {
        "h_dim": 256,
        "dropout": 0.5,
        "n_layers": 2,
        "b_size": 16,
    }
    model.load_config(folder / "toy_model.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dropout": 1.0}, '"dropout" is 1.0'),
        ({"n_layers": 0}, '"n_layers" is 0'),
        ({"h_dim": None}, '"h_dim" is None'),
        ({"heads": 8}, '"heads" is unknown'),
    ],
)
def test_bad_config(tmp_path, change, message):
    config = {"h_dim": 8, "dropout": 0.5, "n_layers": 2, "b_size": 4} | change
    (tmp_path / "model.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        model.load_config(tmp_path / "model.json")
