"""The classifier, its plain way and the word baseline, against loops in double precision."""

import copy
import json

import numpy as np
import pytest
import torch
from conftest import ROOT
from plain_encoders import CLASSIFICATION, weights_of
from scipy.special import expit, log_expit, log_softmax
from torch import nn

from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.classification import model, plain
from attention_dynamics.classification.data import Sentences
from attention_dynamics.classification.encoders import ENCODERS
from attention_dynamics.classification.evaluation import evaluate_checkpoint
from attention_dynamics.classification.influence import gradient_influence
from attention_dynamics.classification.word_baseline import WordBaseline
from attention_dynamics.cli import InputError
from attention_dynamics.kernels.plain import packed
from attention_dynamics.training.runs import run_folder

VOCAB = 30
BOS, EOS = 1, 2
LENGTHS = {
    "ragged": [5, 2, 1, 9, 2, 17],
    "equal": [4, 4, 4],
    "single": [6],
    "one token": [1, 1],
    "one long": [2, 120, 3],
}
CASES = [(case, uniform) for case in LENGTHS for uniform in (False, True)]
N_LABELS = (2, 3, 5)


def make(uniform, seed=0, scale=1.0, dtype=torch.float64, encoder="bilstm", n_labels=2):
    torch.manual_seed(seed)
    classifier = model.Classifier(VOCAB, 5, 4, 6, uniform, encoder, n_labels).to(dtype)
    with torch.no_grad():
        for weight in classifier.parameters():
            weight *= scale
    return classifier


def random_batch(case, seed=0, n_labels=2):
    rng = np.random.default_rng(seed)
    lengths = torch.tensor(LENGTHS[case])
    tokens = torch.from_numpy(rng.integers(0, VOCAB, int(lengths.sum())))
    labels = torch.from_numpy(rng.integers(0, n_labels, len(lengths)))
    labels[0] = 1
    return tokens, lengths, labels


# The formulas for one sentence, in numpy, one token after the other


def plain_sentence(classifier, tokens, multipliers=None, encoder="bilstm"):
    """alpha, beta and score of one sentence; ``multipliers`` scale the tokens' embeddings."""
    weights = {name: w.detach().numpy() for name, w in classifier.named_parameters()}
    embedded = weights["embedding.weight"][np.asarray(tokens)]
    if multipliers is not None:
        embedded = embedded * multipliers[:, None]
    beta, logits = [], []
    for h in CLASSIFICATION[encoder](embedded, weights_of(weights, "lstm.")):
        hidden = np.maximum(weights["attention.0.weight"] @ h + weights["attention.0.bias"], 0)
        logits.append(weights["attention.2.weight"][0] @ hidden + weights["attention.2.bias"][0])
        beta.append(weights["evidence.weight"] @ h + weights["evidence.bias"])
    if classifier.uniform:
        alpha = np.full(len(tokens), 1 / len(tokens))
    else:
        alpha = np.exp(logits) / np.exp(logits).sum()
    score = sum(share * values for share, values in zip(alpha, beta))
    if len(score) == 1:  # two labels have one logit
        return alpha, np.array(beta)[:, 0], score[0]
    return alpha, np.array(beta), score


def plain_nll(score, label):
    if np.ndim(score):
        return -log_softmax(score)[label]
    return -log_expit(score if label == 1 else -score)


