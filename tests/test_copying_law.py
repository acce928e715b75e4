"""Copying as a law: the fit on times whose law is known, and the stage on tiny models."""

import csv
import os
import subprocess
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import (
    assert_one_line,
    call_script,
    command_of,
    files_in,
    flags_of,
    kill_when,
    load,
)
from scipy import optimize, special, stats

from attention_dynamics.copying import law, power_law
from attention_dynamics.copying.data import evaluation_batch, training_batch
from attention_dynamics.copying.histories import first_over
from attention_dynamics.copying.settings import Repeating, Settings

call = partial(call_script, "SequenceCopying", "law.py")
LENGTHS, VOCABS = (4, 6, 8, 12, 16, 24), (32, 64)


def synthetic(
    seed: int, seeds=5, a=0.7, b=0.3, none=0.4, sigma=0.2, last=10**9, steps_of=None, shared=0.0
):
    """Timings by a known law; those after ``last`` are censored.

    ``shared`` is the standard deviation of what a seed has in all settings of a vocabulary.
    """
    rng = np.random.default_rng(seed)
    of_seeds = {(vocab, n): shared * rng.normal() for vocab in VOCABS for n in range(seeds)}
    timings = []
    for kind, vocab, length in product(("tokens", "none"), VOCABS, LENGTHS):
        for number in range(seeds):
            log = 4 + a * np.log(length) + b * np.log(vocab) + none * (kind == "none")
            log = np.log(steps_of(length)) if steps_of else log
            at = float(np.exp(log + of_seeds[vocab, number] + sigma * rng.normal()))
            times = (at, at / 2)
            copies, attends = (None if time > last else time for time in times)
            cell = law.Cell(kind, vocab, length)
            timings.append(law.Timing(cell, number, copies, attends, last, 1.0, 1.0))
    return timings


def fitted(timings, repetition="all", resamples=300, time="copies"):
    return power_law.law_of(timings, time, repetition, resamples, 0)


