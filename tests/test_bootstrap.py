"""The bootstrap and the intervals of the summary, against a plain loop."""

import math
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from test_dynamics import plain_metric, random_evidence, summarize

from attention_dynamics.analysis import bootstrap
from attention_dynamics.analysis.bootstrap import Agreement, interval, weighted_means, weights
from attention_dynamics.analysis.evidence import Evidence, RunNames
from attention_dynamics.analysis.metrics import METRICS
from attention_dynamics.analysis.metrics.rows import mean_agreement

RESAMPLES = 60
ITERATIONS = [0, 5, 7, 100]
PUBLISHED = {
    *("agr_unif", "agr_px", "agr_grad", "arg_grad", "agr_normal"),
    *("xi_unif", "xi_px", "xi_grad", "xi_normal"),
    *("alpha_corrs", "alpha_perfs", "baseline", "best_perf", "iterations"),
}


def whole(sentences, resamples, seed):
    return np.concatenate(list(weights(sentences, resamples, seed)))


# Weights


def test_weights_are_of_draws_with_replacement_and_repeat_with_the_seed(monkeypatch):
    drawn = whole(30, 2000, 1)
    assert drawn.shape == (2000, 30)
    assert (drawn.sum(axis=1) == 30).all()
    np.testing.assert_array_equal(drawn, whole(30, 2000, 1))
    assert (drawn != whole(30, 2000, 2)).any()
    # multinomial: the mean is 1, the variance 1 - 1/30, the covariance -1/30
    covariance = np.cov(drawn.T)
    expected = np.eye(30) - 1 / 30
    assert abs(drawn.mean(axis=0) - 1).max() < 5 / math.sqrt(2000)
    assert abs(covariance - expected).max() < 0.3
    # in smaller parts they are the same
    monkeypatch.setattr(bootstrap, "ENTRIES_AT_ONCE", 100)
    assert max(len(part) for part in weights(30, 2000, 1)) == 3
    np.testing.assert_array_equal(drawn, whole(30, 2000, 1))


def test_a_resample_is_made_of_sentences():
    rng = np.random.default_rng(0)
    sentence = np.repeat(np.arange(7), [1, 3, 2, 5, 1, 1, 4])
    columns = rng.normal(size=(4, len(sentence)))
    columns[1, rng.random(len(sentence)) < 0.5] = np.nan
    columns[2, sentence != 3] = np.nan  # many resamples lack the only sentence that is defined
    agreements = [Agreement.of(values, sentence) for values in columns]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        means = weighted_means(agreements, weights(7, 200, 5))
    for of_resample, counts in zip(means, whole(7, 200, 5)):
        rows = np.concatenate(
            [np.flatnonzero(sentence == s) for s in range(7) for _ in range(int(counts[s]))]
        )
        expected = [mean_agreement(values[rows]) for values in columns]
        np.testing.assert_allclose(of_resample, expected, rtol=0, atol=1e-12)
    undefined = np.isnan(means[:, 2])
    np.testing.assert_array_equal(undefined, whole(7, 200, 5)[:, 3] == 0)
    assert undefined.any() and not undefined.all()


def test_interval():
    assert interval(np.arange(1.0, 1001)) == (25.0, 975.0)
    assert interval(np.array([3.0, np.nan])) == (3.0, 3.0)
    assert interval(np.full(4, np.nan)) is None
    assert interval(np.array([1.0, np.inf, np.inf])) == (1.0, np.inf)
    assert all(type(end) is float for end in interval(np.array([1, 2], dtype=np.float32)))


# The summary