@pytest.mark.parametrize("n_labels", N_LABELS)
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(("case", "uniform"), CASES)
def test_alpha_beta_and_score_are_those_of_a_plain_loop(case, uniform, encoder, n_labels):
    classifier = make(uniform, scale=2.0, encoder=encoder, n_labels=n_labels)
    tokens, lengths, _ = random_batch(case)
    sentences = [
        plain_sentence(classifier, part, encoder=encoder) for part in tokens.split(lengths.tolist())
    ]
    outputs = [classifier(tokens, lengths)]
    if encoder == "bilstm":
        outputs.append(plain.classify(classifier, tokens, lengths))
    for output in outputs:
        alpha, beta, score = zip(*sentences)
        expected = np.hstack(alpha), np.concatenate(beta), np.array(score)
        for ours, values in zip(output, expected):
            np.testing.assert_allclose(ours.detach().numpy(), values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_labels", N_LABELS)
@pytest.mark.parametrize(("case", "uniform"), CASES)
def test_the_plain_way(case, uniform, n_labels):
    """Alpha, beta, score and Delta, and the gradient of every weight."""
    classifier = make(uniform, scale=2.0, n_labels=n_labels)
    tokens, lengths, labels = random_batch(case, n_labels=n_labels)
    output, delta = gradient_influence(classifier, tokens, lengths, labels)
    plain_output, plain_delta = plain.gradient_influence(classifier, tokens, lengths, labels)
    for ours, theirs in zip((*output, delta), (*plain_output, plain_delta)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    scores = classifier(tokens, lengths).score, plain.classify(classifier, tokens, lengths).score
    gradients = [
        torch.autograd.grad(
            model.nll(score, labels).sum(), list(classifier.parameters()), allow_unused=uniform
        )
        for score in scores
    ]
    for name, ours, theirs in zip(dict(classifier.named_parameters()), *gradients):
        if uniform and name.startswith("attention"):
            assert ours is None and (theirs is None or not theirs.any())
        else:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("uniform", [False, True])
def test_every_bias_has_its_part(uniform):
    """Biases of all layers as large as the weights, and a sentence of <bos> and <eos> alone."""
    classifier = make(uniform, scale=2.0)
    with torch.no_grad():
        for name, weight in classifier.named_parameters():
            if "bias" in name:
                weight.normal_()
    tokens, lengths, _ = random_batch("ragged")
    tokens = torch.cat([torch.tensor([BOS, EOS]), tokens])
    lengths = torch.cat([torch.tensor([2]), lengths])
    before = classifier(tokens, lengths)
    sentences = [plain_sentence(classifier, part) for part in tokens.split(lengths.tolist())]
    for ours, expected in zip(before, map(np.hstack, zip(*sentences))):
        np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=0, atol=1e-12)

    def moved(bias):
        """Alpha, beta and score when a bias grows by 1."""
        with torch.no_grad():
            bias += 1
            after = classifier(tokens, lengths)
            bias -= 1
        return after

    c = moved(classifier.evidence.bias)  # alpha sums to 1: all evidence and the score grow by 1
    torch.testing.assert_close(c.alpha, before.alpha)
    torch.testing.assert_close(c.beta, before.beta + 1)
    torch.testing.assert_close(c.score, before.score + 1)
    b2 = moved(classifier.attention[2].bias)  # the same for all logits of a softmax
    torch.testing.assert_close(b2, before)
    b1 = moved(classifier.attention[0].bias)
    torch.testing.assert_close(b1.beta, before.beta)
    assert torch.equal(b1.alpha, before.alpha) == uniform


@pytest.mark.parametrize("uniform", [False, True])
def test_a_sentence_without_words(uniform):
    classifier = make(uniform, scale=2.0)
    output = classifier(torch.tensor([BOS, EOS]), torch.tensor([2]))
    alpha, beta, score = plain_sentence(classifier, [BOS, EOS])
    np.testing.assert_allclose(output.alpha.tolist(), alpha, rtol=0, atol=1e-14)
    np.testing.assert_allclose(output.beta.tolist(), beta, rtol=0, atol=1e-14)
    assert output.score.item() == pytest.approx(score, abs=1e-14)
    assert not uniform or output.alpha.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(("case", "uniform"), CASES)
def test_a_batch_gives_what_its_sentences_give_alone(case, uniform, encoder):
    classifier = make(uniform, encoder=encoder)
    tokens, lengths, labels = random_batch(case)
    together, delta = gradient_influence(classifier, tokens, lengths, labels)
    alone = [
        gradient_influence(classifier, part, lengths[i : i + 1], labels[i : i + 1])
        for i, part in enumerate(tokens.split(lengths.tolist()))
    ]
    for ours, parts in zip(together, zip(*(output for output, _ in alone))):
        torch.testing.assert_close(ours, torch.cat(parts), rtol=0, atol=1e-14)
    torch.testing.assert_close(delta, torch.cat([d for _, d in alone]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_order_of_the_sentences_does_not_matter(uniform, encoder):
    classifier = make(uniform, encoder=encoder)
    tokens, lengths, _ = random_batch("ragged")
    order = torch.tensor([3, 0, 5, 2, 1, 4])
    parts = tokens.split(lengths.tolist())
    other = classifier(torch.cat([parts[i] for i in order]), lengths[order])
    torch.testing.assert_close(other.score, classifier(tokens, lengths).score[order])


@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_alpha_is_a_distribution(dtype, uniform):
    classifier = make(uniform, scale=5.0, dtype=dtype)
    tokens, lengths, _ = random_batch("ragged")
    alpha = classifier(tokens, lengths).alpha
    assert alpha.dtype == dtype and (alpha >= 0).all()
    for part in alpha.split(lengths.tolist()):
        assert part.sum().item() == pytest.approx(1, abs=1e-6)
        assert not uniform or (part == part[0]).all()


@pytest.mark.parametrize("n_labels", N_LABELS)
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(("case", "uniform"), CASES)
def test_delta_is_the_finite_difference_of_the_plain_loop(case, uniform, encoder, n_labels):
    classifier = make(uniform, scale=2.0, encoder=encoder, n_labels=n_labels)
    tokens, lengths, labels = random_batch(case, n_labels=n_labels)
    _, delta = gradient_influence(classifier, tokens, lengths, labels)
    eps = 1e-5
    parts = zip(tokens.split(lengths.tolist()), delta.split(lengths.tolist()), labels.tolist())
    for part, ours, label in parts:
        for at in range(0, len(part), 1 + len(part) // 10):
            losses = []
            for sign in (1, -1):
                m = np.ones(len(part))
                m[at] += sign * eps
                score = plain_sentence(classifier, part, m, encoder)[2]
                losses.append(plain_nll(score, label))
            expected = -(losses[0] - losses[1]) / (2 * eps)
            assert ours[at].item() == pytest.approx(expected, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_delta_is_a_backward_pass_for_each_token(uniform, encoder):
    classifier = make(uniform, seed=3, encoder=encoder)
    tokens, lengths, labels = random_batch("ragged")
    output, delta = gradient_influence(classifier, tokens, lengths, labels)
    assert torch.equal(output.score, classifier(tokens, lengths).score)
    sentences = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    for token, sentence in enumerate(sentences):
        multiplier = torch.ones((), dtype=torch.float64, requires_grad=True)
        embedded = classifier.embedding(tokens).detach()
        embedded[token] = embedded[token].clone() * multiplier
        score = classifier.from_embedded(embedded, lengths).score[sentence]
        loss = nn.functional.softplus(score if labels[sentence] == 0 else -score)
        (gradient,) = torch.autograd.grad(loss, multiplier)
        assert delta[token].item() == pytest.approx(-gradient.item(), abs=1e-13)


def test_delta_is_positive_for_a_token_that_speaks_for_the_gold_label():
    """One feature that says 1 or 0, passed on by a large cell: the sign is that of the paper."""
    classifier = make(uniform=True)
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.zero_()
        classifier.embedding.weight[1, 0], classifier.embedding.weight[2, 0] = 1, -1
        for suffix in ("l0", "l0_reverse"):
            getattr(classifier.lstm, f"weight_ih_{suffix}")[8:12, 0] = 1  # the cell's input
        classifier.evidence.weight.fill_(1)
    for label, signs in ((1, [1, -1]), (0, [-1, 1])):
        batch = torch.tensor([1, 2]), torch.tensor([2]), torch.tensor([label])
        _, delta = gradient_influence(classifier, *batch)
        assert delta.sign().tolist() == signs


def test_gradient_influence_leaves_no_gradients_behind():
    classifier = make(uniform=False).requires_grad_(False)
    batch = random_batch("ragged")
    _, delta = gradient_influence(classifier, *batch)
    assert delta.isfinite().all() and not delta.requires_grad
    _, other = gradient_influence(make(uniform=False), *batch)
    assert torch.equal(delta, other)


def test_nll():
    scores = torch.tensor([-800.0, -3.5, 0.0, 0.2, 40.0, 800.0], dtype=torch.float64)
    for label in (0, 1):
        ours = model.nll(scores, torch.full((6,), label))
        expected = [plain_nll(score, label) for score in scores.tolist()]
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12)
    # -log sigmoid(0) = log 2; p(y = 0) = 1 - p(y = 1)
    assert model.nll(torch.zeros(1), torch.tensor([1])).item() == pytest.approx(np.log(2))
    score = 1.7
    assert model.nll(torch.tensor([score]), torch.tensor([0])).item() == pytest.approx(
        -np.log(1 - 1 / (1 + np.exp(-score)))
    )


def test_the_loss_of_labels_between_0_and_1():
    """-(y log p + (1 - y) log(1 - p)), of booleans and floats as of 0 and 1."""
    scores = torch.tensor([-3.5, 0.0, 0.2, 4.0, 1.0, -1.0], dtype=torch.float64)
    y = torch.tensor([0.25, 0.5, 1.0, 0.0, 0.875, 0.6], dtype=torch.float64)
    p = expit(scores.numpy())
    expected = -(y.numpy() * np.log(p) + (1 - y.numpy()) * np.log(1 - p))
    np.testing.assert_allclose(model.nll(scores, y).numpy(), expected, rtol=1e-12)
    ours = model.nll(scores.float(), y)
    assert ours.dtype == torch.float32  # the precision of the model, not of the labels
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-5)
    gold = y > 0.5
    torch.testing.assert_close(model.nll(scores, gold), model.nll(scores, gold.long()))


@pytest.mark.parametrize("uniform", [False, True])
def test_attention_learns_unless_it_is_uniform(uniform):
    classifier = make(uniform)
    tokens, lengths, labels = random_batch("ragged")
    model.nll(classifier(tokens, lengths).score, labels).sum().backward()
    for name, weight in classifier.named_parameters():
        if uniform and name.startswith("attention"):
            assert weight.grad is None
        elif name != "attention.2.bias":  # a softmax does not change when all logits rise
            assert weight.grad.abs().sum() > 0, name


def test_sizes():
    classifier = model.build(
        {"h_dim": 7, "intermediate_dim": 5, "embed_dim": 3, "b_size": 2},
        vocab_size=11,
        uniform=True,
    )
    sizes = {name: tuple(weight.shape) for name, weight in classifier.state_dict().items()}
    assert classifier.uniform
    assert sizes["embedding.weight"] == (11, 3)
    assert sizes["lstm.weight_ih_l0"] == sizes["lstm.weight_ih_l0_reverse"] == (28, 3)
    assert sizes["attention.0.weight"] == (5, 14) and sizes["attention.2.weight"] == (1, 5)
    assert sizes["evidence.weight"] == (1, 14) and sizes["evidence.bias"] == (1,)
    normal = model.Classifier(11, 3, 7, 5, uniform=False).state_dict()
    assert {name: tuple(weight.shape) for name, weight in normal.items()} == sizes


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("uniform", [False, True])
def test_number_of_parameters_at_the_published_sizes(uniform):
    """With a vocabulary of V words; an LSTM has two biases for each gate."""
    V, E, H, A = 10_000, 300, 256, 256  # embedding, hidden and intermediate size
    embedding = V * E
    one_direction = 4 * (H * E + H * H + H + H)  # input, forget, cell and output gate
    attention = A * 2 * H + A + A + 1  # W1, b1, w2, b2
    evidence = 2 * H + 1  # u, c
    expected = embedding + 2 * one_direction + attention + evidence
    assert expected == 3_000_000 + 2 * 571_392 + 131_585 + 513 == 4_274_882
    config = model.load_config(ROOT / "classification" / "configs" / "model.json")
    assert count(model.build(config, V, uniform)) == expected


def test_number_of_parameters_of_the_word_baseline():
    V, D = 10_000, 256
    expected = V * D + D + 1  # E, u, and the bias that beta^px leaves out
    assert expected == 2_560_257
    assert count(WordBaseline(V, D)) == expected


def test_the_published_sizes(tmp_path):
    path = ROOT / "classification" / "configs" / "model.json"
    assert model.load_config(path) == {
        "h_dim": 256,
        "intermediate_dim": 256,
        "embed_dim": 300,
        "b_size": 32,
    }
    (tmp_path / "model.json").write_text('{"h_dim": 256, "b_size": 32, "dropout": 0.5}')
    with pytest.raises(InputError, match="intermediate_dim"):
        model.load_config(tmp_path / "model.json")


# Encoders


def test_the_same_weights_as_before_there_were_encoders():
    """Of a seed, in the same order and under the same names."""
    torch.manual_seed(20)
    embedding, lstm = nn.Embedding(VOCAB, 5), nn.LSTM(5, 4, bidirectional=True)
    attention = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 1))
    evidence = nn.Linear(8, 1)
    expected = nn.ModuleDict(
        {"embedding": embedding, "lstm": lstm, "attention": attention, "evidence": evidence}
    ).state_dict()
    found = make(uniform=False, seed=20, dtype=torch.float32).state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


class PackedGRU(nn.GRU):
    """A new encoder, as a user would write it."""

    def __init__(self, embed_dim, h_dim):
        super().__init__(embed_dim, h_dim, bidirectional=True)
        self.width = 2 * h_dim

    def forward(self, embedded, lengths):
        return packed(self, embedded, lengths)[0]


CONFIG = {"h_dim": 4, "intermediate_dim": 6, "embed_dim": 5, "b_size": 3}


def test_an_encoder_is_a_class_and_a_line_in_the_table(monkeypatch, tmp_path):
    """It is read from a config, trained a step and evaluated."""
    monkeypatch.setitem(ENCODERS, "packed_gru", PackedGRU)
    path = tmp_path / "packed_gru.json"
    path.write_text(json.dumps(CONFIG | {"encoder": "packed_gru"}))
    config = model.load_config(path)
    classifier = model.build(config, VOCAB, uniform=False)
    tokens, lengths, labels = random_batch("ragged")
    adam = torch.optim.Adam(classifier.parameters())
    losses = []
    for _ in range(2):
        losses.append(model.nll(classifier(tokens, lengths).score, labels).mean())
        adam.zero_grad()
        losses[-1].backward()
        adam.step()
    assert losses[1] < losses[0]
    assert all(weight.grad.abs().sum() > 0 for weight in classifier.lstm.parameters())

    rows = Ragged(tokens.numpy(), offsets_of(lengths.numpy()))
    sentences = Sentences(rows, labels.numpy())
    splits = {"val": np.arange(4), "train": np.arange(4, 6)}
    columns = evaluate_checkpoint(classifier, sentences, splits, True, torch.device("cpu"))
    weights = {name: weight.detach() for name, weight in classifier.named_parameters()}
    gru = nn.GRU(5, 4, bidirectional=True)
    gru.load_state_dict({name: weights[f"lstm.{name}"] for name in gru.state_dict()})
    for row, part in enumerate(tokens.split(lengths.tolist())):
        places = slice(*rows.offsets[row : row + 2])
        embedded = weights["embedding.weight"][part].requires_grad_()
        hidden, _ = gru(embedded)
        alpha = classifier.attention(hidden).softmax(dim=0)[:, 0]
        beta = classifier.evidence(hidden)[:, 0]
        (gradient,) = torch.autograd.grad(model.nll(alpha @ beta, labels[row]), embedded)
        delta = -(gradient * embedded).sum(dim=1)
        for name, expected in (("alpha", alpha), ("beta", beta), ("grad", delta)):
            found = torch.from_numpy(columns[name][places])
            torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-6)


