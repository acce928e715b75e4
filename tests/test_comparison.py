"""compare.py of both tasks: the statistics against plain loops, then the scripts."""

import csv
import itertools
import math
import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from conftest import assert_one_line, call_script, load
from test_bootstrap import ITERATIONS, plain_intervals, whole
from test_dynamics import LEVELS, plain_metric, random_evidence

from attention_dynamics.analysis import bootstrap, comparison, dynamics, tables
from attention_dynamics.analysis.bootstrap import Agreement
from attention_dynamics.analysis.comparison import assignments, drawn_runs, pairs
from attention_dynamics.analysis.dynamics import Measured, figures, measure
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.metrics import METRICS
from attention_dynamics.analysis.metrics.rows import mean_agreement
from attention_dynamics.analysis.ragged import Ragged
from attention_dynamics.classification.task import TASK
from attention_dynamics.translation.task import TASK as TRANSLATION
from attention_dynamics.views import comparison as view

TOP5, TAU = "top 5% match", "kendall tau"
RESAMPLES = 40
PERFS = {0: [0.5], 10: [0.7], 20: [0.9]}


def setting(seed, comparisons, metric=TOP5, rows=25, clustered=False):
    """Random rows of 1 to 44 tokens: the agreements, and what a plain loop needs."""
    names, tables, performance, evidence = random_evidence(seed, comparisons, ITERATIONS, rows)
    runs = RunNames.of({(name, it) for name in names for it in ITERATIONS}, "the dump")
    sentence = np.arange(rows + 1) // (3 if clustered else 1)
    if clustered:
        evidence = replace(evidence, sentence=sentence)
    measured = measure(runs, evidence, METRICS[metric], LEVELS)
    return measured, (metric, runs, tables, performance, evidence, sentence)


def compare(a, b, *options, **more):
    """Of one gold run."""
    return comparison.compare([a], [b], *options, **more)


def constant(values, perfs=PERFS, levels=None):
    """One comparison run: its agreement is {iteration: (sentences,)}, and that of β is levels."""

    def agreement(of):
        return Agreement.of(np.asarray(of, dtype=float), None)

    alphas = {it: [agreement(of)] for it, of in values.items()}
    unif = [agreement(of) for of in (levels or values).values()]
    return Measured({"agr_unif": unif, "agr_grad": None}, alphas, alphas, perfs, 0.9, list(values))


def ends_of(a, b):
    """The percentile interval of differences of lists, None where neither has a number."""
    if any(math.isinf(x) and math.isinf(y) for x, y in zip(a, b)):
        return None
    differences = sorted(x - y for x, y in zip(a, b))
    n = len(differences)
    return tuple(differences[math.ceil(tail * n) - 1] for tail in (0.025, 0.975))


def close(ends):
    return ends if ends is None else pytest.approx(ends, abs=1e-12)


# The bootstrap


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(
    ("metric", "runs", "clustered"), [(TOP5, (1, 3), False), (TAU, (3, 2), True)]
)
def test_intervals_are_those_of_a_plain_loop(metric, runs, clustered, paired):
    a, of_a = setting(0, runs[0], metric, clustered=clustered)
    b, of_b = setting(1, runs[1], metric, clustered=clustered)
    compared = compare(a, b, paired, RESAMPLES, 0, seed=5)
    # without pairs, the two are resampled on their own
    drawn = [whole(a.n_sentences, RESAMPLES, seed) for seed in ([5, 0], [5, 0 if paired else 1])]
    x, y = (plain_intervals(*of, counts) for of, counts in zip((of_a, of_b), drawn))
    assert (compared.keys() - {"best_perf"}) == x.keys()
    for key, found in compared.items():
        if key == "best_perf":
            assert found.interval is found.never is None
            continue
        assert found.interval == close(ends_of(x[key], y[key])), key
        if key.startswith("xi_"):
            never = np.isinf(x[key]), np.isinf(y[key])
            assert found.never == (*(of.mean() for of in never), (never[0] & never[1]).mean())
        assert found.p is None
    assert any(0 < share < 1 for found in compared.values() for share in found.never or ())


