"""The benchmarks run, and compare two ways of the same work. Speed itself is not tested."""

import json
import subprocess
import sys

import classifier
import copier
import encoders
import lengths
import measure
import numpy as np
import pytest
import torch
import translator
from conftest import ROOT

from attention_dynamics.classification.evaluation import evaluate_checkpoint

NAMES = [
    "bilstm_long",
    "classifier_step",
    "classifier_step_short",
    "encoders",
    "jobs",
    "classifier_dump",
    "translation_step",
    "translation_beta",
    "translation_grad",
    "beam",
    "translation_dump_memory",
    "copier_step",
    "multihead_step",
    "copier_jobs",
    "copier_batch",
    "agreement_top5",
    "agreement_kendall",
    "agreement_spearman",
    "agreement_pearson",
]


def python(*arguments):
    """Run Python in a process of its own, in the folder of the benchmarks."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT / "benchmarks"
    )


@pytest.mark.slow
def test_list_names_every_benchmark_and_its_target():
    listed = python("run.py", "--list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == NAMES
    assert all("ratio >= " in line for line in listed)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["no_such"]])
def test_unknown_name_is_answered_with_the_list(arguments):
    result = python("run.py", *arguments)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert all(name in result.stderr for name in NAMES)


@pytest.mark.slow
def test_last_line_is_json():
    result = python("run.py", "agreement_top5", "--quick")
    assert result.returncode == 0, result.stderr
    line = json.loads(result.stdout.splitlines()[-1])
    assert list(line) == ["name", "ratio", "gemm_share", "peak_rss_mb"]
    assert line["name"] == "agreement_top5"
    assert line["ratio"] > 0
    assert line["gemm_share"] is None
    assert 10 < line["peak_rss_mb"] < 10_000
    assert "difference between the two ways: top 5% match 0.0e+00" in result.stdout


def both_agree(*benchmarks):
    for measured in benchmarks:
        result = measured(True)
        assert max(result.difference.values()) < 1e-5, result
        assert result.ours > 0 and result.plain > 0


@pytest.fixture
def no_gemm_rate(monkeypatch):
    """Measuring the machine takes longer than the small models that are tested here."""
    monkeypatch.setattr(measure, "gemm_rate", lambda: 1e11)


def test_both_ways_of_the_classifier_agree(monkeypatch):
    for name, size in {"h_dim": 6, "intermediate_dim": 5, "embed_dim": 4, "b_size": 3}.items():
        monkeypatch.setitem(classifier.CONFIG, name, size)
    torch.manual_seed(0)
    sentences = classifier.random_sentences("SNS", 8, np.random.default_rng(0))
    model = classifier.build(classifier.CONFIG, 2569, uniform=False)
    found = list(classifier.differences(model, model, sentences).values())
    ours = evaluate_checkpoint(model, sentences, {}, True, torch.device("cpu"))
    plain = classifier.plain_columns(model, sentences)
    found += [abs(ours[name] - plain[name]).max() for name in ("alpha", "beta", "grad")]
    assert max(found) < 1e-6, found
    assert abs(ours["grad"]).max() > 1e-4


@pytest.mark.parametrize(("name", "count"), [("step", 4), ("beta", 20), ("grad", 15), ("beam", 5)])
@pytest.mark.slow
def test_both_ways_of_the_translator_agree(name, count, monkeypatch, no_gemm_rate):
    """On ``count`` sentence pairs where the benchmark has more: the plain ways are slow."""
    random_pairs = translator.random_pairs
    monkeypatch.setattr(translator, "random_pairs", lambda n, rng: random_pairs(min(n, count), rng))
    monkeypatch.setattr(translator, "VOCAB_SIZE", 50)
    monkeypatch.setitem(translator.CONFIG, "h_dim", 8)
    both_agree(getattr(translator, name))


@pytest.mark.slow
def test_a_dump_takes_little_more_memory_than_its_columns():
    """Twice the columns would be too much. In a process whose peak nothing else has raised."""
    program = """
