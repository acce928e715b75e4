"""probe.py: own sentences through checkpoints, with the numbers of the dumps."""

import io
import json
import re
import shutil
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import assert_one_line, call_script, load, load_script, write_json, write_list

from attention_dynamics.analysis.metrics import METRICS
from attention_dynamics.analysis.ragged import Ragged
from attention_dynamics.classification import model as classifier
from attention_dynamics.classification import probe as classification_probe
from attention_dynamics.cli import InputError
from attention_dynamics.files import storage
from attention_dynamics.training.runs import run_folder
from attention_dynamics.translation import model as translator
from attention_dynamics.translation import probe as translation_probe
from attention_dynamics.translation.data import load_dataset
from attention_dynamics.translation.datasets import DATASETS
from attention_dynamics.translation.decoding import beam_search
from attention_dynamics.views import probe as view

SIZES = {
    "classification": {"h_dim": 8, "intermediate_dim": 4, "embed_dim": 6, "b_size": 32},
    "translation": {"h_dim": 8, "dropout": 0.5, "n_layers": 2, "b_size": 64},
}
BUILD = {"classification": classifier.build, "translation": translator.build}
VOCAB = {"classification": 214, "translation": DATASETS["toy"].vocab_size}
ITERATIONS = (0, 5, 40)
RUNS = [("Normal_A", 20, False), ("normal_b", 13, False), ("Uniform", 12, True)]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Both tasks' toy data, and random models in place of trained ones."""
    root = tmp_path_factory.mktemp("probe")
    for task, sizes in SIZES.items():
        folder = root / task
        write_json(folder / "configs" / "model.json", sizes)
        write_list(folder / "configs" / "toy.json", ITERATIONS, RUNS)
        argv = ["prepare_data.py", "--dataset", "toy", "--data_dir", str(folder / "data")]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", argv)
            load_script(task, "prepare_data").main()
        for _, seed, uniform in RUNS:
            torch.manual_seed(seed)
            run = run_folder(folder / "models", "toy", sizes, seed, uniform)
            run.mkdir(parents=True)
            for iteration in ITERATIONS:
                model = BUILD[task](sizes, VOCAB[task], uniform)
                for parameter in model.parameters():
                    parameter.data *= 3  # so that attention is not flat
                torch.save(model.state_dict(), run / f"model{iteration}")
            (run / "model").write_bytes(b"the best, which has no number")
    load_dataset(root / "translation" / "data", "toy")  # trains its SentencePiece model
    return root


def flags(root: Path, task: str, *more: str) -> list[str]:
    folder = root / task
    paths = [f"--{name}_dir={folder / name}" for name in ("data", "models", "configs")]
    return ["--dataset=toy", f"--config={folder / 'configs' / 'model.json'}", *paths, *more]


@pytest.fixture
def classification(root, capsys):
    call = partial(call_script, "classification", "probe.py", capsys=capsys)
    return lambda *more: call(*flags(root, "classification", *more))


@pytest.fixture
def translation(root, capsys):
    call = partial(call_script, "translation", "probe.py", capsys=capsys)
    return lambda *more: call(*flags(root, "translation", *more))


@pytest.fixture(scope="module")
def saved(root):
    return classification_probe.open_runs("toy", root / "classification")


@pytest.fixture(scope="module")
def saved_translation(root):
    return translation_probe.open_runs("toy", root / "translation")


def evaluated(root: Path, task: str, outputs: Path, capsys) -> dict:
    """The dump of ``eval_dump.py``."""
    more = [f"--outputs_dir={outputs}"]
    status, _, err = call_script(task, "eval_dump.py", *flags(root, task, *more), capsys=capsys)
    assert status == 0, err
    return load(outputs / "toy_logs.pkl")


