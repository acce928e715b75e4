"""attention_dynamics/analysis/tables.py: the same results as text, Markdown, LaTeX and CSV."""

import csv
import io
import pickle
import re
import shutil
import subprocess
from functools import partial

import pytest
from matplotlib.mathtext import MathTextParser
from test_bootstrap import simple_evidence
from test_dynamics import LEVELS, hand_worked_evidence, hand_worked_runs, summarize

from attention_dynamics.analysis import tables
from attention_dynamics.analysis.columns import Column
from attention_dynamics.analysis.levels import levels_of, symbols
from attention_dynamics.analysis.tables import notes
from attention_dynamics.cli import InputError

SYMBOLS = symbols(LEVELS)
KEYS = [key for key in SYMBOLS if not key.endswith("_logistic")]
text_table, markdown_table, latex_table, csv_table = (
    partial(tables.FORMATS[name], levels=LEVELS) for name in ("text", "markdown", "latex", "csv")
)
FIRST = ("Furd", "top 5% match", "val", "test_acc")
SECOND = ("news_commentary_v14_en_nl", "kendall tau", "train", "train_bleu")


def example(resamples=0, logistic=False):
    """One summary in fractions, one in percent and without Δ."""
    fraction = summarize(
        hand_worked_runs(), hand_worked_evidence(), "top 5% match", resamples=resamples
    )
    percent = {**fraction, "best_perf": 66.34, "xi_unif": 43.36, "agr_grad": None, "xi_grad": None}
    percent["baseline"] = -0.0004
    if resamples:
        percent["intervals"] = {
            **fraction["intervals"],
            **{"agr_grad": None, "xi_grad": None, "xi_unif": (43.21, None)},
        }
        percent["xi_never"] = {**fraction["xi_never"], "xi_grad": None, "xi_unif": 0.217}
    if logistic:
        fraction |= {"agr_logistic": 0.625, "xi_logistic": None}
    return {FIRST: fraction, SECOND: percent}


# Text


def test_text_without_intervals():
    lines = text_table(example()).splitlines()
    assert len(lines) == 3 + 2
    assert lines[1].split()[:3] == ["dataset", "metric", "performance"]
    first, second = lines[-2:]
    assert first.startswith("Furd") and "top 5% match" in first
    assert second.startswith("news_commentary_v14_en_nl") and "kendall tau" in second
    # four agreements, the baseline, four xi and the best; split and metric go before
    cells = first.split("test_acc")[1].split()
    assert cells[:4] == ["0.500", "0.750", "1.000", "0.250"]
    assert cells[5:] == ["0.750", "0.850", "never", "0.750", "0.900"]
    assert first.count("never") == 1
    # performance in percent has one decimal, agreements three; no minus zero
    cells = second.split("train_bleu")[1].split()
    assert cells[:5] == ["0.500", "0.750", "-", "0.250", "0.000"]
    assert cells[5:] == ["43.4", "0.8", "-", "0.8", "66.3"]
    # columns stand under one another
    assert len({len(line) for line in lines}) == 1


def test_text_with_intervals():
    results = example(resamples=200)
    lines = text_table(results).splitlines()
    assert max(map(len, lines[:-1])) <= 140
    assert lines[-1].startswith("95%: bootstrap over sentences, 200 resamples")
    first, low, high, never = lines[3:7]
    assert [line.split()[0] for line in (low, high, never)] == ["95%", "95%", "never"]
    ends = results[FIRST]["intervals"]
    width = len("0.000")
    for line, end in ((low, 0), (high, 1)):
        cells = line.split()[2:]
        shown = ["never" if ends[k][end] is None else f"{ends[k][end]:.3f}" for k in KEYS[:-1]]
        assert cells == shown
    # under the figures that they belong to
    at = first.index("1.000")
    assert low[at : at + width] == f"{ends['agr_grad'][0]:.3f}"
    assert never.split()[1:] == [f"{results[FIRST]['xi_never'][k]:.0%}" for k in KEYS[5:9]]
    # the second: no interval where there is no figure; percent
    low, high, never = lines[8:11]
    assert "43.2" in low and "43.2" not in high and "22%" in never
    assert len(low.split()) == 2 + 7


def test_shares_that_are_nearly_nothing_or_all_are_not_rounded_away():
    results = example(resamples=200)
    results[FIRST]["xi_never"] = {
        "xi_unif": 0.002,
        "xi_px": 0.998,
        "xi_grad": 1.0,
        "xi_normal": 0.0,
    }
    shares = text_table(results).splitlines()[6].split()
    assert shares == ["never", "<1%", ">99%", "100%", "0%"]
    assert r"{\scriptsize $<$1\%} & {\scriptsize $>$99\%} & {\scriptsize 100\%}" in latex_table(
        results
    )