class TestFit:
    def test_without_noise_it_is_exact(self):
        found = fitted(synthetic(0, sigma=1e-4))
        values = {name: c.value for name, c in found.coefficients.items()}
        assert values == pytest.approx({"length": 0.7, "vocab": 0.3, "none": 0.4}, abs=1e-3)
        assert found.intercept == pytest.approx(4, abs=1e-3)
        assert found.r2 > 0.9999
        predicted = power_law.predict(found.intercept, values, np.array([4.0, 24.0]), 32, "none")
        assert np.log(predicted) == pytest.approx(
            4.4 + 0.7 * np.log([4, 24]) + 0.3 * np.log(32), abs=1e-3
        )

    def test_without_censoring_it_is_least_squares(self):
        rng = np.random.default_rng(0)
        design = np.column_stack([np.ones(40), rng.normal(size=(40, 2))])
        values, weights = rng.normal(size=40), rng.integers(0, 3, size=(7, 40)).astype(float)
        fit = power_law.fit_censored(design, values, np.ones(40, bool), weights)
        for found, sigma, weight in zip(fit.coefficients, fit.sigma, weights):
            root = np.sqrt(weight)
            expected, squares, *_ = np.linalg.lstsq(root[:, None] * design, root * values)
            np.testing.assert_allclose(found, expected, atol=1e-7)
            assert sigma == pytest.approx(np.sqrt(squares[0] / weight.sum()))

    def test_censored_against_a_plain_maximization(self):
        rng = np.random.default_rng(1)
        design = np.column_stack([np.ones(60), rng.normal(size=60)])
        full = design @ [1.0, 2.0] + rng.normal(size=60)
        values, observed = np.minimum(full, 2.0), full < 2.0
        weight = rng.integers(0, 4, size=60).astype(float)

        def negative(point):
            sigma = np.exp(point[2])
            z = (values - design @ point[:2]) / sigma
            terms = np.where(observed, stats.norm.logpdf(z) - point[2], special.log_ndtr(-z))
            return -(weight * terms).sum()

        expected = optimize.minimize(negative, [0, 0, 0], tol=1e-10)
        fit = power_law.fit_censored(design, values, observed, weight[None])
        np.testing.assert_allclose(fit.coefficients[0], expected.x[:2], atol=1e-4)
        assert fit.sigma[0] == pytest.approx(np.exp(expected.x[2]), rel=1e-4)
        assert fit.likelihood[0] == pytest.approx(-expected.fun, abs=1e-6)

    def test_exponents_under_noise_and_censoring(self):
        """A quarter of the times is censored; to take them as observed would flatten the law."""
        found = [fitted(synthetic(seed, last=1400), resamples=2) for seed in range(40)]
        assert np.mean([law.censored / law.seeds for law in found]) > 0.25
        for name, value in {"length": 0.7, "vocab": 0.3, "none": 0.4}.items():
            values = [law.coefficients[name].value for law in found]
            error = np.std(values) / np.sqrt(len(values))
            assert abs(np.mean(values) - value) < 4 * error, name
        timings = synthetic(0, last=1400)
        naive = np.polyfit(
            np.log([t.cell.length for t in timings]),
            np.log([t.copies or t.last for t in timings]),
            1,
        )[0]
        assert naive < 0.55

    @pytest.mark.parametrize("last", [10**9, 2500])
    @pytest.mark.parametrize("shared", [0, 0.2])
    def test_intervals_cover_what_is_true(self, shared, last):
        """Also if a seed is fast or slow in all settings of a vocabulary."""
        true = {"length": 0.7, "vocab": 0.3, "none": 0.4}
        covered = {name: [] for name in true}
        for seed in range(150):
            timings = synthetic(seed, seeds=3, last=last, shared=shared)
            found = fitted(timings, resamples=200).coefficients
            for name, value in true.items():
                covered[name].append(found[name].low < value < found[name].high)
        for name, of in covered.items():
            # resamples within each setting would cover vocab in half of the cases if shared
            assert 0.89 < np.mean(of) < 0.99, name

    def test_an_exponential_is_told_from_a_power_law(self):
        found = fitted(synthetic(0))
        assert found.delta_aic > 10 and found.preferred > 0.97
        assert found.curvature.low < 0 < found.curvature.high
        found = fitted(synthetic(0, steps_of=lambda length: 50 * np.exp(0.1 * length)))
        assert found.delta_aic < -10 and found.preferred < 0.03
        assert found.curvature.low > 0

    def test_two_lengths_give_an_exponent_and_no_comparison(self):
        found = fitted([t for t in synthetic(0) if t.cell.length in (4, 24)])
        assert found.coefficients["length"].value == pytest.approx(0.7, abs=0.15)
        assert np.isnan(found.delta_aic) and found.curvature is None

    def test_equal_times_have_no_r2(self):
        timings = [replace(t, copies=100, attends=100) for t in synthetic(0)]
        assert np.isnan(fitted(timings).r2)

    def test_what_cannot_be_fitted(self):
        timings = [t for t in synthetic(0) if t.cell.length == 4]
        assert fitted(timings) is None
        laws, notes = power_law.laws_of(timings, 10, 0)
        assert laws == [] and len(notes) == 6
        none_gets_there = synthetic(0, last=1)
        assert power_law.laws_of(none_gets_there, 10, 0)[0] == []

    def test_a_kind_that_never_gets_there_is_left_out_of_all(self):
        timings = [
            law.Timing(t.cell, t.seed, None, t.attends, 3000, 0, 0)
            if t.cell.repetition == "none"
            else t
            for t in synthetic(0)
        ]
        laws, notes = power_law.laws_of(timings, 10, 0)
        assert "copies, all: without none, where no seed gets there" in notes
        assert any(note.startswith("copies, none: ") for note in notes)
        (found,) = [one for one in laws if (one.time, one.repetition) == ("copies", "all")]
        assert set(found.coefficients) == {"length", "vocab"} and found.censored == 0

    def test_one_seed_in_each_setting(self):
        found = fitted(synthetic(0, seeds=1))
        assert np.isnan(found.spread)
        assert found.coefficients["length"].low == found.coefficients["length"].high