class TestNumbers:
    def test_classification_gives_those_of_the_dump(self, root, saved, tmp_path, capsys):
        dump = evaluated(root, "classification", tmp_path, capsys)
        raw = json.loads((root / "classification" / "data" / "toy_test.json").read_text())["XY"]
        words = json.loads((root / "classification" / "data" / "toy_train.json").read_text())
        rows = range(12)
        for row in rows:
            text = " ".join(words["vocab"][word] for word in raw[row][0])
            label = raw[row][1]
            (found,) = classification_probe.read(saved, [text], label, ["normal_a", "uniform"])
            start, end = dump["sentences"]["offsets"][[row, row + 1]]
            assert found.label == label == dump["sentences"]["target"][row]
            assert found.tokens == [
                dump["vocab"][t] for t in dump["sentences"]["tokens"][start:end]
            ]
            for key in [(name, it) for name in ("Normal_A", "Uniform") for it in ITERATIONS]:
                alpha, beta = (dump[name][key][start:end] for name in ("alpha", "beta"))
                sign = 2 * label - 1
                assert np.allclose(found.alpha[key], alpha, atol=1e-6)
                assert np.allclose(found.beta[key], sign * beta, atol=1e-5)
                p = 1 / (1 + np.exp(-sign * (alpha.astype(float) * beta).sum()))
                assert found.p[key] == pytest.approx(p, abs=1e-5)
                if key in dump["grad"]:
                    assert np.allclose(found.delta[key], dump["grad"][key][start:end], atol=1e-6)
        assert {name for name, _ in dump["grad"]} == {"Normal_A"}

    def test_translation_gives_those_of_the_dump(self, root, saved_translation, tmp_path, capsys):
        dump = evaluated(root, "translation", tmp_path, capsys)
        folder = root / "translation" / "data" / "toy"
        sources, targets = (
            (folder / f"val.{side}").read_text().splitlines() for side in ("src", "trg")
        )
        saved, losses = saved_translation, {}
        n_source, n_target = (
            np.diff(dump["sentences"][f"{side}_offsets"]) for side in ("source", "target")
        )
        ends = np.cumsum([0, *(n_source * (n_target - 1))])
        rows = [0, 3, 7]
        found = translation_probe.read(
            saved, [sources[row] for row in rows], [targets[row] for row in rows], ["Normal_A"]
        )
        for row, reading in zip(rows, found):
            shape = (n_target[row] - 1, n_source[row])
            for iteration in ITERATIONS:
                key = ("Normal_A", iteration)
                for name, column in (("alpha", reading.alpha), ("beta", reading.beta)):
                    expected = dump[name][key][ends[row] : ends[row + 1]].reshape(shape)
                    assert np.allclose(column[key], expected, atol=2e-6), (name, key)
                expected = dump["grad"][key][ends[row] : ends[row + 1]].reshape(shape)
                assert np.allclose(reading.delta[key], expected, atol=1e-6)
                assert reading.p[key].shape == (shape[0],)
                losses[row, iteration] = -np.log(reading.p[key]).sum()
        _, source = translation_probe.tokenize(saved.dataset, [sources[3]])
        _, target = translation_probe.tokenize(saved.dataset, [targets[3]])
        model = saved.load("Normal_A", 40)
        tensors = [torch.from_numpy(x) for x in (source.values, source.lengths)]
        tensors += [torch.from_numpy(x) for x in (target.values, target.lengths)]
        assert losses[3, 40] == pytest.approx(model.losses(*tensors).sum().item(), rel=1e-5)

    def test_own_translation_is_that_of_the_beam_search(self, saved_translation):
        (reading,) = translation_probe.read(saved_translation, ["bela gimo dila"])
        _, source = translation_probe.tokenize(saved_translation.dataset, ["bela gimo dila"])
        (tokens,), _ = beam_search(
            saved_translation.load("Normal_A", 40),
            torch.from_numpy(source.values),
            torch.from_numpy(source.lengths),
        )
        assert reading.translation == saved_translation.dataset.pieces.decode(tokens)
        assert reading.target[-1] == "</s>" and len(reading.target) == len(tokens) + 1

    def test_gold_label_is_the_prediction_at_the_last_checkpoint(self, saved):
        texts = ["superb tole", "bland", "bala dela kala superb moving"]
        readings = classification_probe.read(saved, texts, iterations=[0, 5])
        _, tokens = classification_probe.tokenize(saved.dataset, texts)
        model = saved.load("Normal_A", 5)
        score = model(torch.from_numpy(tokens.values), torch.from_numpy(tokens.lengths)).score
        assert [reading.label for reading in readings] == (score > 0).long().tolist()
        assert all(reading.p["Normal_A", 5][0] > 0.5 for reading in readings)

    @pytest.mark.parametrize("label", ["positive", 1, "1"])
    def test_a_label_is_a_name_or_a_number(self, saved, label):
        (reading,) = classification_probe.read(saved, ["bland"], label, iterations=[0])
        assert reading.label == 1


