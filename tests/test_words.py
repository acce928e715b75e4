"""words.py: means over words against plain loops, which words lead, and what is written."""

import csv
from collections import defaultdict
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import assert_one_line, call_script, files_in
from scipy.stats import pearsonr
from test_explorer import ITERATIONS, RUNS, classification_outputs, translation_outputs

from attention_dynamics.analysis.evidence import Evidence, RunNames
from attention_dynamics.analysis.ragged import Ragged
from attention_dynamics.analysis.sentences import Sentences
from attention_dynamics.analysis.words import DERIVED, Words, words_of
from attention_dynamics.classification.task import TASK
from attention_dynamics.files import storage
from attention_dynamics.translation.task import TASK as TRANSLATION
from attention_dynamics.views.drawing import STYLES
from attention_dynamics.views.figures import words as figure

classification = partial(call_script, "classification", "words.py", "--dataset", "toy")
translation = partial(call_script, "translation", "words.py", "--dataset", "toy")
NAMES = RunNames("Normal_A", ["normal_b"], "Uniform", ITERATIONS)


def plain_means(task, dump, column, key, split="val") -> dict[tuple, list[float]]:
    """{word: [count, mean]}, one sentence, target token and source token at a time."""
    sentences = task.sentences_of(dump)
    name = DERIVED.get(column, column)
    found, at = defaultdict(list), 0
    for number in range(len(sentences)):
        source = sentences.source[number]
        targets = [None] if sentences.target is None else sentences.target[number]
        for target in targets:
            values = [float(dump[name][key][at + i]) for i in range(len(source))]
            at += len(source)
            for token, value in zip(source, values):
                if column == "alpha_n":
                    value *= len(source)
                if column == "beta_centered":
                    value -= sum(values) / len(values)
                if sentences.splits[number] == split:
                    found[(token,) if target is None else (token, target)].append(value)
    return {word: [len(of_word), sum(of_word) / len(of_word)] for word, of_word in found.items()}


@pytest.mark.parametrize(
    ("task", "outputs"), [(TASK, classification_outputs), (TRANSLATION, translation_outputs)]
)
@pytest.mark.parametrize("column", ["alpha", "beta", "grad", "alpha_n", "beta_centered"])
def test_means_are_those_of_plain_loops(tmp_path, task, outputs, column):
    dump = outputs(tmp_path)
    words = words_of(task, dump, {}, NAMES, "val")
    some = words.take(np.flatnonzero(words.counts > 2)[::-1])
    for run in RUNS:
        means, of_some = words.mean(column, run), some.mean(column, run)
        for at, iteration in enumerate(ITERATIONS):
            if (run, iteration) not in dump[DERIVED.get(column, column)]:
                assert np.isnan(means[at]).all()
                continue
            expected = plain_means(task, dump, column, (run, iteration))
            assert {tuple(tokens) for tokens in words.tokens} == expected.keys()
            for found, values in ((words, means), (some, of_some)):
                for place, tokens in enumerate(found.tokens):
                    count, mean = expected[tuple(tokens)]
                    assert found.counts[place] == count
                    assert values[at, place] == pytest.approx(mean, rel=1e-5, abs=1e-6)


def test_beta_px_is_for_label_1(tmp_path):
    dump = classification_outputs(tmp_path)
    px = np.random.default_rng(0).normal(size=len(dump["vocab"]))
    words = words_of(TASK, dump, {"px": px}, NAMES, "train")
    np.testing.assert_allclose(words.px, px[words.tokens[:, 0]], rtol=1e-6)
    dump = translation_outputs(tmp_path)
    px = np.random.default_rng(0).random((len(dump["vocab"]),) * 2)
    words = words_of(TRANSLATION, dump, {"px": px}, NAMES, "val")
    np.testing.assert_allclose(words.px, px[tuple(words.tokens.T)], rtol=1e-6)


def few_words(betas, labels, names, rows=([4, 5], [5, 6], [4])) -> Words:
    """Sentences without specials, whose uniform run has these β for the gold label."""
    splits = np.array(["val"] * len(rows))
    sentences = Sentences(
        Ragged.from_rows(rows), splits, labels=np.array(labels), label_names=names
    )
    columns = {"beta": np.array(betas, np.float32)}
    columns["alpha"] = np.concatenate([np.full(len(row), 1 / len(row)) for row in rows])
    evidence = Evidence(
        offsets=sentences.source.offsets,
        column=lambda column, run, iteration: columns[column] * (iteration + 1),
        performance=lambda run, iteration: {0: 0.4, 1: 0.7, 2: 0.9, 3: 0.8}[iteration],
    )
    task = SimpleNamespace(
        performances={"val": ["test_acc"]},
        evidence_of=lambda *_: evidence,
        sentences_of=lambda _: sentences,
    )
    runs = RunNames("Normal_A", ["Normal_B"], "uniform", [0, 1, 2, 3])
    return words_of(task, {"labels": names}, {}, runs, "val")


