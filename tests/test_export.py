"""export.py: what is written is read back as it stands in the dump."""

import csv
import json
import pickle
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_one_line, call_script, files_in, load
from test_explorer import ITERATIONS, RUNS, classification_outputs, translation_outputs
from test_figures import summary

from attention_dynamics.analysis import export
from attention_dynamics.analysis.pieces import whole_words
from attention_dynamics.analysis.ragged import Ragged
from attention_dynamics.analysis.sentences import Sentences
from attention_dynamics.classification.task import TASK
from attention_dynamics.files import storage
from attention_dynamics.translation.task import TASK as TRANSLATION
from attention_dynamics.translation.task import begins_word

COLUMNS = ("alpha", "beta", "grad")
KEYS = [(run, iteration) for run in RUNS for iteration in ITERATIONS]
TASKS = {"classification": (TASK, classification_outputs)}
TASKS["translation"] = (TRANSLATION, translation_outputs)

Columns = dict[tuple[str, tuple[str, int]], list[np.ndarray]]  # of each sentence


def call(folder: str, outputs: Path, *flags, capsys):
    script = partial(call_script, folder, "export.py", "--dataset", "toy")
    return script("--outputs_dir", outputs, "--out_dir", outputs / "out", *flags, capsys=capsys)


def written(folder: str, outputs: Path, name: str, *flags, capsys) -> Path:
    """Export in a format: its file."""
    status, _, err = call(folder, outputs, "--format", name, *flags, capsys=capsys)
    assert status == 0, err
    return outputs / "out" / export.FORMATS[name][0]


def columns_of(folder: str, dump: dict) -> Columns:
    sentences = TASKS[folder][0].sentences_of(dump)
    return {
        (name, key): [values[a:b] for a, b in zip(sentences.entries, sentences.entries[1:])]
        for name in COLUMNS
        for key, values in dump[name].items()
    }


def assert_equal(found: Columns, expected: Columns) -> None:
    """To the last bit, as float32."""
    assert found.keys() == expected.keys()
    for key, sentences in expected.items():
        for one, other in zip(found[key], sentences, strict=True):
            one = np.asarray(one, dtype=np.float32).ravel()
            np.testing.assert_array_equal(one, other)


@pytest.fixture(params=TASKS)
def folder(request) -> str:
    return request.param


@pytest.fixture
def dump(folder, tmp_path) -> dict:
    return TASKS[folder][1](tmp_path, rows=6)