def plain_intervals(metric, runs, tables, performance, evidence, sentence, drawn):
    """Every figure of every resample, from a list of its rows."""
    offsets = evidence.offsets
    best = max(runs.iterations, key=lambda it: performance[runs.gold, it])
    alpha, grad = tables["alpha"][runs.gold, best], tables["grad"][runs.gold, best]

    def per_row(u, v):
        return np.array([plain_metric(metric, u[a:b], v[a:b]) for a, b in pairwise(offsets)])

    def with_beta(u, name):
        return [per_row(u, tables["beta"][name, it]) for it in runs.iterations]

    levels = {
        "unif": with_beta(alpha, runs.uniform),
        "px": with_beta(evidence.words["px"], runs.uniform),
        "grad": with_beta(grad, runs.uniform),
        "normal": with_beta(alpha, runs.comparisons[0]),
    }
    if "logistic" in evidence.words:
        levels["logistic"] = with_beta(evidence.words["logistic"], runs.uniform)
    alphas = {
        it: [per_row(alpha, tables["alpha"][name, it]) for name in runs.comparisons]
        for it in runs.iterations
    }
    rng = np.random.default_rng(0)
    baselines = [
        METRICS[metric].shuffled(alpha, tables["alpha"][name, it], offsets, rng)
        for it in runs.iterations
        for name in runs.comparisons
    ]
    perfs = {it: np.mean([performance[n, it] for n in runs.comparisons]) for it in runs.iterations}
    found = {f"{kind}_{key}": [] for kind in ("agr", "xi") for key in levels} | {"baseline": []}
    for counts in drawn:
        times = np.repeat(np.arange(len(offsets) - 1), counts[sentence].astype(int))

        def mean(values, times=times):
            return mean_agreement(values[times])

        found["baseline"].append(np.mean([mean(values) for values in baselines]))
        corrs = {it: np.mean([mean(values) for values in of_it]) for it, of_it in alphas.items()}
        for key, of_iterations in levels.items():
            level = max(mean(values) for values in of_iterations)
            reached = [perfs[it] for it in runs.iterations if corrs[it] > level]
            found[f"agr_{key}"].append(level)
            found[f"xi_{key}"].append(reached[0] if reached else math.inf)
    return found


@pytest.mark.parametrize("metric", list(METRICS))
@pytest.mark.parametrize("comparisons", [1, 3])
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.slow
def test_intervals_are_those_of_a_plain_loop(metric, comparisons, clustered):
    names, tables, performance, evidence = random_evidence(comparisons, comparisons, ITERATIONS)
    runs = RunNames.of({(name, it) for name in names for it in ITERATIONS}, "the dump")
    rows = len(evidence.offsets) - 1
    sentence = np.arange(rows) // 3 if clustered else np.arange(rows)
    if clustered:
        words = evidence.words | {"logistic": -evidence.words["px"]}
        evidence = replace(evidence, sentence=sentence, words=words)
    summary = summarize(runs, evidence, metric, resamples=RESAMPLES, bootstrap_seed=3)
    drawn = whole(sentence[-1] + 1, RESAMPLES, 3)
    found = plain_intervals(metric, runs, tables, performance, evidence, sentence, drawn)
    assert summary["intervals"].keys() == found.keys()
    assert summary["resamples"] == RESAMPLES
    for key, values in found.items():
        low, high = np.sort(values)[
            [math.ceil(0.025 * RESAMPLES) - 1, math.ceil(0.975 * RESAMPLES) - 1]
        ]
        expected = [
            None if math.isinf(end) else pytest.approx(end, abs=1e-12) for end in (low, high)
        ]
        assert list(summary["intervals"][key]) == expected, key
        if key.startswith("xi_"):
            assert summary["xi_never"][key] == np.mean(np.isinf(values))
    assert any(0 < share < 1 for share in summary["xi_never"].values())


@pytest.mark.parametrize("metric", ["top 5% match", "kendall tau"])
def test_the_published_keys_stay_as_they_are(metric):
    names, _, _, evidence = random_evidence(0, 2, ITERATIONS)
    runs = RunNames.of({(name, it) for name in names for it in ITERATIONS}, "the dump")
    without = summarize(runs, evidence, metric)
    summary = summarize(runs, evidence, metric, resamples=50)
    assert {key: summary[key] for key in PUBLISHED} == {key: without[key] for key in PUBLISHED}
    assert summary.keys() == without.keys()
    assert without["intervals"] == without["xi_never"] == {} and without["resamples"] == 0
    assert summary["alpha_corrs_std"] == without["alpha_corrs_std"]
    again = summarize(runs, evidence, metric, resamples=50)
    other = summarize(runs, evidence, metric, resamples=50, bootstrap_seed=1)
    assert again == summary
    assert other["intervals"] != summary["intervals"]


