"""explore.py: what is in the page, and the page itself in headless Chromium."""

import base64
import contextlib
import csv
import io
import json
import math
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import assert_one_line, call_script, files_in, load_script
from test_dynamics import plain_metric

from attention_dynamics.analysis.columns import Column
from attention_dynamics.analysis.dynamics import summarize
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.metrics import METRICS
from attention_dynamics.analysis.ragged import offsets_of
from attention_dynamics.classification.task import TASK
from attention_dynamics.files import storage
from attention_dynamics.views import drawing, explorer
from attention_dynamics.views.figures.sentence import sentence_of

ITERATIONS = [0, 10, 50, 400]
RUNS = ["Normal_A", "normal_b", "Uniform"]
# words that would do something if they were put into a page as HTML
WORDS = [
    "</script><script>window.harm = 1</script>",
    "<!--",
    "<b>bold</b>",
    "&amp;",
    "\"'`${1}",
    "√",
]
GRAD_AT = {0, 50, 400}  # of Normal_A; not at 10

classification = partial(call_script, "classification", "explore.py", "--dataset", "toy")
translation = partial(call_script, "translation", "explore.py", "--dataset", "toy")


def softmax(logits: np.ndarray, ends: np.ndarray) -> np.ndarray:
    weights = np.exp(logits)
    lengths = np.diff(ends)
    return weights / np.repeat(np.add.reduceat(weights, ends[:-1]), lengths)


def columns(rng, ends, runs=RUNS, iterations=ITERATIONS, signed=True) -> dict:
    """α, β and Δ of every checkpoint: random, with more of a common part as training goes on."""
    common = rng.normal(size=ends[-1])
    found = {"alpha": {}, "beta": {}, "grad": {}}
    for name in runs:
        for at, it in enumerate(iterations):
            key = (name, it)
            beta = at * common + rng.normal(size=ends[-1])
            found["beta"][key] = (beta if signed else -np.exp(beta / 4)).astype(np.float32)
            logits = at * common + rng.normal(size=ends[-1])
            uniform = name.lower() == "uniform"
            found["alpha"][key] = softmax(logits * (not uniform), ends).astype(np.float32)
            if name == "Normal_A" and it in GRAD_AT:
                found["grad"][key] = (rng.normal(size=ends[-1]) ** 3 / 50).astype(np.float32)
    return found


def save(folder: Path, dump: dict, beta_px: np.ndarray, kind: str) -> None:
    storage.save_pickle(dump, folder / "toy_logs.pkl")
    baseline = {"beta": beta_px, "vocab": dump["vocab"], "settings": {}}
    storage.save_pickle(baseline, folder / f"toyembedding256{kind}.pkl")


def classification_outputs(folder: Path, rows=40, lengths=(3, 30), **options) -> dict:
    """A dump of ``rows`` test and as many training sentences, and β^px."""
    rng = np.random.default_rng(5)
    vocab = ["<pad>", "<bos>", "<eos>", "<unk>", *WORDS, *(f"word{i}" for i in range(50))]
    ends = offsets_of(rng.integers(*lengths, 2 * rows))
    tokens = rng.integers(3, len(vocab), ends[-1])
    tokens[ends[:-1]], tokens[ends[1:] - 1] = 1, 2
    found = columns(rng, ends, **options)
    dump = {
        "id": "an id",
        "settings": {"columns": {"alpha": 1, "beta": 1, "grad": 1}},
        "dataset": "toy",
        "vocab": vocab,
        "sentences": {
            "tokens": tokens.astype(np.int32),
            "offsets": ends,
            "target": rng.integers(0, 2, 2 * rows),
            "split": np.repeat(["val", "train"], rows),
        },
        "metas": {
            (*key, f"{split}_acc"): round(0.5 + 0.4 * rng.random(), 3)
            for key in found["alpha"]
            for split in ("test", "train")
        },
        "checkpoints": {key: "" for key in found["alpha"]},
        **found,
    }
    save(folder, dump, rng.normal(size=len(vocab)).astype(np.float32), "beta")
    return dump


def translation_outputs(folder: Path, rows=12) -> dict:
    """A dump of test pairs alone, and β^px."""
    rng = np.random.default_rng(6)
    vocab = ["<pad>", "<s>", "</s>", "<unk>", "▁der", "hund", "▁", *(f"▁{word}" for word in WORDS)]
    sides = {}
    for side in ("source", "target"):
        ends = offsets_of(rng.integers(3, 9, rows))
        tokens = rng.integers(3, len(vocab), ends[-1])
        tokens[ends[:-1]], tokens[ends[1:] - 1] = 1, 2
        sides |= {side: tokens.astype(np.int32), f"{side}_offsets": ends}
    n_source, n_target = (np.diff(sides[f"{side}_offsets"]) for side in ("source", "target"))
    distributions = offsets_of(np.repeat(n_source, n_target - 1))
    found = columns(rng, distributions, signed=False)
    dump = {
        "id": "an id",
        "settings": {"columns": {"alpha": 1, "beta": 1, "grad": 1}},
        "dataset": "toy",
        "vocab": vocab,
        "sentences": {**sides, "split": np.repeat(["val"], rows)},
        "metas": {
            (*key, meta): float(rng.integers(20, 90)) + 0.25
            for key in found["alpha"]
            for meta in ("val_acc", "val_bleu", "val_perplexity")
        },
        "checkpoints": {key: "" for key in found["alpha"]},
        **found,
    }
    beta_px = rng.random((len(vocab), len(vocab))).astype(np.float32)
    save(folder, dump, beta_px, "translation")
    return dump


def read_page(path: Path) -> tuple[dict, dict[str, bytes]]:
    """The data of a page, and its arrays as bytes."""
    page = path.read_text("utf-8")
    scripts = dict(re.findall(r'<script type="[^"]+" id="([^"]+)">([^<]*)</script>', page))
    data = json.loads(scripts.pop("page-data"))
    return data, {name: zlib.decompress(base64.b64decode(text)) for name, text in scripts.items()}


def values_of(data: dict, arrays: dict, column: str, run: int) -> np.ndarray:
    """A column of the page: float (iterations, entries)."""
    m = 2 ** (data["bits"] - 1) - 1
    roots = np.frombuffer(arrays[f"{column}-{run}"], explorer.WIDTHS[data["bits"]]) / m
    scales = np.array([[scale or 0.0] for scale in data["scales"][column][run]])
    return (np.sign(roots) * roots**2).reshape(len(scales), -1) * scales


def agreements_of(data: dict, arrays: dict, table: str) -> np.ndarray:
    """A table of agreements, (runs without uniform, iterations, ...), NaN where there is none."""
    values = np.frombuffer(arrays[table], "i1").astype(float)
    n = len(data["iterations"])
    shape = (len(data["runs"]) - 1, n, *([n] if table.startswith("pairs") else []), -1)
    return np.where(values == -128, np.nan, values / 100).reshape(shape)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def dump(outputs) -> dict:
    return classification_outputs(outputs)


@pytest.fixture
def pairs_dump(tmp_path) -> dict:
    return translation_outputs(tmp_path)


