"""The figures of the learning curves: what is drawn, and what is said of what is missing."""

import math
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_one_line, call_script, files_in, load_script

from attention_dynamics.files import storage
from attention_dynamics.views import copying

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
    save = plot.drawing.save

    def keep(figure, *paths):
        kept.append((figure, paths))
        save(figure, *paths)

    monkeypatch.setattr(plot.drawing, "save", keep)
    return kept


def test_learning_curves(published, capsys, monkeypatch):
    figures = drawn(monkeypatch)
    names = ["seq2seq,no_rep", "seq2seq,no_rep,num_vocab=60"]
    status, out, err = run(published, "--experiments", *names, capsys=capsys)
    assert (status, err) == (0, "")
    paths = [published / "outputs" / f"copying{ending}" for ending in (".png", ".pdf")]
    assert out.splitlines() == [str(path) for path in paths]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[1].read_bytes().startswith(b"%PDF")

    ((figure, _),) = figures
    assert [axis.get_ylabel() for axis in figure.axes] == ["token accuracy", "attention accuracy"]
    for axis, column in zip(figure.axes, ("token_accuracy", "attention_accuracy")):
        assert len(axis.lines) == 2 * (3 + 1)  # each seed, and their mean
        seeds, mean = axis.lines[:3], axis.lines[3]
        for seed, line in enumerate(seeds):
            np.testing.assert_allclose(line.get_ydata(), history(0.5 + seed / 10)[column])
            assert list(line.get_xdata()) == [0, 10, 20]
        np.testing.assert_allclose(mean.get_ydata(), history(0.6)[column])
        assert mean.get_linewidth() > 2 * seeds[0].get_linewidth()
        other = axis.lines[7]
        assert other.get_color() != mean.get_color()
        assert other.get_linestyle() != mean.get_linestyle()
    labels = [text.get_text() for text in figure.legends[0].texts]
    assert labels == ["permutations of 40 (3 models)", "40 of 60 tokens (3 models)"]


def test_combinations_of_heads(published, capsys, monkeypatch):
    figures = drawn(monkeypatch)
    path = published / "re_8headcomb.pkl"
    status, _, _ = run(published, "--combinations", path, "--name", "x", capsys=capsys)
    assert status == 0
    assert sorted(files_in(published / "outputs")) == ["x_heads.pdf", "x_heads.png"]
    ((figure, _),) = figures
    axis = figure.axes[0]
    for kind, line in enumerate(axis.lines):
        np.testing.assert_allclose(line.get_ydata()[-1], 0.1 * kind + 1.5 / 50)
    ends = axis.collections[1].get_paths()[0].vertices
    ends = ends[ends[:, 0] == 20][:, 1]
    np.testing.assert_allclose([ends.min(), ends.max()], [0.1 + 0.3 / 50, 0.1 + 2.7 / 50])
    labels = [text.get_text() for text in figure.legends[0].texts]
    assert [label.split(" (")[0] for label in labels] == [
        "2 bad heads",
        "1 good, 1 bad heads",
        "2 random heads",
    ]


def test_a_kind_without_combinations_is_left_out(published, capsys, monkeypatch):
    figures = drawn(monkeypatch)
    path = published / "re_8headcomb.pkl"
    curves = storage.load_pickle(path, "")
    storage.save_pickle((curves[0], {}, curves[2]), path)
    status, _, err = run(published, "--combinations", path, capsys=capsys)
    assert (status, err) == (0, "")
    ((figure, _),) = figures
    labels = [text.get_text().split(" (")[0] for text in figure.legends[0].texts]
    assert labels == ["2 bad heads", "2 random heads"]
    for axis in figure.axes:
        colors = [line.get_color() for line in axis.lines]
        assert len(set(colors)) == 2


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
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert sorted(files_in(published / "outputs")) == [
        "copying.pdf",
        "copying.png",
        "copying_heads.pdf",
        "copying_heads.png",
    ]


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
        (["--experiments", *"abcde"], ["4 at most"]),
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
