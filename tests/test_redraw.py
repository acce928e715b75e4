"""results/draw.py: each figure is the same from its CSV, and a bad CSV gets one line."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, assert_one_line, call_script, files_in, load_script
from test_comparison import write_setting
from test_copying_law import synthetic
from test_explorer import classification_outputs, translation_outputs
from test_figures import KEY, outputs, summary  # noqa: F401  (a fixture)
from test_plot_copying import SETTINGS, history, published  # noqa: F401

from attention_dynamics import cli
from attention_dynamics.copying import law
from attention_dynamics.files import storage
from attention_dynamics.views import drawing

draw = load_script("results", "draw")


def run(script, folder: Path, *flags, capsys) -> tuple[int, str, str]:
    """The ``main`` of a script that is loaded already."""
    status = 0
    sys.argv, argv = [str(folder / "draw.py"), *map(str, flags)], sys.argv
    try:
        cli.run(script.main)
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.argv = argv
    return status, *capsys.readouterr()


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    """A folder in place of results/, where no file is yet."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setattr(draw, "RESULTS", folder)
    return folder


def plot(task: str, folder: Path, capsys, *flags) -> None:
    flags = ("--datasets", "toy", "--outputs_dir", folder, "--formats", "png", *flags)
    status, _, err = call_script(task, "plot_dynamics.py", *flags, capsys=capsys)
    assert status == 0, err


def words(task: str, folder: Path, capsys, *flags) -> None:
    flags = ("--dataset", "toy", "--outputs_dir", folder, "--formats", "png", *flags)
    status, _, err = call_script(task, "words.py", *flags, capsys=capsys)
    assert status == 0, err


def assert_redrawn(results: Path, name: str, made: Path, capsys, *more: Path) -> None:
    """``made`` is a figure that a stage drew; its CSV is beside it, and ``more`` belong to it."""
    for file, path in zip(draw.FIGURES[name][1], [made.with_suffix(".csv"), *more], strict=True):
        shutil.copy(path, results / file)
    out_dir = results / "drawn"
    status, out, err = run(draw, results, name, "--out_dir", out_dir, capsys=capsys)
    assert (status, err) == (0, "")
    assert out.splitlines() == [str(out_dir / f"{name}.png")]
    assert (out_dir / f"{name}.png").read_bytes() == made.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("figure", ["dynamics", "sentence", "words"])
def test_figures_of_a_dump(figure, outputs, results, capsys):  # noqa: F811
    plot("classification", outputs, capsys)
    assert_redrawn(results, f"furd_{figure}", outputs / f"toy_{figure}.png", capsys)


@pytest.mark.slow
def test_a_column_wide(outputs, results, capsys):  # noqa: F811
    """The CSV is the same for every variant."""
    plot("classification", outputs, capsys, "--width", "column", "--style", "dark")
    shutil.copy(outputs / "toy_sentence.csv", results / "Furd_sentence_early.csv")
    flags = ("--width", "column", "--style", "dark", "--out_dir", results)
    assert run(draw, results, "furd_sentence", *flags, capsys=capsys)[0] == 0
    made = (outputs / "toy_sentence_column_dark.png").read_bytes()
    assert (results / "furd_sentence_column_dark.png").read_bytes() == made


@pytest.mark.slow
def test_what_results_may_lack(outputs, results, capsys):  # noqa: F811
    """One comparison run, Δ not computed, no intervals, a level that is never reached, a NaN."""
    corrs = dict(zip(summary()["iterations"], [float("nan"), 0.1, 0.2, 0.25]))
    lacking = summary(
        dump="an id",
        agr_grad=None,
        intervals={},
        alpha_corrs=corrs,
        alpha_corrs_std=dict.fromkeys(corrs),
    )
    storage.save_pickle({KEY: lacking}, outputs / "stats.pkl")
    plot("classification", outputs, capsys)
    assert_redrawn(results, "furd_dynamics", outputs / "toy_dynamics.png", capsys)


