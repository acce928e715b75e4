"""Interventions in attention while a model trains: against plain loops, resumed, evaluated."""

import contextlib
import copy
import io
import pickle
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import (
    ROOT,
    assert_one_line,
    call_script,
    command_of,
    files_in,
    kill_when,
    write_json,
)

from attention_dynamics import cli
from attention_dynamics.analysis.ragged import Ragged, training_rows
from attention_dynamics.classification import data as classification_data
from attention_dynamics.classification import model as classifier
from attention_dynamics.classification.influence import gradient_influence
from attention_dynamics.training import interventions, optimizers
from attention_dynamics.translation import data as translation_data
from attention_dynamics.translation import decoding, influence, plain
from attention_dynamics.translation import model as translator
from attention_dynamics.translation.evaluation import token_evidence

STEPS, AT = 40, 20  # AT: where attention begins or is frozen
SIZES = {"h_dim": 12, "intermediate_dim": 8, "embed_dim": 10, "b_size": 16}
TRANSLATOR_SIZES = {"h_dim": 12, "dropout": 0.3, "n_layers": 2, "b_size": 64}
INTERVENTIONS = {
    "none": [],
    "from": ["--attention_from", AT],
    "until": ["--attention_until", AT],
    "lr": ["--attention_lr", 0.2],
    "to": ["--attend_to", 13],
    "shuffled": ["--attend_to", 13, "--shuffle_attention"],
}
SCRIPTS = {"classification": "train_classifier.py", "translation": "train_translation.py"}
# translation: 63 updates, an epoch of 4,000 sentences in batches of 64


def train_flags(task: str, root: Path, seed: int, intervention: str, models: str = "models"):
    flags = ["--dataset", "toy", "--seed", seed, "--data_dir", root / "data"]
    flags += ["--models_dir", root / models, "--config", root / "model.json", "--save_every", 10]
    flags += ["--steps", STEPS] if task == "classification" else ["--epochs", 1]
    return flags + ["--optimizer", "sgd", "--lr", 0.05] + INTERVENTIONS[intervention]


def folder_of(task: str, root: Path, seed: int, intervention: str) -> Path:
    named = {
        "none": "",
        "from": f",attention_from={AT}",
        "until": f",attention_until={AT}",
        "lr": ",attention_lr=0.2",
        "to": ",attend_to=13",
        "shuffled": ",attend_to=13,shuffle_attention",
    }[intervention]
    sizes = "h_dim=12,b_size=16"
    if task == "translation":
        sizes = "h_dim=12,dropout=0.300000,b_size=64"
    return root / "models" / "toy" / f"{sizes},seed={seed},normal{named}"