class TestData:
    def test_sequences_come_again(self):
        settings = Repeating(1000, 9, False, batch_size=40, share=0.25, pool=3)
        plain = Settings(1000, 9, False, batch_size=40)
        batches = [training_batch(settings, 5, step) for step in range(6)]
        again = {tuple(row) for batch in batches for row in batch[:10].tolist()}
        assert len(again) == 3
        for step, batch in enumerate(batches):
            assert torch.equal(batch[10:], training_batch(plain, 5, step)[10:])
            assert torch.equal(batch, training_batch(settings, 5, step))
        assert not again & {tuple(row) for row in evaluation_batch(settings).tolist()}
        other = {tuple(row) for row in training_batch(settings, 6, 0)[:10].tolist()}
        assert not again & other
        assert len({tuple(row) for row in batches[0][10:].tolist()}) == 30

    def test_the_grid(self):
        cells = law.cells_of(["none", "tokens"], [8, 4], [6, 3])
        assert cells == [
            *(law.Cell("tokens", vocab, length) for vocab in (4, 8) for length in (3, 6)),
            law.Cell("none", 4, 3),
            law.Cell("none", 8, 3),
            law.Cell("none", 8, 6),
        ]


TINY = {
    "vocabs": 6,
    "seeds": 2,
    "hidden_dim": 12,
    "bsize": 8,
    "lr": 0.02,
    "embedding_std": 1,
    "max_steps": 40,
    "eval_every": 8,
    "learned": 0.3,
    "attended": 0.4,
    "resamples": 20,
    "jobs": 1,
    "formats": "png",
}


def flags(folder: Path, *lengths: int, **changes) -> list[str]:
    paths = {"logs_dir": folder / "logs", "outputs_dir": folder / "outputs"}
    return [*flags_of(TINY | paths | changes), "--lengths", *map(str, lengths or (2, 3, 5))]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("law")
    command = command_of("SequenceCopying", "law.py", *flags(folder))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    end = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (folder / "output.txt").write_text(end.stdout)
    return folder


def results_in(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in files_in(folder).items() if name != "output.txt"}