@pytest.mark.slow
def test_translation(tmp_path, results, capsys):
    translation_outputs(tmp_path)
    flags = ("--datasets", "toy", "--outputs_dir", tmp_path, "--out_file", tmp_path / "stats.pkl")
    collect = "collect_translation_stats.py"
    assert call_script("translation", collect, *flags, "--resamples", 9, capsys=capsys)[0] == 0
    plot("translation", tmp_path, capsys)
    assert_redrawn(results, "multi30k_dynamics", tmp_path / "toy_dynamics.png", capsys)
    assert_redrawn(results, "multi30k_sentence", tmp_path / "toy_sentence.png", capsys)
    assert_redrawn(results, "furd_words", tmp_path / "toy_words.png", capsys)


@pytest.mark.slow
def test_words_that_were_asked_for(tmp_path, results, capsys):
    """They are not ranked; and words are text, whatever they look like."""
    dump = classification_outputs(tmp_path)
    odd = ["007", "nan", "True", '"$x", y', " z", "\ud83d", "#"]
    dump["vocab"][4 : 4 + len(odd)] = odd
    storage.save_pickle(dump | {"labels": ["0", "1"]}, tmp_path / "toy_logs.pkl")
    (tmp_path / "toyembedding256beta.pkl").unlink()
    words("classification", tmp_path, capsys, "--query", *odd[:5], odd[6])
    assert_redrawn(results, "furd_words", tmp_path / "toy_words.png", capsys)
    words("classification", tmp_path, capsys, "--min_count", 1, "--rank_at", 10)
    assert_redrawn(results, "furd_words", tmp_path / "toy_words.png", capsys)


@pytest.mark.slow
def test_settings(tmp_path, results, capsys):
    folders = [
        write_setting(tmp_path / name, seed, iterations=iterations)
        for seed, (name, iterations) in enumerate([("a", (0, 5, 10)), ("b", (0, 4, 10))])
    ]
    flags = ("--dataset", "toy", "--resamples", 50, "--outputs_dir", tmp_path, "--formats", "png")
    status, _, err = call_script("classification", "settings.py", *folders, *flags, capsys=capsys)
    assert status == 0, err
    made = tmp_path / "toy_settings_curves.png"
    shutil.copy(tmp_path / "toy_settings.png", made)
    assert_redrawn(results, "furd_encoders", made, capsys)
    assert_redrawn(results, "furd_interventions", made, capsys)


@pytest.mark.slow
def test_copying(published, results, capsys):  # noqa: F811
    mixed = {seed: history(final) for seed, final in enumerate((0.2, 1.0, 0.4))}
    storage.save_pickle({"settings": SETTINGS, "histories": mixed}, published / "mixed.pkl")
    names = ("--experiments", "mixed", "seq2seq,no_rep")
    heads = ("--combinations", published / "re_8headcomb.pkl", "--formats", "png")
    folders = ("--logs_dir", published, "--outputs_dir", published)
    flags = (*names, *heads, *folders)
    status, _, err = call_script("SequenceCopying", "plot_copying.py", *flags, capsys=capsys)
    assert status == 0, err
    assert_redrawn(results, "copying", published / "copying.png", capsys)
    assert_redrawn(results, "copying", published / "copying_heads.png", capsys)


@pytest.mark.slow
def test_law(tmp_path, results, monkeypatch, capsys):
    timings = [
        replace(timing, copies=timing.copies and round(timing.copies), attends=100 + number)
        for number, timing in enumerate(synthetic(0, sigma=0.2, last=1500))
    ]
    assert None in [timing.copies for timing in timings]
    monkeypatch.setattr(law, "measure", lambda *_: [timings])
    flags = ("--outputs_dir", tmp_path, "--logs_dir", tmp_path, "--resamples", 9)
    script = load_script("SequenceCopying", "law")
    status, _, err = run(script, tmp_path, *flags, "--formats", "png", capsys=capsys)
    assert status == 0, err
    assert_redrawn(results, "copying_law", tmp_path / "law.png", capsys, tmp_path / "law_fit.csv")