def test_two_labels_evidence_for_one_is_against_the_other():
    # word 4: 1 and 5 for label 1; word 5: 2 for 1, and 4 for label 0; word 6: 3 for label 0
    words = few_words([1, 2, 4, 3, 5], [1, 0, 1], ["bad", "good"])
    assert words.tokens[:, 0].tolist() == [4, 5, 6]
    assert words.uniform_beta[0].tolist() == [3, -1, -3]
    assert words.leading(1, 0, 2).tolist() == [0, 1]
    assert words.leading(0, 0, 5).tolist() == [2, 1, 0]
    assert words.leading_of_labels(3, 1)[0].tolist() == [2]
    assert words.attention[0].tolist() == [1, 1, 1]


def test_more_labels_words_are_grouped_by_the_label_of_their_sentence():
    words = few_words([1, 2, 4, 3, 5], [2, 0, 2], ["a", "b", "c"])
    assert list(zip(words.tokens[:, 0], words.labels)) == [(5, 0), (6, 0), (4, 2), (5, 2)]
    assert words.counts.tolist() == [1, 1, 2, 1]
    assert words.uniform_evidence(2)[1].tolist()[2:] == [6, 4]  # twice 3 and 2
    leading = words.leading_of_labels(0, 10)
    assert {label: places.tolist() for label, places in leading.items()} == {
        0: [0, 1],
        2: [2, 3],
    }


def test_equals_come_in_the_order_of_the_vocabulary():
    words = few_words([7, 7, 7, 7, 7], [1, 1, 1], ["0", "1"])
    assert words.leading(1, 0, 3).tolist() == [0, 1, 2]


def test_the_early_iteration():
    # from 0.4 to 0.9: 3/4 of the way is 0.775
    assert few_words([1, 2, 4, 3, 5], [1, 0, 1], ["0", "1"]).early_iteration() == 2


def test_agreement_is_a_correlation_over_words(tmp_path):
    dump = classification_outputs(tmp_path)
    words = words_of(TASK, dump, {}, NAMES, "val")
    beta = words.mean("beta", "Uniform")[2]
    for at, attention in enumerate(words.attention):
        expected = pearsonr(np.abs(beta - beta.mean()), attention).statistic
        assert words.agreement(ITERATIONS[2])[at] == pytest.approx(expected, abs=1e-9)
    dump = translation_outputs(tmp_path)
    words = words_of(TRANSLATION, dump, {}, NAMES, "val")
    expected = pearsonr(words.mean("beta_centered", "Uniform")[3], words.attention[3]).statistic
    assert words.agreement(ITERATIONS[3])[3] == pytest.approx(expected, abs=1e-9)