def test_values_are_those_of_the_summary():
    a, of_a = setting(0, 2)
    b, _ = setting(1, 2)
    compared = compare(a, b, True, 0, 0, seed=0)
    summary = dynamics.summarize(*of_a[1:2], of_a[4], METRICS[TOP5], LEVELS)
    for key, found in compared.items():
        expected = math.inf if summary[key] is None else summary[key]
        assert found.a == expected
        assert (found.interval, found.runs_interval, found.p, found.never) == (None,) * 4
        if found.difference is not None:
            assert found.difference == found.a - found.b


def test_runs_are_the_second_level():
    """For each resample the plain loop gets the drawn comparison runs, then the sentences."""
    a, of_a = setting(0, 3)
    b, of_b = setting(1, 2)
    compared = compare(a, b, True, RESAMPLES, 0, seed=5)
    counts = whole(a.n_sentences, RESAMPLES, [5, 0])
    found = []
    for number, (measured, of) in enumerate([(a, of_a), (b, of_b)], 2):
        metric, runs, *rest = of
        gold, drawn = drawn_runs(1, measured.n_runs, RESAMPLES, [5, number])
        assert not gold.any()
        assert drawn.shape == (RESAMPLES, measured.n_runs) and len(np.unique(drawn)) > 1
        values = {"xi_unif": [], "xi_px": [], "baseline": []}
        for chosen, weights in zip(drawn, counts):
            names = [runs.comparisons[run] for run in chosen]
            resample = plain_intervals(metric, replace(runs, comparisons=names), *rest, [weights])
            for key in ("xi_unif", "xi_px"):
                values[key] += resample[key]
            shuffled = [of_it[run] for of_it in measured.baselines.values() for run in chosen]
            means = [weights @ one.sums / (weights @ one.counts) for one in shuffled]
            values["baseline"].append(np.mean(means))
        found.append(values)
    for key in ("xi_unif", "xi_px", "baseline"):
        assert compared[key].runs_interval == close(ends_of(*(values[key] for values in found)))
    low, high = compared["baseline"].interval
    runs_low, runs_high = compared["baseline"].runs_interval
    assert runs_high - runs_low > high - low
    assert all(f.runs_interval is None for key, f in compared.items() if key.startswith("agr_"))


def test_the_gold_run_is_drawn_too():
    settings, of_settings = zip(setting(0, 2), setting(1, 3))
    golds = [
        [measure(each, of[4], METRICS[TOP5], LEVELS) for each in of[1].golds] for of in of_settings
    ]
    for measured in golds[1][1:]:  # Δ of the first gold run alone
        measured.levels["agr_grad"] = None
    compared = comparison.compare(*golds, True, RESAMPLES, 0, seed=5)
    only_first = compare(*settings, True, RESAMPLES, 0, seed=5)
    counts = whole(26, RESAMPLES, [5, 0])
    keys = ("agr_unif", "agr_px", "xi_unif", "xi_px")
    found = []
    for number, (metric, runs, *rest) in enumerate(of_settings, 2):
        n_runs = len(runs.comparisons)
        gold, drawn = drawn_runs(n_runs + 1, n_runs, RESAMPLES, [5, number])
        assert set(gold) == set(range(n_runs + 1))
        values = {key: [] for key in keys}
        for each, chosen, weights in zip(gold, drawn, counts):
            of_gold = runs.golds[each]
            names = [of_gold.comparisons[run] for run in chosen]
            resample = plain_intervals(
                metric, replace(of_gold, comparisons=names), *rest, [weights]
            )
            for key in keys:
                values[key] += resample[key]
        found.append(values)
    for key in keys:
        assert compared[key].runs_interval == close(ends_of(*(values[key] for values in found)))
        assert replace(compared[key], runs_interval=None) == replace(
            only_first[key], runs_interval=None
        )
    assert compared["agr_px"].runs_interval == compared["agr_px"].interval
    assert compared["agr_grad"].interval and compared["agr_grad"].runs_interval is None


def test_one_comparison_run_has_no_interval_over_runs():
    a, _ = setting(0, 1)
    b, _ = setting(1, 3)
    compared = compare(a, b, True, 10, 0, seed=0)
    assert all(found.runs_interval is None for found in compared.values())
    assert compared["baseline"].interval is not None
    assert "No interval over runs" in view.over_runs(1, 3, "all")
    assert "With 2 runs it is rough" in view.over_runs(5, 2, "all")
    assert "rough" not in view.over_runs(5, 4, "Normal_A")


# The permutation test


