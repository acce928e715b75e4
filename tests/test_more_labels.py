"""More than two labels: evidence for the gold label against the rest, and every stage."""

import json
import random
from functools import partial

import numpy as np
import pytest
import torch
from conftest import (
    RUNS,
    assert_one_line,
    call_script,
    command_of,
    files_in,
    flags_of,
    kill_when,
    load,
    write_json,
    write_list,
)
from scipy.special import log_softmax, logsumexp, softmax
from test_classifier_model import CASES, make, random_batch
from test_explorer import read_page
from torch import nn

from attention_dynamics.analysis.evidence import RunNames, gold_evidence
from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.classification import logistic, model, plain
from attention_dynamics.classification.data import Sentences, load_dataset
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.classification.evaluation import evaluate_checkpoint, validate
from attention_dynamics.classification.influence import gradient_influence
from attention_dynamics.classification.task import TASK
from attention_dynamics.cli import InputError

CPU = torch.device("cpu")
call = partial(call_script, "classification")


def plain_log_odds(logits: np.ndarray, gold: int) -> float:
    """log p(gold) - log p(another label), of one row."""
    log_p = log_softmax(logits)
    return log_p[gold] - logsumexp(np.delete(log_p, gold))


class TestGoldEvidence:
    @pytest.mark.parametrize("n_labels", [2, 3, 5])
    def test_it_is_the_log_odds_of_the_gold_label(self, n_labels):
        rng = np.random.default_rng(n_labels)
        logits, gold = rng.normal(0, 4, (50, n_labels)), rng.integers(0, n_labels, 50)
        logits[0], logits[1, 0], logits[2, -1] = 0, 700, -700  # ties, and far from the rest
        before = logits.copy()
        found = gold_evidence(logits, gold)
        expected = [plain_log_odds(row, label) for row, label in zip(logits, gold)]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        p = softmax(logits[3:], axis=1)[np.arange(47), gold[3:]]
        np.testing.assert_allclose(found[3:], np.log(p / (1 - p)), rtol=1e-9)
        assert found[0] == pytest.approx(-np.log(n_labels - 1))
        np.testing.assert_array_equal(logits, before)
        assert gold_evidence(logits.astype(np.float32), gold).dtype == np.float32

    def test_two_logits_are_the_evidence_for_label_1_times_its_sign(self):
        rng = np.random.default_rng(0)
        beta, gold = rng.normal(0, 3, 200), rng.integers(0, 2, 200)
        found = gold_evidence(beta, gold)
        np.testing.assert_array_equal(found, beta * (2 * gold - 1))
        pair = np.stack([np.zeros(200), beta], axis=1)
        np.testing.assert_array_equal(gold_evidence(pair, gold), found)
        shifted = pair + rng.normal(size=(200, 1))  # a softmax does not see it
        np.testing.assert_allclose(gold_evidence(shifted, gold), found, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("case", "uniform"), CASES)
def test_a_softmax_of_two_logits_is_the_binary_model(case, uniform):
    """Losses, predictions, Delta, and beta for the gold label."""
    binary = make(uniform, scale=2.0)
    two = make(uniform, scale=2.0)
    two.evidence = nn.Linear(8, 2).double()
    with torch.no_grad():
        for name in ("weight", "bias"):
            pair, single = getattr(two.evidence, name), getattr(binary.evidence, name)
            pair[1] = pair[0] + single[0]
    tokens, lengths, labels = random_batch(case)
    gold = np.repeat(labels.numpy(), lengths)
    for influence in (gradient_influence, plain.gradient_influence):
        ours, delta = influence(two, tokens, lengths, labels)
        theirs, expected = influence(binary, tokens, lengths, labels)
        torch.testing.assert_close(delta, expected, rtol=0, atol=1e-13)
        torch.testing.assert_close(ours.alpha, theirs.alpha)
        torch.testing.assert_close(
            model.nll(ours.score, labels), model.nll(theirs.score, labels), rtol=0, atol=1e-13
        )
        assert torch.equal(model.predict(ours.score), model.predict(theirs.score))
        beta, single = (output.beta.detach().numpy() for output in (ours, theirs))
        np.testing.assert_allclose(
            gold_evidence(beta, gold), single * (2 * gold - 1), rtol=0, atol=1e-13
        )