def train(task: str, *flags) -> None:
    """In this process, which is faster than in one of its own."""
    with contextlib.redirect_stdout(io.StringIO()), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(ROOT / task / SCRIPTS[task]), *map(str, flags)])
        runpy.run_path(sys.argv[0], run_name="__main__")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Folders by task, in which each intervention was trained with seed 20."""
    roots = {}
    for task, sizes in (("classification", SIZES), ("translation", TRANSLATOR_SIZES)):
        roots[task] = root = tmp_path_factory.mktemp(task)
        write_json(root / "model.json", sizes)
        flags = ["--dataset", "toy", "--data_dir", root / "data"]
        subprocess.run(command_of(task, "prepare_data.py", *flags), check=True)
        train(task, *train_flags(task, root, 13, "none"))
        for name in INTERVENTIONS:
            train(task, *train_flags(task, root, 20, name))
        train(task, *train_flags(task, root, 12, "none"), "--uniform")
    return roots


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


# A plain loop of training: the model as published, α as the intervention says


def plain_classifier(root: Path, seed: int, alpha_at) -> dict[int, dict]:
    """Weights after AT and STEPS updates.

    ``alpha_at`` gives the α of a sentence: (own model, tokens of one sentence, step).
    """
    dataset = classification_data.load_dataset(root / "data", "toy")
    cli.seed_everything(seed)
    model = classifier.build(SIZES, len(dataset.vocab), False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    found = {}
    for step in range(STEPS + 1):
        if step in (AT, STEPS):
            found[step] = copy.deepcopy(model.state_dict())
        batch = dataset.train.take(training_rows(len(dataset.train), 16, seed, step))
        tokens, lengths, labels = classification_data.to_tensors(batch, torch.device("cpu"))
        scores = []
        for sentence in tokens.split(lengths.tolist()):
            beta = model(sentence, torch.tensor([len(sentence)])).beta
            scores.append(alpha_at(model, sentence, step) @ beta)
        optimizer.zero_grad()
        classifier.nll(torch.stack(scores), labels).mean().backward()
        optimizer.step()
    return found


def own_alpha(model, sentence):
    return model(sentence, torch.tensor([len(sentence)])).alpha


def uniform_alpha(sentence):
    return torch.full((len(sentence),), 1 / len(sentence))


def load_classifier(root: Path, name: str, step: int, seed: int = 13):
    dataset = classification_data.load_dataset(root / "data", "toy")
    model = classifier.build(SIZES, len(dataset.vocab), False)
    model.load_state_dict(weights(folder_of("classification", root, seed, name) / f"model{step}"))
    return model.requires_grad_(False)


def shuffled_in_its_sentence(alpha):
    generator = torch.Generator().manual_seed(len(alpha))
    return alpha[torch.randperm(len(alpha), generator=generator)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["none", "from", "until", "to", "shuffled"])
def test_a_classifier_against_a_plain_loop(name, experiment):
    root = experiment["classification"]
    frozen = {}

    def alpha_at(model, sentence, step):
        if name == "from" and step < AT:
            return uniform_alpha(sentence)
        if name == "until" and step >= AT:
            if not frozen:
                frozen["model"] = copy.deepcopy(model).requires_grad_(False)
            return own_alpha(frozen["model"], sentence)
        if name in ("to", "shuffled"):
            alpha = own_alpha(load_of_13, sentence)
            return shuffled_in_its_sentence(alpha) if name == "shuffled" else alpha
        return own_alpha(model, sentence)

    load_of_13 = load_classifier(root, "none", STEPS - 1)  # the name of the end
    expected = plain_classifier(root, 20, alpha_at)
    folder = folder_of("classification", root, 20, name)
    for step, saved in ((AT, f"model{AT}"), (STEPS, f"model{STEPS - 1}")):
        found = weights(folder / saved)
        assert found.keys() == expected[step].keys()
        for key, value in expected[step].items():
            torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "translation"])
def test_what_changes_and_what_does_not(task, experiment):
    """The attention's parameters learn when they may, and runs part where they should."""
    root = experiment[task]
    own = "attention." if task == "classification" else "query."
    end = STEPS - 1 if task == "classification" else 60

    def saved(name, step):
        return weights(folder_of(task, root, 20, name) / f"model{step}")

    def equal(a, b, attention):
        return all(torch.equal(a[k], b[k]) for k in a if k.startswith(own) == attention)

    first = saved("none", 0)
    assert all(equal(saved(name, 0), first, part) for name in INTERVENTIONS for part in (0, 1))
    assert equal(saved("from", AT), first, attention=True)
    assert not equal(saved("from", end), first, attention=True)
    assert equal(saved("until", AT), saved("none", AT), attention=True)
    assert equal(saved("until", end), saved("until", AT), attention=True)
    assert not equal(saved("until", end), saved("until", AT), attention=False)
    for name in ("to", "shuffled"):
        assert equal(saved(name, end), first, attention=True)
    assert not equal(saved("to", end), saved("shuffled", end), attention=False)
    plain_change, faster = (
        sum((saved(name, 10)[k] - first[k]).abs().sum() for k in first if k.startswith(own))
        for name in ("none", "lr")
    )
    assert faster > 2 * plain_change  # the rate is four times as high