def per_row(measured_of, name):
    """{level or "corr" or "baseline": (iterations, rows)} of a plain loop; means over runs."""
    metric, runs, tables, performance, evidence, _ = measured_of
    best = max(runs.iterations, key=lambda it: performance[runs.gold, it])
    offsets = evidence.offsets

    def rows(u, v):
        return [plain_metric(metric, u[a:b], v[a:b]) for a, b in pairwise(offsets)]

    alpha = tables["alpha"][runs.gold, best]
    if name == "corr":
        of_runs = [
            [rows(alpha, tables["alpha"][run, it]) for run in runs.comparisons]
            for it in runs.iterations
        ]
        return np.mean(of_runs, axis=1)
    u = {"unif": alpha, "px": evidence.words["px"], "grad": tables["grad"][runs.gold, best]}[name]
    return np.array([rows(u, tables["beta"][runs.uniform, it]) for it in runs.iterations])


@pytest.mark.parametrize(
    ("metric", "runs", "paired"), [(TOP5, (2, 3), True), (TAU, (1, 1), True), (TOP5, (1, 2), False)]
)
def test_p_is_that_of_a_plain_loop(metric, runs, paired):
    a, of_a = setting(0, runs[0], metric)
    b, of_b = setting(1, runs[1], metric, rows=25 if paired else 18)
    permutations = 99
    compared = compare(a, b, paired, 0, permutations, seed=5)
    drawn = list(assignments(a.n_sentences, b.n_sentences, paired, permutations, [5, 4]))
    drawn = np.concatenate(drawn).astype(bool)
    assert drawn.shape == (permutations + 1, a.n_sentences + b.n_sentences)
    perfs = [[np.mean(of.performances[it]) for it in ITERATIONS] for of in (a, b)]
    corrs = np.concatenate([per_row(of, "corr") for of in (of_a, of_b)], axis=1)
    for name in ("unif", "px", "grad"):
        levels = np.concatenate([per_row(of, name) for of in (of_a, of_b)], axis=1)
        differences = {"agr": [], "xi": []}
        for first in drawn:
            agr, xi = [], []
            for rows, of_setting in zip((first, ~first), perfs):
                level = max(mean_agreement(of[rows]) for of in levels)
                reached = [
                    perf
                    for of, perf in zip(corrs, of_setting)
                    if mean_agreement(of[rows]) > level + 1e-12
                ]
                agr.append(level)
                xi.append(reached[0] if reached else math.inf)
            differences["agr"].append(abs(agr[0] - agr[1]))
            differences["xi"].append(0.0 if xi[0] == xi[1] else abs(xi[0] - xi[1]))
        for kind, values in differences.items():
            count = sum(value >= values[0] - 1e-9 for value in values[1:])
            assert compared[f"{kind}_{name}"].p == (count + 1) / (permutations + 1), (kind, name)
    assert compared["best_perf"].p is None and 0 < compared["baseline"].p <= 1


def test_assignments(monkeypatch):
    def rows(paired, a=4, b=4):
        return np.concatenate(list(assignments(a, b, paired, 3000, [1])))

    swapped, dealt = rows(True), rows(False, 3, 5)
    np.testing.assert_array_equal(swapped[0], [1] * 4 + [0] * 4)
    np.testing.assert_array_equal(swapped[:, :4] + swapped[:, 4:], 1)  # a sentence is in each once
    assert abs(swapped[1:, :4].mean(axis=0) - 0.5).max() < 4 * 0.5 / math.sqrt(3000)
    np.testing.assert_array_equal(dealt[0], [1] * 3 + [0] * 5)
    np.testing.assert_array_equal(dealt.sum(axis=1), 3)
    assert abs(dealt[1:].mean(axis=0) - 3 / 8).max() < 4 * 0.5 / math.sqrt(3000)
    monkeypatch.setattr(bootstrap, "ENTRIES_AT_ONCE", 64)  # in smaller parts they are the same
    np.testing.assert_array_equal(rows(True), swapped)


def test_p_is_near_that_of_all_permutations():
    x, y = np.random.default_rng(1).normal(size=(2, 8))
    a, b = (constant({it: of for it in PERFS}) for of in (x, y))
    p = compare(a, b, True, 0, 20_000, seed=0)["agr_unif"].p
    signs = np.array(list(itertools.product([1, -1], repeat=8)))
    exact = np.mean(abs(signs @ (x - y)) >= abs((x - y).sum()) - 1e-9)
    assert 0.05 < exact < 0.95
    assert abs(p - exact) < 4 * math.sqrt(exact * (1 - exact) / 20_000)