class TestPage:
    @pytest.fixture
    def page(self, outputs, dump, capsys):
        path = outputs / "toy_explorer.html"
        if not path.exists():
            status, out, err = classification("--outputs_dir", outputs, capsys=capsys)
            assert (status, err) == (0, "")
            assert out.startswith(f"{path}: 40 of 40 sentences, 3 runs, 4 iterations, ")
        return read_page(path)

    @pytest.mark.parametrize("column", ["alpha", "beta", "grad"])
    def test_columns_are_those_of_the_dump(self, page, dump, column):
        data, arrays = page
        assert data["bits"] == 16
        ends = dump["sentences"]["offsets"][:41]
        turn = np.repeat(2 * dump["sentences"]["target"][:40] - 1, np.diff(ends))
        for run, name in enumerate(RUNS):
            if column == "grad" and name != "Normal_A":
                assert f"grad-{run}" not in arrays
                assert data["scales"]["grad"][run] == [None] * 4
                continue
            values = values_of(data, arrays, column, run)
            for at, it in enumerate(ITERATIONS):
                if (name, it) not in dump[column]:
                    assert (column, it, data["scales"][column][run][at]) == ("grad", 10, None)
                    continue
                expected = dump[column][name, it][: ends[-1]] * (turn if column == "beta" else 1)
                assert np.abs(values[at] - expected).max() < 1e-4 * np.abs(expected).max()

    def test_sentences_labels_and_performance(self, page, dump):
        data, _ = page
        sentences = dump["sentences"]
        assert data["iterations"] == ITERATIONS
        assert data["runs"] == RUNS and data["labels"] == ["0", "1"]
        for row, sentence in enumerate(data["sentences"]):
            tokens = sentences["tokens"][slice(*sentences["offsets"][row : row + 2])]
            words = [dump["vocab"][token] for token in tokens]
            assert sentence["source"] == words
            assert sentence["text"] == " ".join(words[1:-1])
            assert (sentence["number"], sentence["label"]) == (row, sentences["target"][row])
        expected = [[dump["metas"][name, it, "test_acc"] for it in ITERATIONS] for name in RUNS]
        assert data["performance"] == {"test_acc": expected}

    @pytest.mark.parametrize(("number", "metric"), list(enumerate(METRICS)))
    def test_agreements_are_those_of_a_plain_loop_and_of_the_tables(
        self, page, dump, number, metric
    ):
        data, arrays = page
        measure = data["metrics"][number]
        assert measure["name"] == metric
        ends = dump["sentences"]["offsets"][:41]
        turn = 2 * dump["sentences"]["target"][:40] - 1
        accuracy = {it: dump["metas"]["Normal_A", it, "test_acc"] for it in ITERATIONS}
        best = max(ITERATIONS, key=accuracy.get)
        assert data["gold_iteration"] == best

        def expected(u, v, turn=turn):
            rows = zip(pairwise(ends), turn)
            return np.array([plain_metric(metric, u[a:b], v[a:b] * sign) for (a, b), sign in rows])

        gold, ones = dump["alpha"]["Normal_A", best], np.ones(40)
        pairs = agreements_of(data, arrays, f"pairs-{number}")
        golds = agreements_of(data, arrays, f"gold-{number}")
        for (run, name), (at, it) in product(enumerate(RUNS[:2]), enumerate(ITERATIONS)):
            alpha = dump["alpha"][name, it]
            with_gold = expected(gold, alpha, ones)
            assert np.abs(golds[run, at] - with_gold).max() < 6e-3
            assert measure["gold"][run][at] == pytest.approx(np.mean(with_gold), abs=1e-6)
            for other, beta_it in enumerate(ITERATIONS):
                of_pair = expected(alpha, dump["beta"]["Uniform", beta_it])
                assert np.abs(pairs[run, at, other] - of_pair).max() < 6e-3
                if other == at:
                    assert measure["same"][run][at] == pytest.approx(np.mean(of_pair), abs=1e-6)
                if (name, it) == ("Normal_A", best):
                    mean = measure["evidence"][other]
                    assert mean == pytest.approx(np.mean(of_pair), abs=1e-6)
        evidence = TASK.evidence_of(dump, {"px": np.zeros(100)}, "val", "test_acc")
        runs = RunNames.of(set(dump["alpha"]), "")
        summary = summarize(runs, evidence, METRICS[metric], TASK.levels)
        assert measure["level"] == max(measure["evidence"])
        assert measure["level"] == pytest.approx(summary["agr_unif"], abs=1e-6)
        assert measure["gold"][1] == pytest.approx(list(summary["alpha_corrs"].values()), abs=1e-6)
        shuffled = [max(1, math.ceil(n / 20)) / n for n in np.diff(ends)]
        chance = np.mean(shuffled) if number == 0 else 0.0
        assert measure["chance"] == pytest.approx(chance)

    def test_every_metric_of_the_table_is_there(self, page):
        data, arrays = page
        assert [metric["name"] for metric in data["metrics"]] == list(METRICS)
        assert [metric["binary"] for metric in data["metrics"]] == [True] + [False] * 3
        tables = {f"{kind}-{n}" for n in range(len(METRICS)) for kind in ("pairs", "gold")}
        assert tables <= set(arrays)

    def test_scores_speak_for_the_gold_label(self, page, dump):
        _, arrays = page
        scores = np.frombuffer(arrays["score"], "<f4").reshape(3, 4, 40)
        right = np.frombuffer(arrays["right"], np.int8).reshape(3, 4, 40)
        for run, name in enumerate(RUNS):
            for at, it in enumerate(ITERATIONS):
                alpha, beta = dump["alpha"][name, it], dump["beta"][name, it]
                for row, label in enumerate(dump["sentences"]["target"][:40]):
                    a, b = dump["sentences"]["offsets"][row : row + 2]
                    score = np.dot(alpha[a:b].astype(float), beta[a:b]) * (1 if label else -1)
                    assert scores[run, at, row] == pytest.approx(score, rel=1e-6)
                    assert right[run, at, row] == (score > 0)

    @pytest.fixture
    def page_of(self, outputs, dump, tmp_path, capsys):
        """The data and arrays of the page that flags make."""

        def make(*flags):
            out = tmp_path / "page.html"
            flags = ("--outputs_dir", outputs, "--out_file", out, *flags)
            assert classification(*flags, capsys=capsys)[0] == 0
            return read_page(out)

        return make

    def test_runs_sentences_split_and_seed(self, page_of, dump):
        data, arrays = page_of("--runs", "uniform", "--sentences", 7)
        assert data["runs"] == ["Normal_A", "Uniform"]  # these two are always there
        assert page_of("--runs", "NORMAL_B")[0]["runs"] == RUNS
        numbers = [sentence["number"] for sentence in data["sentences"]]
        assert len(numbers) == 7 and numbers == sorted(set(numbers))
        ends = dump["sentences"]["offsets"]
        expected = [dump["alpha"]["Normal_A", 50][ends[i] : ends[i + 1]] for i in numbers]
        found = values_of(data, arrays, "alpha", 0)[2]
        assert np.abs(found - np.concatenate(expected)).max() < 1e-4
        other, _ = page_of("--sentences", 7, "--seed", 2)
        assert numbers != [sentence["number"] for sentence in other["sentences"]]

    def test_a_number_is_the_same_sentence_in_the_figures(self, page_of, dump):
        train, _ = page_of("--split", "train")
        assert [sentence["number"] for sentence in train["sentences"]] == list(range(40, 80))
        assert list(train["performance"]) == ["train_acc"]
        for shown in train["sentences"][::13]:
            drawn = sentence_of(TASK, dump, shown["number"])
            assert drawn.source == shown["source"]
            assert f"sentence {shown['number']}" in drawn.title

    def test_sentences_by_number_and_by_text(self, page_of, page):
        chosen, arrays = page_of("--indices", "31,3,17")
        assert [sentence["number"] for sentence in chosen["sentences"]] == [3, 17, 31]
        whole, all_arrays = page
        found = agreements_of(chosen, arrays, "pairs-1")
        assert (found == agreements_of(whole, all_arrays, "pairs-1")[..., [3, 17, 31]]).all()
        found, _ = page_of("--text", "WORD1[0-9]$")
        wanted = [s["number"] for s in whole["sentences"] if re.search("word1[0-9]$", s["text"])]
        assert [sentence["number"] for sentence in found["sentences"]] == wanted
        assert 0 < len(wanted) < 40 and found["split_size"] == 40

    @pytest.mark.parametrize("metric", [[], ["spearman"]])
    def test_the_worst_sentences(self, page_of, dump, metric):
        data, _ = page_of("--worst", *metric, "--sentences", 9)
        ends, name = dump["sentences"]["offsets"][:41], (*metric, "top 5% match")[0]
        turn = 2 * dump["sentences"]["target"][:40] - 1
        gold = dump["alpha"]["Normal_A", data["gold_iteration"]]
        agreement = np.array(
            [
                [
                    plain_metric(name, gold[a:b], dump["beta"]["Uniform", it][a:b] * sign)
                    for (a, b), sign in zip(pairwise(ends), turn)
                ]
                for it in ITERATIONS
            ]
        )
        best = agreement[agreement.mean(axis=1).argmax()]
        worst = sorted(range(40), key=lambda i: (best[i], round(agreement[:, i].mean(), 9), i))[:9]
        assert [sentence["number"] for sentence in data["sentences"]] == sorted(worst)

    def test_sentences_too_long_for_a_page(self, page_of, dump, monkeypatch, capsys, page, outputs):
        monkeypatch.setattr(explorer, "LONGEST", 20)
        lengths = np.diff(dump["sentences"]["offsets"][:41])
        out = outputs / "short.html"
        result = classification("--outputs_dir", outputs, "--out_file", out, capsys=capsys)
        kept = np.flatnonzero(lengths <= 20)
        left_out = f"{40 - len(kept)} sentences are too long for a page, and left out"
        assert result[1].splitlines()[0] == left_out and 0 < len(kept) < 40
        data, arrays = read_page(out)
        assert [sentence["number"] for sentence in data["sentences"]] == kept.tolist()
        assert data["left_out"] == 40 - len(kept)
        whole = agreements_of(page[0], page[1], "pairs-0")[..., kept]
        assert (agreements_of(data, arrays, "pairs-0") == whole).all()
        mean = whole[0, ITERATIONS.index(data["gold_iteration"]), 1].mean()
        assert data["metrics"][0]["evidence"][1] == pytest.approx(mean, abs=1e-6)

    def test_a_sentence_of_100_000_tokens(self, tmp_path, capsys):
        classification_outputs(tmp_path, rows=2, lengths=(100_000, 100_001))
        result = classification("--outputs_dir", tmp_path, capsys=capsys)
        assert result[0] == 2 and "no sentence of --split val fits a page" in result[2]
        assert result[1].splitlines()[-1].startswith("2 sentences are too long")

    def test_label_names_and_more_than_two_labels(self, tmp_path, capsys):
        dump = classification_outputs(tmp_path, rows=5)
        for labels in (["bad", "good"], ["a", "b", "c"]):
            many = dump | {"labels": labels}
            if len(labels) > 2:  # such a dump has the logits of all labels
                logits = np.random.default_rng(1).normal(size=(10, 3)).astype(np.float32)
                many["score"] = {key: logits for key in dump["alpha"]}
                (tmp_path / "toyembedding256beta.pkl").unlink()  # it is of two labels
            storage.save_pickle(many, tmp_path / "toy_logs.pkl")
            assert classification("--outputs_dir", tmp_path, capsys=capsys)[0] == 0
            data, arrays = read_page(tmp_path / "toy_explorer.html")
            assert data["labels"] == labels
        gold = dump["sentences"]["target"][:5]
        chances = np.exp(logits[:5]) / np.exp(logits[:5]).sum(axis=1, keepdims=True)
        for score in np.frombuffer(arrays["score"], "<f4").reshape(-1, 5):
            p = 1 / (1 + np.exp(-score))
            assert p == pytest.approx(chances[range(5), gold], rel=1e-5)
        for right in np.frombuffer(arrays["right"], np.int8).reshape(-1, 5):
            assert (right == (logits[:5].argmax(axis=1) == gold)).all()

    def test_colours_are_those_of_the_figures(self):
        styles = getattr(drawing, "STYLES", None) or pytest.skip("figures have other colours")
        page = explorer.TEMPLATE.read_text("utf-8")
        stops = [hexes.split() for hexes in re.findall(r'(?:one|signed): "([^"]+)"', page)]
        looks = (styles["light"], styles["dark"])
        figures = [colours for look in looks for colours in (look.alpha, look.signed)]
        assert stops == [[colour.removeprefix("#") for colour in colours] for colours in figures]

    def test_without_the_word_baseline(self, outputs, dump, tmp_path, capsys):
        shutil.copy(outputs / "toy_logs.pkl", tmp_path)
        status, out, _ = classification("--outputs_dir", tmp_path, capsys=capsys)
        assert status == 0
        assert len(out.splitlines()) == 2 and "embedding_beta.py --dataset toy" in out
        data, arrays = read_page(tmp_path / "toy_explorer.html")
        assert "beta_px" not in arrays and "beta_px" not in data["scales"]

    @pytest.mark.parametrize(("limit", "bits", "count"), [(0.8, 8, 40), (0.4, 8, None)])
    def test_a_page_that_gets_too_large(
        self, outputs, page, monkeypatch, capsys, limit, bits, count
    ):
        """First the values get fewer bits, then there are fewer sentences."""
        whole = (outputs / "toy_explorer.html").stat().st_size
        fixed = len(explorer.TEMPLATE.read_bytes())
        limit = int(fixed + limit * (whole - fixed))
        monkeypatch.setattr(explorer, "LIMIT", limit)
        out = outputs / "small.html"
        assert classification("--outputs_dir", outputs, "--out_file", out, capsys=capsys)[0] == 0
        assert out.stat().st_size <= limit
        data, arrays = read_page(out)
        assert data["bits"] == bits
        found = len(data["sentences"])
        assert found == count if count else 0 < found < 40
        assert values_of(data, arrays, "alpha", 0).sum() == pytest.approx(4 * found, rel=0.05)

    def test_translation(self, pairs_dump, tmp_path, capsys):
        status, out, err = translation("--outputs_dir", tmp_path, capsys=capsys)
        assert (status, err) == (0, "") and "12 of 12 sentences" in out
        data, arrays = read_page(tmp_path / "toy_explorer.html")
        columns, vocab = pairs_dump["sentences"], pairs_dump["vocab"]
        entries = 0
        written = {"▁": "␣", "hund": "·hund", "▁der": "der", "<s>": "<s>", "</s>": "</s>"}
        written |= {f"▁{word}": word for word in WORDS} | {"<unk>": "<unk>"}
        px = storage.load_pickle(tmp_path / "toyembedding256translation.pkl", "")["beta"]
        expected_px = []
        for row, sentence in enumerate(data["sentences"]):
            source, target = (
                columns[side][slice(*columns[f"{side}_offsets"][row : row + 2])]
                for side in ("source", "target")
            )
            assert sentence["source"] == [written[vocab[token]] for token in source]
            assert sentence["target"] == [written[vocab[token]] for token in target[1:]]
            entries += len(source) * (len(target) - 1)
            expected_px += [px[s, t] for t in target[1:] for s in source]
        assert set(data["performance"]) == {"val_acc", "val_bleu"}
        for column in ("alpha", "beta", "grad"):
            values = values_of(data, arrays, column, 0)
            assert values.shape == (4, entries)
            expected = pairs_dump[column]["Normal_A", 50]
            assert np.abs(values[2] - expected).max() < 1e-4 * np.abs(expected).max()
        found = (np.frombuffer(arrays["beta_px"], "<i2") / 32767) ** 2 * data["scales"]["beta_px"]
        assert np.abs(found - expected_px).max() < 1e-4
        # the agreement of a sentence is the mean over its target tokens
        n_source, n_target = (np.diff(columns[f"{side}_offsets"]) for side in ("source", "target"))
        ends = offsets_of(np.repeat(n_source, n_target - 1))
        u, v = pairs_dump["alpha"]["normal_b", 50], pairs_dump["beta"]["Uniform", 50]
        rows = [plain_metric("kendall tau", u[a:b], v[a:b]) for a, b in pairwise(ends)]
        expected = [part.mean() for part in np.split(np.array(rows), np.cumsum(n_target - 1)[:-1])]
        found = agreements_of(data, arrays, "pairs-1")[1, 2, 2]
        assert np.abs(found - expected).max() < 6e-3
        assert "score" not in arrays and data["labels"] == []

    def test_text_of_pieces(self):
        show = load_script("translation", "explore").TASK.show
        pieces = ["<s>", "▁ein", "▁Hünd", "chen", "▁", "<unk>", "</s>"]
        assert show(pieces) == (
            ["<s>", "ein", "Hünd", "·chen", "␣", "<unk>", "</s>"],
            "ein Hündchen <unk>",
        )

    def test_nothing_comes_from_elsewhere(self, page, outputs):
        text = (outputs / "toy_explorer.html").read_text("utf-8")
        addresses = set(re.findall(r"https?://[^\s\"'<]*", text))
        assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}
        assert not re.search(r"<(script|img|iframe)[^>]* src=|@import|url\((?!#)", text)
        assert text.count("</script>") == text.count("<script")  # no word ends an element