def test_two_rates_are_those_of_two_optimizers():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    plain_model = copy.deepcopy(model)
    settings = {"optimizer": "adam", "lr": 0.01, "attention_lr": 0.1}
    ours = optimizers.build(settings, model.parameters(), model[2].parameters())
    theirs = [
        torch.optim.Adam(plain_model[0].parameters(), lr=0.01),
        torch.optim.Adam(plain_model[2].parameters(), lr=0.1),
    ]
    for step in range(5):
        x = torch.randn(6, 3, generator=torch.Generator().manual_seed(step))
        for of, updates in ((model, [ours]), (plain_model, theirs)):
            of.zero_grad()
            of(x).square().mean().backward()
            for optimizer in updates:
                optimizer.step()
    for a, b in zip(model.parameters(), plain_model.parameters()):
        torch.testing.assert_close(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "name"),
    [
        *(("classification", name) for name in ("from", "until", "lr")),
        *(("translation", name) for name in ("until", "to")),
    ],
)
def test_a_killed_run_ends_with_the_same_bytes(task, name, experiment, tmp_path):
    """Killed after the step at which attention changes."""
    root = experiment[task]
    folder = folder_of(task, root, 20, name)
    uninterrupted = files_in(folder)
    killed = tmp_path / "models" / "toy" / folder.name
    if name in ("to", "shuffled"):  # what it attends to
        other = folder_of(task, root, 13, "none")
        (tmp_path / "models" / "toy").mkdir(parents=True)
        (tmp_path / "models" / "toy" / other.name).symlink_to(other)
    flags = train_flags(task, root, 20, name)
    flags[flags.index("--models_dir") + 1] = tmp_path / "models"
    command = command_of(task, SCRIPTS[task], *flags)
    kill_when(killed / f"model{AT + 10}", command)
    train(task, *flags)
    found = files_in(killed)
    assert found.keys() == uninterrupted.keys()
    for file in uninterrupted.keys() - {"resume.pt", "run.json"}:
        assert found[file] == uninterrupted[file], file