def test_a_logistic_baseline_has_columns_of_its_own():
    for table, heads in (
        (text_table, ["βᵘᶠ, βˡʳ"] * 2),
        (markdown_table, ["A(βᵘᶠ, βˡʳ)", "ξ(βᵘᶠ, βˡʳ)"]),
        (latex_table, [r"$\beta^{uf}, \beta^{lr}$"] * 2),
        (csv_table, ["agr_logistic_low", "xi_logistic_never"]),
    ):
        for head in heads:
            assert table(example()).count(head) == 0
            assert table(example(logistic=True)).count(head) == heads.count(head)
    first, second = text_table(example(logistic=True)).splitlines()[-2:]
    assert first.split("test_acc")[1].split()[2] == "0.625"
    assert first.count("never") == 2
    # the other has none: not computed, which is not never
    assert second.split("train_bleu")[1].split()[2] == "-"
    assert second.split("train_bleu")[1].split()[8] == "-"


def test_a_compared_column_has_columns_of_its_own():
    rollout = Column("ρ", r"\rho", 1, lambda _: None, compared=True)
    levels = levels_of({"rollout": rollout})
    results = example(resamples=200)
    for name in ("agr_rollout", "xi_rollout"):
        assert name not in tables.csv_table(results, levels)
        results[FIRST][name] = 0.4321
        results[FIRST]["intervals"][name] = (0.4, 0.5)
    for table, heads in (
        (tables.text_table, ["ρ, βᵘᶠ"] * 2),
        (tables.markdown_table, ["A(ρ, βᵘᶠ)", "ξ(ρ, βᵘᶠ)"]),
        (tables.latex_table, [r"$\rho, \beta^{uf}$"] * 2),
        (tables.csv_table, ["agr_rollout_low", "xi_rollout_high"]),
    ):
        text = table({FIRST: results[FIRST]}, levels)
        assert text.count("0.432") == 2
        assert all(text.count(head) == heads.count(head) for head in heads)


def test_results_are_told_from_other_files(tmp_path):
    path = tmp_path / "stats.pkl"
    results = example(resamples=10, logistic=True)
    path.write_bytes(pickle.dumps(results))
    assert tables.load_results(path, "do this") == results
    no_delta = {k: v for k, v in results[FIRST].items() if k not in ("agr_grad", "xi_grad")}
    path.write_bytes(pickle.dumps({FIRST: no_delta}))  # of a task without that column
    assert tables.load_results(path, "do this") == {FIRST: no_delta}
    older = {k: v for k, v in results[FIRST].items() if k != "alpha_corrs_std"}
    for foreign in ([1], {FIRST[:2]: results[FIRST]}, {FIRST: older}, {FIRST: None}):
        path.write_bytes(pickle.dumps(foreign))
        with pytest.raises(InputError, match="has no results of this version in it: do this"):
            tables.load_results(path, "do this")
    path.write_bytes(b"no pickle")
    with pytest.raises(InputError, match=r"stats\.pkl is not a pickle .*do this"):
        tables.load_results(path, "do this")


def test_one_comparison_run_is_said():
    runs, evidence = simple_evidence("LR", ["RR", "LL"], "LL")
    summary = summarize(runs, evidence, "top 5% match")
    results = {("toy", *FIRST[1:]): summary, ("toy", *SECOND[1:]): summary, FIRST: example()[FIRST]}
    (note,) = notes(results)
    assert note.startswith("toy: one comparison run")
    for table in (text_table, markdown_table, latex_table):
        assert note.split("(")[0] in table(results)


# Markdown