@pytest.mark.parametrize("bits", [8, 16])
def test_quantize(bits):
    rng = np.random.default_rng(bits)
    m = 2 ** (bits - 1) - 1
    for values in (rng.normal(size=1000) ** 3, rng.random(1000) ** 9, np.zeros(3), -np.ones(2)):
        q, scale = explorer.quantize(values.astype(np.float32), bits)
        assert q.dtype == explorer.WIDTHS[bits]
        assert scale == np.abs(values.astype(np.float32)).max()
        back = np.sign(q) * (q / m) ** 2 * scale
        bound = np.sqrt(np.abs(values) * scale) / m + scale / (4 * m * m)
        assert (np.abs(back - values) <= bound * 1.001 + 1e-12).all()


class TestErrors:
    def test_no_dump(self, tmp_path, capsys):
        for script in (classification, translation):
            result = script("--outputs_dir", tmp_path, capsys=capsys)
            assert_one_line(result, "toy_logs.pkl is missing", "eval_dump.py --dataset toy")
        assert files_in(tmp_path) == {}

    def test_an_unknown_run(self, outputs, dump, tmp_path, capsys):
        out = tmp_path / "page.html"
        flags = ("--outputs_dir", outputs, "--out_file", out, "--runs", "Normal_Q")
        result = classification(*flags, capsys=capsys)
        assert_one_line(result, "unknown run Normal_Q", "Normal_A normal_b Uniform")
        assert not out.exists()

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (("--indices", "3,40,99"), "there is no sentence 40, 99 to show in --split val"),
            (("--indices", "3,x"), "is not a list"),
            (("--text", "no such text"), "no sentence of --split val matches"),
            (("--text", "("), "is no regular expression"),
            (("--worst", "cosine"), "invalid choice"),
        ],
    )
    def test_sentences_that_are_not_there(self, outputs, dump, tmp_path, capsys, flags, words):
        out = tmp_path / "page.html"
        flags = ("--outputs_dir", outputs, "--out_file", out, *flags)
        assert_one_line(classification(*flags, capsys=capsys), words)
        assert not out.exists()

    def test_no_training_sentences(self, pairs_dump, tmp_path, capsys):
        result = translation("--outputs_dir", tmp_path, "--split", "train", capsys=capsys)
        assert_one_line(result, "no training sentences", "--include_train_subset")
        assert not (tmp_path / "toy_explorer.html").exists()

    def test_columns_of_another_length(self, tmp_path, capsys):
        dump = classification_outputs(tmp_path, rows=5)
        dump["beta"]["Normal_A", 10] = dump["beta"]["Normal_A", 10][:-3]
        storage.save_pickle(dump, tmp_path / "toy_logs.pkl")
        result = classification("--outputs_dir", tmp_path, capsys=capsys)
        assert_one_line(result, "is damaged", "eval_dump.py --dataset toy")

    @pytest.mark.parametrize("empty", ["all", "target"])
    def test_no_sentences(self, tmp_path, capsys, empty):
        dump = classification_outputs(tmp_path, rows=5)
        if empty == "all":
            dump["sentences"] = {}
        else:
            dump["sentences"]["target"] = dump["sentences"]["target"][:0]
        storage.save_pickle(dump, tmp_path / "toy_logs.pkl")
        result = classification("--outputs_dir", tmp_path, capsys=capsys)
        assert_one_line(result, "is damaged", "eval_dump.py --dataset toy")

    def test_a_baseline_of_another_vocabulary(self, tmp_path, capsys):
        dump = classification_outputs(tmp_path, rows=5)
        other = {"beta": np.zeros(2), "vocab": dump["vocab"][:2], "settings": {}}
        storage.save_pickle(other, tmp_path / "toyembedding256beta.pkl")
        result = classification("--outputs_dir", tmp_path, capsys=capsys)
        assert_one_line(result, "another vocabulary", "embedding_beta.py --dataset toy")