class TestRoundTrip:
    def test_csv(self, folder, dump, tmp_path, capsys):
        with written(folder, tmp_path, "csv", capsys=capsys).open(newline="") as file:
            rows = list(csv.DictReader(file))
        found: Columns = {}
        sentences = TASKS[folder][0].sentences_of(dump)
        for row in rows:
            for name in COLUMNS:
                if row[name]:
                    of_key = found.setdefault(
                        (name, (row["run"], int(row["iteration"]))), [[] for _ in sentences.source]
                    )
                    of_key[int(row["sentence"])].append(float(row[name]))
        assert_equal(found, columns_of(folder, dump))

        numbers = {word: number for number, word in enumerate(dump["vocab"])}
        first = [row for row in rows if (row["run"], row["iteration"]) == (RUNS[0], "0")]
        names = ["token"] if folder == "classification" else ["source", "target"]
        for name, tokens in zip(names, sentences.words, strict=True):
            assert [numbers[row[name]] for row in first] == tokens.tolist()
        assert {row["split"] for row in rows} == set(sentences.splits)
        if folder == "classification":
            labels = np.repeat(sentences.labels, sentences.source.lengths)
            assert [int(row["label"]) for row in first] == labels.tolist()
        with (tmp_path / "out" / "checkpoints.csv").open(newline="") as file:
            metas = {
                (row["run"], int(row["iteration"]), name): float(row[name])
                for row in csv.DictReader(file)
                for name in row.keys() - {"run", "iteration"}
            }
        assert metas == dump["metas"]

    def test_npz(self, folder, dump, tmp_path, capsys):
        with np.load(written(folder, tmp_path, "npz", capsys=capsys)) as arrays:
            for name in COLUMNS:
                for (run, iteration), values in dump[name].items():
                    found = arrays[f"{name}/{run}/{iteration}"]
                    assert found.dtype == np.float32
                    np.testing.assert_array_equal(found, values)
            sentences = TASKS[folder][0].sentences_of(dump)
            assert arrays["vocab"].tolist() == dump["vocab"]
            np.testing.assert_array_equal(arrays["source"], sentences.source.values)
            np.testing.assert_array_equal(arrays["source_offsets"], sentences.source.offsets)
            np.testing.assert_array_equal(arrays["entries"], sentences.entries)
            if folder == "classification":
                np.testing.assert_array_equal(arrays["label"], sentences.labels)
            else:
                np.testing.assert_array_equal(arrays["target"], sentences.target.values)
            for (run, iteration, meta), value in dump["metas"].items():
                assert arrays[f"{meta}/{run}/{iteration}"] == value

    def test_jsonl(self, folder, dump, tmp_path, capsys):
        path = written(folder, tmp_path, "jsonl", capsys=capsys)
        found: Columns = {}
        sentences = TASKS[folder][0].sentences_of(dump)
        for number, line in enumerate(path.read_text("utf-8").splitlines()):
            sentence = json.loads(line)
            assert sentence["sentence"] == number
            tokens = [dump["vocab"][token] for token in sentences.source[number]]
            assert sentence["tokens"] == tokens
            if folder == "classification":
                assert sentence["label"] == sentences.labels[number]
            else:
                target = [dump["vocab"][token] for token in sentences.target[number]]
                assert sentence["target"] == target
            for checkpoint in sentence["checkpoints"]:
                key = (checkpoint.pop("run"), checkpoint.pop("iteration"))
                for name, values in checkpoint.items():
                    found.setdefault((name, key), []).append(values)
                    if folder == "translation":
                        assert np.shape(values) == (len(target), len(tokens))
        assert_equal(found, columns_of(folder, dump))

    def test_published(self, folder, dump, tmp_path, capsys):
        path = written(folder, tmp_path, "published", capsys=capsys)
        published = pickle.loads(path.read_bytes())
        assert published["metas"] == dump["metas"]
        assert list(published["data"]) == KEYS
        found: Columns = {}
        sentences = TASKS[folder][0].sentences_of(dump)
        for key, dicts in published["data"].items():
            for number, sentence in enumerate(dicts):
                tokens = [dump["vocab"][token] for token in sentences.source[number]]
                assert sentence["tokens"] == tokens
                label = sentence["label"]
                if folder == "classification":
                    assert label == sentences.labels[number]
                else:
                    assert label == [dump["vocab"][token] for token in sentences.target[number]]
                    assert sentence["alpha"].shape == (len(label), len(tokens))
                for name, column in {"alpha": "alpha", "beta": "beta", "gradient": "grad"}.items():
                    if name in sentence:
                        found.setdefault((column, key), []).append(sentence[name])
        assert_equal(found, columns_of(folder, dump))
        assert storage.load_pickle(path, "")["data"].keys() == published["data"].keys()

    def test_parquet(self, folder, dump, tmp_path, capsys):
        parquet = pytest.importorskip("pyarrow.parquet")
        table = parquet.read_table(written(folder, tmp_path, "parquet", capsys=capsys))
        with written(folder, tmp_path, "csv", capsys=capsys).open(newline="") as file:
            rows = list(csv.DictReader(file))
        for name in table.column_names:
            values = table[name].to_pylist()
            texts = [row[name] for row in rows]
            if name in COLUMNS:
                texts = [np.float32(text) if text else None for text in texts]
                assert values == texts
            else:
                assert [str(value) for value in values] == texts


def test_shortest_decimals():
    rng = np.random.default_rng(3)
    values = np.frombuffer(rng.bytes(400_000), np.float32)
    values = values[np.isfinite(values)]
    assert (export.shortest(values).astype(np.float32) == values).all()
    assert export.shortest(np.array([0.1, 1e-30, 2], np.float32)).tolist() == [0.1, 1e-30, 2]


def test_a_part(folder, dump, tmp_path, capsys):
    flags = ["--runs", "uniform", "NORMAL_A", "--iterations", "10,400", "--split", "val"]
    path = written(folder, tmp_path, "published", *flags, capsys=capsys)
    data = load(path)["data"]
    assert list(data) == [(run, it) for run in ("Uniform", "Normal_A") for it in (10, 400)]
    expected = columns_of(folder, dump)["alpha", ("Uniform", 400)]
    splits = dump["sentences"]["split"]
    assert len(data["Uniform", 400]) == (splits == "val").sum()
    for sentence, values in zip(data["Uniform", 400], expected):
        np.testing.assert_array_equal(sentence["alpha"].ravel(), values)
    if folder == "classification":  # numbers stay those of the whole dump
        flags[-1] = "train"
        lines = written(folder, tmp_path, "jsonl", *flags, capsys=capsys).read_text().splitlines()
        numbers = [json.loads(line)["sentence"] for line in lines]
        assert numbers == np.flatnonzero(splits == "train").tolist()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--runs", "Normal_Z"],
            "unknown run Normal_Z: did you mean normal_b? (known: Normal_A normal_b",
        ),
        (["--iterations", "7"], "--iterations: 7 was not evaluated; these were: 0,10,50,400"),
        (["--stats", "nowhere.pkl"], "nowhere.pkl is missing"),
        (["--outputs_dir", "nowhere"], "eval_dump.py --dataset toy"),
    ],
)
def test_what_is_not_there(tmp_path, capsys, flags, said):
    classification_outputs(tmp_path)
    before = files_in(tmp_path)
    assert_one_line(call("classification", tmp_path, *flags, capsys=capsys), said)
    assert files_in(tmp_path) == before


