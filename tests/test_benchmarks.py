"""The benchmarks run, and compare two ways of the same work. Speed itself is not tested."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
NAMES = [
    "bilstm_long",
    "classifier_step",
    "classifier_step_short",
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
]


def python(*arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=BENCHMARKS
    )


@pytest.fixture
def benchmark_modules(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def test_list_names_every_benchmark_and_its_target():
    listed = python("run.py", "--list").stdout.splitlines()
    assert set(NAMES) <= {line.split()[0] for line in listed}
    assert all("ratio >= " in line for line in listed)


@pytest.mark.parametrize("arguments", [[], ["no_such"]])
def test_unknown_name_is_answered_with_the_list(arguments):
    result = python("run.py", *arguments)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert all(name in result.stderr for name in NAMES)


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


def test_both_ways_of_the_classifier_agree():
    """In a process of its own: the tasks' modules have the same names."""
    program = """
import numpy as np
import classifier
classifier.CONFIG |= {"h_dim": 6, "intermediate_dim": 5, "embed_dim": 4, "b_size": 3}
sentences = classifier.random_sentences("SNS", 8, np.random.default_rng(0))
model = classifier.build(classifier.CONFIG, 2569, uniform=False)
found = list(classifier.differences(model, model, sentences).values())
in_test = np.arange(8) < 4
ours = classifier.evaluate_checkpoint(model, sentences, in_test, True, None)
plain = classifier.plain_dump(model, sentences)
found += [abs(ours[name] - plain[name]).max() for name in ("alpha", "beta", "grad")]
assert max(found) < 1e-6, found
assert abs(ours["grad"]).max() > 1e-4
"""
    result = python("-c", program)
    assert result.returncode == 0, result.stderr


def test_both_ways_of_the_translator_agree():
    program = """
import translation
translation.CONFIG |= {"h_dim": 8, "b_size": 4}
translation.VOCAB_SIZE = 50
translation.N_VALIDATION = 12
for measured in (translation.step, translation.beta, translation.grad, translation.beam):
    result = measured(True)
    assert max(result.difference.values()) < 1e-5, result
"""
    result = python("-c", program)
    assert result.returncode == 0, result.stderr


def test_a_dump_takes_little_more_memory_than_its_columns():
    """Twice the columns would be too much. In a process whose peak nothing else has raised."""
    program = """
import translation
memory = translation.dump_memory(True)
columns = 4 * 2 * 7283 * 26 * 26 * (3 * 23 * 2 + 23) / 2**30  # of the published iwslt14 list
assert memory.unit == "GiB" and 0.9 * columns < memory.ours < 1.5 * columns, memory
"""
    result = python("-c", program)
    assert result.returncode == 0, result.stderr


def test_both_ways_of_the_copiers_agree():
    program = """
import copying
copying.SIZES |= {"n_vocab": 12, "hidden_dim": 8}
copying.LENGTH, copying.BATCH = 10, 4
if __name__ == "__main__":
    for measured in (copying.step, copying.step_heads, copying.jobs, copying.batch):
        result = measured(True)
        assert max(result.difference.values()) < 1e-5, result
        assert result.ours > 0 and result.plain > 0
"""
    result = python("-c", program)
    assert result.returncode == 0, result.stderr


def test_flop_of_a_copier(benchmark_modules):
    program = """
import copying
copying.SIZES |= {"n_vocab": 5, "hidden_dim": 3}
copying.LENGTH = 4
# of a token: two LSTMs; a head's two projections, logits and weighted mean; W; W_o
# four tokens and </s>; in the output also <s>
head = 2 * (2 * 3 * 3) + 2 * (2 * 3 * 5)
last = 2 * 6 * 3 + 2 * 3 * 7
assert copying.forward_flop(copying.copier()) == 2 * (2 * 4 * 3 * 6) + head + last
assert copying.forward_flop(copying.multihead()) == 2 * (2 * 3 * 3 * 6) + 8 * head + last
"""
    result = python("-c", program)
    assert result.returncode == 0, result.stderr


def test_flop_of_an_lstm_cell(benchmark_modules):
    from measure import linear_flop, lstm_flop

    # 4 gates of 2 units, each a product with 3 inputs and with 2 states, two flop an entry
    assert lstm_flop(3, 2, directions=1) == 4 * 2 * (3 + 2) * 2 == 80
    assert lstm_flop(300, 256) == 2_277_376
    assert linear_flop(3, 2) == 12


def test_lengths_are_plausible(benchmark_modules):
    import lengths

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