# The page in a browser


FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic "
    "--no-first-run --disable-background-networking --disable-component-update --disable-sync "
    "--window-size=1300,900"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One headless Chromium for all tests; they are skipped where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs Debian's chromium and chromium-driver (chromium, chromedriver in PATH)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver)
    browser = webdriver.Chrome(options=options, service=service)
    browser.set_script_timeout(20)
    yield browser
    browser.quit()


class Page:
    """A page in the browser: what a reader sees of it, and does with it."""

    def __init__(self, browser, path: Path, link: str = ""):
        self.browser = browser
        browser.get("about:blank")  # only a new document reads the link of its address
        browser.get(f"{path.resolve().as_uri()}#{link}")
        browser.execute_async_script(
            """const done = arguments[0];
            const look = () => document.documentElement.dataset.ready || window.pageErrors?.length
              ? done() : setTimeout(look, 5);
            look();"""
        )

    def run(self, script: str, *values):
        return self.browser.execute_script(script, *values)

    def settled(self) -> None:
        """Wait for what an event has set going: reading a run's columns, and drawing."""
        self.browser.execute_async_script("update().then(() => setTimeout(arguments[0], 0))")

    def texts(self, css: str) -> list[str]:
        return self.run(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", css
        )

    def text(self, css: str) -> str:
        (text,) = self.texts(css)
        return text

    def choose(self, css: str, value: str | None = None) -> None:
        """Click an element, or set a field to a value as a user would."""
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.select import Select

        element = self.browser.find_element(By.CSS_SELECTOR, css)
        if value is None:
            self.run("arguments[0].click()", element)
        elif element.tag_name == "select":
            Select(element).select_by_value(value)
        else:
            element.clear()
            element.send_keys(value)
        self.settled()

    def press(self, *keys: str, on: str = "body") -> None:
        """Keys, by their name in selenium (ARROW_LEFT) or as they are (j)."""
        from selenium.webdriver.common.by import By
        from selenium.webdriver.common.keys import Keys

        for key in keys:
            target = (
                self.browser.find_element(By.CSS_SELECTOR, on)
                if on != "active"
                else self.browser.switch_to.active_element
            )
            target.send_keys(getattr(Keys, key, key))
            self.settled()

    def darkness(self, css: str = "#alpha .word") -> np.ndarray:
        """255 minus the mean of the background's red, green and blue, of each element."""
        colours = self.run(
            "return [...document.querySelectorAll(arguments[0])].map("
            "(e) => getComputedStyle(e).backgroundColor)",
            css,
        )
        return np.array(
            [255 - np.mean([int(n) for n in re.findall(r"\d+", c)[:3]]) for c in colours]
        )

    def listed(self) -> list[int]:
        """The numbers of the sentences in the list, as it stands."""
        return [
            int(re.match(r"#(\d+)", text)[1])
            for text in self.texts("#list .facts span:first-child")
        ]

    @property
    def iteration(self) -> int:
        return self.iteration_of("alpha")

    def iteration_of(self, panel: str) -> int:
        text = self.text(f"#{panel} label b")
        return int(text.removeprefix("iteration ").replace(",", ""))

    @property
    def sentence(self) -> int:
        return int(re.match(r"Sentence (\d+)", self.text("#sentence-title"))[1])