@pytest.mark.parametrize("paired", [True, False])
def test_p_is_uniform_where_the_settings_are_exchangeable(paired):
    rng = np.random.default_rng(0)
    p = []
    for _ in range(300):
        base = rng.normal(size=12) if paired else np.zeros(12)
        a, b = (constant({it: base + rng.normal(size=12) for it in PERFS}) for _ in range(2))
        p.append(compare(a, b, paired, 0, 99, seed=int(rng.integers(1000)))["agr_unif"].p)
    for level in (0.1, 0.5):
        error = math.sqrt(level * (1 - level) / 300)
        assert abs(np.mean(np.array(p) <= level) - level) < 4 * error


def test_a_strong_effect_and_none():
    rng = np.random.default_rng(0)
    low, high = ({it: rng.random(50) < share for it in PERFS} for share in (0.1, 0.9))
    strong = compare(constant(high), constant(low), True, 200, 199, seed=0)["agr_unif"]
    assert strong.p == 1 / 200
    assert 0 < strong.interval[0] <= strong.difference <= strong.interval[1]
    none = compare(constant(high), constant(high), True, 200, 199, seed=0)
    for key in ("agr_unif", "baseline"):
        assert none[key].difference == 0 and none[key].p == 1 and none[key].interval == (0, 0)
    assert none["best_perf"].difference == 0
    # ξ needs more than what it equals: neither setting reaches it
    assert none["xi_unif"].a == none["xi_unif"].b == math.inf
    assert none["xi_unif"].difference is none["xi_unif"].interval is None
    assert none["xi_unif"].p == 1 and none["xi_unif"].never == (1, 1, 1)
    # not computed in either
    assert none["agr_grad"] == none["xi_grad"] == comparison.Compared(None, None)


def test_never_is_a_share_of_resamples_not_a_number():
    """Setting a reaches ξ at iteration 10 in most resamples, b always at 0."""
    nine = {0: [0] * 9, 10: [1] * 6 + [0] * 3, 20: [0] * 9}
    a = constant(nine, levels={it: [0] * 6 + [1] * 3 for it in PERFS})
    b = constant({it: [1] * 9 for it in PERFS}, levels={it: [0] * 9 for it in PERFS})
    found = compare(a, b, True, 4000, 999, seed=0)["xi_unif"]
    assert (found.a, found.b) == (0.7, 0.5)
    # not reached where a binomial number (9, 2/3) is 4 or less
    p = sum(math.comb(9, k) * 2**k for k in range(5)) / 3**9
    assert abs(found.never[0] - p) < 4 * math.sqrt(p * (1 - p) / 4000)
    assert found.never[1:] == (0, 0)
    assert found.interval == (pytest.approx(0.2), math.inf)
    assert view.figure(found.interval[1], 3, "+", ["LSTM", "average"]) == "LSTM never"
    swapped = compare(b, a, True, 4000, 0, seed=0)["xi_unif"]
    assert swapped.interval == (-math.inf, pytest.approx(-0.2))
    assert view.figure(swapped.interval[0], 3, "+", ["LSTM", "average"]) == "average never"


def test_other_iterations_have_no_p():
    a = constant({0: [0.0, 1.0], 10: [1.0, 1.0]}, {0: [0.5], 10: [0.8]})
    b = constant({0: [0.0, 1.0], 20: [1.0, 1.0]}, {0: [0.5], 20: [0.8]})
    compared = compare(a, b, True, 10, 10, seed=0)
    assert compared["agr_unif"].p is None and compared["agr_unif"].interval == (0, 0)


# Pairs


def test_pairs():
    a = [("x", 1), ("y", 0), ("x", 1), ("z", 0), ("x", 1)]
    b = [("z", 0), ("x", 1), ("x", 0), ("x", 1)]
    found = [numbers.tolist() for numbers in pairs(a, b)]
    assert found == [[0, 2, 3], [1, 3, 0]]
    assert [numbers.tolist() for numbers in pairs(a, a)] == [[*range(5)]] * 2
    assert [len(numbers) for numbers in pairs(a, [])] == [0, 0]