def test_a_split_that_is_not_there(tmp_path, capsys):
    translation_outputs(tmp_path)
    result = call("translation", tmp_path, "--split", "train", capsys=capsys)
    assert_one_line(result, "--split train: the dump of toy has no such sentences")


def test_parquet_without_pyarrow(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    classification_outputs(tmp_path)
    before = files_in(tmp_path)
    result = call("classification", tmp_path, "--format", "parquet", capsys=capsys)
    assert_one_line(result, 'run "pip install pyarrow"')
    assert files_in(tmp_path) == before


def test_curves(tmp_path, capsys):
    dump = classification_outputs(tmp_path)
    status, out, _ = call("classification", tmp_path, "--runs", "Normal_A", capsys=capsys)
    assert status == 0 and "no curves" in out
    results = {
        ("toy", "top 5% match", "val", "test_acc"): summary(dump=dump["id"]),
        ("SNS", "top 5% match", "val", "test_acc"): summary(),
    }
    storage.save_pickle(results, tmp_path / "stats.pkl")
    status, out, err = call("classification", tmp_path, "--runs", "Normal_A", capsys=capsys)
    assert (status, err) == (0, "")
    with (tmp_path / "out" / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    of_toy = summary()
    assert {row["dataset"] for row in rows} == {"toy"}
    for curve in ("alpha_corrs", "alpha_perfs", "alpha_corrs_std"):
        assert {int(row["iteration"]): float(row[curve]) for row in rows} == of_toy[curve]
    with (tmp_path / "out" / "levels.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["agr_unif"]) == of_toy["agr_unif"]


VOCAB = ["<pad>", "<s>", "</s>", "<unk>", "▁Fuß", "ball", "▁ein", "▁foot", "▁a", "▁"]


def plain_words(row: list[int]) -> list[list[int]]:
    """The places of the pieces of each word."""
    words: list[list[int]] = []
    for place, token in enumerate(row):
        if not words or VOCAB[token].startswith("▁") or VOCAB[token] in ("<s>", "</s>"):
            words.append([])
        words[-1].append(place)
    return words


def test_pieces_are_summed_to_words():
    source = [[1, 6, 4, 5, 2], [2], [5, 5, 4, 9, 3, 2], [1, 4, 5, 2]]
    target = [[8, 7, 5, 2], [7, 5, 5], [2], [5]]
    sentences = Sentences(
        Ragged.from_rows(source), np.array(["val"] * 4), target=Ragged.from_rows(target)
    )
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(size=sentences.entries[-1]) for name in (*COLUMNS, "other")}
    joined, vocab, combine = whole_words(sentences, VOCAB, begins_word)
    assert [vocab[token] for token in joined.source[0]] == ["<s>", "▁ein", "▁Fußball", "</s>"]
    assert [vocab[token] for token in joined.source[2]] == ["ballball", "▁Fuß", "▁<unk>", "</s>"]
    assert [vocab[token] for token in joined.target[0]] == ["▁a", "▁football", "</s>"]
    for name, values in columns.items():
        found, expected = combine(name, values), []
        for number, (s, t) in enumerate(zip(source, target)):
            matrix = values[slice(*sentences.entries[[number, number + 1]])].reshape(len(t), len(s))
            for rows in plain_words(t):
                for places in plain_words(s):
                    value = sum(matrix[row, place] for row in rows for place in places)
                    divisor = {"alpha": len(rows), "beta": len(places)}.get(name, 1)
                    expected.append(value / divisor)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, np.array(expected), rtol=1e-6, atol=1e-7)
        assert len(found) == joined.entries[-1]


def test_attention_of_words_stays_a_distribution(tmp_path, capsys):
    dump = translation_outputs(tmp_path)
    path = written("translation", tmp_path, "published", "--words", capsys=capsys)
    for sentence in load(path)["data"]["Normal_A", 400]:
        assert sentence["alpha"].shape == (len(sentence["label"]), len(sentence["tokens"]))
        np.testing.assert_allclose(sentence["alpha"].sum(axis=1), 1, rtol=1e-5)
    pieces = columns_of("translation", dump)["grad", ("Normal_A", 400)]
    for sentence, values in zip(load(path)["data"]["Normal_A", 400], pieces):
        assert sentence["gradient"].sum() == pytest.approx(values.sum(), abs=1e-4)
