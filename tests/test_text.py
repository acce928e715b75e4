"""Words, labels and names that UTF-8, a terminal or matplotlib cannot take, in every view."""

import csv
import json

import numpy as np
import pytest
from conftest import call_script, load
from test_comparison import compare_script, write_setting
from test_explorer import classification_outputs, read_page, save, translation_outputs

from attention_dynamics.classification.task import TASK
from attention_dynamics.files import storage
from attention_dynamics.text import printable, written_out
from attention_dynamics.translation.task import TASK as TRANSLATION
from attention_dynamics.views import drawing
from attention_dynamics.views.figures import FIGURES
from attention_dynamics.views.figures.figure import Material

HALF = "\ud83d"  # of an emoji, as a text cut in the middle has it
WORDS = [HALF, f"x{HALF}", "\udce9", "\x1b[31m", "$x", "us$$", "<b>y", "\u202ez", "two\nlines"]
OUTPUTS = {"classification": classification_outputs, "translation": translation_outputs}
TASKS = {"classification": TASK, "translation": TRANSLATION}


def test_printable():
    assert printable(f"{HALF}a\x1b[31mb\u202e\n\uffff") == "�a�[31mb���"
    plain = "naïve 😀 مى\u200cخواهم ₂ 中文 \xa0"
    assert printable(plain) == written_out(plain) == plain
    assert written_out(f"{HALF}a") == "\\ud83da"


def test_a_text_that_is_no_utf_8_is_saved(tmp_path):
    storage.save_text(f"a{HALF}\n", tmp_path / "text")
    storage.save_csv(["word"], [[HALF]], tmp_path / "table.csv")
    assert (tmp_path / "text").read_text() == "a\\ud83d\n"
    assert (tmp_path / "table.csv").read_text() == "word\n\\ud83d\n"


@pytest.fixture(params=OUTPUTS)
def folder(request) -> str:
    return request.param


@pytest.fixture
def dump(folder, tmp_path) -> dict:
    """Every word but the specials is from WORDS, made distinct by a number; so are the labels."""
    dump = OUTPUTS[folder](tmp_path)
    words = [f"{WORDS[i % len(WORDS)]}{i}" for i in range(len(dump["vocab"]) - 4)]
    dump["vocab"][4:] = words if folder == "classification" else ["▁" + word for word in words]
    if folder == "classification":
        dump["labels"] = [f"{HALF}$", "<b>$x"]
    beta = load(TASKS[folder].beta_path(tmp_path, "toy", 256))["beta"]
    save(tmp_path, dump, beta, "beta" if folder == "classification" else "translation")
    return dump


@pytest.mark.slow
def test_words(folder, dump, tmp_path, capsys):
    flags = ("--dataset", "toy", "--outputs_dir", tmp_path, "--min_count", 1)
    status, out, err = call_script(folder, "words.py", *flags, capsys=capsys)
    assert (status, err) == (0, "")
    assert "�" in out and "\x1b" not in out
    for name in ("toy_words.csv", "toy_word_means.csv"):
        rows = list(csv.reader((tmp_path / name).open(newline="", encoding="utf-8")))
        assert len({len(row) for row in rows}) == 1
    assert any("\\ud83d" in row[0] for row in rows)
    assert (tmp_path / "toy_words.png").stat().st_size > 10_000


@pytest.mark.slow
def test_figures(folder, dump):
    task = TASKS[folder]
    key = ("toy", "top 5% match", "val", task.performances["val"][0])
    material = Material(task, key, {}, dump, 0, [0])
    for figure in FIGURES.values():
        if not figure.from_results:
            style = drawing.STYLES["light"]
            with drawing.drawn_in(style, 6.9):
                figure.draw(figure.rows(material), style).canvas.draw()


def test_explorer(folder, dump, tmp_path, capsys):
    flags = ("--dataset", "toy", "--outputs_dir", tmp_path)
    status, _, err = call_script(folder, "explore.py", *flags, capsys=capsys)
    assert (status, err) == (0, "")
    data, _ = read_page(tmp_path / "toy_explorer.html")
    shown = {word for sentence in data["sentences"] for word in sentence["source"]}
    assert {printable(word) for word in shown} == shown


def test_exports(folder, dump, tmp_path, capsys):
    flags = ("--dataset", "toy", "--outputs_dir", tmp_path, "--out_dir", tmp_path)
    formats = ("--format", "csv", "npz", "jsonl", "published")
    status, _, err = call_script(folder, "export.py", *flags, *formats, capsys=capsys)
    assert (status, err) == (0, "")
    assert np.load(tmp_path / "columns.npz")["vocab"].tolist() == dump["vocab"]
    lines = (tmp_path / "sentences.jsonl").read_text(encoding="utf-8").splitlines()
    words = {word for line in lines for word in json.loads(line)["tokens"]}
    assert words <= set(dump["vocab"]) and any(HALF in word for word in words)
    with (tmp_path / "tokens.csv").open(newline="", encoding="utf-8") as file:
        column = "token" if folder == "classification" else "source"
        assert {row[column] for row in csv.DictReader(file)} == set(map(written_out, words))


def test_parquet(folder, dump, tmp_path, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    flags = ("--dataset", "toy", "--outputs_dir", tmp_path, "--out_dir", tmp_path)
    status, _, err = call_script(folder, "export.py", *flags, "--format", "parquet", capsys=capsys)
    assert (status, err) == (0, "")
    table = parquet.read_table(tmp_path / "tokens.parquet")
    column = "token" if folder == "classification" else "source"
    assert {*table[column].to_pylist()} <= set(map(written_out, dump["vocab"]))


@pytest.mark.slow
def test_comparing(tmp_path, capsys):
    vocab = ["<pad>", "<bos>", "<eos>", "<unk>", "a", "b", "c", "d"]
    settings = []
    for seed, name in enumerate(("one", "two")):
        settings.append(write_setting(tmp_path / name, seed, vocab=vocab))
        path = settings[-1] / "toy_logs.pkl"
        dump = load(path)
        dump["vocab"] = [*vocab[:4], *WORDS[:4]]
        storage.save_pickle(dump, path)
        baseline = TASK.beta_path(settings[-1], "toy", 256)
        storage.save_pickle(load(baseline) | {"vocab": dump["vocab"]}, baseline)
    flags = ("--outputs_dir", tmp_path, "--formats", "png", "--names", f"$x{HALF}", "<b>\x1b$")
    status, out, err = compare_script(*settings, *flags, capsys=capsys)
    assert (status, err) == (0, "")
    assert "$x�" in out and "\x1b" not in out
    (path,) = tmp_path.glob("*.csv")
    assert next(csv.DictReader(path.open(encoding="utf-8")))["name_a"] == "$x�"