@pytest.mark.parametrize("metric", [TOP5, TAU])
def test_taking_sentences_is_measuring_them(metric):
    measured, (_, runs, _, _, evidence, _) = setting(0, 2, metric)
    rows = np.array([7, 25, 3, 3, 12])  # 25 has one token: no tau
    whole_rows = Ragged(np.arange(evidence.offsets[-1]), evidence.offsets)
    entries = whole_rows.indices(rows)
    part = replace(
        evidence,
        offsets=whole_rows.take(rows).offsets,
        column=lambda *key: evidence.column(*key)[entries],
        words={name: values[entries] for name, values in evidence.words.items()},
    )
    expected = figures(measure(runs, part, METRICS[metric], LEVELS))
    taken = figures(measured.take(rows))
    for key in ("agr_unif", "agr_px", "agr_grad", "agr_normal", "xi_unif", "best_perf"):
        assert taken[key] == pytest.approx(expected[key], abs=1e-12)
    assert taken["alpha_corrs"] == pytest.approx(expected["alpha_corrs"], abs=1e-12)
    assert math.isnan(measured.take(np.array([25])).levels["agr_px"][0].mean) == (metric == TAU)


# The scripts


NAMES = ("Normal_A", "Normal_B", "Normal_C", "uniform")
WORDS = ["<pad>", "<bos>", "<eos>", "<unk>", "a", "b", "c", "d"]


def write_setting(folder, seed, task=TASK, vocab=WORDS, sentences=30, iterations=(0, 10), skip=0):
    """A dump of random columns, and a word baseline; the sentences are always the same."""
    rng = np.random.default_rng(7)
    order = {word: number for number, word in enumerate(vocab)}
    rows = [rng.choice(WORDS[4:], rng.integers(1, 9)).tolist() for _ in range(sentences)][skip:]
    rows = [[order[word] for word in ("<bos>", *row, "<eos>")] for row in rows]
    source = Ragged.from_rows(rows, np.int32)
    split = np.repeat(["val"], len(rows))
    if task is TASK:
        columns = {"tokens": source.values, "offsets": source.offsets, "split": split}
        columns["target"] = np.arange(sentences)[skip:] % 2
        entries, beta = source.offsets[-1], rng.normal(size=len(vocab))
    else:
        columns = {"source": source.values, "source_offsets": source.offsets, "split": split}
        columns |= {"target": source.values, "target_offsets": source.offsets}
        entries, beta = (source.lengths * (source.lengths - 1)).sum(), np.zeros((len(vocab),) * 2)
    rng = np.random.default_rng(seed)
    keys = [(name, it) for name in NAMES for it in iterations]
    dump = {
        "id": str(seed),
        "dataset": "toy",
        "settings": {"columns": {"alpha": 1, "beta": 1, "grad": 1}},
        "vocab": vocab,
        "sentences": columns,
        "metas": {(*key, task.performances["val"][0]): rng.random() for key in keys},
        "alpha": {key: rng.random(entries).astype(np.float32) for key in keys},
        "beta": {key: rng.normal(size=entries).astype(np.float32) for key in keys},
        "grad": {("Normal_A", it): rng.random(entries).astype(np.float32) for it in iterations},
        "checkpoints": {},
    }
    folder.mkdir(parents=True)
    (folder / "toy_logs.pkl").write_bytes(pickle.dumps(dump))
    baseline = {"beta": beta, "vocab": vocab, "settings": {}}
    task.beta_path(folder, "toy", 256).write_bytes(pickle.dumps(baseline))
    return folder


def compare_script(a, b, *flags, capsys, task="classification"):
    flags = ("--dataset", "toy", "--resamples", 50, "--permutations", 49, *flags)
    return call_script(task, "compare.py", a, b, *flags, capsys=capsys)