@contextlib.contextmanager
def opened(browser, path: Path) -> Iterator[Page]:
    """The page, whose scripts are to end without an error."""
    browser.get_log("browser")
    page = Page(browser, path)
    yield page
    assert page.run("return window.pageErrors") == []
    assert browser.get_log("browser") == []
    assert page.run("return window.harm") is None


def go_to(page: Page, iteration: int, panel: str = "alpha") -> None:
    keys = ["ARROW_RIGHT"] * ITERATIONS.index(iteration)
    page.press("HOME", *keys, on=f"#{panel}-slider")
    assert page.iteration_of(panel) == iteration


def number(text: str) -> float:
    return float(text.replace("−", "-"))


COLOURS = """return [...document.querySelectorAll(arguments[0])].map(
    (e) => getComputedStyle(e).backgroundColor.match(/[0-9]+/g).map(Number))"""


@pytest.mark.slow
class TestClassificationInBrowser:
    @pytest.fixture
    def path(self, outputs, dump, capsys) -> Path:
        path = outputs / "in_browser.html"
        if not path.exists():
            flags = ("--outputs_dir", outputs, "--out_file", path)
            assert classification(*flags, capsys=capsys)[0] == 0
        return path

    @pytest.fixture
    def page(self, browser, path):
        with opened(browser, path) as page:
            yield page

    @staticmethod
    def row(dump, column: str, name: str, iteration: int, sentence: int) -> np.ndarray:
        a, b = dump["sentences"]["offsets"][sentence : sentence + 2]
        return dump[column][name, iteration][a:b]

    @staticmethod
    def turn(dump, sentence: int) -> int:
        return 2 * dump["sentences"]["target"][sentence] - 1

    def test_words_are_text(self, page, dump):
        columns = dump["sentences"]
        page.choose("#values summary")
        seen = set()
        for sentence in range(40):
            assert page.sentence == sentence
            tokens = columns["tokens"][slice(*columns["offsets"][sentence:][:2])]
            words = [dump["vocab"][token] for token in tokens]
            assert page.texts("#alpha .word") == page.texts("#uniform .word") == words
            assert page.texts("#values tbody th") == words
            seen |= set(words)
            page.press("j")
        assert page.sentence == 39 and set(WORDS) <= seen
        assert page.run("return document.querySelectorAll('main script, main b.bold').length") == 0
        count = page.run("return document.querySelectorAll('#alpha .cells *').length")
        assert count == len(words) + 1

    def test_it_begins_with_the_pair_of_the_tables(self, page, dump):
        accuracy = {it: dump["metas"]["Normal_A", it, "test_acc"] for it in ITERATIONS}
        evidence = TASK.evidence_of(dump, {"px": np.zeros(100)}, "val", "test_acc")
        runs = RunNames.of(set(dump["alpha"]), "")
        level = summarize(runs, evidence, METRICS["top 5% match"], TASK.levels)["agr_unif"]
        assert page.iteration == max(ITERATIONS, key=accuracy.get)
        assert f"over all 40 sentences: {level:.2f}" in page.text("#answer")
        titles = page.texts("#main-panels h3")
        assert titles == ["α, attention of Normal_A (gold)", "βᵘᶠ, evidence of Uniform"]

    @pytest.mark.parametrize("run", [0, 1])
    def test_the_answer_for_any_pair_of_iterations(self, page, dump, run):
        page.choose("#run", str(run))
        for metric, alpha_it, beta_it, sentence in (
            ("top 5% match", 0, 400, 0),
            ("top 5% match", 400, 400, 1),
            ("spearman", 400, 50, 2),
            ("kendall tau", 10, 0, 3),
        ):
            page.choose("#metric", str(list(METRICS).index(metric)))
            go_to(page, alpha_it)
            go_to(page, beta_it, "uniform")
            page.run(f"setSentence({sentence})")
            page.settled()
            alpha = self.row(dump, "alpha", RUNS[run], alpha_it, sentence)
            beta = self.row(dump, "beta", "Uniform", beta_it, sentence) * self.turn(dump, sentence)
            expected = plain_metric(metric, alpha, beta)
            answer = page.text("#answer")
            if metric == "top 5% match":
                said = "match" if expected else "no match"
                assert f"This sentence: {said} (top 5% match)" in answer
            else:
                said = number(re.search(r"This sentence: (\S+) \(", answer)[1])
                assert said == pytest.approx(expected, abs=0.0051)
            rank = 1 + (beta > beta[alpha.argmax()]).sum()
            assert f"it is number {rank} of {len(alpha)} tokens" in answer
            every = [
                plain_metric(
                    metric,
                    self.row(dump, "alpha", RUNS[run], alpha_it, i),
                    self.row(dump, "beta", "Uniform", beta_it, i) * self.turn(dump, i),
                )
                for i in range(40)
            ]
            mean = number(re.search(r"sentences[^:]*: (\S+),", answer)[1])
            assert mean == pytest.approx(np.mean(every), abs=0.0101)

    def test_sliders_linked_and_not(self, page):
        go_to(page, 50)
        go_to(page, 10, "uniform")
        assert page.iteration == 50
        page.choose("#linked")
        assert page.iteration_of("uniform") == 50
        page.press("ARROW_RIGHT", on="#uniform-slider")
        assert page.iteration == page.iteration_of("uniform") == 400
        page.press("s", "[")
        assert (page.iteration, page.iteration_of("uniform")) == (400, 50)
        page.press("]", "ARROW_LEFT")
        assert (page.iteration, page.iteration_of("uniform")) == (50, 400)

    @pytest.mark.parametrize("scale", ["figures", "training", "iteration"])
    def test_the_slider_moves_the_shading(self, page, dump, scale):
        page.choose("#scale", scale)
        shades = []
        for iteration in ITERATIONS:
            go_to(page, iteration)
            alpha = self.row(dump, "alpha", "Normal_A", iteration, 0)
            darkness = page.darkness()
            assert darkness.argmax() == alpha.argmax()
            outlined = "return [...document.querySelectorAll('.top')].map((e) => e.place.token)"
            assert page.run(outlined) == [alpha.argmax()] * 2
            assert (np.diff(darkness[alpha.argsort()]) >= -2).all()  # two steps of a colour
            shades.append(tuple(darkness))
            accuracy = dump["metas"]["Normal_A", iteration, "test_acc"]
            assert f"accuracy {accuracy:.3f}" in page.text("#alpha label")
        assert len(set(shades)) == len(ITERATIONS)
        if scale == "iteration":  # the darkest is the scale's end in each
            assert np.ptp([max(shade) for shade in shades]) == 0

    def test_brown_speaks_for_the_label_and_violet_against_it(self, page, dump):
        go_to(page, 400)
        go_to(page, 50, "uniform")
        page.choose("#more summary")
        panels = {
            "#uniform": self.row(dump, "beta", "Uniform", 50, 0) * self.turn(dump, 0),
            "#more .panel:nth-child(1)": self.row(dump, "beta", "Normal_A", 400, 0)
            * self.turn(dump, 0),
            "#more .panel:nth-child(2)": self.row(dump, "grad", "Normal_A", 400, 0),
        }
        for panel, values in panels.items():
            strong = np.abs(values) > 0.05 * np.abs(values).max()
            colours = np.array(page.run(COLOURS, f"{panel} .word"))
            for value, (red, _, blue) in zip(values[strong], colours[strong]):
                assert (value > 0) == (red > blue)
            against = page.text(f"{panel} .legend span:first-child")
            largest = np.abs(values).max()
            assert against.startswith("against the gold label")
            assert number(against.split()[-1]) == pytest.approx(-largest, rel=0.01)

    def test_values_in_the_tooltip_and_the_table(self, page, dump):
        from selenium.webdriver import ActionChains
        from selenium.webdriver.common.by import By

        page.choose("#values summary")
        go_to(page, 50)
        go_to(page, 10, "uniform")
        word = page.browser.find_elements(By.CSS_SELECTOR, "#uniform .word")[2]
        ActionChains(page.browser).move_to_element(word).perform()
        turn = self.turn(dump, 0)
        expected = [
            self.row(dump, "alpha", "Normal_A", 50, 0)[2],
            turn * self.row(dump, "beta", "Uniform", 10, 0)[2],
            turn * self.row(dump, "beta", "Normal_A", 50, 0)[2],
            self.row(dump, "grad", "Normal_A", 50, 0)[2],
        ]
        for cells in ("#tip td:last-child", "#values tbody tr:nth-child(3) td"):
            shown = [number(text) for text in page.texts(cells)]
            assert shown[:4] == pytest.approx(expected, rel=0.05, abs=1e-4)
            assert len(shown) == 5
        signs = ["α", "βᵘᶠ", "β", "Δ", "βᵖˣ"]
        assert page.texts("#tip td:first-child") == page.texts("#values thead th")[1:] == signs
        marked = page.run(
            "return [...document.querySelectorAll('.here')].map((e) => e.place.token)"
        )
        assert marked == [2, 2]
        for name, it in (("Normal_A", 50), ("Uniform", 10)):
            alpha, beta = (self.row(dump, column, name, it, 0) for column in ("alpha", "beta"))
            p = 1 / (1 + np.exp(-turn * np.dot(alpha.astype(float), beta)))
            said = f"p(label {dump['sentences']['target'][0]}) {p:.3f}"
            assert f"{said} ({name})" in page.texts("#tip div")
            assert f"{name}, iteration {it}, {said}" in page.text("#values caption")

    def test_other_seeds_fold_out(self, page, dump):
        page.choose("#seeds summary")
        go_to(page, 400)
        go_to(page, 50, "uniform")
        assert page.texts("#seeds h3") == ["α, attention of normal_b"]
        alpha = self.row(dump, "alpha", "normal_b", 400, 0)
        assert page.darkness("#seeds .word").argmax() == alpha.argmax()
        beta = self.row(dump, "beta", "Uniform", 50, 0) * self.turn(dump, 0)
        said = "match" if plain_metric("top 5% match", alpha, beta) else "no match"
        assert page.text("#seeds .panel-head span") == f"A(α, βᵘᶠ): {said}"
        page.choose("#run", "1")
        assert page.texts("#seeds h3") == ["α, attention of Normal_A (gold)"]
        assert page.darkness().argmax() == alpha.argmax()
        accuracy = dump["metas"]["normal_b", 400, "test_acc"]
        assert f"accuracy {accuracy:.3f}" in page.text("#alpha label")

    def test_delta_only_where_it_was_computed(self, page):
        page.choose("#more summary")
        go_to(page, 10)
        assert "Δ was not computed at this iteration." in page.texts("#more .legend")
        assert set(page.darkness("#more .panel:nth-child(2) .word")) == {255}  # transparent
        go_to(page, 50)
        assert "not computed" not in page.text("#more")
        page.choose("#run", "1")
        assert not any("Δ" in title for title in page.texts("#more h3"))

    def test_a_column_that_is_added_to_the_table(self, browser, tmp_path):
        dump = classification_outputs(tmp_path, rows=5)
        keys = [("Normal_A", 0), ("Normal_A", 50)]
        dump["rollout"] = {key: 10 * dump["alpha"][key] - 1 for key in keys}
        storage.save_pickle(dump, tmp_path / "toy_logs.pkl")
        rollout = Column("ρ", r"\rho", 1, lambda _: None, compared=True)
        task = replace(TASK, columns=TASK.columns | {"rollout": rollout})
        flags = ["--dataset", "toy", "--outputs_dir", str(tmp_path)]
        explorer.explore(explorer.parser("", __file__, task).parse_args(flags), task)
        with opened(browser, tmp_path / "toy_explorer.html") as page:
            page.choose("#more summary")
            page.choose("#values summary")
            go_to(page, 50)
            assert "ρ, the column “rollout” of Normal_A (gold)" in page.texts("#more h3")
            shown = [number(x) for x in page.texts("#values td:nth-child(6)")]
            expected = self.row(dump, "rollout", "Normal_A", 50, 0)
            assert shown == pytest.approx(expected, rel=0.05, abs=1e-3)
            go_to(page, 10)
            assert "ρ was not computed at this iteration." in page.texts("#more .legend")

    def test_label_names(self, browser, tmp_path, capsys):
        dump = classification_outputs(tmp_path, rows=5)
        labels = ["bad", "<b>good</b>"]
        storage.save_pickle(dump | {"labels": labels}, tmp_path / "toy_logs.pkl")
        assert classification("--outputs_dir", tmp_path, capsys=capsys)[0] == 0
        with opened(browser, tmp_path / "toy_explorer.html") as page:
            name = labels[dump["sentences"]["target"][0]]
            assert f"· {name}" in page.text("#sentence-title")
            assert page.texts("#label option")[1:] == labels
            assert f"p({name})" in page.text("#alpha label")

    def test_a_link_restores_what_is_seen(self, browser, page, path):
        page.choose("#run", "1")
        page.choose("#metric", "2")
        go_to(page, 10)
        go_to(page, 400, "uniform")
        page.choose("#scale", "iteration")
        page.choose("#search", "word1")
        page.choose("#sort", "uniform-low")
        page.choose("#seeds summary")
        page.choose("#list li:nth-child(4)")
        look = """return [document.querySelector("main").innerText,
            ...[...document.querySelectorAll(".cells")].map((box) => box.innerHTML)]"""
        seen, address = page.run(look), page.run("return location.href")
        assert "run=normal_b" in address and "metric=spearman" in address
        again = Page(browser, Path(path), address.partition("#")[2])
        assert again.run(look) == seen
        again.run("location.hash = '#sentence=7&alpha=50&uniform=50&linked=1&open='")
        again.settled()
        assert (again.sentence, again.iteration, again.iteration_of("uniform")) == (7, 50, 50)
        assert again.run("return document.querySelector('#seeds').open") is False
        again.run("location.hash = '#sentence=4000&run=harm&alpha=x&sort=y&row=-3'")
        again.settled()
        assert again.sentence == 7 and "4000 is not in this page" in again.text("#spoken")
        assert again.run("return state.row") == 0

    def test_the_view_as_csv_and_svg(self, browser, page, dump, tmp_path):
        browser.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
        )
        go_to(page, 400)
        go_to(page, 50, "uniform")
        page.choose("#seeds summary")

        def download(what: str) -> str:
            page.choose(f"#{what}")
            file = tmp_path / f"toy_sentence{page.sentence}_view.{what}"
            for _ in range(200):
                if file.exists():
                    break
                time.sleep(0.02)
            return file.read_text("utf-8")

        for sentence in range(3):
            lines = list(csv.DictReader(io.StringIO(download("csv"), newline="")))
            turn = self.turn(dump, sentence)
            tokens = slice(*dump["sentences"]["offsets"][sentence:][:2])
            words = [dump["vocab"][token] for token in dump["sentences"]["tokens"][tokens]]
            assert [line["token"] for line in lines] == words
            assert {line["sentence"] for line in lines} == {str(sentence)}
            for column, name, it, sign in (
                ("alpha", "Normal_A", 400, 1),
                ("alpha", "normal_b", 400, 1),
                ("beta", "Uniform", 50, turn),
                ("beta", "Normal_A", 400, turn),
                ("grad", "Normal_A", 400, 1),
            ):
                found = [float(line[f"{column} {name} {it}"]) for line in lines]
                expected = sign * self.row(dump, column, name, it, sentence)
                assert found == pytest.approx(expected, abs=1e-3 * float(np.abs(expected).max()))
            root = ElementTree.fromstring(download("svg"))
            texts = [
                "".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")
            ]
            assert f"toy, sentence {sentence} (val)" in texts[0]
            at = [
                texts.index(title)
                for title in (
                    "α, attention of Normal_A (gold), iteration 400",
                    "βᵘᶠ, evidence of Uniform, iteration 50",
                    "α, attention of normal_b, iteration 400",
                )
            ]
            for start in at:
                assert texts[start + 1 : start + 1 + len(words)] == words
            page.press("j")

    def test_every_metric_can_be_chosen(self, page):
        assert page.texts("#metric option") == list(METRICS)
        go_to(page, 10)
        shown = set()
        for i, name in enumerate(METRICS):
            page.choose("#metric", str(i))
            mean = page.run(f"return metrics[{i}].gold[0][{ITERATIONS.index(10)}]")
            (all_now, *_) = page.texts("#chart-gold .chart-values b")
            assert number(all_now) == pytest.approx(mean, abs=0.006)
            shown.add(mean)
            assert f"{name}: {METRICS[name].help}" in page.text("#method")
        assert len(shown) == len(METRICS)

    def test_filters(self, page, dump):
        columns, vocab = dump["sentences"], dump["vocab"]
        texts = [
            " ".join(vocab[token] for token in columns["tokens"][a + 1 : b - 1])
            for a, b in pairwise(columns["offsets"][:41])
        ]
        assert page.listed() == list(range(40))
        page.choose("#search", "WORD1")
        expected = [i for i, text in enumerate(texts) if "word1" in text]
        assert page.listed() == expected and 0 < len(expected) < 40
        assert page.text("#count") == f"{len(expected)} of 40 sentences"
        page.choose("#label", "1")
        expected = [i for i in expected if columns["target"][i] == 1]
        assert page.listed() == expected
        page.choose("#search", "no such text")
        assert page.listed() == []
        page.run("arguments[0].value = ''", page.browser.find_element("id", "search"))
        page.choose("#label", "")
        for wanted, iteration in (("wrong", 0), ("right", 0), ("right", 400)):
            page.choose("#prediction", wanted)
            go_to(page, iteration)
            expected = []
            for i in range(40):
                alpha, beta = (
                    self.row(dump, c, "Normal_A", iteration, i) for c in ("alpha", "beta")
                )
                right = (np.dot(alpha.astype(float), beta) > 0) == (columns["target"][i] == 1)
                if right == (wanted == "right"):
                    expected.append(i)
            assert page.listed() == expected and 0 < len(expected) < 40

    def test_sorting(self, page, dump):
        lengths = np.diff(dump["sentences"]["offsets"][:41])
        page.choose("#sort", "long")
        assert page.listed() == sorted(range(40), key=lambda i: -lengths[i])
        page.choose("#sort", "short")
        assert page.listed() == sorted(range(40), key=lambda i: lengths[i])
        page.choose("#metric", "1")
        for alpha_it, beta_it in ((0, 0), (50, 400)):
            go_to(page, alpha_it)
            go_to(page, beta_it, "uniform")
            tau = []
            for i in range(40):
                alpha = self.row(dump, "alpha", "Normal_A", alpha_it, i)
                beta = self.row(dump, "beta", "Uniform", beta_it, i) * self.turn(dump, i)
                tau.append(plain_metric("kendall tau", alpha, beta))
            page.choose("#sort", "uniform-low")
            found = [tau[i] for i in page.listed()]
            assert sorted(page.listed()) == list(range(40))
            assert (np.diff(found) >= -0.0101).all()  # they are in hundredths
            shown = page.texts("#list .facts span:last-child")
            assert [number(text) for text in shown] == pytest.approx(found, abs=0.0051)
            page.choose("#sort", "uniform-high")
            assert (np.diff([tau[i] for i in page.listed()]) <= 0.0101).all()
        page.choose("#sort", "number")
        assert page.listed() == list(range(40))

    def test_curves_and_their_marker(self, page, dump):
        marker = "#chart-gold svg .now"
        places = []
        for iteration in ITERATIONS:
            go_to(page, iteration)
            places.append(
                float(page.run(f"return document.querySelector('{marker}').getAttribute('x1')"))
            )
            all_now = page.texts("#chart-gold .chart-values b")[0]
            means = page.run("return metrics[0].gold[0]")
            assert float(all_now) == pytest.approx(means[ITERATIONS.index(iteration)], abs=0.006)
        assert np.allclose(np.diff(places), np.diff(places)[0], atol=0.01) and places[0] < places[1]
        dots = page.run("return document.querySelectorAll('#chart-evidence .dot').length")
        assert dots == len(ITERATIONS)
        # a click on a chart goes to its checkpoint
        from selenium.webdriver import ActionChains

        chart = page.browser.find_element("css selector", "#chart-performance svg")
        ActionChains(page.browser).move_to_element(chart).move_by_offset(
            -chart.size["width"] // 2 + 34, 0
        ).click().perform()
        page.settled()
        assert page.iteration == ITERATIONS[0]
        go_to(page, 400, "uniform")
        chart = page.browser.find_element("css selector", "#chart-evidence svg")
        ActionChains(page.browser).move_to_element(chart).move_by_offset(
            -chart.size["width"] // 2 + 34, 0
        ).click().perform()
        page.settled()
        assert page.iteration_of("uniform") == ITERATIONS[0]

    def test_keys(self, page):
        start = ITERATIONS.index(page.iteration)
        page.press(*["ARROW_LEFT"] * 5)
        assert page.iteration == ITERATIONS[0]
        page.press("ARROW_RIGHT", "ARROW_RIGHT")
        assert page.iteration == ITERATIONS[2] and 0 <= start < 4
        page.press("ARROW_LEFT", on="#alpha-slider")
        assert page.iteration == ITERATIONS[1]
        for keys, sentence in ((["j", "j"], 2), (["k"], 1), (["ARROW_DOWN"], 2), (["ARROW_UP"], 1)):
            page.press(*keys)
            assert page.sentence == sentence
        page.press("ARROW_DOWN", on="#list")
        assert page.sentence == 2 and page.iteration == ITERATIONS[1]
        selected = page.run("return document.querySelector('#list [aria-selected=true]').id")
        assert selected == page.run(
            "return document.querySelector('#list').getAttribute('aria-activedescendant')"
        )
        page.press("/")
        page.press("j", on="active")  # is text here
        assert page.sentence == 2
        assert page.run("return document.querySelector('#search').value") == "j"
        page.press("ESCAPE", on="active")
        # from word to word
        page.press("ARROW_RIGHT", "ARROW_RIGHT", on="#uniform .cells")
        assert page.iteration == ITERATIONS[1]
        words = page.texts("#alpha .word")
        assert page.texts(".word.here") == [words[1]] * 2
        assert page.text("#spoken").startswith(f"{words[1]}: α ")
        page.press("ESCAPE", on="active")
        assert page.texts(".word.here") == []

    def test_all_controls_are_reached_by_tab_with_visible_focus(self, page):
        reached = set()
        for _ in range(40):
            page.press("TAB", on="active")
            name, visible = page.run(
                """const e = document.activeElement;
                const name = e.id || e.parentElement.id + " " + (e.className || e.tagName);
                return [e === document.body ? "BODY" : name, getComputedStyle(e).outlineStyle];"""
            )
            if name == "BODY":
                break
            assert visible != "none", name
            reached.add(name)
        wanted = {"search", "label", "prediction", "sort", "list", "run", "metric", "scale"}
        wanted |= {"play", "linked", "alpha-slider", "uniform-slider", "next", "link", "svg", "csv"}
        wanted |= {"alpha cells", "uniform cells", "seeds SUMMARY", "more SUMMARY"}
        assert wanted <= reached
        unnamed = page.run(
            """const all = [...document.querySelectorAll("input, select, button, [tabindex]")];
            return all.filter((e) =>
              !e.labels?.length && !e.getAttribute("aria-label") && !e.textContent).length"""
        )
        assert unnamed == 0

    def test_play(self, page):
        go_to(page, 0)
        page.press("p")
        page.browser.execute_async_script(
            """const done = arguments[0];
            const ended = () => state.alpha === iterations.length - 1 && !timer;
            const look = () => ended() ? done() : setTimeout(look, 20);
            look();"""
        )
        assert page.iteration == ITERATIONS[-1] and page.text("#play") == "Play"

    def test_dark_scheme_and_narrow_window(self, page):
        def emulate(command, **values):
            page.browser.execute_cdp_cmd(f"Emulation.{command}", values)
            page.browser.execute_async_script(  # the page hears of it with the next frame
                "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
            )
            page.settled()

        light = page.darkness()
        feature = {"name": "prefers-color-scheme"}
        emulate("setEmulatedMedia", features=[feature | {"value": "dark"}])
        dark = page.darkness()
        assert dark.argmin() == light.argmax()  # what stands out is light on dark
        emulate("setEmulatedMedia", features=[feature | {"value": "light"}])
        assert (page.darkness() == light).all()
        emulate(
            "setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=False
        )
        wide = page.run("return document.documentElement.scrollWidth")
        emulate("clearDeviceMetricsOverride")
        assert wide <= 360