class TestWords:
    def test_unknown_ones_stand_beside_unk(self, saved):
        (reading,) = classification_probe.read(saved, ["Superb frobnicate, <b>"], iterations=[0])
        assert reading.tokens == ["<bos>", "superb", "<unk>", "<unk>", "<unk>", "<eos>"]
        assert reading.words[1:5] == ["superb", "frobnicate <unk>", ", <unk>", "<b> <unk>"]

    def test_unknown_pieces_stand_beside_unk(self, saved_translation):
        (reading,) = translation_probe.read(saved_translation, ["bela hugo"], iterations=[0])
        assert reading.words == ["<s>", "bela", "hugo <unk>", "</s>"]

    def test_tokenizer_and_labels_of_the_data_are_used(self, root, tmp_path):
        folder = root / "classification"
        raw = json.loads((folder / "data" / "toy_train.json").read_text())
        # torchtext's "moses" (sacremoses) keeps capitals
        raw |= {"tokenizer": "moses", "labels": ["worse", "better"]}
        write_json(tmp_path / "toy_train.json", raw)
        (tmp_path / "toy_test.json").write_bytes((folder / "data" / "toy_test.json").read_bytes())
        saved = classification_probe.open_runs("toy", folder, data_dir=tmp_path)
        (reading,) = classification_probe.read(saved, ["Superb superb"], "better", iterations=[0])
        assert reading.words == ["<bos>", "Superb <unk>", "superb", "<eos>"]
        assert reading.label == 1


class TestCheckpoints:
    def test_runs_and_iterations_are_those_on_the_disk(self, saved):
        assert saved.names == ["Normal_A", "normal_b", "Uniform"]
        assert saved.iterations(saved.names) == list(ITERATIONS)
        assert saved.choose() == [(n, it) for n in ("Normal_A", "Uniform") for it in ITERATIONS]
        assert saved.choose(["NORMAL_B"], [5]) == [("normal_b", 5)]
        assert saved.load("uniform", 5).uniform

    def test_weights_are_those_of_the_file(self, root, saved):
        folder = root / "classification" / "models"
        path = run_folder(folder, "toy", SIZES["classification"], 13, False) / "model5"
        for name, tensor in saved.load("Normal_B", 5).state_dict().items():
            assert torch.equal(tensor, torch.load(path)[name])

    def test_a_renamed_one_is_refused(self, root, tmp_path):
        models = tmp_path / "models"
        shutil.copytree(root / "classification" / "models", models)
        run = run_folder(models, "toy", SIZES["classification"], 13, False)
        build = BUILD["classification"]
        model = build(SIZES["classification"], VOCAB["classification"], False)
        of = {"step": 7, "seed": 13, "uniform": False}
        storage.save_torch(model.state_dict(), run / "model5", of)
        saved = classification_probe.open_runs("toy", root / "classification", models_dir=models)
        with pytest.raises(InputError, match="model5 is of step 7, not 5"):
            saved.load("Normal_B", 5)

    def test_those_of_other_settings_are_refused(self, root, tmp_path):
        sizes = SIZES["classification"]
        model = BUILD["classification"](sizes, VOCAB["classification"], False)
        run = run_folder(tmp_path, "toy", sizes, 20, False)
        run.mkdir(parents=True)
        torch.save(model.state_dict(), run / "model0")
        write_json(run / "run.json", {"settings": {**sizes, "data": "other"}, "steps": 1})
        saved = classification_probe.open_runs("toy", root / "classification", models_dir=tmp_path)
        with pytest.raises(InputError, match="data"):
            classification_probe.read(saved, ["bland"])