@pytest.mark.slow
@pytest.mark.parametrize("task", [TASK, TRANSLATION], ids=lambda task: task.name)
def test_script(task, tmp_path, capsys):
    a = write_setting(tmp_path / "one" / "outputs", 0, task)
    b = write_setting(tmp_path / "two" / "outputs", 1, task)
    flags = ("--outputs_dir", tmp_path, "--formats", "png", "svg", "--gold", "all")
    status, out, err = compare_script(a, b, *flags, capsys=capsys, task=task.name)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"toy, top 5% match, {task.performances['val'][0]}, val sentences"
    assert lines[2].split()[:3] == ["one/outputs", "two/outputs", "difference"]
    assert "30 sentences are paired: a resample has the same in both." in lines
    path = tmp_path / "toy_one_outputs_vs_two_outputs.csv"
    figure_paths = [path.with_suffix(ending) for ending in (".png", ".svg")]
    assert lines[-3:] == list(map(str, [path, *figure_paths]))
    assert figure_paths[0].read_bytes().startswith(b"\x89PNG")
    rows = {row["figure"]: row for row in csv.DictReader(path.open())}
    assert {"agr_unif", "xi_unif", "baseline", "best_perf"} <= rows.keys()
    assert rows["agr_unif"]["name_a"] == "one/outputs" and rows["agr_unif"]["paired"] == "True"
    row = rows["agr_unif"]
    assert float(row["a"]) - float(row["b"]) == float(row["difference"])
    assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])
    assert f"{float(row['p']):.4f}" in next(line for line in lines if line.startswith("A(α, βᵘᶠ)"))
    assert rows["baseline"]["runs_low"] and rows["agr_unif"]["runs_low"]
    assert not rows["agr_grad"]["runs_low"] and not rows["best_perf"]["low"]
    before = [file.read_bytes() for file in (path, figure_paths[0])]
    assert compare_script(a, b, *flags, capsys=capsys, task=task.name) == (status, out, err)
    assert [file.read_bytes() for file in (path, figure_paths[0])] == before


def numbers(path):
    return [{**row, "name_b": ""} for row in csv.DictReader(path.open())]


@pytest.mark.slow
def test_what_is_paired(tmp_path, capsys):
    a = write_setting(tmp_path / "a", 0)
    b = write_setting(tmp_path / "b", 1)
    # the same words under other numbers are the same sentences
    other = write_setting(tmp_path / "c", 1, vocab=[*WORDS[:4], *WORDS[:3:-1]])
    csv_file = ("--formats", "png", "--out_file")
    compare_script(a, b, *csv_file, tmp_path / "x.csv", capsys=capsys)
    status, _, err = compare_script(a, other, *csv_file, tmp_path / "y.csv", capsys=capsys)
    assert (status, err) == (0, "")
    changed = {"agr_px", "xi_px"}  # the baseline of this fixture goes by number
    x, y = (numbers(tmp_path / name) for name in ("x.csv", "y.csv"))
    assert [r for r in x if r["figure"] not in changed] == [
        r for r in y if r["figure"] not in changed
    ]
    # the sentences that both have
    fewer = write_setting(tmp_path / "fewer", 1, skip=10)
    _, out, err = compare_script(a, fewer, *csv_file, tmp_path / "z.csv", capsys=capsys)
    assert "20 sentences are in both settings, of 30 in a and 20 in fewer" in err
    assert "20 sentences are paired" in out
    flags = ("--unpaired", *csv_file, tmp_path / "z.csv")
    _, out, err = compare_script(a, fewer, *flags, capsys=capsys)
    assert err == "" and "Not paired: 30 sentences of a, 20 of fewer" in out
    # one dump with itself
    same = ("--names", "x", "a $ b", *csv_file, tmp_path / "same.csv")
    compare_script(a, a, *same, capsys=capsys)
    rows = list(csv.DictReader((tmp_path / "same.csv").open()))
    assert all(float(row["difference"]) == 0 for row in rows if row["difference"])
    assert all(float(row["p"]) == 1 for row in rows if row["p"])
    # other iterations
    later = write_setting(tmp_path / "later", 1, iterations=(0, 20))
    _, out, _ = compare_script(a, later, *csv_file, tmp_path / "z.csv", capsys=capsys)
    assert "No p: the settings differ in their iterations" in out