def test_every_picture_of_docs_is_in_the_table():
    pictures = {path.stem for path in (ROOT / "docs").glob("*.png")} - {"explorer"}
    assert pictures == draw.FIGURES.keys()


def committed() -> list[str]:
    """The figures whose files are in results/."""
    return [
        name
        for name, (_, tables) in draw.FIGURES.items()
        if all((ROOT / "results" / file).exists() for file in tables)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", committed())
def test_committed_files_are_small_and_can_be_drawn(name, tmp_path, capsys):
    for file in draw.FIGURES[name][1]:
        assert (ROOT / "results" / file).stat().st_size < 200_000
    status, _, err = run(draw, tmp_path, name, "--out_dir", tmp_path, capsys=capsys)
    assert (status, err) == (0, "")
    picture = drawing.pyplot().imread(tmp_path / f"{name}.png")
    assert len(np.unique(picture[..., :3].reshape(-1, 3), axis=0)) > 50


def copy_committed(results: Path) -> None:
    for name in ("copying_law.csv", "copying_law_fit.csv", "cluster_cost.csv"):
        shutil.copy(ROOT / "results" / name, results / name)


def test_missing_files(results, tmp_path, capsys):
    """If it is named, nothing is drawn; else the others are."""
    copy_committed(results)
    before = files_in(tmp_path)
    flags = ("--out_dir", tmp_path / "out")
    named = run(draw, results, "cluster_cost", "copying", *flags, capsys=capsys)
    assert_one_line(named, str(results / "copying.csv"), "missing", "copying cannot be drawn")
    assert_one_line(run(draw, results, "furd_word", *flags, capsys=capsys), "mean furd_words?")
    assert files_in(tmp_path) == before
    status, out, err = run(draw, results, *flags, capsys=capsys)
    assert (status, err) == (0, "")
    *missing, law_path, cost_path = out.splitlines()
    assert len(missing) == len(draw.FIGURES) - 2
    assert missing[0] == f"furd_dynamics is not drawn: {results / 'Furd_dynamics.csv'} missing"
    assert (Path(law_path).name, Path(cost_path).name) == ("copying_law.png", "cluster_cost.png")


DAMAGES = {
    "another header": (lambda text: text.replace("vocab", "vocabulary", 1), "vocab"),
    "no number": (lambda text: text.replace(",32,", ",3x2,", 1), "line 2: vocab cannot be '3x2'"),
    "cut in a row": (lambda text: text[:-30].rstrip(",.0123456789"), "columns, not 9"),
    "no row": (lambda text: text.split("\n")[0] + "\n", "damaged"),
    "empty": (lambda _: "", "is empty"),
    "a cell is missing": (lambda text: text.replace(",32,", ",,", 1), "damaged"),
    "a quote": (lambda text: text.replace("tokens", '"tokens', 1), "quote"),
    "zeros": (lambda text: text[:200] + "\0" * 100 + text[300:], ""),
    "not UTF-8": (lambda text: text.encode().replace(b"tokens", b"tok\xffens", 1), "utf-8"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files(damage, results, tmp_path, capsys):
    copy_committed(results)
    change, words_of_it = DAMAGES[damage]
    path = results / "copying_law.csv"
    changed = change(path.read_text())
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    before = files_in(tmp_path)
    for names in (["copying_law"], []):
        status, _, err = run(draw, results, *names, "--out_dir", tmp_path, capsys=capsys)
        assert status == 2 and len(err.splitlines()) == 1
        assert str(path) in err and words_of_it in err
    assert files_in(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("figure", ["dynamics", "sentence", "words"])
def test_half_a_file(figure, outputs, results, capsys):  # noqa: F811
    plot("classification", outputs, capsys)
    lines = (outputs / f"toy_{figure}.csv").read_text().splitlines(keepends=True)
    (file,) = draw.FIGURES[f"furd_{figure}"][1]
    path = results / file
    path.write_text("".join(lines[: len(lines) // 2]))
    found = run(draw, results, f"furd_{figure}", "--out_dir", results, capsys=capsys)
    assert_one_line(found, str(path), "damaged")
    assert list(results.iterdir()) == [path]