def test_markdown():
    results = example(resamples=200)
    lines = markdown_table(results).splitlines()
    table = [line for line in lines if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert {len(row) for row in cells} == {3 + len(KEYS)}
    assert cells[0] == ["dataset", "metric", "performance", *(SYMBOLS[key].text for key in KEYS)]
    assert all(re.fullmatch("---:?", cell) for cell in cells[1])
    assert cells[2][:7] == ["Furd", "top 5% match", "test_acc", "0.500", "0.750", "1.000", "0.250"]
    assert [row[2] for row in cells[3:6]] == ["95% low", "95% high", "never"]
    # a paragraph of its own: a line below a table would be a row of it
    assert lines[len(table)] == "" and lines[-1].startswith("95%")


# LaTeX


def latex_rows(text):
    """The rows of the tabular, each a list of cells."""
    body = re.search(r"\\begin{tabular}{(\w+)}\n(.*)\n\\end{tabular}}$", text, re.S)
    columns, lines = body[1], body[2].splitlines()
    rows = []
    for line in lines:
        if line.startswith(("\\toprule", "\\midrule", "\\bottomrule", "\\cmidrule")):
            continue
        assert line.endswith(r" \\")
        cells = [cell.strip() for cell in re.split(r"(?<!\\)&", line[:-3])]
        spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn{(\d+)}", line))
        assert len(cells) + spans == len(columns)
        rows.append(cells)
    return rows


@pytest.mark.parametrize("logistic", [False, True])
def test_latex_is_well_formed(logistic):
    results = example(resamples=200, logistic=logistic)
    text = latex_table(results)
    depth = 0
    for line in text.splitlines():
        if line.startswith("%"):
            continue
        assert line.isascii()
        for brace in re.findall(r"(?<!\\)[{}]", line):
            depth += 1 if brace == "{" else -1
            assert depth >= 0
        # special characters stand in mathematics or are escaped
        outside = "".join(re.split(r"(?<!\\)\$", line)[::2])
        assert not re.search(r"(?<!\\)[%#_^~]", outside)
        for formula in re.split(r"(?<!\\)\$", line)[1::2]:
            MathTextParser("path").parse(f"${formula}$")
    assert depth == 0
    rows = latex_rows(text)
    assert rows[1][3:5] == [r"$\alpha, \beta^{uf}$", r"$\beta^{uf}, \beta^{px}$"]
    assert rows[2][:3] == ["Furd", r"top 5\% match", r"test\_acc"]
    assert rows[6][0] == r"news\_commentary\_v14\_en\_nl"
    assert "--" in rows[6]


def test_negative_numbers_in_latex_have_a_minus():
    results = example()
    results[FIRST]["baseline"] = -0.25
    assert "$-0.250$" in latex_table(results)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_latex_compiles(tmp_path):
    table = latex_table(example(resamples=200, logistic=True))
    (tmp_path / "table.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
        f"{table}\n\\end{{document}}\n"
    )
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "table.tex"]
    end = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert end.returncode == 0, end.stdout


# CSV


def test_csv_has_every_digit():
    results = example(resamples=200)
    rows = list(csv.DictReader(io.StringIO(csv_table(results))))
    assert len(rows) == 2
    for row, (name, summary) in zip(rows, results.items()):
        assert (row["dataset"], row["metric"], row["split"], row["performance"]) == name
        for key in KEYS:
            value = summary[key]
            assert row[key] == "" if value is None else float(row[key]) == value
            if key == "best_perf":
                continue
            for i, end in enumerate(("low", "high")):
                ends = summary["intervals"][key] or (None, None)
                cell = row[f"{key}_{end}"]
                assert cell == "" if ends[i] is None else float(cell) == ends[i]
        for key, share in summary["xi_never"].items():
            assert row[f"{key}_never"] == ("" if share is None else str(share))
        assert row["resamples"] == "200"
    assert None not in rows[0] and None not in rows[0].values()


def test_csv_without_intervals_has_the_same_columns():
    header, first, _ = csv_table(example()).splitlines()
    assert header == csv_table(example(resamples=10)).splitlines()[0]
    row = dict(zip(header.split(","), first.split(",")))
    assert row["agr_unif"] == "0.5" and row["agr_unif_low"] == "" and row["resamples"] == "0"


# Back from CSV


@pytest.mark.parametrize("resamples", [0, 50])
@pytest.mark.parametrize("logistic", [False, True])
def test_results_come_back_from_csv(resamples, logistic):
    results = example(resamples, logistic)
    back = tables.results_of_csv(csv_table(results), tables.curves_csv(results))
    assert text_table(back) == text_table(results)
    assert csv_table(back) == csv_table(results)


def test_gold_runs_come_back_from_csv():
    results = example(50)
    never = {"mean": None, "min": 0.8, "max": None, "count": 6, "never": 2}
    spread = {"mean": 0.51, "min": 0.25, "max": 0.75, "count": 6, "never": 0}
    gold = {"agr_unif": spread, "xi_unif": never, "best_perf": spread, "agr_grad": None}
    for summary in results.values():
        summary["gold_intervals"] = gold
    with_onsets = {
        key: summary | {"onsets": {"onset_alpha": {"value": 5, "interval": (1, 9)}}}
        for key, summary in results.items()
    }
    assert "onset_alpha_low" in csv_table(with_onsets)
    back = tables.results_of_csv(csv_table(with_onsets), tables.curves_csv(results))
    assert csv_table(back) == csv_table(results)
    back = tables.results_of_csv(csv_table(results), tables.curves_csv(results))
    assert back[FIRST]["gold_intervals"] == {key: of for key, of in gold.items() if of}
    assert text_table(back) == text_table(results)
    assert csv_table(back) == csv_table(results)


def test_curves_have_a_line_for_each_iteration():
    results = example()
    rows = list(csv.DictReader(io.StringIO(tables.curves_csv(results))))
    assert len(rows) == sum(len(summary["iterations"]) for summary in results.values())
    first = results[FIRST]
    for row in rows[: len(first["iterations"])]:
        iteration = int(row["iteration"])
        assert float(row["alpha_corrs"]) == first["alpha_corrs"][iteration]
        assert float(row["alpha_perfs"]) == first["alpha_perfs"][iteration]
