"""The figures: what is drawn where, and which words a wrong flag gets."""

import argparse
import pickle

import numpy as np
import pytest

from attention_dynamics.analysis.columns import Column
from attention_dynamics.analysis.levels import levels_of
from attention_dynamics.classification.columns import COLUMNS
from attention_dynamics.classification.task import TASK
from attention_dynamics.cli import InputError
from attention_dynamics.translation.task import TASK as TRANSLATION
from attention_dynamics.views import drawing, plotting
from attention_dynamics.views.figures import FIGURES, dynamics, sentence
from attention_dynamics.views.figures.figure import Figure
from attention_dynamics.views.figures.sentence import Sentence, sentence_of

LEVELS = levels_of(COLUMNS)
KEY = ("toy", "top 5% match", "val", "test_acc")
ITERATIONS = [0, 10, 20, 40]


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


def markers(axis) -> dict[str, tuple[float, float]]:
    """Of each colour, where its marker stands, if it does."""
    return {
        line.get_color(): (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in axis.get_lines()
        if line.get_linestyle() == "None" and len(line.get_xdata())
    }


class TestDynamics:
    def test_markers_stand_where_a_level_is_first_exceeded(self):
        figure = dynamics.draw_dynamics(KEY, summary(), LEVELS)
        left, right = figure.axes
        color = {name: level.line["color"] for name, level in LEVELS.items() if level.line}
        assert markers(left) == {color["agr_unif"]: (20, 0.5), color["agr_grad"]: (10, 0.2)}
        assert markers(right) == {color["agr_unif"]: (20, 0.8), color["agr_grad"]: (10, 0.6)}
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert "A(α, βᵘᶠ) = 0.300,  ξ = 0.800" in texts
        assert "A(βᵘᶠ, βᵖˣ) = 0.700,  ξ never" in texts
        assert "Â = 0.080" in texts

    def test_a_level_that_equals_the_curve_is_not_exceeded(self):
        figure = dynamics.draw_dynamics(KEY, summary(agr_unif=0.5), LEVELS)
        assert markers(figure.axes[0])[LEVELS["agr_unif"].line["color"]] == (40, 0.6)

    def test_curves(self):
        left, right = dynamics.draw_dynamics(KEY, summary(), LEVELS).axes
        np.testing.assert_array_equal(left.get_lines()[0].get_xydata()[:, 1], [0.1, 0.2, 0.5, 0.6])
        np.testing.assert_array_equal(right.get_lines()[0].get_xydata()[:, 1], [0.5, 0.6, 0.8, 0.9])

    def test_bands(self):
        """The spread of the curve, and the intervals of levels, where there are any."""

        def bands(**changes):
            left, _ = dynamics.draw_dynamics(KEY, summary(**changes), LEVELS).axes
            return len(left.collections), len(left.patches)

        assert bands() == (1, 2)
        assert bands(intervals={}) == (1, 0)
        assert bands(alpha_corrs_std=dict.fromkeys(ITERATIONS)) == (0, 2)

    def test_no_gradient_influence(self):
        figure = dynamics.draw_dynamics(KEY, summary(agr_grad=None), LEVELS)
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert not any("Δ" in text for text in texts)

    def test_performance_in_percent(self):
        perfs = dict(zip(ITERATIONS, [1.0, 20.0, 43.44, 60.0]))
        figure = dynamics.draw_dynamics(KEY, summary(alpha_perfs=perfs, best_perf=66.31), LEVELS)
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert "A(α, βᵘᶠ) = 0.300,  ξ = 43.4" in texts

    def test_a_single_iteration(self):
        one = summary(
            alpha_corrs={0: 0.1}, alpha_perfs={0: 0.5}, alpha_corrs_std={0: None}, iterations=[0]
        )
        assert markers(dynamics.draw_dynamics(KEY, one, LEVELS).axes[0]) == {}


def images(figure) -> list[np.ndarray]:
    """The heat maps, without the colour bars."""
    return [axis.get_images()[0].get_array().data for axis in figure.axes if axis.get_images()]


class TestSentence:
    def test_one_distribution(self):
        columns = dump()
        shown = Sentence("title", ["a", "$b", "c"], None, slice(0, 3), sign=-1)
        alpha, beta, grad = images(sentence.draw_sentence(columns, shown, [0, 20], COLUMNS))
        for row, it in enumerate([0, 20]):
            np.testing.assert_array_equal(alpha[row], columns["alpha"]["Normal_A", it][:3])
            expected = -columns["beta"]["uniform", it][:3]
            np.testing.assert_allclose(beta[row], expected / np.abs(expected).max(), rtol=1e-6)
            expected = columns["grad"]["Normal_A", it][:3]
            np.testing.assert_allclose(grad[row], expected / np.abs(expected).max(), rtol=1e-6)

    def test_a_map_for_each_checkpoint(self):
        columns = dump()
        shown = Sentence("title", ["x", "y"], ["u", "v"], slice(1, 5))
        shown = images(sentence.draw_sentence(columns, shown, [10, 40], COLUMNS))
        assert [image.shape for image in shown] == [(2, 2)] * 6
        np.testing.assert_array_equal(shown[1], columns["alpha"]["Normal_A", 40][1:].reshape(2, 2))
        beta = columns["beta"]["uniform", 10][1:].reshape(2, 2)
        beta = beta - beta.mean(axis=1, keepdims=True)
        beta = beta / np.abs(beta).max(axis=1, keepdims=True)
        np.testing.assert_allclose(shown[2], beta, rtol=1e-6)

    def test_tokens_and_iterations_are_told(self):
        shown = Sentence("title", ["x", "y"], ["u", "$v"], slice(1, 5))
        figure = sentence.draw_sentence(dump(), shown, [10, 40], COLUMNS)
        maps = np.array([axis for axis in figure.axes if axis.get_images()]).reshape(3, 2)
        assert [axis.get_title() for axis in maps[0]] == ["iteration 10", "iteration 40"]
        for axis in maps[-1]:
            assert [label.get_text() for label in axis.get_xticklabels()] == ["x", "y"]
        for axis in maps[:, 0]:
            assert [label.get_text() for label in axis.get_yticklabels()] == ["u", r"\$v"]

    def test_no_gradient_influence(self):
        columns = dump() | {"grad": {}}
        shown = Sentence("title", ["x", "y", "z"], None, slice(0, 3))
        assert len(images(sentence.draw_sentence(columns, shown, [10], COLUMNS))) == 2

    def test_a_compared_column_is_drawn_as_well(self):
        columns = dump()
        columns["rollout"] = {("Normal_A", 10): np.array([2, -4, 1, 0, 0], np.float32)}
        shown = Sentence("title", ["x", "y", "z"], None, slice(0, 3))
        table = COLUMNS | {"rollout": Column("ρ", r"\rho", 1, lambda _: None, compared=True)}
        figure = sentence.draw_sentence(columns, shown, [10], table)
        assert len(images(figure)) == 4
        np.testing.assert_array_equal(images(figure)[3], [[0.5, -1, 0.25]])
        assert "ρ\niteration" in [axis.get_ylabel() for axis in figure.axes]
        # at 20 it was not computed
        assert len(images(sentence.draw_sentence(columns, shown, [10, 20], table))) == 3

    def test_sentences_of_both_tasks(self):
        sides = {"source": np.array([1, 3, 2, 1, 2]), "source_offsets": np.array([0, 3, 5])}
        sides |= {"target": np.array([1, 2, 1, 4, 3, 2]), "target_offsets": np.array([0, 2, 6])}
        pairs = {"dataset": "toy", "vocab": ["p", "<s>", "</s>", "a", "b"]}
        pairs |= {"sentences": sides | {"split": np.array(["val", "train"])}}
        assert sentence_of(TRANSLATION, pairs, 1) == Sentence(
            "toy, sentence 1 (train)",
            ["<s>", "</s>"],
            ["b", "a", "</s>"],
            slice(3, 9),
        )
        columns = {"tokens": sides["source"], "offsets": sides["source_offsets"]}
        columns |= {"target": np.array([1, 0]), "split": np.array(["val", "train"])}
        labelled = pairs | {"sentences": columns}
        assert sentence_of(TASK, labelled, 1) == Sentence(
            "toy, sentence 1 (train), label 0", ["<s>", "</s>"], None, slice(3, 5), sign=-1
        )
        assert sentence_of(TASK, labelled, 0).sign == 1

    def test_all_zero(self):
        columns = dump()
        for column in ("beta", "grad"):
            columns[column] = {key: np.zeros(5, np.float32) for key in columns[column]}
        shown = Sentence("title", ["x", "y", "z"], None, slice(0, 3))
        _, beta, grad = images(sentence.draw_sentence(columns, shown, [10], COLUMNS))
        assert (beta == 0).all() and (grad == 0).all()


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
        assert plotting.chosen_iterations(many, None) == [0, 500, 1000, 1600, 2100]


def arguments(folder, **changes) -> argparse.Namespace:
    values = {
        "datasets": ["toy"],
        "stats": None,
        "metric": KEY[1],
        "performance": None,
        "sentence": None,
        "iterations": None,
        "formats": ["png", "pdf"],
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
        "metas": {(*key, "test_acc"): 0.5 for key in dump()["alpha"]},
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
            for ending in ("png", "pdf")
        ]
        before = [(outputs / path).read_bytes() for path in printed]
        plotting.plot_dynamics(arguments(outputs), TASK)
        assert [(outputs / path).read_bytes() for path in printed] == before

    def test_a_figure_of_the_table_is_drawn(self, outputs, monkeypatch):
        def draw(material):
            assert (material.key, material.iterations) == (KEY, ITERATIONS)
            figure, axis = drawing.pyplot().subplots()
            axis.set_title(material.dump["vocab"][0])
            return figure

        monkeypatch.setitem(FIGURES, "another", Figure("another", "a caption", draw))
        plotting.plot_dynamics(arguments(outputs, formats=["png"]), TASK)
        assert (outputs / "toy_another.png").read_bytes().startswith(b"\x89PNG")
        assert (outputs / "toy_dynamics.png").exists()

    @pytest.mark.slow
    def test_results_of_another_dump(self, outputs, capsys):
        plotting.plot_dynamics(arguments(outputs, formats=["png"]), TASK)
        assert capsys.readouterr().err == ""
        (outputs / "stats.pkl").write_bytes(pickle.dumps({KEY: summary(dump="another")}))
        plotting.plot_dynamics(arguments(outputs, formats=["png"]), TASK)
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
