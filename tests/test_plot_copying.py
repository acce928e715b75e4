"""The figures of the learning curves: what is drawn, and what is said of what is missing."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_one_line, call_script, files_in, load_script

from attention_dynamics.files import storage
from attention_dynamics.views import copying, drawing

plot = load_script("SequenceCopying", "plot_copying")

SETTINGS = {"n_vocab": 40, "length": 40, "no_rep": True, "lr": 0.001, "bi": False}
KINDS = ("bad", "good", "random")


def history(final: float, steps=(0, 10, 20)) -> dict:
    accuracy = [final * step / steps[-1] for step in steps]
    return {
        "step": list(steps),
        "loss": [math.nan] + [1.0] * (len(steps) - 1),
        "token_accuracy": accuracy,
        "attention_accuracy": [value / 2 for value in accuracy],
        "attention_accuracy_before": [0.0] * len(steps),
        "attention_accuracy_after": [0.0] * len(steps),
        "attention_accuracy_heads": [[value / 2] for value in accuracy],
    }


def save_logs(folder, name: str, **changes):
    histories = {seed: history(0.5 + seed / 10) for seed in range(3)}
    storage.save_pickle({"settings": SETTINGS | changes, "histories": histories}, folder / name)


@pytest.fixture
def published(tmp_path):
    save_logs(tmp_path, "seq2seq,no_rep.pkl")
    save_logs(tmp_path, "seq2seq,no_rep,num_vocab=60.pkl", n_vocab=60)
    curves = tuple(
        {(sample, sample + 1): history(0.1 * kind + sample / 50) for sample in range(4)}
        for kind in range(3)
    )
    storage.save_pickle(curves, tmp_path / "re_8headcomb.pkl")
    return tmp_path


def run(folder, *flags, capsys):
    folders = ("--logs_dir", folder, "--outputs_dir", folder / "outputs")
    return call_script("SequenceCopying", "plot_copying.py", *folders, *flags, capsys=capsys)


def drawn(monkeypatch) -> list:
    """The figures that are drawn from here on."""
    kept = []
    save = drawing.save

    def keep(figure, *paths):
        kept.append(figure)
        save(figure, *paths)

    monkeypatch.setattr(drawing, "save", keep)
    return kept


def rows_in(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open()))


def test_learning_curves(published, capsys, monkeypatch):
    figures = drawn(monkeypatch)
    names = ["seq2seq,no_rep", "seq2seq,no_rep,num_vocab=60"]
    status, out, err = run(published, "--experiments", *names, capsys=capsys)
    assert (status, err) == (0, "")
    paths = [published / "outputs" / f"copying.{kind}" for kind in ("png", "pdf", "svg", "csv")]
    assert out.splitlines() == [str(path) for path in paths]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[1].read_bytes().startswith(b"%PDF")
    assert b"<svg" in paths[2].read_bytes()

    (figure,) = figures
    for line in (figure.axes[:2], figure.axes[2:]):
        assert [axis.get_ylabel() for axis in line] == ["token accuracy", "attention accuracy"]
        for axis, column in zip(line, ("token_accuracy", "attention_accuracy")):
            assert len(axis.lines) == 3 + 1  # each seed, and their mean
            for seed, curve in enumerate(axis.lines[:3]):
                np.testing.assert_allclose(curve.get_ydata(), history(0.5 + seed / 10)[column])
                assert list(curve.get_xdata()) == [0, 10, 20]
            mean = axis.lines[3]
            np.testing.assert_allclose(mean.get_ydata(), history(0.6)[column])
            assert mean.get_linewidth() > 2 * axis.lines[0].get_linewidth()
    titles = [axis.get_title(loc="left") for axis in figure.axes[::2]]
    assert titles == ["permutations of 40: 0 of 3 learned", "40 of 60 tokens: 0 of 3 learned"]


def test_models_that_learned_and_those_that_did_not_are_drawn_apart(published, capsys, monkeypatch):
    """The mean of both would be the curve of no model."""
    histories = {seed: history(final) for seed, final in enumerate((0.2, 1.0, 0.4))}
    storage.save_pickle({"settings": SETTINGS, "histories": histories}, published / "mixed.pkl")
    figures = drawn(monkeypatch)
    assert run(published, "--experiments", "mixed", capsys=capsys)[0] == 0
    (figure,) = figures
    thin, learned, *others, failed = figure.axes[0].lines
    assert [line.get_ydata()[-1] for line in (thin, learned, *others)] == [1, 1, 0.2, 0.4]
    assert failed.get_ydata()[-1] == pytest.approx(0.3)
    assert learned.get_color() == thin.get_color() != failed.get_color()
    assert learned.get_linestyle() != failed.get_linestyle()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == ["learned to copy", "did not learn"]
    assert "above 0.95" in legend.get_title().get_text()

    rows = rows_in(published / "outputs" / "copying.csv")
    ends = {
        (row["learned"], row["model"]): float(row["token_accuracy"])
        for row in rows
        if row["step"] == "20"
    }
    means = {("True", "mean"): 1.0, ("False", "mean"): pytest.approx(0.3)}
    assert ends == {("False", "0"): 0.2, ("True", "1"): 1.0, ("False", "2"): 0.4} | means
    assert len(rows) == 5 * 3


def test_combinations_of_heads(published, capsys, monkeypatch):
    figures = drawn(monkeypatch)
    path = published / "re_8headcomb.pkl"
    flags = ("--combinations", path, "--name", "x", "--formats", "svg", "--width", "column")
    status, _, _ = run(published, *flags, capsys=capsys)
    assert status == 0
    assert sorted(files_in(published / "outputs")) == ["x_heads.csv", "x_heads_column.svg"]
    (figure,) = figures
    assert figure.get_size_inches()[0] == 3.3
    for kind, axis in enumerate(figure.axes[::2]):
        np.testing.assert_allclose(axis.lines[-1].get_ydata()[-1], 0.1 * kind + 1.5 / 50)
    titles = [axis.get_title(loc="left").split(":")[0] for axis in figure.axes[::2]]
    assert titles == ["2 bad heads", "1 good, 1 bad heads", "2 random heads"]
    assert rows_in(published / "outputs" / "x_heads.csv")[0]["model"] == "0 1"


def test_a_kind_without_combinations_is_left_out(published, capsys, monkeypatch):
    figures = drawn(monkeypatch)
    path = published / "re_8headcomb.pkl"
    curves = storage.load_pickle(path, "")
    storage.save_pickle((curves[0], {}, curves[2]), path)
    status, _, err = run(published, "--combinations", path, "--formats", "png", capsys=capsys)
    assert (status, err) == (0, "")
    (figure,) = figures
    titles = [axis.get_title(loc="left").split(":")[0] for axis in figure.axes[::2]]
    assert titles == ["2 bad heads", "2 random heads"]


def test_by_default_it_draws_what_is_there(published, capsys, monkeypatch):
    (published / "seq2seq,no_rep,num_vocab=60.pkl").unlink()
    status, out, _ = run(published, capsys=capsys)
    assert status == 0
    lines = out.splitlines()
    assert 'num_vocab=60.pkl is missing: run "python seq2seq.py --no_rep num_vocab=60"' in lines[0]
    assert str(published / "outputs" / "copying.png") in lines
    heads = published / "outputs" / "copying_heads.png"
    beside = Path(plot.__file__).with_name("re_8headcomb.pkl").exists()
    assert heads.exists() == beside
    assert any('run "python multihead.py"' in line for line in lines) != beside


def test_by_default_both_figures(published, monkeypatch, capsys):
    monkeypatch.setattr(plot, "COMBINATIONS", published / "re_8headcomb.pkl")
    folders = ["--logs_dir", str(published), "--outputs_dir", str(published / "outputs")]
    monkeypatch.setattr("sys.argv", ["plot_copying.py", *folders])
    plot.main()
    printed = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    kinds = ("png", "pdf", "svg", "csv")
    assert printed == [f"{name}.{kind}" for name in ("copying", "copying_heads") for kind in kinds]
    assert sorted(files_in(published / "outputs")) == sorted(printed)


def test_nothing_to_draw(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(plot, "COMBINATIONS", tmp_path / "re_8headcomb.pkl")
    monkeypatch.setattr("sys.argv", ["plot_copying.py", "--logs_dir", str(tmp_path)])
    with pytest.raises(
        plot.InputError, match=r"nothing to draw.*--no_rep.*num_vocab=60.*multihead"
    ):
        plot.main()


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({}, "permutations of 40"),
        ({"n_vocab": 60}, "40 of 60 tokens"),
        ({"no_rep": False}, "40 of 40 tokens, repeated"),
    ],
)
def test_what_an_experiment_is_called(settings, label):
    assert copying.described(SETTINGS | settings) == label


def test_experiments_that_differ_otherwise_are_told_apart():
    def results(**changes):
        return {"settings": SETTINGS | changes, "histories": {0: history(1.0)}}

    named = copying.by_label({"a": results(), "b": results(bi=True), "c": results(bi=True)})
    assert list(named) == ["permutations of 40, bi=False", "permutations of 40, bi=True", "c"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--experiments", "none"], ["none.pkl is missing", "seq2seq.py"]),
        (["--experiments", "odd"], ["odd.pkl does not hold learning curves"]),
        (["--experiments", "ragged"], ["ragged.pkl does not hold learning curves"]),
        (["--experiments", "text"], ["text.pkl is not a pickle"]),
        (["--combinations", "none.pkl"], ["none.pkl is missing", "multihead.py"]),
        (["--combinations", "odd.pkl"], ["odd.pkl does not hold learning curves"]),
        (["--name", ".."], ["--name: '..' is not the name of a file"]),
        (["--name", "a/b"], ["--name: 'a/b' is not the name of a file"]),
    ],
)
def test_bad_input(published, flags, words, capsys, monkeypatch):
    monkeypatch.chdir(published)
    storage.save_pickle(({}, {}, {}), published / "odd.pkl")
    uneven = {"settings": SETTINGS, "histories": {0: history(1.0), 1: history(1.0, (0, 10))}}
    storage.save_pickle(uneven, published / "ragged.pkl")
    (published / "text.pkl").write_text("curves")
    before = files_in(published)
    assert_one_line(run(published, *flags, capsys=capsys), *words)
    assert files_in(published) == before