@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("n_labels", [3, 5])
def test_beta_of_a_dump_is_the_log_odds_if_all_attention_were_on_the_token(uniform, n_labels):
    classifier = make(uniform, scale=3.0, n_labels=n_labels).float()
    tokens, lengths, labels = random_batch("ragged", n_labels=n_labels)
    rows = Ragged(tokens.numpy(), offsets_of(lengths.numpy()))
    sentences = Sentences(rows, labels.numpy())
    splits = {"val": np.arange(4), "train": np.arange(4, 6)}
    found = evaluate_checkpoint(classifier, sentences, splits, True, CPU)
    exact = classifier.double()
    losses, right = [], []
    for row, part in enumerate(tokens.split(lengths.tolist())):
        gold = int(labels[row])
        alpha, beta, score = (
            values.detach().numpy()
            for values in plain.classify(exact, part, lengths[row : row + 1])
        )
        place = slice(*rows.offsets[row : row + 2])
        at_token = [plain_log_odds(alone @ beta, gold) for alone in np.eye(len(part))]
        np.testing.assert_allclose(found["beta"][place], at_token, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["alpha"][place], alpha, rtol=1e-4)
        np.testing.assert_allclose(found["score"][row], score[0], rtol=1e-4, atol=1e-5)
        losses.append(-log_softmax(alpha @ beta)[gold])
        right.append((alpha @ beta).argmax() == gold)
    metas = found["metas"]
    assert metas["test_loss"] == pytest.approx(np.mean(losses[:4]), rel=1e-5)
    assert metas["train_loss"] == pytest.approx(np.mean(losses[4:]), rel=1e-5)
    assert metas["test_acc"] == np.mean(right[:4]) and metas["train_acc"] == np.mean(right[4:])
    loss, accuracy = validate(classifier, sentences, CPU)
    assert loss == pytest.approx(np.mean(losses), rel=1e-6) and accuracy == np.mean(right)


def test_the_evidence_of_a_dump():
    """Beta is that of the dump, word baselines are turned to the gold label, scores are kept."""
    rng = np.random.default_rng(3)
    offsets, target = offsets_of(np.array([3, 1, 5, 2])), np.array([2, 0, 1, 2])
    key = ("Normal_A", 0)
    dump = {
        "dataset": "toy",
        "labels": ["a", "b", "c"],
        "vocab": [str(i) for i in range(7)],
        "sentences": {
            "tokens": rng.integers(0, 7, 11),
            "offsets": offsets,
            "target": target,
            "split": np.array(["val", "val", "val", "train"]),
        },
        "metas": {(*key, "test_acc"): 0.5},
        "alpha": {key: rng.random(11)},
        "beta": {key: rng.normal(size=11)},
        "score": {key: rng.normal(size=(4, 3))},
    }
    words = rng.normal(size=(7, 3))
    evidence = TASK.evidence_of(dump, {"px": words}, "val", "test_acc")
    np.testing.assert_array_equal(evidence.column("beta", *key), dump["beta"][key][:9])
    np.testing.assert_array_equal(evidence.scores(*key), dump["score"][key][:3])
    expected = [
        plain_log_odds(words[token], target[row])
        for row in range(3)
        for token in dump["sentences"]["tokens"][offsets[row] : offsets[row + 1]]
    ]
    np.testing.assert_allclose(evidence.words["px"], expected)
    for other in (words[:, 0], rng.normal(size=(7, 4))):
        with pytest.raises(InputError, match="the word baseline px of toy is of another number"):
            TASK.evidence_of(dump, {"px": other}, "val", "test_acc")

    dump |= {"labels": ["a", "b"]}  # of two, label 1 is what beta speaks for
    del dump["score"]
    dump["sentences"]["target"] = target = np.array([1, 0, 1, 0])
    evidence = TASK.evidence_of(dump, {"px": words[:, 0]}, "val", "test_acc")
    sign = np.repeat(2 * target - 1, np.diff(offsets))[:9]
    np.testing.assert_array_equal(evidence.column("beta", *key), dump["beta"][key][:9] * sign)
    np.testing.assert_array_equal(
        evidence.words["px"], words[:, 0][dump["sentences"]["tokens"][:9]] * sign
    )
    weighted = (dump["alpha"][key] * dump["beta"][key])[:9]
    scores = [[0, weighted[start:end].sum()] for start, end in ((0, 3), (3, 4), (4, 9))]
    np.testing.assert_allclose(evidence.scores(*key), scores)


