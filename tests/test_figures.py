"""The figures: what is drawn where, and which words a wrong flag gets."""

import argparse
import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from attention_dynamics.analysis.columns import Column
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.classification.columns import COLUMNS
from attention_dynamics.classification.task import TASK
from attention_dynamics.cli import InputError
from attention_dynamics.translation.task import TASK as TRANSLATION
from attention_dynamics.views import drawing, plotting
from attention_dynamics.views.drawing import STYLES, lines_of
from attention_dynamics.views.figures import FIGURES, dynamics, sentence
from attention_dynamics.views.figures.figure import Figure
from attention_dynamics.views.figures.sentence import Sentence, sentence_of

LIGHT = STYLES["light"]
RUNS = RunNames("Normal_A", ["Normal_B"], "uniform", [0, 10, 20, 40])
GOLD = [0.5, 0.7, 0.95, 0.9]
KEY = ("toy", "top 5% match", "val", "test_acc")
ITERATIONS = [0, 10, 20, 40]


@pytest.fixture(autouse=True)
def closed():
    yield
    drawing.pyplot().close("all")


def summary(**changes) -> dict:
    corrs, perfs = [0.1, 0.2, 0.5, 0.6], [0.5, 0.6, 0.8, 0.9]
    return {
        "agr_unif": 0.3,
        "agr_px": 0.7,
        "agr_grad": 0.15,
        "agr_normal": 0.4,
        "baseline": 0.08,
        "alpha_corrs": dict(zip(ITERATIONS, corrs)),
        "alpha_perfs": dict(zip(ITERATIONS, perfs)),
        "best_perf": 0.95,
        "iterations": ITERATIONS,
        "alpha_corrs_std": dict.fromkeys(ITERATIONS, 0.01),
        "xi_never": {},
        "resamples": 100,
        **{f"xi_{name}": 0.5 for name in ("unif", "px", "grad", "normal")},
        "intervals": {"agr_unif": (0.25, 0.35), "agr_px": (0.6, 0.8), "agr_grad": None},
    } | changes


def dump() -> dict:
    """Two sentences, of 3 and 2 tokens; a uniform run, and one to compare with."""
    rng = np.random.default_rng(0)
    columns = {
        column: {
            (name, it): rng.normal(size=5).astype(np.float32)
            for name in ("Normal_A", "Normal_B", "uniform")
            for it in ITERATIONS
        }
        for column in ("alpha", "beta", "grad")
    }
    columns["alpha"] = {key: np.abs(values) for key, values in columns["alpha"].items()}
    return {"dataset": "toy", **columns}


def draw_dynamics(n_runs: int = 2, gold=GOLD, style: str = "light", **changes):
    """The figure and its rows."""
    rows = dynamics.rows_of_summary(KEY, summary(**changes), COLUMNS, n_runs, gold)
    return dynamics.draw(rows, STYLES[style]), rows