@pytest.mark.slow
class TestStage:
    def test_times_are_those_of_the_curves(self, whole):
        rows = list(csv.DictReader((whole / "outputs" / "law.csv").open()))
        assert len(rows) == 3 * 3 * 2
        assert {row["repetition"] for row in rows} == set(law.REPETITION)
        stopped, censored = 0, 0
        for row in rows:
            cell = law.Cell(row["repetition"], int(row["vocab"]), int(row["length"]))
            part = load(whole / "logs" / "law" / cell.name / f"seed{row['seed']}.pkl")
            history, settings = part["history"], part["settings"]
            assert history["step"] == list(range(8, history["step"][-1] + 1, 8))
            assert (settings["length"], settings["n_vocab"]) == (cell.length, cell.vocab)
            assert settings["no_rep"] == (cell.repetition == "none")
            assert ("share" in settings) == (cell.repetition == "sequences")
            times = {
                "copies": first_over(history, "token_accuracy", 0.3),
                "attends": first_over(history, "attention_accuracy", 0.4),
            }
            for name, at in times.items():
                assert row[name] == ("" if at is None else str(at))
            # training ends when both have come, and not before
            known = None not in times.values()
            assert history["step"][-1] == (max(times.values()) if known else 40)
            stopped, censored = stopped + known, censored + (not known)
        assert stopped and censored

    def test_table(self, whole):
        out = (whole / "output.txt").read_text()
        assert "steps = c length^a vocab^b" in out and "-vocab" not in out
        rows = list(csv.DictReader((whole / "outputs" / "law_fit.csv").open()))
        of_length = {
            (row["time"], row["repetition"]): row for row in rows if row["term"] == "length"
        }
        assert ("copies", "all") in of_length
        for (time, kind), row in of_length.items():
            (line,) = (line for line in out.splitlines() if line.split()[:2] == [time, kind])
            low, high = float(row["low"]), float(row["high"])
            assert f" {float(row['value']):.3f} [{low:.3f}, {high:.3f}]" in line

    def test_a_finished_run_says_so(self, whole, capsys):
        before = results_in(whole)
        status, out, err = call(*flags(whole), capsys=capsys)
        assert status == 0, err
        assert out.count("(finished before)") == 9
        assert results_in(whole) == before

    def test_killed_it_goes_on_to_the_same_bytes(self, whole, tmp_path, capsys):
        kill_when(
            tmp_path / "logs" / "law" / "none-vocab6-length3" / "seed0.pkl",
            command_of("SequenceCopying", "law.py", *flags(tmp_path)),
        )
        assert not (tmp_path / "outputs").exists()
        status, out, err = call(*flags(tmp_path), capsys=capsys)
        assert status == 0, err
        assert 4 <= out.count("(finished before)") < 9
        assert results_in(tmp_path) == results_in(whole)

    def test_more_lengths_and_seeds_are_added(self, whole, tmp_path, capsys):
        assert call(*flags(tmp_path, 5, 2, seeds=1), capsys=capsys)[0] == 0
        assert call(*flags(tmp_path), capsys=capsys)[0] == 0
        assert results_in(tmp_path) == results_in(whole)

    def test_batched_is_separate(self, whole, tmp_path, capsys):
        """Up to rounding: which models stop, and when, changes nothing for those beside them."""
        status, _, err = call(*flags(tmp_path, way="batched", device="cpu"), capsys=capsys)
        assert status == 0, err
        for path in (whole / "logs").rglob("*.pkl"):
            expected = load(path)
            found = load(tmp_path / path.relative_to(whole))
            assert found["settings"] == expected["settings"]
            losses = [part["history"]["loss"] for part in (found, expected)]
            shared = min(map(len, losses))  # an argmax may go the other way: then one is longer
            assert abs(len(losses[0]) - len(losses[1])) <= 1
            np.testing.assert_allclose(losses[0][:shared], losses[1][:shared], rtol=1e-3)

    def test_other_settings_are_refused(self, whole, capsys):
        before = results_in(whole)
        for changes, words in (
            ({"lr": 0.1}, "lr: 0.02, now 0.1"),
            ({"learned": 0.5}, "copies_over: 0.3, now 0.5"),
            ({"embedding_std": 0.1}, "embedding_std: 1"),
        ):
            result = call(*flags(whole, **changes), capsys=capsys)
            assert_one_line(result, "was made with other settings", words)
        assert results_in(whole) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vocabs": 0}, ["--vocabs", "0 is not a positive"]),
        ({"vocabs": 2**40}, ["--vocabs", "at most"]),
        ({"lengths": "-3"}, ["--lengths"]),
        ({"seeds": 0}, ["--seeds"]),
        ({"max_steps": 7}, ["--max_steps 7", "--eval_every 8"]),
        ({"learned": 1}, ["--learned", "not between 0 and 1"]),
        ({"attended": "nan"}, ["--attended"]),
        ({"repeat": 1.5}, ["--repeat"]),
        ({"pool": 0}, ["--pool"]),
        ({"repetition": "some"}, ["--repetition", "'some'"]),
        ({"repetition": "none", "vocabs": 1}, ["without repetition", "vocabulary of 1"]),
        ({"name": "a/b"}, ["--name"]),
        ({"device": "tpu"}, ["--device tpu"]),
    ],
)
def test_bad_flags(tmp_path, capsys, changes, words):
    given = flags_of(TINY | {"logs_dir": tmp_path / "logs"} | {"lengths": 2} | changes)
    assert_one_line(call(*given, capsys=capsys), *words)
    assert not list(tmp_path.rglob("*.pkl"))