def test_the_encoder_in_a_config(tmp_path):
    """The default is left out, so that a run's folder and settings are the published ones."""
    path = tmp_path / "model.json"
    path.write_text(json.dumps(CONFIG | {"encoder": "bilstm"}))
    assert model.load_config(path) == CONFIG
    path.write_text(json.dumps(CONFIG | {"encoder": "average"}))
    config = model.load_config(path)
    assert config == CONFIG | {"encoder": "average"}
    folders = [run_folder(tmp_path, "IMDB", c, 20, True).name for c in (CONFIG, config)]
    assert folders[0] == "h_dim=4,b_size=3,seed=20,uniform"
    assert folders[1] == f"{folders[0]},encoder=average"
    for wrong in ("bilstn", 3, None, ["average"]):
        path.write_text(json.dumps(CONFIG | {"encoder": wrong}))
        known = r'"encoder" is .*, not one of bilstm, gru, transformer, average$'
        with pytest.raises(InputError, match=known) as error:
            model.load_config(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("encoder", list(ENCODERS)[1:])
def test_the_shipped_config_of_an_encoder(encoder):
    folder = ROOT / "classification" / "configs"
    config = model.load_config(folder / f"model_{encoder}.json")
    assert config == model.load_config(folder / "model.json") | {"encoder": encoder}
    classifier = model.build(config, 1000, uniform=False)
    E, A = 300, 256
    width = {"gru": 622, "transformer": E, "average": E}[encoder]
    others = 1000 * E + (A * width + A) + (A + 1) + (width + 1)  # embedding, attention, evidence
    assert count(classifier) == others + count(classifier.lstm)


@pytest.mark.parametrize(("e", "h"), [(256, 256), (300, 256), (100, 128), (128, 512), (256, 100)])
def test_encoders_have_the_parameters_of_the_bilstm(e, h):
    counts = {name: count(encoder(e, h)) for name, encoder in ENCODERS.items()}
    assert counts["bilstm"] == 2 * (4 * h * (e + h) + 2 * 4 * h)  # two directions, two biases
    assert counts.pop("average") == 0
    for found in counts.values():
        assert abs(found / counts["bilstm"] - 1) < 0.01


def test_the_smallest_sizes():
    """No layer is without units; the transformer's attention may then be larger than all else."""
    assert ENCODERS["gru"](3, 1).hidden_size == 1
    assert ENCODERS["transformer"](8, 1).feed_forward[0].out_features == 1


@pytest.mark.parametrize("encoder", ENCODERS)
def test_float32_is_close_to_double_precision(encoder):
    """At sizes where the fast products are used."""
    torch.manual_seed(0)
    classifier = model.Classifier(VOCAB, 72, 80, 6, False, encoder)
    tokens, lengths, labels = random_batch("one long")
    found, expected = (
        gradient_influence(way, tokens, lengths, labels)
        for way in (classifier, copy.deepcopy(classifier).double())
    )
    for ours, others in zip((*found[0], found[1]), (*expected[0], expected[1])):
        torch.testing.assert_close(ours, others.float(), rtol=1e-4, atol=1e-5)


# The word baseline


@pytest.mark.parametrize("n_labels", N_LABELS)
@pytest.mark.parametrize("case", LENGTHS)
def test_word_baseline_is_the_mean_embedding_through_a_linear_layer(case, n_labels):
    torch.manual_seed(0)
    baseline = WordBaseline(VOCAB, 6, n_labels).double()
    tokens, lengths, _ = random_batch(case)
    weights = {name: weight.detach().numpy() for name, weight in baseline.named_parameters()}
    expected = [
        weights["output.weight"] @ weights["embedding.weight"][part.numpy()].mean(axis=0)
        + weights["output.bias"]
        for part in tokens.split(lengths.tolist())
    ]
    expected = np.array(expected)[:, 0] if n_labels == 2 else expected
    ours = baseline(tokens, lengths).detach().numpy()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-13)
    # so the logit is the mean of beta^px over the sentence's tokens, and the bias
    beta = baseline.beta()
    assert beta.shape == ((VOCAB,) if n_labels == 2 else (VOCAB, n_labels))
    means = np.array([beta[part.numpy()].mean(axis=0) for part in tokens.split(lengths.tolist())])
    bias = weights["output.bias"]
    np.testing.assert_allclose(ours, means + (bias if n_labels > 2 else bias[0]), atol=1e-13)
    assert WordBaseline(VOCAB, 6, n_labels).beta().dtype == np.float32