def test_one_line_errors(tmp_path, capsys):
    a = write_setting(tmp_path / "a", 0)
    words = [*WORDS[:4], "k", "l", "m", "n"]
    (tmp_path / "b").mkdir()
    before = sorted(tmp_path.rglob("*"))
    flags = ("--outputs_dir", tmp_path / "out")
    assert_one_line(compare_script(a, a, *flags, capsys=capsys), "the same folder", "--names")
    missing = compare_script(a, tmp_path / "b", *flags, capsys=capsys)
    assert_one_line(missing, "toy_logs.pkl is missing", "eval_dump.py --dataset toy")
    png = compare_script(a, a, "--names", "x", "y", "--out_file", "x.png", capsys=capsys)
    assert_one_line(png, "--out_file x.png is for the CSV")
    assert sorted(tmp_path.rglob("*")) == before
    other = write_setting(tmp_path / "other", 1)
    dump = load(other / "toy_logs.pkl")
    (other / "toy_logs.pkl").write_bytes(pickle.dumps(dump | {"vocab": words}))
    baseline = load(TASK.beta_path(other, "toy", 256))
    TASK.beta_path(other, "toy", 256).write_bytes(pickle.dumps(baseline | {"vocab": words}))
    unlike = compare_script(a, other, *flags, capsys=capsys)
    assert_one_line(unlike, "no sentence of a is also in other", "--unpaired")
    assert not (tmp_path / "out").exists()


# collect_*_stats.py --gold all


def test_spread_over_gold_runs():
    """ξ is not reached with one gold run, and Δ is known of one."""
    golds = [
        {"agr_unif": 0.5, "xi_unif": 0.75, "agr_grad": 0.25, "xi_grad": 0.5},
        {"agr_unif": 0.25, "xi_unif": None, "agr_grad": None, "xi_grad": None},
        {"agr_unif": math.nan, "xi_unif": None, "agr_grad": None, "xi_grad": None},
    ]
    assert dynamics._spread(golds, "agr_unif") == {
        **{"mean": 0.375, "min": 0.25, "max": 0.5},
        **{"count": 2, "never": 0},
    }
    never = {"mean": None, "min": 0.75, "max": None, "count": 2, "never": 1}
    assert dynamics._spread(golds, "xi_unif") == never
    assert dynamics._spread(golds, "xi_grad")["count"] == 1
    assert dynamics._spread(golds[1:], "agr_grad") is None
    summary = {"best_perf": 0.9, "intervals": {}, "xi_never": {}, "gold_intervals": {"xi": never}}
    rows = tables.cells(("toy", TOP5, "val", "test_acc"), summary, ["xi"])
    assert [row[3] for row in rows[1:]] == ["never", "0.750", "never", "1/2"]


def test_collect_with_every_gold_run(tmp_path, capsys):
    outputs = write_setting(tmp_path / "outputs", 0)
    script = "collect_classification_stats.py"
    flags = ("--datasets", "toy", "--resamples", 10, "--outputs_dir", outputs, "--out_file")
    call_script("classification", script, *flags, tmp_path / "one.pkl", capsys=capsys)
    status, out, err = call_script(
        "classification", script, *flags, tmp_path / "all.pkl", "--gold", "all", capsys=capsys
    )
    assert (status, err) == (0, "")
    (one,) = load(tmp_path / "one.pkl").values()
    (every,) = load(tmp_path / "all.pkl").values()
    golds, spread = every.pop("over_gold"), every.pop("gold_intervals")
    assert every == one  # what is published stays as it is
    assert list(golds) == ["Normal_A", "Normal_B", "Normal_C"]
    assert {key: one[key] for key in golds["Normal_A"]} == golds["Normal_A"]
    values = [golds[name]["agr_unif"] for name in golds]
    assert spread["agr_unif"] == {
        "mean": pytest.approx(np.mean(values)),
        "min": min(values),
        "max": max(values),
        "count": 3,
        "never": 0,
    }
    assert spread["agr_grad"]["count"] == 1 and spread["agr_grad"]["min"] == one["agr_grad"]
    assert golds["Normal_B"]["agr_grad"] is golds["Normal_B"]["xi_grad"] is None
    rows = [line for line in out.splitlines() if line.strip().startswith("gold ")]
    assert [row.split()[1] for row in rows] == ["mean", "min", "max", "runs"]
    assert rows[3].split()[2:7] == ["3", "3", "1", "3", "3"]
    _, out, _ = call_script(
        "classification", script, *flags, tmp_path / "all.pkl", "--gold", "all", "--format", "csv",
        capsys=capsys,
    )  # fmt: skip
    (row,) = csv.DictReader(out.splitlines())
    assert float(row["agr_unif_gold_max"]) == max(values) and row["agr_grad_gold_count"] == "1"