def markers(axis) -> dict[str, tuple[float, float]]:
    """Of each colour, where its marker stands, if it does."""
    return {
        line.get_color(): (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in axis.get_lines()
        if line.get_linestyle() == "None" and len(line.get_xdata())
    }


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


class TestDynamics:
    def test_markers_stand_where_a_level_is_first_exceeded(self):
        figure, _ = draw_dynamics()
        left, right = figure.axes
        color = {name: line["color"] for name, line in lines_of(["agr_grad"]).items()}
        assert markers(left) == {color["agr_unif"]: (20, 0.5), color["agr_grad"]: (10, 0.2)}
        assert markers(right) == {
            color["agr_unif"]: (20, 0.8),
            color["agr_grad"]: (10, 0.6),
            dynamics.GOLD: (20, 0.95),  # ξ*, at the gold run's best checkpoint
        }
        assert "attention, evidence: A(α, βᵘᶠ) = 0.300, ξ = 0.800" in legend(figure)
        assert "evidence, word baseline: A(βᵘᶠ, βᵖˣ) = 0.700, ξ never" in legend(figure)
        assert "shuffled attention: Â = 0.080" in legend(figure)
        assert "gold run; ξ* = 0.950 at its best checkpoint" in legend(figure)

    def test_a_level_that_equals_the_curve_is_not_exceeded(self):
        figure, _ = draw_dynamics(agr_unif=0.5)
        assert markers(figure.axes[0])[lines_of(["agr_grad"])["agr_unif"]["color"]] == (40, 0.6)

    def test_curves(self):
        """The gold run's performance is not in the colour of the comparison runs' mean."""
        left, right = draw_dynamics()[0].axes
        np.testing.assert_array_equal(left.get_lines()[0].get_ydata(), [0.1, 0.2, 0.5, 0.6])
        np.testing.assert_array_equal(right.get_lines()[0].get_ydata(), [0.5, 0.6, 0.8, 0.9])
        assert left.get_lines()[0].get_color() == right.get_lines()[0].get_color() == LIGHT.ink
        (gold,) = (line for line in right.get_lines() if [*line.get_ydata()] == GOLD)
        assert gold.get_color() == dynamics.GOLD != LIGHT.ink

    def test_bands(self):
        """The spread of the curve, and the intervals of levels, where there are any."""

        def bands(**changes):
            figure, _ = draw_dynamics(**changes)
            left, _ = figure.axes
            told = [text for text in legend(figure) if "band" in text]
            return len(left.collections), len(left.patches), len(told)

        assert bands() == (1, 2, 2)
        assert bands(intervals={}) == (1, 0, 1)
        assert bands(alpha_corrs_std=dict.fromkeys(ITERATIONS)) == (0, 2, 1)

    def test_words_on_axes(self):
        figure, _ = draw_dynamics()
        left, right = figure.axes
        assert left.get_xlabel() == right.get_xlabel() == "training iteration (log scale)"
        assert left.get_ylabel() == "agreement A (top 5% match)"
        assert right.get_ylabel() == "accuracy on test sentences"
        assert legend(figure)[0] == "mean of 2 comparison runs; band: ± 1 standard deviation"
        one, _ = draw_dynamics(1, alpha_corrs_std=dict.fromkeys(ITERATIONS))
        assert legend(one)[0] == "the comparison run"

    def test_no_gradient_influence(self):
        assert not any("Δ" in text for text in legend(draw_dynamics(agr_grad=None)[0]))

    def test_performance_in_percent(self):
        perfs = dict(zip(ITERATIONS, [1.0, 20.0, 43.44, 60.0]))
        figure, _ = draw_dynamics(alpha_perfs=perfs, best_perf=66.31)
        assert "attention, evidence: A(α, βᵘᶠ) = 0.300, ξ = 43.4" in legend(figure)
        assert figure.axes[1].get_ylabel() == "accuracy on test sentences (%)"
        key = (*KEY[:3], "val_bleu")
        args = (summary(alpha_perfs=perfs, best_perf=66.31), COLUMNS, 2, GOLD)
        figure = dynamics.draw(dynamics.rows_of_summary(key, *args), LIGHT)
        assert figure.axes[1].get_ylabel() == "BLEU on validation sentences"

    def test_a_single_iteration(self):
        one = {"alpha_corrs": {0: 0.1}, "alpha_perfs": {0: 0.5}, "alpha_corrs_std": {0: None}}
        figure, _ = draw_dynamics(gold=[None], **one, iterations=[0])
        assert markers(figure.axes[0]) == {}

    def test_panels_of_a_column_stand_below_one_another(self):
        with drawing.drawn_in(LIGHT, drawing.WIDTHS["column"]):
            figure, _ = draw_dynamics()
            figure.canvas.draw()
            assert figure.get_size_inches()[0] == 3.3
            upper, lower = (axis.get_position() for axis in figure.axes)
            assert upper.y0 > lower.y1
            # nothing is cut off
            box = figure.legends[0].get_window_extent()
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1

    def test_rows_are_the_numbers_that_are_drawn(self):
        """A level and the best performance are lines without an iteration; ξ is at a marker."""
        rows = draw_dynamics(intervals={"agr_unif": (0.25, 0.35)})[1]
        found = {tuple(row.values())[:3]: tuple(row.values())[3:6] for row in rows}
        assert list(rows[0])[:6] == ["panel", "series", "iteration", "value", "low", "high"]
        assert found["agreement", "comparison runs", 20] == (0.5, 0.49, 0.51)
        assert found["performance", "gold run", 40] == (0.9, None, None)
        assert found["agreement", "agr_unif", None] == (0.3, 0.25, 0.35)
        assert found["performance", "xi_unif", 20] == (0.8, None, None)
        assert found["performance", "best_perf", None] == (0.95, None, None)
        one_line = {"agr_unif", "agr_px", "agr_grad", "baseline", "xi_unif", "xi_grad", "best_perf"}
        curves = {"comparison runs", "gold run"}  # the first of them in both panels
        assert {row["series"] for row in rows} == one_line | curves
        assert len(rows) == len(found) == len(one_line) + 3 * len(ITERATIONS)


def images(figure) -> list[np.ndarray]:
    """The heat maps, without the colour bars."""
    return [axis.get_images()[0].get_array().data for axis in figure.axes if axis.get_images()]


def shown(source: str, entries: slice, target: str = "", **changes) -> Sentence:
    """Entries of :func:`dump` as a sentence of these tokens, one letter each."""
    columns = dump() | changes

    def column(name, run, iteration):
        values = columns[name].get((run, iteration))
        return None if values is None else values[entries].reshape(max(len(target), 1), -1)

    return Sentence("title", list(source), list(target) or None, column)


def draw_sentence(sentence_: Sentence, iterations: list[int], columns=COLUMNS):
    rows = sentence.rows_of_sentence(sentence_, RUNS, iterations, columns)
    return sentence.draw(rows, LIGHT), rows


class TestSentence:
    def test_one_distribution(self):
        columns = dump()
        figure, _ = draw_sentence(shown("a$c", slice(0, 3)), [0, 20])
        alpha, beta, grad = images(figure)
        for row, it in enumerate([0, 20]):
            np.testing.assert_array_equal(alpha[row], columns["alpha"]["Normal_A", it][:3])
            expected = columns["beta"]["uniform", it][:3]
            np.testing.assert_allclose(beta[row], expected / np.abs(expected).max(), rtol=1e-6)
            expected = columns["grad"]["Normal_A", it][:3]
            np.testing.assert_allclose(grad[row], expected / np.abs(expected).max(), rtol=1e-6)

    def test_a_map_for_each_checkpoint(self):
        columns = dump()
        found = images(draw_sentence(shown("xy", slice(1, 5), "uv"), [10, 40])[0])
        assert [image.shape for image in found] == [(2, 2)] * 6
        np.testing.assert_array_equal(found[1], columns["alpha"]["Normal_A", 40][1:].reshape(2, 2))
        beta = columns["beta"]["uniform", 10][1:].reshape(2, 2)
        beta = beta - beta.mean(axis=1, keepdims=True)
        beta = beta / np.abs(beta).max(axis=1, keepdims=True)
        np.testing.assert_allclose(found[2], beta, rtol=1e-6)

    def test_tokens_and_iterations_are_told(self):
        figure, _ = draw_sentence(shown("xy", slice(1, 5), "u$"), [10, 40])
        maps = np.array([axis for axis in figure.axes if axis.get_images()]).reshape(3, 2)
        for line in maps:
            assert [axis.get_title() for axis in line] == ["iteration 10", "iteration 40"]
        for axis in maps[-1]:
            assert [label.get_text() for label in axis.get_xticklabels()] == ["x", "y"]
        for axis in maps[:, 0]:
            assert [label.get_text() for label in axis.get_yticklabels()] == ["u", r"\$"]

    def test_blocks_and_colour_bars_have_names(self):
        figure, _ = draw_sentence(shown("xyz", slice(0, 3)), [0, 20])
        assert [part.get_suptitle() for part in figure.subfigs[:3]] == [
            "α: attention of the gold run, Normal_A",
            "βᵘᶠ: evidence with uniform attention",
            "Δ: gradient influence of the gold run, Normal_A",
        ]
        bars = [axis for axis in figure.axes if not axis.get_images()]
        assert [bar.get_xlabel() for bar in bars] == [
            "attention weight α\n(a row sums to 1)",
            "βᵘᶠ, Δ ÷ largest absolute value\nin the row",
        ]
        ends = [label.get_text() for label in bars[1].get_xticklabels()]
        assert ends == ["−1: against\nthe gold label", "0", "1: for\nthe gold label"]

    def test_maps_that_do_not_fit_a_line_go_below(self):
        wide = shown(
            "x" * 20,
            slice(0, 40),
            "uv",
            **{
                name: {key: np.resize(values, 40) for key, values in dump()[name].items()}
                for name in ("alpha", "beta", "grad")
            },
        )
        with drawing.drawn_in(LIGHT, drawing.WIDTHS["column"]):
            figure, _ = draw_sentence(wide, [0, 10, 20])
            figure.canvas.draw()
            maps = [axis for axis in figure.axes if axis.get_images()]
            assert len(maps) == 9
            places = [axis.get_window_extent() for axis in maps[:3]]
            assert places[0].y0 > places[1].y1 > places[1].y0 > places[2].y1
            texts = [label for axis in maps for label in axis.get_xticklabels()]
            assert min(text.get_fontsize() for text in texts) >= 5.5

    def test_no_gradient_influence(self):
        figure, _ = draw_sentence(shown("xyz", slice(0, 3), grad={}), [10])
        assert len(images(figure)) == 2

    def test_a_compared_column_is_drawn_as_well(self):
        column = {("Normal_A", 10): np.array([2, -4, 1, 0, 0], np.float32)}
        several = shown("xyz", slice(0, 3), rollout=column)
        table = COLUMNS | {"rollout": Column("ρ", r"\rho", 1, lambda _: None, compared=True)}
        figure, _ = draw_sentence(several, [10], table)
        assert len(images(figure)) == 4
        np.testing.assert_array_equal(images(figure)[3], [[0.5, -1, 0.25]])
        assert figure.subfigs[3].get_suptitle() == "ρ: rollout of the gold run, Normal_A"
        # at 20 it was not computed
        assert len(images(draw_sentence(several, [10, 20], table)[0])) == 3

    def test_rows_are_the_numbers_that_are_drawn(self):
        figure, rows = draw_sentence(shown("xy", slice(1, 5), "uv"), [10, 40])
        drawn = [row["drawn"] for row in rows]
        np.testing.assert_allclose(drawn, np.concatenate([i.ravel() for i in images(figure)]))
        beta = dump()["beta"]["uniform", 40][1:]
        chosen = [r for r in rows if (r["column"], r["iteration"]) == ("beta", 40)]
        assert [np.float32(row["value"]) for row in chosen] == list(beta)
        assert [(row["target"], row["token"]) for row in chosen] == [
            *(("u", "x"), ("u", "y"), ("v", "x"), ("v", "y"))
        ]

    def test_sentences_of_both_tasks(self):
        sides = {"source": np.array([1, 3, 2, 1, 2]), "source_offsets": np.array([0, 3, 5])}
        sides |= {"target": np.array([1, 2, 1, 4, 3, 2]), "target_offsets": np.array([0, 2, 6])}
        values = np.arange(9, dtype=np.float32)
        pairs = {"dataset": "toy", "vocab": ["p", "<s>", "</s>", "▁a", "b"]}
        pairs |= {"sentences": sides | {"split": np.array(["val", "train"])}}
        pairs |= {name: {("Normal_A", 5): values} for name in ("alpha", "beta")}
        pairs["metas"] = {("Normal_A", 5, f"{split}_acc"): 1 for split in ("val", "train")}
        found = sentence_of(TRANSLATION, pairs, 1)
        assert (found.title, found.source) == ("toy, training sentence 1", ["<s>", "</s>"])
        assert found.target == ["·b", "a", "</s>"]
        expected = [[3, 4], [5, 6], [7, 8]]
        np.testing.assert_array_equal(found.column("alpha", "Normal_A", 5), expected)
        assert found.column("alpha", "Normal_A", 6) is None

        columns = {"tokens": sides["source"], "offsets": sides["source_offsets"]}
        columns |= {"target": np.array([1, 0]), "split": np.array(["val", "train"])}
        labelled = pairs | {"sentences": columns, "labels": ["bad", "good"]}
        labelled["metas"] = {("Normal_A", 5, f"{split}_acc"): 1 for split in ("test", "train")}
        labelled["beta"] = {("Normal_A", 5): values[:5]}
        found = sentence_of(TASK, labelled, 1)
        assert found.title == "toy, training sentence 1, label: bad" and found.target is None
        # evidence for the gold label: with label 0 its sign changes
        np.testing.assert_array_equal(found.column("beta", "Normal_A", 5), [[-3, -4]])
        del labelled["labels"]  # as in older dumps
        found = sentence_of(TASK, labelled, 0)
        assert found.title == "toy, test sentence 0, label: 1"
        np.testing.assert_array_equal(found.column("beta", "Normal_A", 5), [[0, 1, 2]])

    def test_all_zero(self):
        zeros = {key: np.zeros(5, np.float32) for key in dump()["beta"]}
        found = images(draw_sentence(shown("xyz", slice(0, 3), beta=zeros, grad=zeros), [10])[0])
        assert (found[1] == 0).all() and (found[2] == 0).all()


def test_the_analysis_imports_no_view():
    paths = (ROOT / "attention_dynamics" / "analysis").rglob("*.py")
    assert not [path for path in paths if "attention_dynamics.views" in path.read_text()]


class TestChoices:
    @pytest.mark.parametrize(
        ("lengths", "number"), [([30, 8, 9], 1), ([30, 40, 21], 2), ([3, 5], 0), ([30, 20], 1)]
    )
    def test_the_first_sentence_that_fits(self, lengths, number):
        assert plotting.sentence_number(None, np.array(lengths), "toy") == number

    def test_sentence_out_of_range(self):
        assert plotting.sentence_number(2, np.array([1, 2, 3]), "toy") == 2
        with pytest.raises(InputError, match="--sentence 3: the dump of toy has 0 to 2"):
            plotting.sentence_number(3, np.array([1, 2, 3]), "toy")

    def test_iterations(self):
        assert plotting.chosen_iterations(dump(), None) == ITERATIONS
        assert plotting.chosen_iterations(dump(), [10, 40]) == [10, 40]
        with pytest.raises(InputError, match=r"--iterations 5,7: .*0,10,20,40"):
            plotting.chosen_iterations(dump(), [5, 10, 7])

    def test_few_of_many_iterations(self):
        many = {"dataset": "toy", "alpha": {}}
        for name in ("Normal_A", "Normal_B", "uniform"):
            many["alpha"] |= {(name, it): None for it in range(0, 2200, 100)}
        assert plotting.chosen_iterations(many, None) == [0, 700, 1400, 2100]


def arguments(folder, **changes) -> argparse.Namespace:
    values = {
        "datasets": ["toy"],
        "stats": None,
        "metric": KEY[1],
        "performance": None,
        "sentence": None,
        "iterations": None,
        "formats": ["png", "pdf", "svg"],
        "style": ["light"],
        "width": ["page"],
        "out_dir": None,
        "outputs_dir": folder,
    }
    return argparse.Namespace(**values | changes)


@pytest.fixture
def outputs(tmp_path):
    (tmp_path / "stats.pkl").write_bytes(pickle.dumps({KEY: summary(dump="an id")}))
    whole = {
        "id": "an id",
        "settings": {"columns": {"alpha": 1, "beta": 1, "grad": 1}},
        "vocab": ["x", "y", "z"],
        "sentences": {
            "tokens": np.array([0, 1, 2, 0, 1]),
            "offsets": np.array([0, 3, 5]),
            "target": np.array([1, 0]),
            "split": np.array(["val", "train"]),
        },
        "metas": {
            (name, it, key): 0.5
            for name in ("Normal_A", "Normal_B", "uniform")
            for it in ITERATIONS
            for key in ("test_acc", "train_acc")
        },
        "checkpoints": {},
    }
    (tmp_path / "toy_logs.pkl").write_bytes(pickle.dumps(whole | dump()))
    return tmp_path


class TestPlot:
    @pytest.mark.slow
    def test_files(self, outputs, capsys):
        plotting.plot_dynamics(arguments(outputs), TASK)
        printed = capsys.readouterr().out.splitlines()
        assert printed == [
            str(outputs / f"toy_{figure}.{ending}")
            for figure in FIGURES
            for ending in ("png", "pdf", "svg", "csv")
        ]
        before = [(outputs / path).read_bytes() for path in printed]
        plotting.plot_dynamics(arguments(outputs), TASK)
        assert [(outputs / path).read_bytes() for path in printed] == before

    @pytest.mark.slow
    def test_variants(self, outputs, capsys, monkeypatch):
        """Dark, transparent and narrow ones beside the others; the numbers once."""
        monkeypatch.delitem(FIGURES, "sentence")
        monkeypatch.delitem(FIGURES, "words")
        changes = {"formats": ["png"], "style": list(STYLES), "width": ["page", "column"]}
        plotting.plot_dynamics(arguments(outputs, **changes), TASK)
        names = {Path(line).name for line in capsys.readouterr().out.splitlines()}
        ends = ("", "_dark", "_transparent", "_column", "_column_dark", "_column_transparent")
        assert names == {f"toy_dynamics{end}.png" for end in ends} | {"toy_dynamics.csv"}
        read = drawing.pyplot().imread
        corner = {end: read(outputs / f"toy_dynamics{end}.png")[0, 0].tolist() for end in ends}
        assert corner[""] == corner["_column"] == [1, 1, 1, 1]
        assert corner["_transparent"][3] == corner["_column_transparent"][3] == 0
        assert corner["_dark"][:3] == pytest.approx([0x14 / 255, 0x17 / 255, 0x1A / 255])

    def test_a_figure_of_the_table_is_drawn(self, outputs, monkeypatch):
        def rows_of(material):
            assert (material.key, material.iterations) == (KEY, ITERATIONS)
            return [{"word": 'a,"b', "value": 0.5}, {"word": "c", "value": None}]

        def draw(rows, style):
            assert style is LIGHT
            figure, axis = drawing.pyplot().subplots()
            axis.set_title(rows[1]["word"])
            assert figure.get_size_inches()[0] == drawing.WIDTHS["page"]
            return figure

        monkeypatch.setitem(FIGURES, "another", Figure("another", "a caption", rows_of, draw))
        plotting.plot_dynamics(arguments(outputs, formats=["png"]), TASK)
        assert (outputs / "toy_another.png").read_bytes().startswith(b"\x89PNG")
        assert (outputs / "toy_another.csv").read_text() == 'word,value\n"a,""b",0.5\nc,\n'
        assert (outputs / "toy_dynamics.png").exists()

    @pytest.mark.slow
    def test_results_of_another_dump(self, outputs, capsys):
        plotting.plot_dynamics(arguments(outputs, formats=["svg"]), TASK)
        assert capsys.readouterr().err == ""
        (outputs / "stats.pkl").write_bytes(pickle.dumps({KEY: summary(dump="another")}))
        plotting.plot_dynamics(arguments(outputs, formats=["svg"]), TASK)
        said = "the results of toy are of an older dump: run collect_classification_stats.py again"
        assert said in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"performance": "val_bleu"}, "stats.pkl has no top 5% match of toy val_bleu: run"),
            ({"metric": "kendall tau"}, "stats.pkl has no kendall tau of toy: run"),
            ({"iterations": [3]}, "--iterations 3"),
            ({"datasets": ["toy", "SNS"]}, "no top 5% match of SNS"),
        ],
    )
    def test_what_is_not_there(self, outputs, changes, words):
        before = sorted(outputs.iterdir())
        with pytest.raises(InputError) as error:
            plotting.plot_dynamics(arguments(outputs, **changes), TASK)
        assert words in str(error.value)
        assert sorted(outputs.iterdir()) == before

    def test_missing_and_foreign_files(self, outputs):
        (outputs / "toy_logs.pkl").unlink()
        with pytest.raises(InputError, match=r"eval_dump\.py --dataset toy"):
            plotting.plot_dynamics(arguments(outputs), TASK)
        older = {key: value for key, value in summary().items() if key != "alpha_corrs_std"}
        for foreign in ([1], {("toy", "top 5% match"): summary()}, {KEY: older}):
            (outputs / "stats.pkl").write_bytes(pickle.dumps(foreign))
            with pytest.raises(InputError, match="has no results of this version in it"):
                plotting.plot_dynamics(arguments(outputs), TASK)