@pytest.mark.slow
class TestTranslationInBrowser:
    @pytest.fixture
    def page(self, browser, pairs_dump, tmp_path, capsys):
        assert translation("--outputs_dir", tmp_path, capsys=capsys)[0] == 0
        with opened(browser, tmp_path / "toy_explorer.html") as page:
            yield page

    @staticmethod
    def map_of(dump, column, name, iteration, sentence) -> np.ndarray:
        n_source, n_target = (
            np.diff(dump["sentences"][f"{side}_offsets"]) for side in ("source", "target")
        )
        starts = offsets_of(n_source * (n_target - 1))
        values = dump[column][name, iteration][starts[sentence] : starts[sentence + 1]]
        return values.reshape(n_target[sentence] - 1, n_source[sentence])

    def test_map(self, page, pairs_dump):
        for sentence in range(12):
            assert page.sentence == sentence
            data = page.run(
                "return [sentences[state.sentence].source, sentences[state.sentence].target]"
            )
            for panel in ("#alpha", "#uniform"):
                heads = [page.texts(f"{panel} thead th div"), page.texts(f"{panel} tbody th")]
                assert heads == data
            for iteration in (0, 400):
                go_to(page, iteration)
                expected = self.map_of(pairs_dump, "alpha", "Normal_A", iteration, sentence)
                darkness = page.darkness("#alpha td").reshape(expected.shape)
                assert darkness.argmax() == expected.argmax()
                assert np.corrcoef(darkness.ravel(), expected.ravel())[0, 1] > 0.9
            page.press("j")
        assert page.text("#alpha label").count("BLEU") == 1

    def test_evidence_is_brown_above_the_mean_of_its_row(self, page, pairs_dump):
        go_to(page, 50, "uniform")
        beta = self.map_of(pairs_dump, "beta", "Uniform", 50, 0)
        centred = beta - beta.mean(axis=1, keepdims=True)
        centred /= np.abs(centred).max(axis=1, keepdims=True)  # as sentence.py draws it
        red, _, blue = np.array(page.run(COLOURS, "#uniform td")).T.reshape(3, *beta.shape)
        strong = np.abs(centred) > 0.05
        assert ((centred > 0) == (red > blue))[strong].all()
        darkness = page.darkness("#uniform td").reshape(beta.shape)
        ends = np.abs(centred).argmax(axis=1)
        assert (darkness[range(len(beta)), ends] >= darkness.max(axis=1) - 60).all()

    def test_the_view_as_csv_and_svg(self, page, pairs_dump):
        go_to(page, 400)
        go_to(page, 50, "uniform")
        lines = list(csv.DictReader(io.StringIO(page.run("return viewAsCsv()"), newline="")))
        for column, name, it in (("alpha", "Normal_A", 400), ("beta", "Uniform", 50)):
            expected = self.map_of(pairs_dump, column, name, it, 0)
            found = [float(line[f"{column} {name} {it}"]) for line in lines]
            assert np.array(found).reshape(expected.shape) == pytest.approx(
                expected, abs=1e-3 * float(np.abs(expected).max())
            )
        svg = ElementTree.fromstring(page.run("return viewAsSvg()"))
        n_rect = len(list(svg.iter("{http://www.w3.org/2000/svg}rect")))
        assert n_rect == 2 * len(lines) + 3  # cells, two scales, the background

    def test_keys_in_the_map(self, page, pairs_dump):
        go_to(page, 50)
        page.choose("#values summary")
        page.press("ARROW_RIGHT", "ARROW_RIGHT", "ARROW_DOWN", on="#alpha .cells")
        places = page.run("return [...document.querySelectorAll('td.here')].map((e) => e.place)")
        assert places == [{"row": 1, "token": 1}] * 2
        alpha = self.map_of(pairs_dump, "alpha", "Normal_A", 50, 0)[1, 1]
        assert number(page.texts("#tip td:last-child")[0]) == pytest.approx(alpha, rel=0.05)
        assert len(page.texts("#values tbody tr")) == len(page.texts("#alpha thead th div"))
        row = page.texts("#values td:nth-child(2)")
        expected = self.map_of(pairs_dump, "alpha", "Normal_A", 50, 0)[1]
        assert [number(text) for text in row] == pytest.approx(expected, abs=1e-3)

    def test_search_in_both_languages_and_no_labels(self, page):
        texts = page.run("return sentences.map((s) => [s.text, s.translation])")
        word = next(word for word in texts[3][1].split() if word.isalnum() or word in WORDS)
        page.choose("#search", word)
        expected = [i for i, pair in enumerate(texts) if word.lower() in " ".join(pair).lower()]
        assert set(expected) <= set(page.listed())
        hidden = page.run(
            "return ['label', 'prediction'].map((i) => document.getElementById(i).offsetHeight)"
        )
        assert hidden == [0, 0]


