"""attention_dynamics/analysis/dynamics.py: worked by hand and by a plain loop."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from attention_dynamics.analysis import dynamics
from attention_dynamics.analysis.columns import Column
from attention_dynamics.analysis.dynamics import first_exceeding
from attention_dynamics.analysis.evidence import Evidence, RunNames
from attention_dynamics.analysis.levels import levels_of, symbols
from attention_dynamics.analysis.metrics import METRICS
from attention_dynamics.classification.columns import COLUMNS
from attention_dynamics.cli import InputError
from attention_dynamics.views.drawing import lines_of

LEVELS = levels_of(COLUMNS)

KEYS = {
    *("agr_unif", "agr_px", "agr_grad", "arg_grad", "agr_normal"),
    *("xi_unif", "xi_px", "xi_grad", "xi_normal"),
    *("alpha_corrs", "alpha_perfs", "baseline", "best_perf", "iterations"),
    *("alpha_corrs_std", "intervals", "xi_never", "resamples"),
}


def summarize(runs, evidence, metric, **options):
    return dynamics.summarize(runs, evidence, METRICS[metric], LEVELS, **options)


# An example worked by hand. Four rows of two tokens; "LRRL" says where each row is largest, so
# that an agreement is the share of equal letters.

ALPHA = {
    ("Normal_A", 0): "RRRR",
    ("Normal_A", 10): "LLLL",  # the gold attention: the best test accuracy
    ("Normal_A", 20): "RLRL",
    ("Normal_B", 0): "RRRR",  # 0
    ("Normal_B", 10): "LLLR",  # 3/4
    ("Normal_B", 20): "LLLL",  # 1
    ("Normal_C", 0): "LRRR",  # 1/4
    ("Normal_C", 10): "LLRR",  # 1/2
    ("Normal_C", 20): "LLLR",  # 3/4
}
BETA = {
    ("uniform", 0): "RRRR",
    ("uniform", 10): "LLRR",
    ("uniform", 20): "LRRR",
    ("Normal_B", 0): "RRRR",
    ("Normal_B", 10): "LRRR",
    ("Normal_B", 20): "RRRR",
    ("Normal_C", 0): "LLLL",  # only the first comparison run counts for agr_normal
    ("Normal_C", 10): "LLLL",
    ("Normal_C", 20): "LLLL",
}
GRAD = {("Normal_A", 0): "LLLL", ("Normal_A", 10): "LRRR", ("Normal_A", 20): "LLLL"}
BETA_PX = "RRRL"
PERFORMANCE = {
    "Normal_A": {0: 0.5, 10: 0.9, 20: 0.8},
    "Normal_B": {0: 0.5, 10: 0.7, 20: 0.75},
    "Normal_C": {0: 0.6, 10: 0.8, 20: 0.95},
}


def distributions(letters):
    return np.array([x for letter in letters for x in ((0.8, 0.2), (0.2, 0.8))[letter == "R"]])


def hand_worked_evidence(rename=lambda name: name):
    back = {rename(name): name for name in (*PERFORMANCE, "uniform")}

    tables = {"alpha": ALPHA, "beta": BETA, "grad": GRAD}
    return Evidence(
        offsets=np.arange(0, 9, 2),
        column=lambda column, name, it: distributions(tables[column][back[name], it]),
        words={"px": distributions(BETA_PX)},
        performance=lambda name, it: PERFORMANCE[back[name]][it],
    )


def with_column(evidence, column, values):
    """The evidence with another column: ``values`` is a function of (run, iteration)."""
    others = evidence.column

    def found(name, run, it):
        return values(run, it) if name == column else others(name, run, it)

    return replace(evidence, column=found)


def hand_worked_runs(rename=lambda name: name):
    names = map(rename, ("uniform", "Normal_C", "Normal_A", "Normal_B"))
    return RunNames.of({(name, it) for name in names for it in (20, 0, 10)}, "the dump")


def check_hand_worked(summary):
    baseline = summary.pop("baseline")
    assert 0 <= baseline <= 1
    assert summary == {
        "agr_unif": 0.5,  # LLLL with RRRR 0, LLRR 1/2, LRRR 1/4
        "agr_px": 0.75,  # RRRL with RRRR 3/4, LLRR 1/4, LRRR 1/2
        "agr_grad": 1.0,  # LRRR with LRRR
        "arg_grad": 1.0,
        "agr_normal": 0.25,  # LLLL with RRRR 0, LRRR 1/4, RRRR 0
        "alpha_corrs": {0: 0.125, 10: 0.625, 20: 0.875},
        "alpha_perfs": pytest.approx({0: 0.55, 10: 0.75, 20: 0.85}),
        "xi_unif": pytest.approx(0.75),  # 0.5 is exceeded at 10
        "xi_px": pytest.approx(0.85),  # 0.75 is exceeded at 20
        "xi_grad": None,  # 1 is never exceeded
        "xi_normal": pytest.approx(0.75),  # 0.25 is exceeded at 10
        "best_perf": 0.9,
        "iterations": [0, 10, 20],
        # of two runs: the difference over the square root of 2
        "alpha_corrs_std": pytest.approx({it: 0.25 / 2**0.5 for it in (0, 10, 20)}),
        "intervals": {},
        "xi_never": {},
        "resamples": 0,
    }


def test_hand_worked_example():
    runs = hand_worked_runs()
    assert runs == RunNames("Normal_A", ["Normal_B", "Normal_C"], "uniform", [0, 10, 20])
    summary = summarize(runs, hand_worked_evidence(), "top 5% match")
    assert summary.keys() == KEYS
    check_hand_worked(summary)


@pytest.mark.parametrize("rename", [str.lower, str.upper, str.swapcase])
def test_names_compare_without_regard_to_case(rename):
    runs = hand_worked_runs(rename)
    assert runs.comparisons == [rename("Normal_B"), rename("Normal_C")]
    check_hand_worked(summarize(runs, hand_worked_evidence(rename), "top 5% match"))


def test_comparison_runs_are_in_order_whatever_their_case():
    names = ["normal_c", "Normal_B", "NORMAL_D", "normal_a", "Uniform"]
    runs = RunNames.of({(name, 3) for name in names}, "the dump")
    assert runs == RunNames("normal_a", ["Normal_B", "normal_c", "NORMAL_D"], "Uniform", [3])


# Against a plain loop


def plain_metric(metric, u, v):
    if metric == "top 5% match":
        at = list(u).index(max(u))
        return float(sum(x > v[at] for x in v) < math.ceil(len(v) / 20))
    of_scipy = {"kendall tau": kendalltau, "spearman": spearmanr, "pearson": pearsonr}[metric]
    return of_scipy(u.astype(float), v.astype(float)).statistic if len(u) > 1 else math.nan


def plain_agreement(metric, u, v, offsets):
    values = [plain_metric(metric, u[a:b], v[a:b]) for a, b in pairwise(offsets)]
    return np.nanmean(values)


def random_evidence(seed, comparisons, iterations, rows=25):
    rng = np.random.default_rng(seed)
    lengths = np.append(rng.integers(2, 45, rows), 1)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    target = rng.normal(size=offsets[-1])
    names = ["Normal_A", *(f"Normal_{letter}" for letter in "BCDEF"[:comparisons]), "uniform"]
    tables = {
        kind: {
            (name, it): (target * i + rng.normal(size=len(target)) * 4).astype(np.float32)
            for name in names
            for i, it in enumerate(iterations)
        }
        for kind in ("alpha", "beta", "grad")
    }
    performance = {(name, it): rng.random() for name in names for it in iterations}
    evidence = Evidence(
        offsets=offsets,
        column=lambda column, name, it: tables[column].get((name, it)),
        words={"px": (target + rng.normal(size=len(target))).astype(np.float32)},
        performance=lambda name, it: performance[name, it],
    )
    return names, tables, performance, evidence


@pytest.mark.parametrize("metric", list(METRICS))
@pytest.mark.parametrize("comparisons", [1, 2, 5])
def test_summary_is_that_of_a_plain_loop(metric, comparisons):
    iterations = [0, 5, 7, 100]
    names, tables, performance, evidence = random_evidence(comparisons, comparisons, iterations)
    runs = RunNames.of({(name, it) for name in names for it in iterations}, "the dump")
    summary = summarize(runs, evidence, metric)

    def agree(u, v):
        return plain_agreement(metric, u, v, evidence.offsets)

    best = None
    for it in iterations:
        if best is None or performance["Normal_A", it] > performance["Normal_A", best]:
            best = it
    alpha, grad = tables["alpha"]["Normal_A", best], tables["grad"]["Normal_A", best]
    uniform = [tables["beta"]["uniform", it] for it in iterations]
    expected = {
        "agr_unif": max(agree(alpha, beta) for beta in uniform),
        "agr_px": max(agree(evidence.words["px"], beta) for beta in uniform),
        "agr_grad": max(agree(grad, beta) for beta in uniform),
        "agr_normal": max(agree(alpha, tables["beta"]["Normal_B", it]) for it in iterations),
        "best_perf": performance["Normal_A", best],
    }
    others = names[1:-1]
    corrs = {
        it: np.mean([agree(alpha, tables["alpha"][name, it]) for name in others])
        for it in iterations
    }
    perfs = {it: np.mean([performance[name, it] for name in others]) for it in iterations}
    for key in ("unif", "px", "grad", "normal"):
        reached = [perfs[it] for it in iterations if corrs[it] > expected[f"agr_{key}"]]
        expected[f"xi_{key}"] = reached[0] if reached else None
    expected["arg_grad"] = expected["agr_grad"]

    assert summary.keys() == KEYS
    for key, value in expected.items():
        assert summary[key] == (value if value is None else pytest.approx(value, abs=1e-12)), key
    assert summary["alpha_corrs"] == pytest.approx(corrs, abs=1e-12)
    assert summary["alpha_perfs"] == pytest.approx(perfs, abs=1e-12)
    for it in iterations:
        of_runs = [agree(alpha, tables["alpha"][name, it]) for name in others]
        spread = np.std(of_runs, ddof=1) if comparisons > 1 else None
        assert summary["alpha_corrs_std"][it] == (spread and pytest.approx(spread, abs=1e-12))
    assert summary["iterations"] == iterations


def test_baseline_is_what_chance_gives_and_seeded():
    names, _, _, evidence = random_evidence(0, 5, [0, 1, 2, 3], rows=400)
    runs = RunNames.of({(name, it) for name in names for it in range(4)}, "the dump")
    lengths = np.diff(evidence.offsets)
    # without ties, ceil(0.05 n) of a row's n places match
    chance = np.mean([math.ceil(n / 20) / n for n in lengths])
    baseline = summarize(runs, evidence, "top 5% match")["baseline"]
    # 20 draws of the mean over 401 rows
    assert abs(baseline - chance) < 5 * math.sqrt(chance * (1 - chance) / 401 / 20)
    assert baseline == summarize(runs, evidence, "top 5% match")["baseline"]
    tau = summarize(runs, evidence, "kendall tau")["baseline"]
    assert abs(tau) < 0.02
    assert tau == summarize(runs, evidence, "kendall tau")["baseline"]


def test_without_delta_its_agreement_is_none():
    evidence = hand_worked_evidence()
    evidence = with_column(evidence, "grad", lambda name, it: None)
    summary = summarize(hand_worked_runs(), evidence, "top 5% match")
    assert summary["agr_grad"] is summary["arg_grad"] is summary["xi_grad"] is None
    assert summary["agr_unif"] == 0.5


def test_delta_is_needed_of_the_gold_checkpoint_alone():
    evidence = hand_worked_evidence()
    whole = evidence.column

    def grad(name, it):
        return whole("grad", name, it) if (name, it) == ("Normal_A", 10) else None

    evidence = with_column(evidence, "grad", grad)
    assert summarize(hand_worked_runs(), evidence, "top 5% match")["agr_grad"] == 1.0


def test_a_logistic_baseline_brings_two_keys():
    evidence = hand_worked_evidence()
    evidence.words["logistic"] = distributions("LLRL")
    summary = summarize(hand_worked_runs(), evidence, "top 5% match")
    assert summary.keys() - KEYS == {"agr_logistic", "xi_logistic"}
    # LLRL with RRRR 1/4, LLRR 3/4, LRRR 1/2
    assert summary.pop("agr_logistic") == 0.75
    assert summary.pop("xi_logistic") == pytest.approx(0.85)
    check_hand_worked(summary)


def test_a_compared_column_brings_two_keys_and_its_symbols():
    columns = COLUMNS | {"rollout": Column("ρ", r"\rho", 1, lambda _: None, compared=True)}
    levels = levels_of(columns)
    evidence = with_column(
        hand_worked_evidence(), "rollout", lambda name, it: distributions("LLRL")
    )
    metric = METRICS["top 5% match"]
    summary = dynamics.summarize(hand_worked_runs(), evidence, metric, levels, resamples=10)
    assert summary.keys() - KEYS == {"agr_rollout", "xi_rollout"}
    # LLRL with RRRR 1/4, LLRR 3/4, LRRR 1/2
    assert summary["agr_rollout"] == 0.75
    assert summary["xi_rollout"] == pytest.approx(0.85)
    assert {"agr_rollout", "xi_rollout"} <= summary["intervals"].keys()
    heads = symbols(levels)
    assert heads["agr_rollout"] == ("A(ρ, βᵘᶠ)", "ρ, βᵘᶠ", r"\rho, \beta^{uf}")
    assert heads["xi_rollout"].text == "ξ(ρ, βᵘᶠ)"
    keys = list(heads)
    assert keys.index("agr_rollout") == keys.index("agr_grad") + 1
    styles = lines_of(f"agr_{name}" for name, column in columns.items() if column.compared)
    assert styles.keys() == {"agr_unif", "agr_px", "agr_grad", "agr_rollout", "baseline"}
    assert len({str(style) for style in styles.values()}) == 5
    # without the columns that are compared there are no such keys
    bare = dynamics.summarize(hand_worked_runs(), evidence, metric, levels_of({}))
    assert not any("grad" in key for key in bare)


def test_xi_is_reached_where_the_agreement_is_exceeded_not_where_it_is_equalled():
    corrs, perfs = {20: 0.6, 0: 0.2, 10: 0.5, 30: 0.1}, {0: 50.0, 10: 60.0, 20: 70.0, 30: 80.0}
    assert first_exceeding(corrs, perfs, 0.5) == 70.0
    assert first_exceeding(corrs, perfs, 0.49) == 60.0
    assert first_exceeding(corrs, perfs, 0.1) == 50.0
    assert first_exceeding(corrs, perfs, 0.6) is None
    assert first_exceeding(corrs, perfs, None) is None


# Runs


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["Normal_B", "uniform"], "normal_a"),
        (["Normal_A", "Normal_B"], "uniform"),
        (["Normal_A", "uniform"], "Normal_B"),
        (["something", "else"], "normal_a"),
        ([], "normal_a"),
    ],
)
def test_a_run_that_is_missing_is_named(names, word):
    with pytest.raises(InputError, match=word) as error:
        RunNames.of({(name, 0) for name in names}, "IMDB_logs.pkl")
    assert "IMDB_logs.pkl" in str(error.value)


@pytest.mark.parametrize("name", ["Normal_A", "Normal_B", "uniform"])
def test_runs_at_different_iterations(name):
    pairs = {(run, it) for run in ("Normal_A", "Normal_B", "uniform") for it in (0, 10)}
    with pytest.raises(InputError, match="different iterations"):
        RunNames.of(pairs - {(name, 10)}, "IMDB_logs.pkl")
    with pytest.raises(InputError, match="different iterations"):
        RunNames.of(pairs | {(name, 20)}, "IMDB_logs.pkl")


def test_other_runs_are_left_aside():
    pairs = {(run, it) for run in ("Normal_A", "Normal_B", "uniform") for it in (0, 10)}
    assert RunNames.of(pairs | {("extra", 3)}, "").comparisons == ["Normal_B"]