class TestTerminal:
    def test_classification(self, classification):
        status, out, err = classification("--text", "tole superb", "--text", "bland zzz")
        assert status == 0, err
        assert "\x1b" not in out  # not a terminal
        lines = out.splitlines()
        assert lines[0] == "tole superb"
        assert re.fullmatch(
            r"gold label \(the prediction of Normal_A at 40\): (positive|negative)", lines[1]
        )
        assert [line for line in lines if line in ("Normal_A", "Uniform")] == [
            *("Normal_A", "Uniform"),
            *("Normal_A", "Uniform"),
        ]
        (unknown, *_) = [line for line in lines if line.startswith("zzz <unk>")]
        assert len(re.findall(r"[\d.e+-]+", unknown.removeprefix("zzz <unk>"))) == 3 * 3
        assert out.count("α  ") == 2  # not of the uniform run

    def test_translation(self, translation):
        status, out, err = translation("--text", "bela gimo", "--target", "puri sufa")
        assert status == 0, err
        assert out.splitlines()[:2] == ["bela gimo", "target (given): puri sufa"]
        assert out.count("α at 40") == 1 and out.count("β at 40") == out.count("Δ at 40") == 2

    def test_sentences_may_come_from_standard_input(self, classification, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.StringIO("tole superb\n\n  bland \n"))
        status, out, _ = classification("--runs", "normal_b", "--iterations", "5")
        assert status == 0
        assert out.splitlines().count("normal_b") == 2
        assert "\nbland\ngold label" in out

    def test_what_is_not_utf_8(self, classification, monkeypatch, tmp_path):
        page = tmp_path / "page.html"
        status, out, err = classification("--text", "caf\udce9 superb", "--html", str(page))
        assert (status, err) == (0, "")
        assert out.startswith("caf� superb\n") and "caf� superb" in page.read_text()
        stdin = io.TextIOWrapper(io.BytesIO(b"caf\xe9 superb\n"), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stdin)
        assert classification("--html", str(page)) == (status, out, err)

    def test_a_target_that_is_not_utf_8(self, translation):
        status, out, err = translation("--text", "w1 w2", "--target", "caf\udce9")
        assert (status, err) == (0, "") and "caf\udce9" not in out

    def test_color(self, classification):
        _, plain, _ = classification("--text", "superb", "--color", "never")
        _, colored, _ = classification("--text", "superb", "--color", "always")
        without = re.sub(r"\x1b\[[\d;]*m", "", colored)
        tables = plain[: plain.index("Each column")]
        assert without.startswith(tables.rstrip().split("\n\n")[0])
        assert "\x1b[38;5;16;48;5;" in colored
        numbers = re.findall(r"\d\.\d{3}|\de-\d\d", plain)
        assert re.findall(r"\d\.\d{3}|\de-\d\d", without) == numbers

    @pytest.mark.parametrize(
        ("terminal", "no_color", "expected"),
        [(True, "", True), (True, "1", False), (False, "", False)],
    )
    def test_auto_color(self, classification, monkeypatch, terminal, no_color, expected):
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
        _, out, _ = classification("--text", "superb")
        assert ("\x1b[" in out) == expected

    def test_what_a_terminal_would_obey_is_not_printed(self, classification):
        _, out, _ = classification("--text", "superb \x1b[31m\x07film", "--color", "never")
        assert "\x1b" not in out and "\x07" not in out

    def test_tables_wrap_at_the_width(self):
        block = view.Block(
            "α", ["a", "日本"], ["0", "10"], np.array([[0.1, 0.9], [0.2, 0]]), 0, 0.9
        )
        together = list(view.table_lines([block, block], 80, False))
        apart = list(view.table_lines([block, block], 20, False))
        assert len(together) == 4 and len(apart) == 8
        assert apart[:4] == apart[4:]
        assert together[2] == "a     0.100 0.900   0.100 0.900"
        assert together[3] == "日本  0.200 0.000   0.200 0.000"

    def test_shares_of_the_scale(self):
        signed = view.Block("β", ["a"], ["0"], np.zeros((1, 1)), -4, 4)
        assert [signed.share(value) for value in (-4, -1, 0, 2)] == [-1, -0.25, 0, 0.5]
        between = view.Block("β", ["a"], ["0"], np.zeros((1, 1)), -8, 0)
        assert [between.share(value) for value in (-8, -2, 0)] == [0, 0.75, 1]
        flat = view.Block("α", ["a"], ["0"], np.zeros((1, 1)), 0, 0)
        assert flat.share(0.0) == 0


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]


class TestPage:
    HARM = "<script>harm()</script> <b>\"superb'</b> &amp;"

    def test_classification(self, classification, tmp_path):
        path = tmp_path / "page.html"
        status, out, _ = classification("--text", self.HARM, "--html", str(path))
        assert status == 0 and out.splitlines()[-1] == str(path)
        self.check(path, tables=1 + 3 + 1 + 2)

    def test_translation(self, translation, tmp_path):
        path = tmp_path / "page.html"
        status, _, _ = translation("--text", self.HARM, "--target", self.HARM, "--html", str(path))
        assert status == 0
        self.check(path, tables=1 + 3 * 3 + 1 + 2 * 3)

    def check(self, path: Path, tables: int) -> None:
        """What was typed is text; nothing is fetched; all tables are there."""
        text = path.read_text("utf-8")
        tags = Tags()
        tags.feed(text)
        assert not {"script", "b", "img", "iframe", "object"} & set(tags.tags)
        assert tags.links == ["data:,"]
        assert (
            "url(" not in text and "@import" not in text and "http" not in text.split("<body>")[1]
        )
        assert "&lt;script&gt;harm" in text
        assert tags.tags.count("table") == tables
        assert "default-src 'none'" in text and 'name="viewport"' in text
        assert not re.search(r"@\w+@", text)