def test_logistic_baseline_is_at_the_minimum():
    """The gradient of the plain, dense objective of a multinomial regression vanishes."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 60, n) for n in rng.integers(1, 25, 300)]
    labels = np.array([np.bincount(row // 20, minlength=3).argmax() for row in rows])
    sentences = Sentences(Ragged.from_rows(rows), labels)
    dense = np.array([np.bincount(row, minlength=70) / len(row) for row in rows])
    shares = logistic.relative_counts(sentences, 70)
    beta, bias = logistic.fit(shares, labels, 100.0)
    assert beta.shape == (70, 3) and len(bias) == 3
    residual = softmax(dense @ beta + bias, axis=1) - np.eye(3)[labels]
    gradient = dense.T @ residual + beta / 100
    assert max(abs(gradient).max(), abs(residual.sum(axis=0)).max()) / 300 < 1e-6

    strength, loss = logistic.choose_strength(shares, labels, 7, n_labels=3)
    order = np.random.default_rng(7).permutation(300)
    beta, bias = logistic.fit(shares[order[30:]], labels[order[30:]], strength)
    held_out = order[:30]
    log_p = log_softmax(dense[held_out] @ beta + bias, axis=1)
    assert loss == pytest.approx(-log_p[np.arange(30), labels[held_out]].mean())
    with pytest.raises(InputError, match="too few sentences of one label"):
        logistic.choose_strength(shares, labels, 7, n_labels=4)


class TestLabels:
    """Of the processed files."""

    def read(self, folder, train, test=((0,)), **more):
        pairs = {"train": train, "test": test}
        for split, labels in pairs.items():
            content = {"XY": [[[0], label] for label in labels]}
            content |= {"vocab": ["a"], **more} if split == "train" else {}
            write_json(folder / f"toy_{split}.json", content)
        return load_dataset(folder, "toy")

    @pytest.mark.parametrize(
        ("train", "test", "n_labels"),
        [
            ([1, 0], [0], 2),
            ([0, 0], [1], 2),  # as ever: training need not have both
            ([0.5, 1.0], [True], 2),
            ([2, 0, 1], [2], 3),
            ([2, False, True, 3], [0], 4),
        ],
    )
    def test_as_many_as_training_has(self, tmp_path, train, test, n_labels):
        dataset = self.read(tmp_path, train, test)
        numbers = tuple(map(str, range(n_labels)))
        assert dataset.labels == (DATASETS["toy"].labels if n_labels == 2 else numbers)
        if n_labels > 2:
            assert dataset.train.gold.tolist() == train == dataset.train.labels.tolist()
            assert dataset.train.gold.dtype == dataset.train.labels.dtype == np.int64

    def test_names_may_stand_for_labels_without_sentences(self, tmp_path):
        dataset = self.read(tmp_path, [0, 3], [2], labels=["a", "b", "c", "d"])
        assert dataset.labels == ("a", "b", "c", "d")

    @pytest.mark.parametrize(
        ("train", "test", "more", "words"),
        [
            (
                [0, 1, 3],
                [0],
                {},
                ["toy_train.json: XY[2] has the label 3", "no sentence has label 2"],
            ),
            ([1, 2], [1], {}, ["toy_train.json: XY[1]", "no sentence has label 0"]),
            ([0, 10**30], [0], {}, ["toy_train.json: XY[1]", "no sentence has label 1"]),
            ([0, 1, 2], [1, 3], {}, ["toy_test.json: XY[1] has the label 3", "from 0 to 2"]),
            ([0, 1], [2], {}, ["toy_test.json: XY[0] has the label 2", "from 0 to 1"]),
            ([0, 1, 2, 0.5], [0], {}, ["toy_train.json: XY[3] has the label 0.5", "from 0 to 2"]),
            ([0, 1.0, 2], [0], {}, ["toy_train.json: XY[1] has the label 1.0", "whole numbers"]),
            ([0, 1, 2.0], [0], {}, ["toy_train.json: XY[2] has the label 2.0", "from 0 to 1"]),
            ([0, 1, 2], [0.0], {}, ["toy_test.json: XY[0] has the label 0.0", "whole numbers"]),
            ([0, 1, -1], [0], {}, ["toy_train.json: XY[2] has the label -1"]),
            ([0, 2], [0], {"labels": ["a", "b"]}, ["toy_train.json: XY[1] has the label 2"]),
            ([0, 1], [0], {"labels": ["a"]}, ['"labels" is not a list of two or more names']),
            ([0, 1], [0], {"labels": ["a", 1]}, ['"labels" is not a list of two or more names']),
            (
                [0, 1],
                [0],
                {"labels": {"a": 0, "b": 1}},
                ['"labels" is not a list of two or more names'],
            ),
        ],
    )
    def test_what_cannot_be_used(self, tmp_path, train, test, more, words):
        with pytest.raises(InputError) as error:
            self.read(tmp_path, train, test, **more)
        assert "\n" not in str(error.value)
        assert all(word in str(error.value) for word in [*words, "prepare_data.py"])


N_LABELS, ITERATIONS = 4, [0, 10, 30, 59]
SIZES = {"h_dim": 24, "intermediate_dim": 16, "embed_dim": 32, "b_size": 32}


def write_data(folder) -> None:
    """Three keywords for each of four labels among 40 other words: two of the gold label's."""
    rng = random.Random(0)
    vocab = [f"label{label}{letter}" for label in range(N_LABELS) for letter in "abc"]
    keywords = range(len(vocab))
    vocab += [f"word{i}" for i in range(40)]
    for split, count in (("train", 800), ("test", 150)):
        pairs = []
        for _ in range(count):
            label = rng.randrange(N_LABELS)
            words = rng.choices(keywords[3 * label : 3 * label + 3], k=2) + rng.choices(keywords)
            words += rng.choices(range(len(keywords), len(vocab)), k=rng.randint(1, 12))
            pairs.append([rng.sample(words, len(words)), label])
        content = {"XY": pairs} | ({"vocab": vocab} if split == "train" else {})
        write_json(folder / f"toy_{split}.json", content)


