"""Measures of attention, and onsets: against plain formulas, and with answers known beforehand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax
from test_dynamics import LEVELS, hand_worked_evidence, hand_worked_runs, random_evidence

from attention_dynamics.analysis import dynamics, onsets
from attention_dynamics.analysis.bootstrap import Agreement
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.measures import MEASURES, SMALLEST
from attention_dynamics.analysis.metrics import METRICS, rows
from attention_dynamics.analysis.onsets import (
    Curve,
    above_chance,
    onset_and_rise,
    rise_of,
)
from attention_dynamics.analysis.ragged import offsets_of
from attention_dynamics.cli import InputError

TOP5, TAU = METRICS["top 5% match"], METRICS["kendall tau"]

# Measures


def test_measures_are_their_plain_formulas():
    rng = np.random.default_rng(0)
    lengths = [1, *rng.integers(1, 40, 30), 1, 2]
    offsets = offsets_of(lengths)
    rows = [3 * rng.normal(size=n) for n in lengths]
    log_alpha = [log_softmax(row) for row in rows]
    betas = [np.round(rng.normal(size=n), 1) for n in lengths]  # with ties
    alpha, beta = np.exp(np.concatenate(log_alpha)), np.concatenate(betas)
    found = {name: measure.compute(alpha, beta, offsets) for name, measure in MEASURES.items()}
    for number, (logits, log_p, evidence) in enumerate(zip(rows, log_alpha, betas)):
        entropy = -sum(math.exp(one) * one for one in log_p)
        assert found["entropy"][number] == pytest.approx(entropy, abs=1e-12)
        assert found["effective"][number] == pytest.approx(math.exp(entropy))
        top = list(evidence).index(max(evidence))
        others = [logit for place, logit in enumerate(logits) if place != top]
        if others:
            margin = logits[top] - sum(others) / len(others)
            assert found["margin"][number] == pytest.approx(margin, abs=1e-9)
        else:
            assert math.isnan(found["margin"][number])
    defined = [value for value in found["margin"] if not math.isnan(value)]
    assert len(defined) < len(rows)
    assert MEASURES["margin"].mean(alpha, beta, offsets) == pytest.approx(np.mean(defined))


def test_measures_at_their_ends():
    offsets = np.array([0, 4, 6])
    alpha = np.array([0.25] * 4 + [1, 0], dtype=np.float32)  # uniform, then all on one token
    beta = np.array([0, 1, 2, 3, 1, 0])
    entropy, effective, margin = (m.compute(alpha, beta, offsets) for m in MEASURES.values())
    assert entropy == pytest.approx([math.log(4), 0]) and effective == pytest.approx([4, 1])
    assert margin == pytest.approx([0, -math.log(SMALLEST)])  # finite, though alpha is 0
    only_one = np.array([0, 1])
    assert math.isnan(MEASURES["margin"].mean(alpha[4:5], beta[4:5], only_one))


# Onsets in sequences made by hand


def no_noise(values):
    """``D_t`` of all sentences, and of resamples that all give the same."""
    return np.tile(np.asarray(values, dtype=float), (6, 1))


@pytest.mark.parametrize(
    ("values", "onset", "rise"),
    [
        ([0, 0, 0.1, 0.2, 0.4], 20, 30),
        ([0, 0.1, 0, 0, 0.1], 40, 5),  # a single one does not count, but the last may
        ([0, 0.1, 0.1, 0, 0.3], 40, 35),
        ([0, 0.1, 0.1, 0.1, 0], 10, 5),  # what comes after the next two does not matter
        ([0.1, 0.1, 0.1, 0.1, 0.1], 0, 0),
        ([0, -0.1, 0, 0, 0], np.inf, np.inf),
        ([0, 0, 0, 0, 0], np.inf, np.inf),
        ([np.nan] * 5, np.inf, np.inf),
        ([np.nan, 0.0, np.nan, 0.2, 0.4], 30, 30),
        ([0, 0.4, np.nan, 0.4, 0.4], 30, 5),  # undefined is not above chance
    ],
)
def test_onset_and_rise_of_a_sequence(values, onset, rise):
    found = onset_and_rise(no_noise(values), [0, 10, 20, 30, 40])
    for of_samples, expected in zip(found, (onset, rise)):
        assert of_samples == pytest.approx([expected] * 6)


def test_few_iterations():
    assert [one[0] for one in onset_and_rise(no_noise([0.5]), [0])] == [0, 0]
    assert [one[0] for one in onset_and_rise(no_noise([0, 0.5]), [0, 8])] == [8, 4]


def test_agreement_before_training_is_chance():
    excess = np.array([[0.1, 0.3], [-0.1, 0.3], [np.nan, 0.3]])
    above = above_chance(excess, [0, 10])
    assert above[:2] == pytest.approx(np.array([[0, 0.2], [-0.1, 0.3]]))
    assert np.isnan(above[2, 0]) and above[2, 1] == 0.3
    assert above_chance(excess[:1], [5, 10]).tolist() == [[0.1, 0.3]]
    # released at 10: it is not trained yet there, but it is at 20
    assert above_chance(excess, [0, 10], begins=10)[:, 1].tolist() == [0, 0, 0]
    assert above_chance(excess, [0, 20], begins=10)[:, 1].tolist() == [0.3, 0.3, 0.3]


def test_rise_is_interpolated_in_the_iteration():
    at = np.array([0.0, 10, 100])
    assert rise_of(np.array([0, 0.25, 1]), at) == pytest.approx(10 + 90 / 3)
    assert rise_of(np.array([0, 0.5, 1]), at) == 10
    assert rise_of(np.array([0, 1, 0.7]), at) == 5  # the maximum need not be at the end


def curve(values, sentences=200, iterations=(0, 10, 20, 30, 40)):
    """One run, whose agreement in the sentences is 1 in this share of them; never if shuffled."""
    order = np.random.default_rng(3).permutation(sentences)
    agreements = [[Agreement.of((order < share * sentences) * 1.0, None)] for share in values]
    shuffled = [[Agreement.of(np.zeros(sentences), None)] for _ in values]
    return Curve(list(iterations), agreements, shuffled)


def test_the_bootstrap_finds_what_is_sure():
    """Of n sentences, k agree: the lower end is above 0 if hardly a resample has none of them."""
    # 1 of 200: a resample has none with probability (1 - 1/200)^200 = 0.37; 10 of 200: 3e-5
    few = onsets.onsets({"alpha": curve([0, 0.005, 0.005, 0.05, 0.5])}, 500)
    assert few["onset_alpha"].value == 30
    found = onsets.onsets({"alpha": curve([0, 0, 0, 0.2, 0.5])}, 500)
    assert found["onset_alpha"] == onsets.Time(30, (30, 30))
    assert found["rise_alpha"].value == pytest.approx(30 + 10 * 0.05 / 0.3)
    low, high = found["rise_alpha"].interval
    assert 28 < low < found["rise_alpha"].value < high < 34
    never = onsets.onsets({"alpha": curve([0.5] * 5)}, 100)["onset_alpha"]
    assert never == onsets.Time(math.inf, (math.inf, math.inf))  # given from the start


def test_an_unsure_onset_has_an_interval():
    # 4 of 200: D = 0.02, and the lower end is that of a binomial around 4: 1
    found = onsets.onsets({"alpha": curve([0, 0.02, 0.02, 0.3, 0.5])}, 1000)["onset_alpha"]
    assert found.value == 10
    assert found.interval == (10, 30)


def test_lags_are_paired():
    late, early = curve([0, 0, 0.1, 0.4, 0.5]), curve([0, 0.2, 0.4, 0.4, 0.4])
    never = curve([0] * 5)
    found = onsets.onsets({"unif": early, "normal": never, "alpha": late}, 200)
    assert list(found) == onsets.times(list(onsets.SOURCES))
    assert found["lag_unif"] == onsets.Time(10, (10, 10))
    assert found["rise_lag_unif"].value == pytest.approx(20 + 10 * 0.15 / 0.3 - 10)
    assert found["lag_normal"].value == -math.inf  # evidence never agrees
    both = onsets.onsets({"normal": never, "alpha": never}, 200)["lag_normal"]
    assert math.isnan(both.value) and both.interval is None
    assert onsets.onsets({"unif": early, "alpha": never}, 50)["lag_unif"].value == math.inf
    assert onsets.onsets({"alpha": late}, 50).keys() == {"onset_alpha", "rise_alpha"}


# Curves of a dump


@pytest.mark.parametrize("metric", [TOP5, TAU], ids=lambda metric: metric.name)
def test_curves_are_the_agreements_of_the_published_figures(metric):
    names, _, _, evidence = random_evidence(0, 2, (0, 10, 20), 25)
    runs = RunNames.of({(name, it) for name in names for it in (0, 10, 20)}, "the dump")
    measured = dynamics.measure(runs, evidence, metric, LEVELS)
    found = onsets.curves(runs, evidence, metric)
    of_alpha = {it: [one.mean for one in of] for it, of in measured.alphas.items()}
    assert [[one.mean for one in of] for of in found["alpha"].agreements] == list(of_alpha.values())
    unif = [one.mean for one in measured.levels["agr_unif"]]
    assert found["unif"].means == pytest.approx(unif)
    first = [of[0].mean for of in found["normal"].agreements]
    assert first == [one.mean for one in measured.levels["agr_normal"]]
    # the excess of all sentences: means over runs of what the agreements are
    excess = found["alpha"].excess(5, 0)
    assert excess.shape == (6, 3)
    shuffled = [np.mean([one.mean for one in of]) for of in found["alpha"].shuffled]
    assert excess[0] == pytest.approx(found["alpha"].means - shuffled)


@pytest.mark.parametrize("metric", [TOP5, TAU], ids=lambda metric: metric.name)
def test_uniform_attention_agrees_with_nothing(metric):
    evidence, runs = hand_worked_evidence(), hand_worked_runs()
    offsets = np.array([0, 2, 3])
    assert rows.all_tied(np.array([0.5, 0.5, 1]), offsets)
    assert not rows.all_tied(np.array([0.5, 0.4, 1]), offsets)
    assert not rows.all_tied(np.array([1.0, 1.0]), np.array([0, 1, 2]))  # rows of one token match

    def until_10(column, name, it):
        values = evidence.column(column, name, it)
        return np.full_like(values, 0.5) if column == "alpha" and it < 10 else values

    found = onsets.curves(runs, replace(evidence, column=until_10), metric)
    assert np.isnan(found["alpha"].means).tolist() == [True, False, False]
    assert np.isfinite(found["alpha"].chance)
    assert onsets.onsets(found, 50).keys() == set(onsets.times(list(onsets.SOURCES)))

    def always(column, name, it):
        values = evidence.column(column, name, it)
        return np.full_like(values, 0.5) if column == "alpha" else values

    found = onsets.curves(runs, replace(evidence, column=always), metric)
    assert math.isnan(found["alpha"].chance)
    assert onsets.onsets(found, 50)["onset_unif"].value == math.inf

    held = replace(evidence, column=until_10, attention_from=10)
    found = dynamics.summarize(runs, held, metric, LEVELS, resamples=20)
    assert np.isnan(list(found["alpha_corrs"].values())).tolist() == [True, False, False]
    assert np.isfinite(found["baseline"]) and np.isfinite(found["intervals"]["baseline"]).all()
    assert onsets.curves(runs, held, metric)["alpha"].begins == 10
    assert onsets.curves(runs, held, metric)["unif"].begins == 0


def test_the_uniform_run_may_be_missing():
    evaluated = {(name, it) for name in ("Normal_A", "Normal_B") for it in (0, 10, 20)}
    with pytest.raises(InputError, match="no run called uniform"):
        RunNames.of(evaluated, "the dump")
    runs = RunNames.of(evaluated, "the dump", needs_uniform=False)
    assert onsets.curves(runs, hand_worked_evidence(), TOP5).keys() == {"normal", "alpha"}