def simple_evidence(gold, of_iterations, beta):
    """Rows of two; "LRRL" says where each is largest. A run's letters at each iteration."""

    def flat(letters):
        return np.array([x for letter in letters for x in ((0.8, 0.2), (0.2, 0.8))[letter == "R"]])

    def column(name, run, it):
        if name == "alpha":
            return flat(gold if run == "Normal_A" else of_iterations[it])
        return flat(beta) if name == "beta" else None

    return RunNames("Normal_A", ["Normal_B"], "uniform", list(range(len(of_iterations)))), Evidence(
        offsets=np.arange(0, 2 * len(gold) + 1, 2),
        column=column,
        words={"px": flat(gold)},
        performance=lambda name, it: 0.5 + it / 10,
    )


def test_one_sentence_is_every_resample():
    runs, evidence = simple_evidence("L", ["R", "L"], "R")
    summary = summarize(runs, evidence, "top 5% match", resamples=20)
    assert summary["intervals"] == {
        "agr_unif": (0.0, 0.0),
        "agr_px": (0.0, 0.0),
        "agr_grad": None,
        "agr_normal": (0.0, 0.0),
        "xi_unif": (0.6, 0.6),
        "xi_px": (0.6, 0.6),
        "xi_grad": None,
        "xi_normal": (0.6, 0.6),
        "baseline": (summary["baseline"], summary["baseline"]),
    }
    assert summary["xi_never"] == {"xi_unif": 0, "xi_px": 0, "xi_grad": None, "xi_normal": 0}
    assert summary["alpha_corrs_std"] == {0: None, 1: None}


def test_what_is_equalled_is_never_reached_in_any_resample():
    """The comparison run's attention agrees just as β does: in each resample a tie."""
    runs, evidence = simple_evidence("LLRRLRL", ["LRRRLLR"] * 2, "LRRRLLR")
    summary = summarize(runs, evidence, "top 5% match", resamples=300)
    assert summary["xi_unif"] is None
    assert summary["intervals"]["xi_unif"] == (None, None)
    assert summary["xi_never"]["xi_unif"] == 1
    low, high = summary["intervals"]["agr_unif"]
    assert low < 4 / 7 < high


def test_reached_in_some_resamples():
    """At iteration 1 attention agrees in 5 of 9 sentences, β in 4 others."""
    runs, evidence = simple_evidence("L" * 9, ["R" * 9, "LLLLLRRRR"], "RRRRRLLLL")
    summary = summarize(runs, evidence, "top 5% match", resamples=4000)
    assert summary["xi_unif"] == 0.6
    # reached where a binomial number (9, 5/9) is 5 or more
    p = sum(math.comb(9, k) * 5**k * 4 ** (9 - k) for k in range(5, 10)) / 9**9
    error = math.sqrt(p * (1 - p) / 4000)
    assert abs(summary["xi_never"]["xi_unif"] - (1 - p)) < 4 * error
    assert summary["intervals"]["xi_unif"] == (0.6, None)


def test_undefined_everywhere():
    """Kendall's tau of rows of one token."""
    names, _, _, evidence = random_evidence(0, 2, ITERATIONS)
    runs = RunNames.of({(name, it) for name in names for it in ITERATIONS}, "the dump")
    evidence = replace(evidence, offsets=np.arange(len(evidence.words["px"]) + 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = summarize(runs, evidence, "kendall tau", resamples=10)
    assert math.isnan(summary["agr_unif"]) and summary["xi_unif"] is None
    assert summary["intervals"]["agr_unif"] is summary["intervals"]["baseline"] is None
    assert summary["xi_never"]["xi_unif"] is None


def test_intervals_cover_the_truth():
    """400 data sets of 60 sentences, whose 1 to 9 rows are all alike: rows are no good a unit."""
    rng = np.random.default_rng(0)
    covered = {"sentences": 0, "rows": 0}
    for _ in range(400):
        sizes = rng.integers(1, 10, 60)
        sentence = np.repeat(np.arange(60), sizes)
        values = np.repeat(rng.random(60) < 0.3, sizes)
        for unit, numbers in (("sentences", sentence), ("rows", None)):
            agreement = Agreement.of(values, numbers)
            means = weighted_means([agreement], weights(len(agreement.sums), 400, 0))
            low, high = interval(means[:, 0])
            covered[unit] += low <= 0.3 <= high
    # of a binomial number (400, 0.95) the standard deviation is 4.4; the bootstrap is a bit narrow
    assert 400 * 0.95 - 22 <= covered["sentences"] <= 400 * 0.95 + 14
    assert covered["rows"] < 400 * 0.75