# Evaluation


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "translation"])
def test_dumps_have_the_attention_that_the_runs_had(task, experiment, capsys):
    root = experiment[task]
    dumps = {}
    end = STEPS - 1 if task == "classification" else 60
    for name, flags in INTERVENTIONS.items():
        runs = ["Normal_A", "Normal_B", "uniform"] if name == "none" else ["Normal_A", "uniform"]
        common = ["--dataset", "toy", "--runs", *runs]
        common += ["--iterations", f"0,{AT},{AT + 10},{end}", "--config", root / "model.json"]
        for folder in ("data", "models"):
            common += [f"--{folder}_dir", root / folder]
        common += ["--outputs_dir", root / "outputs" / name]
        status, _, err = call_script(task, "eval_dump.py", *common, *flags, capsys=capsys)
        assert status == 0, err
        dumps[name] = pickle.loads((root / "outputs" / name / "toy_logs.pkl").read_bytes())
    alphas = {name: dump["alpha"] for name, dump in dumps.items()}
    final = alphas["none"]["Normal_B", end]  # of seed 13
    for name, dump in dumps.items():
        for iteration in (0, AT, end):
            key = ("uniform", iteration)
            np.testing.assert_array_equal(dump["alpha"][key], alphas["none"][key])
            np.testing.assert_array_equal(dump["beta"][key], dumps["none"]["beta"][key])
        assert np.isfinite(dump["grad"]["Normal_A", end]).all(), name
    uniform = alphas["none"]["uniform", 0]
    np.testing.assert_array_equal(alphas["from"]["Normal_A", 0], uniform)
    assert np.abs(alphas["from"]["Normal_A", end] - uniform).max() > 1e-4
    until = alphas["until"]
    np.testing.assert_array_equal(until["Normal_A", AT], alphas["none"]["Normal_A", AT])
    for iteration in (AT + 10, end):
        np.testing.assert_allclose(
            until["Normal_A", iteration], until["Normal_A", AT], rtol=1e-4, atol=1e-6
        )
    for iteration in (0, AT, end):
        found = alphas["to"]["Normal_A", iteration]
        np.testing.assert_allclose(found, final, rtol=1e-4, atol=1e-6)
    found = alphas["shuffled"]["Normal_A", end]
    assert np.abs(found - final).max() > 1e-3
    np.testing.assert_allclose(np.sort(found), np.sort(final), rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_a_run_that_was_attended_to_must_be_the_same(experiment, tmp_path, capsys):
    root = experiment["classification"]
    models = tmp_path / "models" / "toy"
    models.mkdir(parents=True)
    for name, seed in (("to", 20), ("none", 20), ("none", 13)):
        folder = folder_of("classification", root, seed, name)
        target = models / folder.name
        target.mkdir()
        for file, content in files_in(folder).items():
            (target / file).write_bytes(content)
    of_13, of_20 = (models / folder_of("classification", root, s, "none").name for s in (13, 20))
    end = f"model{STEPS - 1}"
    (of_13 / end).write_bytes((of_20 / end).read_bytes())
    flags = train_flags("classification", root, 20, "to")
    flags[flags.index("--models_dir") + 1] = tmp_path / "models"
    result = call_script("classification", "train_classifier.py", *flags, capsys=capsys)
    assert_one_line(result, "made with other settings", "attended")


# One batch: β, Δ and the beam search where attention is that of another model


SENTENCES = ([2, 7, 5, 9, 3], [2, 3], [2, 4, 4, 8, 6, 5, 3], [6])


def ragged():
    rows = Ragged.from_rows(SENTENCES, np.int64)
    return torch.from_numpy(rows.values), torch.from_numpy(rows.lengths)


def random_classifier(seed):
    torch.manual_seed(seed)
    model = classifier.build(SIZES, 12, False).double().requires_grad_(False)
    for weight in model.parameters():
        weight *= 3
    return model


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_classifier_that_attends_as_another(shuffle):
    model, other = random_classifier(0), random_classifier(1)
    tokens, lengths = ragged()
    labels = torch.tensor([0, 1, 1, 0])
    before = model(tokens, lengths)
    model.attend_as(other, shuffle)
    output, delta = gradient_influence(model, tokens, lengths, labels)
    alphas = [own_alpha(other, sentence) for sentence in tokens.split(lengths.tolist())]
    if shuffle:
        alphas = [shuffled_in_its_sentence(alpha) for alpha in alphas]
    expected = torch.cat(alphas)
    torch.testing.assert_close(output.alpha, expected)
    torch.testing.assert_close(output.beta, before.beta)
    scores = [(a * b).sum() for a, b in zip(alphas, before.beta.split(lengths.tolist()))]
    torch.testing.assert_close(output.score, torch.stack(scores))
    # Δ by finite differences, α being a constant
    embedded, h = model.embedding(tokens), 1e-6
    for place in range(len(tokens)):
        losses = []
        for sign in (1, -1):
            moved = embedded.clone()
            moved[place] *= 1 + sign * h
            score = model.from_embedded(moved, lengths, expected).score
            losses.append(classifier.nll(score, labels).sum())
        change = -(losses[0] - losses[1]) / (2 * h)
        torch.testing.assert_close(delta[place], change, rtol=1e-5, atol=1e-8)


VOCAB = 15


def random_translator(seed):
    torch.manual_seed(seed)
    model = translator.Translator(VOCAB, 10, 2, 0.3, False).double().eval().requires_grad_(False)
    for weight in model.parameters():
        weight *= 3
    return model


def random_pairs(seed=0):
    rng = np.random.default_rng(seed)

    def rows(shortest):
        lengths = (4, shortest, 7, 4, 9)
        return Ragged.from_rows([rng.integers(4, VOCAB, n) for n in lengths], np.int64)

    return translation_data.Pairs(rows(1), rows(2), ["text"] * 5)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_translator_that_attends_as_another(shuffle):
    model, other = random_translator(0), random_translator(1)
    pairs = random_pairs()
    own, theirs = (
        token_evidence(m, *translation_data.to_tensors(pairs, torch.device("cpu")))
        for m in (model, other)
    )
    model.attend_as(other, shuffle)
    batch = translation_data.to_tensors(pairs, torch.device("cpu"))
    output, beta = token_evidence(model, *batch)
    torch.testing.assert_close(beta, own[1])  # β does not depend on α
    sizes = [
        (s, t - 1) for s, t in zip(pairs.source.lengths.tolist(), pairs.target.lengths.tolist())
    ]
    alphas = theirs[0].alpha.split([s * t for s, t in sizes])
    rows = [alpha.view(t, s) for alpha, (s, t) in zip(alphas, sizes)]
    if shuffle:
        rows = [torch.stack([shuffled_in_its_sentence(row) for row in alpha]) for alpha in rows]
    torch.testing.assert_close(output.alpha, torch.cat([alpha.flatten() for alpha in rows]))
    # the output layer by its formula, a sentence at a time
    logits = []
    for i, alpha in enumerate(rows):
        one = pairs.take(np.array([i]))
        source, source_lengths, target, _ = translation_data.to_tensors(one, torch.device("cpu"))
        hidden, state = model.encoder(model.embedding(source), source_lengths)
        decoded, _ = model.decode(target[None, :-1], state)
        context = model.context(alpha @ hidden)
        combined = model.combine(torch.cat([decoded[0], context], dim=1)).relu()
        logits.append(model.output(combined))
    torch.testing.assert_close(output.logits, torch.cat(logits))
    torch.testing.assert_close(model(*batch).logits, output.logits)
    predicted = translator.without_first(batch[2], batch[3])
    torch.testing.assert_close(model.losses(*batch), translator.nll(output.logits, predicted))
    cpu = torch.device("cpu")
    fast = influence.gradient_influence(model, pairs, cpu, 2)
    np.testing.assert_allclose(fast, plain.gradient_influence(model, pairs, cpu), atol=1e-6)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("beam", [1, 3])
def test_beam_search_of_a_translator_that_attends_as_another(shuffle, beam):
    model, other = random_translator(0), random_translator(1)
    pairs = random_pairs(1)
    source = torch.from_numpy(pairs.source.values), torch.from_numpy(pairs.source.lengths)
    own = decoding.beam_search(model, *source, beam, 8)
    model.attend_as(other, shuffle)
    found = decoding.beam_search(model, *source, beam, 8)
    expected = plain.beam_search(model, *source, beam, 8)
    assert found[0] == expected[0]
    np.testing.assert_allclose(found[1], expected[1])
    assert not np.allclose(found[1], own[1])


def test_another_model_is_no_part_of_this_one():
    for model, other in (
        (random_classifier(0), random_classifier(1)),
        (random_translator(0), random_translator(1)),
    ):
        before = set(model.state_dict()), len(list(model.parameters()))
        model.attend_as(other.eval(), False)
        assert (set(model.state_dict()), len(list(model.parameters()))) == before
        model.train()
        assert model.training and not other.training  # no dropout in what is attended to


# A fixed order for each length


def test_shuffled():
    rng = np.random.default_rng(0)
    lengths = torch.tensor([6, 1, 4, 6, 2])
    values = torch.from_numpy(rng.random((5, 3, 6)))
    found = interventions.shuffled(values, lengths)
    for row, length in enumerate(lengths.tolist()):
        for of_target in range(3):
            inside = found[row, of_target, :length]
            assert sorted(inside.tolist()) == sorted(values[row, of_target, :length].tolist())
        assert torch.equal(found[row, :, length:], values[row, :, length:])
    order = torch.arange(6.0).expand(5, 6)
    found = interventions.shuffled(order, lengths)
    assert torch.equal(found[0], found[3])  # of equal lengths
    assert not torch.equal(found[0], order[0])
    alone = interventions.shuffled(order[2:3, :4], lengths[2:3])
    assert torch.equal(found[2, :4], alone[0])  # whatever the batch


# Bad input


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--attention_from", 0], ["--attention_from"]),
        (["--attention_lr", -1], ["--attention_lr"]),
        (["--attention_from", 20, "--uniform"], ["--attention_from", "--uniform"]),
        (["--attention_from", 30, "--attention_until", 20], ["30", "below", "20"]),
        (["--attention_from", STEPS - 1], ["not before the last step"]),
        (["--attention_until", 4000], ["not before the last step"]),
        (["--attend_to", 99], ["seed=99,normal is not there", "train it first"]),
        (["--shuffle_attention"], ["--attend_to"]),
        (["--attend_to", 13, "--attention_until", 20], ["no attention is learned"]),
    ],
)
def test_bad_flags(flags, words, experiment, capsys):
    root = experiment["classification"]
    before = files_in(root)
    flags = [*train_flags("classification", root, 5, "none"), *flags]
    result = call_script("classification", "train_classifier.py", *flags, capsys=capsys)
    assert_one_line(result, *words)
    assert files_in(root) == before
