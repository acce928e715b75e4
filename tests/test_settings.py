"""settings.py of both tasks: the statistics against plain ones, then the scripts."""

import csv
import math
import pickle

import numpy as np
import pytest
from conftest import assert_one_line, call_script, load
from scipy.stats import ttest_1samp
from test_comparison import write_setting

from attention_dynamics.analysis import dynamics, onsets, settings
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.measures import MEASURES
from attention_dynamics.analysis.metrics import METRICS
from attention_dynamics.analysis.settings import FIGURES, Spread, over_seeds, paired
from attention_dynamics.classification.task import TASK
from attention_dynamics.translation.task import TASK as TRANSLATION
from attention_dynamics.views.settings import LINE, cell

TOP5 = METRICS["top 5% match"]


def test_over_seeds_is_the_t_interval():
    values = [0.2, 0.5, 0.4, 0.45]
    found = over_seeds([*values, math.nan])
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(values)) and found.count == 4
    assert found.mean - found.half_width == pytest.approx(interval.low)
    assert found.mean + found.half_width == pytest.approx(interval.high)
    assert over_seeds([2.0, math.inf]) == Spread(2.0, None, 1, 1)
    assert over_seeds([math.inf, math.nan]) == Spread(None, None, 0, 1)


def test_differences_are_paired_by_name():
    a = {"normal_a": 1.0, "normal_b": math.inf, "normal_c": math.inf, "normal_d": 9.0}
    b = {"normal_b": 5.0, "normal_a": 4.0, "normal_c": math.inf}
    found = paired(a, b)
    assert found[:2] == [-3.0, math.inf] and math.isnan(found[2]) and len(found) == 3


def test_cells():
    assert cell(Spread(412.4, 20.1, 5, 1), "updates", False) == "412 ± 20 (5/6)"
    assert cell(Spread(0.0004, 0.1, 6, 0), "share", False, "+") == "+0.000 ± 0.100"
    assert cell(Spread(-0.0004, None, 1, 0), "share", False) == "0.000"
    assert cell(Spread(66.31, 1, 2, 0), "performance", True) == "66.3 ± 1.0"
    assert cell(Spread(None, None, 0, 6), "updates", False) == "never"
    assert cell(Spread(None, None, 0, 0), "updates", False) == "-"


def found_in(folder, task):
    dump = load(folder / "toy_logs.pkl")
    runs = RunNames.of(set(dump["alpha"]), "the dump")
    evidence = task.evidence_of(dump, {}, "val", task.performances["val"][0])
    return runs, evidence, settings.seeds_of(runs, evidence, TOP5, 50)


@pytest.mark.parametrize("task", [TASK, TRANSLATION], ids=lambda task: task.name)
def test_figures_are_those_of_each_gold_run(task, tmp_path):
    runs, evidence, seeds = found_in(
        write_setting(tmp_path / "a", 0, task, iterations=(0, 5, 10)), task
    )
    assert [seed.name for seed in seeds] == ["normal_a", "normal_b", "normal_c"]
    for each, seed in zip(runs.golds, seeds):
        expected = dynamics.figures(dynamics.measure(each, evidence, TOP5, task.levels))
        values = {key: figure.of(seed) for key, figure in FIGURES.items()}
        assert values["agr_unif"] == pytest.approx(expected["agr_unif"])
        assert values["agr_alpha"] == pytest.approx(expected["alpha_corrs"][10])
        xi = expected["xi_unif"]
        assert values["xi_unif"] == (math.inf if xi is None else pytest.approx(xi))
        performances = [evidence.performance(each.gold, it) for it in (0, 5, 10)]
        assert values["best_perf"] == max(performances)
        assert values["last_perf"] == performances[-1]
        alpha, beta = (evidence.column(name, each.gold, 10) for name in ("alpha", "beta"))
        assert values["margin"] == MEASURES["margin"].mean(alpha, beta, evidence.offsets)
        times = onsets.onsets(onsets.curves(each, evidence, TOP5), 50)
        assert values["onset_unif"] == times["onset_unif"].value


def test_settings_without_difference_do_not_differ(tmp_path):
    *_, seeds = found_in(write_setting(tmp_path / "a", 0), TASK)
    first, second = settings.settings_of(["x", "y"], [seeds, seeds])
    assert first.figures == second.figures and not first.differences
    assert {of.mean for of in second.differences.values()} <= {0.0, None}
    iterations, mean, half = settings.band(seeds, "performance")
    assert iterations.tolist() == [0, 10] and mean.shape == half.shape == (2,)
    last = [seed.performances[10] for seed in seeds]
    assert mean[1] == pytest.approx(np.mean(last))


def tabulate(*flags, capsys, task="classification"):
    flags = (*flags, "--dataset", "toy", "--resamples", 50)
    return call_script(task, "settings.py", *flags, capsys=capsys)