def commands(folder) -> list[list[str]]:
    """Every stage."""
    folders = {n: [f"--{n}_dir", folder / n] for n in ("data", "models", "outputs", "configs")}
    config = ["--config", folder / "model.json"]
    outputs, of_data = folders["outputs"], ["--dataset", "toy", *folders["data"]]
    train = ["train_classifier.py", *of_data, *folders["models"], *config]
    train += flags_of({"steps": 60, "lr": 0.006, "custom_saves": "0,10,30"})
    return [
        *([*train, "--seed", seed, *(["--uniform"] * uniform)] for _, seed, uniform in RUNS),
        ["eval_dump.py", *of_data, *folders["models"], *outputs, *folders["configs"], *config],
        ["embedding_beta.py", *of_data, *outputs, "--epochs", 8, "--lr", 0.01],
        ["logistic_beta.py", *of_data, *outputs],
        [
            "collect_classification_stats.py",
            *("--datasets", "toy", *outputs, "--out_file", folder / "outputs" / "stats.pkl"),
            *("--include_kendall_tau", "--resamples", 50),
        ],
        ["plot_dynamics.py", "--datasets", "toy", *outputs, "--formats", "png"],
        ["explore.py", "--dataset", "toy", *outputs],
        ["words.py", "--dataset", "toy", *outputs, "--formats", "png"],
        ["export.py", "--dataset", "toy", *outputs, "--format", "csv"],
    ]


def prepare(folder):
    write_json(folder / "model.json", SIZES)
    write_list(folder / "configs" / "toy.json", ITERATIONS)
    write_data(folder / "data")
    return folder


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("labels"))