import translator
memory = translator.dump_memory(True)
columns = 4 * 2 * 7283 * 26 * 26 * (3 * 23 * 2 + 23) / 2**30  # of the published iwslt14 list
assert memory.unit == "GiB" and 0.9 * columns < memory.ours < 1.5 * columns, memory
"""
    result = python("-c", program)
    assert result.returncode == 0, result.stderr


@pytest.fixture
def small_copiers(monkeypatch):
    monkeypatch.setitem(copier.SIZES, "n_vocab", 12)
    monkeypatch.setitem(copier.SIZES, "hidden_dim", 8)
    monkeypatch.setattr(copier, "LENGTH", 10)
    monkeypatch.setattr(copier, "BATCH", 4)


def test_both_ways_of_a_copier_agree(small_copiers, no_gemm_rate):
    both_agree(copier.step, copier.step_heads)


@pytest.mark.slow
def test_both_ways_of_several_copiers_agree(small_copiers):
    both_agree(copier.jobs, copier.batch)


def test_flop_of_a_copier(monkeypatch):
    monkeypatch.setitem(copier.SIZES, "n_vocab", 5)
    monkeypatch.setitem(copier.SIZES, "hidden_dim", 3)
    monkeypatch.setattr(copier, "LENGTH", 4)
    # of a token: two LSTMs; a head's two projections, logits and weighted mean; W; W_o
    # four tokens and </s>; in the output also <s>
    head = 2 * (2 * 3 * 3) + 2 * (2 * 3 * 5)
    last = 2 * 6 * 3 + 2 * 3 * 7
    assert copier.forward_flop(copier.copier()) == 2 * (2 * 4 * 3 * 6) + head + last
    assert copier.forward_flop(copier.multihead()) == 2 * (2 * 3 * 3 * 6) + 8 * head + last


def test_flop_of_the_encoders():
    """Those of the published one as the other benchmarks count them."""
    for draw, step, flop in (
        (encoders.classification_batch, encoders.classification_step, encoders.classification_flop),
        (encoders.translation_batch, encoders.translation_step, encoders.translation_flop),
    ):
        batch = draw(np.random.default_rng(0))
        counted = {name: flop(step(name)[0], batch) for name in ("bilstm", "gru", "transformer")}
        if flop is encoders.translation_flop:
            assert counted["bilstm"] == 3 * translator.forward_flop(batch)
        else:
            tokens = int(batch.tokens.offsets[-1])
            assert counted["bilstm"] == 3 * tokens * classifier.forward_flop()
        for found in counted.values():
            assert abs(found / counted["bilstm"] - 1) < 0.2


def test_flop_of_an_lstm_cell():
    # 4 gates of 2 units, each a product with 3 inputs and with 2 states, two flop an entry
    assert measure.lstm_flop(3, 2, directions=1) == 4 * 2 * (3 + 2) * 2 == 80
    assert measure.lstm_flop(300, 256) == 2_277_376
    assert measure.linear_flop(3, 2) == 12


def test_an_update_is_the_optimizer_s():
    weight = torch.tensor([1.0], requires_grad=True)
    make = measure.update(lambda batch: (weight * batch).sum(), torch.optim.SGD([weight], lr=0.5))
    make(3.0)
    make(1.0)  # not the sum of both gradients
    assert weight.item() == 1 - 0.5 * 3 - 0.5 * 1


def test_lengths_are_plausible():
    for table in lengths.QUANTILES.values():
        assert len(table) == 101
        assert table[0] >= 1
        assert list(table) == sorted(table)
    rng = np.random.default_rng(0)
    imdb = lengths.draw("IMDB", 20_000, rng)
    assert 255 < imdb.mean() < 285  # 267.7 in the whole of the data
    assert 195 < np.median(imdb) < 207
    short = lengths.draw("IMDB", 20_000, rng, longest=400)
    assert short.max() <= 400
    assert 185 < short.mean() < 205
    assert 18 < lengths.draw("SNS", 20_000, rng).mean() < 21