@pytest.mark.slow
@pytest.mark.parametrize("task", [TASK, TRANSLATION], ids=lambda task: task.name)
def test_script(task, tmp_path, capsys):
    """Other iterations; a given attention; attention uniform at first; no uniform run."""
    folders = [
        write_setting(tmp_path / name, seed, task, iterations=iterations)
        for seed, (name, iterations) in enumerate(
            [("first", (0, 5, 10)), ("given", (0, 10)), ("from", (0, 4, 8)), ("lone", (5, 10))]
        )
    ]
    for folder in folders[1:]:
        dump = load(folder / "toy_logs.pkl")
        for (name, it), alpha in dump["alpha"].items():
            if folder.name == "given":
                dump["alpha"][name, it] = dump["alpha"]["Normal_A", 0]
            elif folder.name == "from" and it < 8:
                dump["alpha"][name, it] = np.full_like(alpha, 0.5)
        if folder.name == "lone":
            for column in ("alpha", "beta"):
                dump[column] = {k: v for k, v in dump[column].items() if k[0] != "uniform"}
        (folder / "toy_logs.pkl").write_bytes(pickle.dumps(dump))
    out_dir = tmp_path / "out"
    for metric in METRICS:
        status, out, err = tabulate(
            *folders, "--outputs_dir", out_dir, "--metric", metric, "--formats", "png", "svg",
            capsys=capsys, task=task.name,
        )  # fmt: skip
        assert (status, err) == (0, "")
        table, _, notes = out.partition("\nMean ± ")
        assert all(len(line) <= LINE for line in table.splitlines())
        path = out_dir / "toy_settings.csv"
        assert notes.splitlines()[-4:] == [
            str(path.with_suffix(".png")), str(path.with_suffix(".svg")),
            str(out_dir / "toy_settings_curves.csv"), str(path),
        ]  # fmt: skip
        rows = {(row["setting"], row["figure"]): row for row in csv.DictReader(path.open())}
        assert len(rows) == 4 * len(FIGURES)
        if metric == TOP5.name:
            assert rows["given", "agr_alpha"]["mean"] == "1.0"
        assert rows["given", "onset_alpha"]["never"] == "3"  # it was not learned
        assert rows["lone", "agr_unif"]["mean"] == "" != rows["lone", "agr_normal"]["mean"]
        row = rows["from", "best_perf"]
        difference = float(row["mean"]) - float(rows["first", "best_perf"]["mean"])
        assert float(row["difference"]) == pytest.approx(difference)
        assert float(row["difference_low"]) < difference < float(row["difference_high"])
        assert rows["first", "best_perf"]["difference"] == ""
    status, out, _ = tabulate(
        folders[0], "--outputs_dir", out_dir, "--format", "markdown", capsys=capsys, task=task.name
    )
    assert status == 0 and "|  | first |\n| --- | ---: |\n| A(α, α), end | 0." in out
    status, out, _ = tabulate(
        *folders[:2], "--names", "x", "y", "--outputs_dir", out_dir, "--format", "csv",
        capsys=capsys, task=task.name,
    )  # fmt: skip
    assert status == 0 and out.startswith(path.read_text())


def test_what_cannot_be_tabulated_ends_in_one_line(tmp_path, capsys):
    a = write_setting(tmp_path / "a", 0)
    before = sorted(tmp_path.rglob("*"))
    flags = ("--outputs_dir", tmp_path / "out")
    assert_one_line(tabulate(a, a, *flags, capsys=capsys), "same name", "--names")
    few = tabulate(a, a, "--names", "x", *flags, capsys=capsys)
    assert_one_line(few, "1 names for 2 settings")
    assert_one_line(tabulate(a, tmp_path, *flags, capsys=capsys), "toy_logs.pkl is missing")
    png = tabulate(a, "--out_file", "x.png", *flags, capsys=capsys)
    assert_one_line(png, "--out_file x.png is for the CSV")
    assert sorted(tmp_path.rglob("*")) == before


def test_collect_with_onsets(tmp_path, capsys):
    outputs = write_setting(tmp_path / "outputs", 0, iterations=(0, 5, 10))
    flags = ["--datasets", "toy", "--outputs_dir", outputs, "--resamples", 20, "--out_file"]
    script = ("classification", "collect_classification_stats.py")
    _, before, _ = call_script(*script, *flags, tmp_path / "one.pkl", capsys=capsys)
    flags.insert(0, "--include_onsets")
    (one,) = load(tmp_path / "one.pkl").values()
    for style in ("text", "markdown", "latex", "csv"):
        status, out, err = call_script(
            *script, *flags, tmp_path / "all.pkl", "--format", style, capsys=capsys
        )
        assert (status, err) == (0, "")
        if style == "text":
            assert out.startswith(before)  # the published table is as it was
        if style == "latex":
            _, _, second = out.partition("\\end{tabular}}\n")
            assert all(line.startswith("%") for line in second.split("\n") if line)
        if style == "csv":
            (row,) = csv.DictReader(out.splitlines())
            assert {"onset_alpha", "onset_alpha_low", "rise_lag_unif_high"} <= row.keys()
    (every,) = load(tmp_path / "all.pkl").values()
    times = every.pop("onsets")
    assert every == one
    assert list(times) == onsets.times(list(onsets.SOURCES))
    assert times["onset_alpha"].keys() == {"value", "interval"}
    none = call_script(*script, *flags, tmp_path / "x.pkl", "--resamples", 0, capsys=capsys)
    assert_one_line(none, "--include_onsets needs --resamples above 0")