@pytest.mark.slow
class TestStages:
    @pytest.fixture
    def outputs(self, experiment, capsys):
        if not (experiment / "outputs").exists():
            for script, *flags in commands(experiment):
                status, out, err = call(script, *flags, capsys=capsys)
                assert status == 0, (script, out, err)
        return experiment / "outputs"

    def test_words_and_an_export(self, outputs):
        dump = load(outputs / "toy_logs.pkl")
        n_rows = len(dump["sentences"]["tokens"]) * len(dump["alpha"])
        lines = (outputs / "toy_export" / "tokens.csv").read_text().splitlines()
        assert len(lines) == 1 + n_rows and "score" not in lines[0]
        header = (outputs / "toy_word_means.csv").read_text().partition("\n")[0]
        assert "mean_beta" in header and "score" not in header

    def test_the_table(self, outputs):
        dump, results = load(outputs / "toy_logs.pkl"), load(outputs / "stats.pkl")
        assert dump["labels"] == ["0", "1", "2", "3"]
        assert dump["settings"]["columns"].keys() == {"alpha", "beta", "grad", "score"}
        summary = results["toy", "top 5% match", "val", "test_acc"]
        assert summary["best_perf"] > 0.9
        for key in ("agr_unif", "agr_px", "agr_grad", "agr_logistic"):
            assert summary[key] > 3 * summary["baseline"], key
        baseline = load(outputs / "toyembedding256beta.pkl")
        assert baseline["beta"].shape == (len(dump["vocab"]), N_LABELS)
        logistic_baseline = load(outputs / "toy_logistic_beta.pkl")
        assert logistic_baseline["beta"].shape == baseline["beta"].shape
        assert logistic_baseline["test_acc"] > 0.95
        for beta in (baseline["beta"], logistic_baseline["beta"]):
            for label in range(N_LABELS):  # the words with the most evidence are the label's own
                odds = gold_evidence(beta, np.full(len(beta), label))
                top = {dump["vocab"][word] for word in np.argsort(-odds)[:3]}
                assert top == {f"label{label}{letter}" for letter in "abc"}

    def test_beta_speaks_for_the_gold_label(self, outputs):
        dump = load(outputs / "toy_logs.pkl")
        sentences = dump["sentences"]
        gold = np.repeat(sentences["target"], np.diff(sentences["offsets"]))
        words = np.array(dump["vocab"])[sentences["tokens"]]
        own = np.array([word.startswith(f"label{label}") for word, label in zip(words, gold)])
        other = np.char.startswith(words, "label") & ~own
        for name in ("Normal_A", "Uniform"):
            beta = dump["beta"][name, 59]
            assert beta[own].mean() > beta[~own & ~other].mean() > beta[other].mean()

    def test_the_explorer_knows_what_is_right(self, outputs):
        data, arrays = read_page(outputs / "toy_explorer.html")
        dump = load(outputs / "toy_logs.pkl")
        assert data["labels"] == ["0", "1", "2", "3"]
        right = np.frombuffer(arrays["right"], np.int8).reshape(len(RUNS), len(ITERATIONS), -1)
        positions = [sentence["number"] for sentence in data["sentences"]]
        gold = dump["sentences"]["target"][positions]
        assert [sentence["label"] for sentence in data["sentences"]] == gold.tolist()
        runs = RunNames.of(set(dump["alpha"]), "")
        for run, name in enumerate((runs.gold, *runs.comparisons, runs.uniform)):
            for at, it in enumerate(ITERATIONS):
                predicted = dump["score"][name, it].argmax(axis=1)
                np.testing.assert_array_equal(right[run, at], predicted[positions] == gold)
                accuracy = (predicted[:150] == dump["sentences"]["target"][:150]).mean()
                assert dump["metas"][name, it, "test_acc"] == pytest.approx(accuracy)

    def test_a_killed_run_and_a_killed_evaluation_end_the_same(self, outputs, tmp_path, capsys):
        prepare(tmp_path)
        ours = commands(tmp_path)
        run = tmp_path / "models" / "toy" / "h_dim=24,b_size=32,seed=20,normal"
        kill_when(run / "model10", command_of("classification", *ours[0]))
        for script, *flags in ours[:3]:
            assert call(script, *flags, capsys=capsys)[0] == 0
        part = tmp_path / "outputs" / "toy_logs.parts" / "Normal_A-0.pkl"
        kill_when(part, command_of("classification", *ours[3]))
        for script, *flags in ours[3:6]:
            assert call(script, *flags, capsys=capsys)[0] == 0
        expected, found = (files_in(folder) for folder in (outputs.parent, tmp_path))
        names = [n for n in found if not n.endswith(("run.json", "resume.pt"))]  # these have times
        assert len(names) > 20
        for name in names:
            assert found[name] == expected[name], name

    def test_other_labels_are_other_data(self, outputs, experiment, tmp_path, capsys):
        """Checkpoints of four labels are not evaluated with two."""
        prepare(tmp_path)
        for split in ("train", "test"):
            path = tmp_path / "data" / f"toy_{split}.json"
            raw = json.loads(path.read_text())
            raw["XY"] = [[words, label % 2] for words, label in raw["XY"]]
            write_json(path, raw)
        script, *flags = commands(tmp_path)[3]
        flags = [experiment / "models" if flag == tmp_path / "models" else flag for flag in flags]
        assert_one_line(call(script, *flags, capsys=capsys), "other settings (other data)")