def share_of_a_core() -> float:
    """How much of a core's time this process gets, when it asks for all of it."""
    wall, cpu = time.perf_counter(), time.process_time()
    while time.process_time() < cpu + 0.2:
        pass
    return (time.process_time() - cpu) / (time.perf_counter() - wall)


@pytest.mark.slow
def test_200_sentences_22_checkpoints_7_runs(browser, tmp_path, capsys):
    """Under 20 MB, and open in under two seconds, the best of three.

    The page's own clock says so, except where other processes take the time: then the processor
    time of the page's thread does.
    """
    runs = ["Normal_A", *(f"Normal_{letter}" for letter in "BCDEF"), "uniform"]
    classification_outputs(
        tmp_path, rows=200, lengths=(10, 120), runs=runs, iterations=list(range(22))
    )
    out = classification("--outputs_dir", tmp_path, capsys=capsys)[1]
    assert "200 of 200 sentences, 7 runs, 22 iterations" in out
    path = tmp_path / "toy_explorer.html"
    assert path.stat().st_size < 20_000_000
    walls, threads = [], []
    for _ in range(3):
        browser.get("about:blank")
        browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        with opened(browser, path) as page:
            metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            threads.append(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))
            walls.append(page.run("return performance.getEntriesByName('ready')[0].startTime"))
            assert len(page.listed()) == 200
        browser.execute_cdp_cmd("Performance.disable", {})
    assert 0 < min(threads) < 2
    if share_of_a_core() > 0.8:
        assert min(walls) < 2000