class TestScript:
    def test_tables_csv_and_figure(self, tmp_path, capsys):
        dump = classification_outputs(tmp_path)
        storage.save_pickle(dump | {"labels": ["dull", "fine"]}, tmp_path / "toy_logs.pkl")
        flags = ["--outputs_dir", tmp_path, "--words", 4, "--rank_at", "10,400", "--min_count", 2]
        flags += ["--formats", "png", "--iterations", "0,400"]
        status, out, err = classification(*flags, capsys=capsys)
        assert status == 0, err
        assert "βᵘᶠ for label dull, most at iteration 10" in out
        assert "βᵘᶠ for label fine, most at iteration 400" in out
        words = words_of(TASK, dump, {}, NAMES, "val").frequent(2)
        shown = words.written(TASK, dump["vocab"])
        first = words.leading(1, 400, 4)
        table = out.split("label fine, most at iteration 400")[1].splitlines()[3:7]
        assert [line.split()[0] for line in table] == [shown[place].split()[0] for place in first]
        numbers = [f"{value:.2f}" for value in words.uniform_evidence(1)[[0, 1, 3], first[0]]]
        assert table[0].split("|")[1].split() == numbers
        assert (tmp_path / "toy_words.png").read_bytes().startswith(b"\x89PNG")

        rows = list(csv.DictReader((tmp_path / "toy_word_means.csv").open(newline="")))
        assert len(rows) == len(words) * len(RUNS) * len(ITERATIONS)
        numbers_of = {word: number for number, word in enumerate(dump["vocab"])}
        key = ("Normal_A", 50)
        betas, grads = (plain_means(TASK, dump, name, key) for name in ("beta", "grad"))
        for row in rows:
            assert row["label"] == "fine"
            if (row["run"], row["iteration"]) == ("Normal_A", "50"):
                word = (numbers_of[row["word"]],)
                assert int(row["count"]) == betas[word][0]
                assert float(row["mean_beta"]) == pytest.approx(betas[word][1], abs=1e-6)
                assert float(row["mean_grad"]) == pytest.approx(grads[word][1], abs=1e-6)
            elif row["run"] == "Uniform":
                assert row["mean_grad"] == ""
                assert float(row["mean_alpha_n"]) == pytest.approx(1, abs=1e-5)

    def test_pairs(self, tmp_path, capsys):
        translation_outputs(tmp_path)
        flags = ["--outputs_dir", tmp_path, "--out_dir", tmp_path / "out", "--formats", "png"]
        status, out, err = translation(*flags, "--min_count", 2, capsys=capsys)
        assert status == 0, err
        assert " → " in out and "βᵘᶠ minus its mean, most at iteration" in out
        header = (tmp_path / "out" / "toy_word_means.csv").read_text().splitlines()[0]
        assert header.startswith("source,target,run,iteration,count,mean_alpha,mean_beta,")
        assert (tmp_path / "out" / "toy_words.png").exists()

    def test_query(self, tmp_path, capsys):
        dump = classification_outputs(tmp_path)
        flags = ["--outputs_dir", tmp_path, "--formats", "png", "--query"]
        status, out, err = classification(*flags, "word3", "√", "word3", capsys=capsys)
        assert status == 0, err
        assert sum(line.startswith(("word3 ", "√ ")) for line in out.splitlines()) == 2
        rows = list(csv.DictReader((tmp_path / "toy_word_means.csv").open(newline="")))
        assert {row["word"] for row in rows} == {"word3", "√"}

        dump = translation_outputs(tmp_path)
        words = words_of(TRANSLATION, dump, {}, NAMES, "val")
        source, target = words.written(TRANSLATION, dump["vocab"])[-1].split(" → ")
        status, out, err = translation(*flags, f"{source}={target}", capsys=capsys)
        assert status == 0, err
        assert sum(f"{source} → {target}" in line for line in out.splitlines()) == 1
        status, out, err = translation(*flags, "der", capsys=capsys)
        assert status == 0, err
        rows = list(csv.DictReader((tmp_path / "toy_word_means.csv").open(newline="")))
        assert rows and all("▁der" in (row["source"], row["target"]) for row in rows)

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (
                ["--query", "wrd3"],
                "--query: wrd3 does not occur in these sentences (there is word3",
            ),
            (["--min_count", "100000"], "try a smaller --min_count"),
            (["--iterations", "3"], "--iterations 3"),
            (["--rank_at", "3"], "3: the dump of toy has 0,10,50,400"),
            (["--outputs_dir", "nowhere"], "eval_dump.py --dataset toy"),
        ],
    )
    def test_what_is_not_there(self, tmp_path, capsys, flags, said):
        classification_outputs(tmp_path)
        before = files_in(tmp_path)
        result = classification("--outputs_dir", tmp_path, *flags, capsys=capsys)
        assert_one_line(result, said)
        assert files_in(tmp_path) == before

    def test_no_word_baseline(self, tmp_path, capsys):
        classification_outputs(tmp_path)
        (tmp_path / "toyembedding256beta.pkl").unlink()
        flags = ["--outputs_dir", tmp_path, "--formats", "png"]
        status, out, err = classification(*flags, capsys=capsys)
        assert status == 0, err
        assert "embedding_beta.py has not been run" in out


def test_the_figure_draws_words_as_they_are(tmp_path):
    dump = classification_outputs(tmp_path)
    dump["vocab"] = ["<pad>", "<bos>", "<eos>", "_under", "$a$b", *dump["vocab"][5:]]
    words = words_of(TASK, dump, {}, NAMES, "val")
    shown = words.written(TASK, dump["vocab"])
    places = np.array([shown.index("_under"), shown.index("$a$b")])
    rows = figure.rows_of_words(words, {0: places, 1: places[:1]}, shown, 50, "toy")
    drawn = figure.draw(rows, STYLES["light"])
    axes = drawn.get_axes()
    texts = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert texts == [" _under", r" \$a\$b"]
    lines = [line for line in axes[0].get_lines() if len(line.get_xdata()) == len(ITERATIONS)]
    for line, place in zip(lines, places, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), words.uniform_evidence(0)[:, place])
    values = {
        (row["panel"], row["label"], row["word"]): row["value"]
        for row in rows
        if row["iteration"] == 400
    }
    assert values["evidence", "0", "$a$b"] == words.uniform_evidence(0)[3, places[1]]
    assert values["attention", "1", "_under"] == words.attention[3, places[0]]
    assert values["attention", "1", "80% of all words"] is None