class TestBadInput:
    @pytest.mark.parametrize(
        ("more", "words"),
        [
            (["--text", ""], ["no words"]),
            (["--text", "a", "--label", "good"], ["no label good", "0 negative", "1 positive"]),
            (["--text", "a", "--runs", "Normal_Z"], ["unknown run Normal_Z", "Uniform"]),
            (["--text", "a", "--iterations", "7"], ["Normal_A has no checkpoint 7", "0 5 40"]),
            (["--text", "a", "--iterations", "x"], ["not a list of steps"]),
            (["--text", "a", "--models_dir", "nowhere"], ["no checkpoints in", "nowhere"]),
            (["--text", "a", "--data_dir", "nowhere"], ["prepare_data.py --dataset toy"]),
        ],
    )
    def test_one_line_says_what_is_wrong(self, classification, tmp_path, more, words):
        page = tmp_path / "page.html"
        assert_one_line(classification(*more, "--html", str(page)), *words)
        assert not page.exists()

    def test_no_sentence(self, classification, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n \n"))
        assert_one_line(classification(), "no sentence", "--text")

    def test_targets_and_sentences_differ_in_number(self, translation):
        result = translation("--text", "bela", "--text", "gimo", "--target", "puri")
        assert_one_line(result, "2 sentences have 1 targets")

    def test_empty_target(self, translation):
        assert_one_line(translation("--text", "bela", "--target", " "), "empty")


class TestAgreementOfOthers:
    """The metrics on padded arrays, such as the attention of another library's models."""

    @pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
    def test_it_is_the_mean_of_the_plain_metric(self, metric):
        rng = np.random.default_rng(3)
        u, v = rng.random((2, 4, 3, 9, 9))  # (sentences, heads, queries, tokens)
        mask = np.arange(9) < np.array([9, 5, 2, 7])[:, None]
        queries = mask[:, None, :, None] & mask[:, None, None, :]
        ragged = [Ragged.from_padded(values, queries) for values in (u, v)]
        rows = [
            metric.plain(u[s, h, q, mask[s]], v[s, h, q, mask[s]])
            for s in range(4)
            for h in range(3)
            for q in np.flatnonzero(mask[s])
        ]
        assert len(ragged[0]) == len(rows) == 3 * mask.sum()
        assert metric.agreement(*ragged) == pytest.approx(np.nanmean(rows), abs=1e-12)

    def test_rows_of_different_lengths_are_refused(self):
        u, v = (Ragged.from_rows(rows) for rows in ([[1, 2], [3]], [[1], [2, 3]]))
        with pytest.raises(ValueError, match="differ in length"):
            METRICS["top 5% match"].agreement(u, v)

    def test_from_padded(self):
        padded = np.arange(12).reshape(2, 2, 3)
        ragged = Ragged.from_padded(padded, np.array([[[1, 1, 0]], [[0, 0, 0]]]))
        assert [list(row) for row in ragged] == [[0, 1], [3, 4]]
        mask = np.array([[True, False, True], [True, True, True]])
        ragged = Ragged.from_padded(padded, mask[:, None])
        assert [list(row) for row in ragged] == [[0, 2], [3, 5], [6, 7, 8], [9, 10, 11]]

    def test_attention_of_a_hugging_face_model(self):
        transformers = pytest.importorskip("transformers")
        torch.manual_seed(0)
        config = transformers.BertConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
        )
        model = transformers.AutoModel.from_config(config, attn_implementation="eager").eval()
        lengths = torch.tensor([12, 30, 21])
        mask = torch.arange(30) < lengths[:, None]
        tokens = torch.randint(config.vocab_size, mask.shape)
        with torch.no_grad():
            first, last = model(
                tokens, attention_mask=mask.long(), output_attentions=True
            ).attentions
        u, v = (
            Ragged.from_padded(x[:, :, 0].numpy(), mask[:, None].numpy()) for x in (first, last)
        )
        assert np.allclose(np.add.reduceat(u.values, u.offsets[:-1]), 1, atol=1e-5)
        for metric in METRICS.values():
            rows = [
                metric.plain(first[s, h, 0, :n].numpy(), last[s, h, 0, :n].numpy())
                for s, n in enumerate(lengths)
                for h in range(2)
            ]
            assert metric.agreement(u, v) == pytest.approx(np.mean(rows), abs=1e-6)
