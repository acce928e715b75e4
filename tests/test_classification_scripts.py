"""The classification scripts as a user calls them, on toy data and a small model."""

import csv
import json
import os
import pickle
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import (
    ROOT,
    RUNS,
    assert_one_line,
    call_script,
    command_of,
    files_in,
    flags_of,
    kill_when,
    load,
    load_script,
    output_of,
    write_json,
    write_list,
)

from attention_dynamics import cli
from attention_dynamics.analysis.ragged import Ragged, training_rows
from attention_dynamics.classification import logistic
from attention_dynamics.classification.data import Sentences, load_dataset
from attention_dynamics.classification.datasets import toy
from attention_dynamics.classification.task import TASK
from attention_dynamics.views.figures import FIGURES
from attention_dynamics.views.figures.sentence import sentence_of

pytestmark = pytest.mark.slow  # whole stages

FOLDER = ROOT / "classification"
STEPS, SAVES = 120, "0,5,10,20,40,60,90"
ITERATIONS = [0, 5, 10, 20, 40, 60, 90, 119]
SMALL = {"h_dim": 48, "intermediate_dim": 32, "embed_dim": 128, "b_size": 32}


call = partial(call_script, "classification")


def train_flags(folder: Path, seed: int = 20, uniform: bool = False, **changes) -> list:
    flags = {
        "dataset": "toy",
        "seed": seed,
        "steps": STEPS,
        "custom_saves": SAVES,
        "config": folder / "model.json",
        "data_dir": folder / "data",
        "models_dir": folder / "models",
    } | changes
    return flags_of(flags) + ["--uniform"] * uniform


def dump_flags(folder: Path, **changes) -> list:
    flags = {
        "dataset": "toy",
        "test_set_size": 300,
        "config": folder / "model.json",
        **{f"{name}_dir": folder / name for name in ("data", "models", "outputs", "configs")},
    } | changes
    return flags_of(flags)


def write_configs(folder: Path, runs=RUNS, iterations=ITERATIONS) -> None:
    write_json(folder / "model.json", SMALL)
    write_list(folder / "configs" / "toy.json", iterations, runs)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    """A folder in which every stage has run, in processes of their own."""
    folder = tmp_path_factory.mktemp("experiment")
    write_configs(folder)

    script = partial(output_of, "classification", cwd=folder)
    outputs = ["--outputs_dir", folder / "outputs"]
    data = ["--data_dir", folder / "data"]
    script("prepare_data.py", "--dataset", "toy", *data)
    for _, seed, uniform in RUNS:
        script("train_classifier.py", *train_flags(folder, seed, uniform))
    script("eval_dump.py", *dump_flags(folder))
    beta = ["--dataset", "toy", "--epochs", 15, "--lr", 0.002]
    script("embedding_beta.py", *beta, *data, *outputs)
    collect = ["--datasets", "toy", "--out_file", "stats.pkl", *outputs]
    table = script(
        "collect_classification_stats.py",
        *collect,
        "--include_kendall_tau",
        "--include_spearman",
        "--include_pearson",
        "--include_train_results",
        *("--resamples", 100),
    )
    (folder / "table.txt").write_text(table)
    return folder


@pytest.fixture
def workplace(experiment, tmp_path) -> Path:
    """A copy of the experiment to change."""
    return Path(shutil.copytree(experiment, tmp_path / "copy"))


def keyword_tokens(vocab: list[str]) -> set[int]:
    keywords = toy.KEYWORDS
    words = {word for words in keywords.values() for word in words}
    tokens = {token for token, word in enumerate(vocab) if word in words}
    assert len(tokens) == len(words)
    return tokens


class TestStages:
    def test_checkpoints_and_history(self, experiment):
        folder = experiment / "models" / "toy" / "h_dim=48,b_size=32,seed=20,normal"
        names = {f"model{it}" for it in ITERATIONS} | {"resume.pt", "history.csv", "run.json"}
        assert {path.name for path in folder.iterdir()} == names
        uniform = folder.with_name("h_dim=48,b_size=32,seed=12,uniform")
        assert (uniform / "model119").exists()
        rows = (folder / "history.csv").read_text().splitlines()
        assert rows[0] == "step,train_loss,test_loss,test_acc"
        assert [int(row.split(",")[0]) for row in rows[1:]] == [*ITERATIONS[:-1], STEPS]

    def test_dump_has_the_documented_columns(self, experiment):
        dump = load(experiment / "outputs" / "toy_logs.pkl")
        sentences = dump["sentences"]
        total = sentences["offsets"][-1]
        assert list(sentences["split"]) == ["val"] * 300 + ["train"] * 300
        assert len(sentences["tokens"]) == total
        assert set(dump["alpha"]) == {(name, it) for name, _, _ in RUNS for it in ITERATIONS}
        assert set(dump["grad"]) == {("Normal_A", it) for it in ITERATIONS}
        for column in ("alpha", "beta", "grad"):
            for values in dump[column].values():
                assert values.shape == (total,) and values.dtype == np.float32
        sums = np.add.reduceat(dump["alpha"]["Normal_A", 119], sentences["offsets"][:-1])
        np.testing.assert_allclose(sums, 1, atol=1e-5)
        lengths = np.diff(sentences["offsets"])
        uniform = dump["alpha"]["Uniform", 119]
        np.testing.assert_allclose(uniform, np.repeat(1 / lengths, lengths), rtol=1e-6)
        assert {key for name, it, key in dump["metas"] if (name, it) == ("Uniform", 0)} >= {
            "test_acc",
            "train_acc",
        }
        assert not (experiment / "outputs" / "toy_logs.parts").exists()

    def test_as_many_training_as_test_sentences(self, workplace, capsys):
        """There are 500 test sentences, fewer than are asked for."""
        write_configs(workplace, iterations=[0])
        (workplace / "outputs" / "toy_logs.pkl").unlink()
        status, _, err = call(
            "eval_dump.py", *dump_flags(workplace, test_set_size=4000), capsys=capsys
        )
        assert status == 0, err
        dump = load(workplace / "outputs" / "toy_logs.pkl")
        assert list(dump["sentences"]["split"]) == ["val"] * 500 + ["train"] * 500

    def test_keywords_come_out_on_top(self, experiment):
        dump = load(experiment / "outputs" / "toy_logs.pkl")
        sentences = dump["sentences"]
        offsets, tokens = sentences["offsets"], sentences["tokens"]
        keywords = keyword_tokens(dump["vocab"])
        alpha = dump["alpha"]["Normal_A", 119]
        sign = np.repeat(2 * sentences["target"] - 1, np.diff(offsets))
        beta = dump["beta"]["Uniform", 119] * sign
        delta = dump["grad"]["Normal_A", 119]
        top = defaultdict(list)
        for name, column in (("alpha", alpha), ("beta", beta), ("delta", delta)):
            for start, end in pairwise(offsets):
                top[name].append(int(tokens[start + column[start:end].argmax()]) in keywords)
        share_of_keywords = np.mean(np.isin(tokens, list(keywords)))
        assert share_of_keywords < 0.15
        assert np.mean(top["alpha"]) > 0.8
        assert np.mean(top["beta"]) > 0.7
        assert np.mean(top["delta"]) > 0.7

    def test_word_baseline_ranks_the_keywords(self, experiment):
        baseline = load(experiment / "outputs" / "toyembedding256beta.pkl")
        beta = baseline["beta"]
        assert beta.shape == (len(baseline["vocab"]),)
        largest = np.argsort(-np.abs(beta))[:10]
        assert set(largest.tolist()) == keyword_tokens(baseline["vocab"])

    def test_results_have_the_published_keys(self, experiment):
        results = load(experiment / "stats.pkl")
        assert set(results) == {
            ("toy", metric, split, performance)
            for metric in ("top 5% match", "kendall tau", "spearman", "pearson")
            for split, performance in (("val", "test_acc"), ("train", "train_acc"))
        }
        dump = load(experiment / "outputs" / "toy_logs.pkl")
        assert {summary["dump"] for summary in results.values()} == {dump["id"]}
        summary = results["toy", "top 5% match", "val", "test_acc"]
        for key in ("agr_unif", "agr_px", "agr_grad", "agr_normal", "baseline"):
            assert 0 <= summary[key] <= 1
        assert summary["arg_grad"] == summary["agr_grad"]
        assert summary["iterations"] == ITERATIONS
        assert list(summary["alpha_corrs"]) == ITERATIONS
        assert summary["best_perf"] > 0.9
        assert summary["agr_unif"] > 5 * summary["baseline"]
        assert summary["agr_px"] > 5 * summary["baseline"]
        assert summary["agr_grad"] > 5 * summary["baseline"]
        for key in ("agr_unif", "agr_px", "agr_grad", "agr_normal", "baseline"):
            low, high = summary["intervals"][key]
            assert low <= summary[key] <= high
            assert high - low < 0.2
        assert summary["alpha_corrs_std"] == dict.fromkeys(ITERATIONS)  # one comparison run
        assert not summary.keys() & {"agr_logistic", "xi_logistic"}

    def test_table_is_printed(self, experiment):
        table = (experiment / "table.txt").read_text().splitlines()
        assert table[1].split()[:3] == ["dataset", "metric", "performance"]
        assert max(map(len, table[:-2])) <= 140
        assert [line.split()[0] for line in table[3:]].count("toy") == 8
        assert table[-2].startswith("95%: bootstrap over sentences, 100 resamples")
        assert table[-1].startswith("toy: one comparison run")

    def test_table_in_other_formats(self, experiment, tmp_path, capsys):
        flags = ["--datasets", "toy", "--out_file", tmp_path / "stats.pkl", "--resamples", 0]
        flags += ["--outputs_dir", experiment / "outputs", "--format"]
        results = load(experiment / "stats.pkl")["toy", "top 5% match", "val", "test_acc"]
        for name, start in (("text", "   "), ("markdown", "| dataset"), ("latex", "% \\usepack")):
            status, out, _ = call("collect_classification_stats.py", *flags, name, capsys=capsys)
            assert status == 0 and out.startswith(start)
            assert f"{results['agr_unif']:.3f}" in out and "95" not in out
        _, out, _ = call("collect_classification_stats.py", *flags, "csv", capsys=capsys)
        (row,) = csv.DictReader(out.splitlines())
        assert float(row["agr_unif"]) == results["agr_unif"]
        result = call("collect_classification_stats.py", *flags, "html", capsys=capsys)
        assert_one_line(result, "--format", "'html'", "markdown")

    def test_what_is_not_collected_again_stays(self, workplace, capsys):
        path = workplace / "stats.pkl"
        before = load(path)
        other = {("IMDB", *key[1:]): summary for key, summary in before.items()}
        path.write_bytes(pickle.dumps(other | before))
        flags = ["--datasets", "toy", "--out_file", path, "--resamples", 0]
        flags += ["--outputs_dir", workplace / "outputs", "--include_kendall_tau"]
        script = "collect_classification_stats.py"
        status, out, err = call(script, *flags, "--format", "csv", capsys=capsys)
        assert status == 0
        assert err == f"{path}: kept 14 other results, of IMDB, toy\n"
        assert [row["metric"] for row in csv.DictReader(out.splitlines())] == [
            "top 5% match",
            "kendall tau",
        ]
        found = load(path)
        assert list(found) == [*other, *before]
        changed = [key for key in before if found[key] != before[key]]
        assert changed == [
            ("toy", metric, "val", "test_acc") for metric in ("top 5% match", "kendall tau")
        ]
        assert all(found[key]["resamples"] == 0 for key in changed)
        assert all(found[key] == other[key] for key in other)

    @pytest.mark.parametrize("content", [b"no pickle", pickle.dumps({"mine": 1})])
    def test_a_file_of_something_else_is_not_replaced(self, workplace, capsys, content):
        path = workplace / "stats.pkl"
        path.write_bytes(content)
        (workplace / "outputs" / "toy_logs.pkl").unlink()  # not even looked for
        flags = ["--datasets", "toy", "--out_file", path, "--outputs_dir", workplace / "outputs"]
        result = call("collect_classification_stats.py", *flags, capsys=capsys)
        assert_one_line(result, str(path), "choose another --out_file or delete it")
        assert path.read_bytes() == content

    def test_figures(self, experiment, tmp_path, capsys):
        flags = ["--datasets", "toy", "--stats", experiment / "stats.pkl", "--out_dir", tmp_path]
        flags += ["--outputs_dir", experiment / "outputs", "--sentence", 3]
        flags += ["--iterations", f"0,{ITERATIONS[-1]}"]
        status, out, err = call("plot_dynamics.py", *flags, capsys=capsys)
        assert status == 0, err
        figures = [f"toy_{name}" for name in FIGURES]
        assert len(out.splitlines()) == 4 * len(figures)
        for figure in figures:
            assert (tmp_path / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
            assert (tmp_path / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
        # a sentence's entries are those of its tokens
        dump = load(experiment / "outputs" / "toy_logs.pkl")
        sentence = sentence_of(TASK, dump, 3)
        assert sentence.source[0] == "<bos>" and sentence.source[-1] == "<eos>"
        alpha = sentence.column("alpha", "Normal_A", 119)
        assert alpha.shape == (1, len(sentence.source))
        assert alpha.sum() == pytest.approx(1, abs=1e-5)


class TestLogisticBaseline:
    def flags(self, folder: Path) -> list:
        folders = [part for n in ("data", "outputs") for part in (f"--{n}_dir", folder / n)]
        return ["--dataset", "toy", *folders]

    def collect(self, folder: Path, capsys):
        flags = ["--datasets", "toy", "--out_file", folder / "new.pkl", "--resamples", 100]
        flags += ["--outputs_dir", folder / "outputs"]
        return call("collect_classification_stats.py", *flags, capsys=capsys)

    def test_it_has_columns_where_it_was_fitted(self, workplace, capsys):
        status, out, _ = call("logistic_beta.py", *self.flags(workplace), capsys=capsys)
        assert status == 0
        assert "toy_logistic_beta.pkl: C " in out and "test accuracy" in out
        baseline = load(workplace / "outputs" / "toy_logistic_beta.pkl")
        beta, vocab = baseline["beta"], baseline["vocab"]
        assert beta.shape == (len(vocab),) and beta.dtype == np.float32
        assert vocab == load(workplace / "outputs" / "toyembedding256beta.pkl")["vocab"]
        assert set(np.argsort(-np.abs(beta))[:10].tolist()) == keyword_tokens(vocab)
        assert baseline["test_acc"] > 0.95

        status, out, err = self.collect(workplace, capsys)
        assert status == 0, err
        assert "βᵘᶠ, βˡʳ" in out
        key = ("toy", "top 5% match", "val", "test_acc")
        new, old = load(workplace / "new.pkl")[key], load(workplace / "stats.pkl")[key]
        assert new.keys() - old.keys() == {"agr_logistic", "xi_logistic"}
        assert new["agr_logistic"] > 5 * new["baseline"]
        low, high = new["intervals"].pop("agr_logistic")
        assert low <= new["agr_logistic"] <= high
        new["intervals"].pop("xi_logistic")
        new["xi_never"].pop("xi_logistic")
        assert {name: new[name] for name in old} == old

    def test_a_finished_fit_says_so(self, workplace, capsys):
        call("logistic_beta.py", *self.flags(workplace), capsys=capsys)
        before = files_in(workplace)
        status, out, _ = call("logistic_beta.py", *self.flags(workplace), capsys=capsys)
        assert status == 0 and "is finished" in out and len(out.splitlines()) == 1
        assert files_in(workplace) == before
        (workplace / "outputs" / "toy_logistic_beta.pkl").unlink()
        call("logistic_beta.py", *self.flags(workplace), capsys=capsys)
        assert files_in(workplace) == before
        result = call("logistic_beta.py", *self.flags(workplace), "--seed", 1, capsys=capsys)
        assert_one_line(result, "other settings (seed: 0, now 1)", "--outputs_dir")
        assert files_in(workplace) == before

    def test_one_of_other_words_is_not_used(self, workplace, capsys):
        path = workplace / "outputs" / "toyembedding256beta.pkl"
        baseline = load(path)
        baseline["vocab"][5] = "other"
        (workplace / "outputs" / "toy_logistic_beta.pkl").write_bytes(pickle.dumps(baseline))
        result = self.collect(workplace, capsys)
        assert_one_line(result, "another vocabulary", "logistic_beta.py --dataset toy")
        assert not (workplace / "new.pkl").exists()

    @pytest.mark.parametrize("kept", [0, 1])
    def test_one_label_is_no_data(self, workplace, capsys, kept):
        path = workplace / "data" / "toy_train.json"
        raw = json.loads(path.read_text())
        raw["XY"] = [pair for pair in raw["XY"] if pair[1] == kept]
        path.write_text(json.dumps(raw))
        (path.parent / "toy_files.json").unlink()  # it would tell
        result = call("logistic_beta.py", *self.flags(workplace), capsys=capsys)
        assert_one_line(result, "too few sentences of one label")
        assert not (workplace / "outputs" / "toy_logistic_beta.pkl").exists()

    def test_without_data(self, tmp_path, capsys):
        result = call("logistic_beta.py", *self.flags(tmp_path), capsys=capsys)
        assert_one_line(result, "toy_train.json is missing", "prepare_data.py --dataset toy")

    def test_fit_is_at_the_minimum(self):
        """The gradient of the plain, dense objective vanishes."""
        rng = np.random.default_rng(0)
        rows = [rng.integers(0, 90, n) for n in rng.integers(1, 25, 200)]
        labels = np.array([int((row < 30).mean() + 0.1 * rng.normal() > 0.33) for row in rows])
        sentences = Sentences(Ragged.from_rows(rows), labels)
        dense = np.array([np.bincount(row, minlength=100) / len(row) for row in rows])
        shares = logistic.relative_counts(sentences, 100)
        np.testing.assert_allclose(shares.toarray(), dense, rtol=1e-12)
        for strength in (10.0, 1000.0):
            beta, bias = logistic.fit(shares, labels, strength)
            residual = 1 / (1 + np.exp(-(dense @ beta + bias))) - labels
            gradient = dense.T @ residual + beta / strength
            assert max(abs(gradient).max(), abs(residual.sum())) / 200 < 1e-6
            assert (beta[90:] == 0).all() and abs(beta).max() > 1

        def loss(strength):
            order = np.random.default_rng(7).permutation(200)
            held_out, rest = order[:20], order[20:]
            beta, bias = logistic.fit(shares[rest], labels[rest], strength)
            p = 1 / (1 + np.exp(-(dense[held_out] @ beta + bias)))
            return -np.mean(np.log(np.where(labels[held_out] == 1, p, 1 - p)))

        strength, lowest = logistic.choose_strength(shares, labels, seed=7)
        assert lowest == pytest.approx(loss(strength))
        at = logistic.STRENGTHS.index(strength)
        assert 0 < at < len(logistic.STRENGTHS) - 1
        assert all(
            loss(other) > lowest for other in logistic.STRENGTHS[: at + 2] if other != strength
        )


def small_data(experiment: Path, folder: Path, name: str, labels=None) -> None:
    """300 training and 60 test sentences of the toy data; ``labels`` to put in their place."""
    labels = labels or {0: [0], 1: [1]}
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 300), ("test", 60)):
        raw = json.loads((experiment / "data" / f"toy_{split}.json").read_text())
        raw["XY"] = [
            [words, labels[label][number % len(labels[label])]]
            for number, (words, label) in enumerate(raw["XY"][:count])
        ]
        (folder / f"{name}_{split}.json").write_text(json.dumps(raw))


def every_stage(folder: Path, dataset: str, capsys, steps: int = 20) -> None:
    """Train, evaluate, fit both baselines, collect, draw: what is written is in ``folder``."""
    stats = folder / "outputs" / "stats.pkl"
    folders = {name: [f"--{name}_dir", folder / name] for name in ("data", "outputs")}
    schedule = {"dataset": dataset, "steps": steps, "custom_saves": "0,10"}
    commands = [
        ["train_classifier.py", *train_flags(folder, seed, uniform, **schedule)]
        for _, seed, uniform in RUNS
    ]
    commands += [
        ["eval_dump.py", *dump_flags(folder, dataset=dataset, test_set_size=4000)],
        ["embedding_beta.py", "--epochs", 2, *folders["data"]],
        ["logistic_beta.py", *folders["data"]],
        ["collect_classification_stats.py", "--out_file", stats, "--include_train_results"],
        ["explore.py"],
        ["plot_dynamics.py", "--formats", "png"],
    ]
    for script, *flags in commands:
        if script not in ("train_classifier.py", "eval_dump.py"):
            several = script.startswith(("collect", "plot"))
            flags += ["--datasets" if several else "--dataset", dataset, *folders["outputs"]]
        status, out, err = call(script, *flags, capsys=capsys)
        assert status == 0, (script, out, err)


class TestTwoNames:
    """SMS and SNS are one dataset; what is written has the name that was asked for."""

    @pytest.mark.parametrize(
        ("asked", "there", "config"),
        [("SMS", "SNS", "SNS.json"), ("SMS", "SMS", "SNS_log.json"), ("SNS", "SMS", "SMS.json")],
    )
    def test_every_stage(self, experiment, tmp_path, capsys, asked, there, config):
        write_configs(tmp_path, iterations=[0, 10, 19])
        (tmp_path / "configs" / "toy.json").rename(tmp_path / "configs" / config)
        small_data(experiment, tmp_path / "data", there)
        every_stage(tmp_path, asked, capsys)
        assert [path.name for path in (tmp_path / "models").iterdir()] == [asked]
        outputs = {path.name for path in (tmp_path / "outputs").iterdir()} - {"stats.pkl"}
        assert outputs == {
            f"{asked}{ending}"
            for ending in (
                *("_logs.pkl", "embedding256beta.pkl", "_logistic_beta.pkl", "_explorer.html"),
                *(f"_{figure}.{ending}" for figure in FIGURES for ending in ("png", "csv")),
            )
        }
        assert load(tmp_path / "outputs" / f"{asked}_logs.pkl")["dataset"] == asked
        results = load(tmp_path / "outputs" / "stats.pkl")
        assert {key[0] for key in results} == {asked}

    def test_the_name_changes_nothing_else(self, experiment, tmp_path, capsys):
        small_data(experiment, tmp_path / "data", "SMS")
        write_configs(tmp_path)
        for name in ("SMS", "SNS"):
            flags = train_flags(tmp_path, dataset=name, steps=10, custom_saves="0,5")
            assert call("train_classifier.py", *flags, capsys=capsys)[0] == 0
        run = "h_dim=48,b_size=32,seed=20,normal"
        for name in ("model0", "model5", "model9", "history.csv"):
            sms, sns = (tmp_path / "models" / dataset / run / name for dataset in ("SMS", "SNS"))
            assert sms.read_bytes() == sns.read_bytes()

    def test_the_list_of_the_name_that_is_asked_for_wins(self, experiment, tmp_path, capsys):
        small_data(experiment, tmp_path / "data", "SNS")
        write_configs(tmp_path)
        for name, iterations in (("SMS_log", [0, 4]), ("SNS", [0, 5, 9])):
            write_configs(tmp_path, iterations=iterations)
            (tmp_path / "configs" / "toy.json").rename(tmp_path / "configs" / f"{name}.json")
        for _, seed, uniform in RUNS:
            flags = {"dataset": "SMS", "steps": 10, "custom_saves": "0,4,5"}
            call(
                "train_classifier.py", *train_flags(tmp_path, seed, uniform, **flags), capsys=capsys
            )
        _, out, _ = call("eval_dump.py", *dump_flags(tmp_path, dataset="SMS"), capsys=capsys)
        assert "SMS_logs.pkl: 6 checkpoints" in out

    @pytest.mark.parametrize("asked", ["SMS", "SNS"])
    def test_messages_name_what_was_asked_for(self, experiment, tmp_path, capsys, asked):
        write_configs(tmp_path)
        flags = dump_flags(tmp_path, dataset=asked)
        (tmp_path / "configs" / "toy.json").rename(tmp_path / "configs" / "SNS.json")
        prepare = f'run "python prepare_data.py --dataset {asked}"'
        assert_one_line(call("eval_dump.py", *flags, capsys=capsys), prepare)
        small_data(experiment, tmp_path / "data", "SNS")
        train = f'"python train_classifier.py --dataset {asked} ..."'
        result = call("eval_dump.py", *flags, capsys=capsys)
        assert_one_line(result, train, f"models/{asked}/")
        outputs = ["--outputs_dir", tmp_path / "outputs"]
        result = call("explore.py", "--dataset", asked, *outputs, capsys=capsys)
        assert_one_line(result, f"{asked}_logs.pkl", f"eval_dump.py --dataset {asked}")


# The same labels said less surely, and as other types.
SOFTER = {0: [False, 0, 0.5, 0.2, 0.0], 1: [True, 1, 0.501, 0.7, 1.0]}


class TestFloatLabels:
    """Trained on as they are; above 0.5 they count as 1 for all else."""

    @pytest.fixture
    def folder(self, experiment, tmp_path):
        write_configs(tmp_path, iterations=[0, 10, 19])
        small_data(experiment, tmp_path / "data", "toy", SOFTER)
        return tmp_path

    @pytest.fixture
    def hard(self, experiment, tmp_path):
        """The same sentences with labels of 0 and 1."""
        small_data(experiment, tmp_path / "hard" / "data", "toy")
        return tmp_path / "hard"

    def test_every_stage(self, folder, hard, capsys):
        every_stage(folder, "toy", capsys)
        soft_set, hard_set = (load_dataset(path / "data", "toy") for path in (folder, hard))
        assert soft_set.train.labels.dtype == np.float64
        assert hard_set.train.labels.dtype == np.int64
        assert (soft_set.train.gold == hard_set.train.labels).all()

        # evaluating the same checkpoints with labels of 0 and 1: only the losses differ
        shutil.copytree(folder / "models", hard / "models")
        for record in hard.glob("models/*/*/run.json"):
            record.unlink()  # it says that the runs are of other data
        flags = dump_flags(hard, config=folder / "model.json", configs_dir=folder / "configs")
        assert call("eval_dump.py", *flags, capsys=capsys)[0] == 0
        soft, gold = (load(path / "outputs" / "toy_logs.pkl") for path in (folder, hard))
        assert soft["sentences"]["target"].dtype == np.int64
        for name, column in gold["sentences"].items():
            np.testing.assert_array_equal(soft["sentences"][name], column)
        for column in ("alpha", "beta", "grad"):
            assert soft[column].keys() == gold[column].keys()
            for key, values in gold[column].items():
                np.testing.assert_array_equal(soft[column][key], values)
        for key, value in gold["metas"].items():
            assert (soft["metas"][key] == value) == key[2].endswith("_acc")

        # the logistic baseline is fitted to the gold labels
        flags = [part for n in ("data", "outputs") for part in (f"--{n}_dir", hard / n)]
        call("logistic_beta.py", "--dataset", "toy", *flags, capsys=capsys)
        soft, gold = (load(path / "outputs" / "toy_logistic_beta.pkl") for path in (folder, hard))
        np.testing.assert_array_equal(soft["beta"], gold["beta"])
        assert soft["test_acc"] == gold["test_acc"]

    @pytest.mark.parametrize("uniform", [False, True])
    @pytest.mark.parametrize("kind", ["float", "int"])
    def test_training_and_evaluation_by_the_plain_formula(
        self, folder, hard, capsys, uniform, kind
    ):
        """Sentence by sentence in double precision: mean cross-entropy, Adam as published."""
        where = folder if kind == "float" else hard
        steps, size = 4, SMALL["b_size"]
        flags = {"steps": steps, "custom_saves": "0,1,2", "config": folder / "model.json"}
        flags |= {"data_dir": where / "data", "models_dir": where / "models", "test_set_size": 50}
        flags = train_flags(folder, 12 if uniform else 20, uniform, **flags)
        assert call("train_classifier.py", *flags, capsys=capsys)[0] == 0
        (run,) = (where / "models" / "toy").iterdir()
        dataset = load_dataset(where / "data", "toy")

        weights = {name: w.double() for name, w in torch.load(run / "model0").items()}
        moments = {name: (torch.zeros_like(w), torch.zeros_like(w)) for name, w in weights.items()}
        losses = []
        for step in range(steps):
            rows = training_rows(len(dataset.train), size, 12 if uniform else 20, step)
            batch = dataset.train.take(rows)
            parameters = {name: w.clone().requires_grad_() for name, w in weights.items()}
            found = [plain_score(parameters, row, uniform)[2] for row in batch.tokens]
            loss = plain_loss(torch.stack(found), torch.from_numpy(batch.labels)).mean()
            loss.backward()
            losses.append(loss.item())
            for name, parameter in parameters.items():
                if parameter.grad is None:  # of the attention, where it is uniform
                    continue
                first, second = moments[name]
                first = 0.9 * first + 0.1 * parameter.grad
                second = 0.999 * second + 0.001 * parameter.grad**2
                moments[name] = first, second
                scale = (second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
                weights[name] = weights[name] - 1e-3 * first / (1 - 0.9 ** (step + 1)) / scale
        trained = torch.load(run / f"model{steps - 1}")
        for name, expected in weights.items():
            if name == "attention.2.bias":  # no gradient but rounding, which Adam blows up
                continue
            torch.testing.assert_close(trained[name].double(), expected, rtol=0, atol=2e-5)

        test_set = dataset.test.first(50)
        plain = [plain_score(weights, row, uniform)[2] for row in test_set.tokens]
        scores, labels = torch.stack(plain), torch.from_numpy(test_set.labels)
        history = list(csv.DictReader((run / "history.csv").open()))
        assert [row["step"] for row in history] == ["0", "1", "2", "4"]
        assert history[0]["train_loss"] == ""  # there is none yet
        means = [losses[0], losses[1], (losses[2] + losses[3]) / 2]
        for row, mean in zip(history[1:], means):
            assert float(row["train_loss"]) == pytest.approx(mean, abs=1e-5)
        test_loss = plain_loss(scores, labels).mean().item()
        assert float(history[-1]["test_loss"]) == pytest.approx(test_loss, abs=1e-5)
        right = (scores > 0) == (labels > 0.5)
        assert float(history[-1]["test_acc"]) == pytest.approx(right.double().mean().item())

        # the columns of a dump, from the trained weights
        seed = 12 if uniform else 20
        write_configs(folder, [("Normal_A", seed, uniform)], [steps - 1])
        flags = {"data_dir": where / "data", "models_dir": where / "models"}
        assert call("eval_dump.py", *dump_flags(folder, **flags), capsys=capsys)[0] == 0
        dump = load(folder / "outputs" / "toy_logs.pkl")
        columns = {name: dump[name]["Normal_A", steps - 1] for name in ("alpha", "beta", "grad")}
        weights = {name: w.double() for name, w in trained.items()}
        for row, (start, end) in enumerate(pairwise(dump["sentences"]["offsets"][:31])):
            tokens = dump["sentences"]["tokens"][start:end]
            multipliers = torch.ones(len(tokens), 1, dtype=torch.float64, requires_grad=True)
            alpha, beta, score = plain_score(weights, tokens, uniform, multipliers)
            gold = torch.tensor(float(dataset.test.labels[row] > 0.5))
            plain_loss(score, gold).backward()
            expected = {"alpha": alpha, "beta": beta, "grad": -multipliers.grad.squeeze(1)}
            for name, values in expected.items():
                ours = columns[name][start:end]
                np.testing.assert_allclose(ours, values.detach(), rtol=0, atol=2e-6)

    @pytest.mark.parametrize("kind", ["float", "int"])
    def test_the_word_baseline_by_the_plain_formula(self, folder, hard, capsys, kind):
        """An epoch in double precision: the summed loss of a batch, Adam."""
        where = folder if kind == "float" else hard
        flags = [part for n in ("data", "outputs") for part in (f"--{n}_dir", where / n)]
        flags += ["--dataset", "toy", "--epochs", 1, "--bsize", 100, "--embed_dim", 16]
        assert call("embedding_beta.py", *flags, capsys=capsys)[0] == 0
        found = load(where / "outputs" / "toyembedding16beta.pkl")
        dataset = load_dataset(where / "data", "toy")

        def score(model, row):
            return (model.embedding.weight[row].mean(dim=0) @ model.output.weight[0]) + (
                model.output.bias[0]
            )

        def loss(model, sentences):
            scores = torch.stack([score(model, row) for row in sentences.tokens])
            return plain_loss(scores, torch.from_numpy(sentences.labels)).sum()

        cli.seed_everything(0)
        module = load_script("classification", "embedding_beta")
        model = module.WordBaseline(len(dataset.vocab), 16).double()
        adam = torch.optim.Adam(model.parameters(), lr=0.0002)
        order = np.random.default_rng([0, 0]).permutation(300)
        for start in (0, 100, 200):
            adam.zero_grad()
            loss(model, dataset.train.take(order[start : start + 100])).backward()
            adam.step()
        np.testing.assert_allclose(found["beta"], model.beta(), rtol=0, atol=2e-5)
        val_loss = loss(model, dataset.test).item() / 60
        assert found["val_loss"] == pytest.approx(val_loss, abs=1e-5)

    @pytest.mark.parametrize("label", [1.5, -0.25, float("nan"), "1", None])
    def test_labels_that_cannot_be_used(self, folder, capsys, label):
        path = folder / "data" / "toy_test.json"
        raw = json.loads(path.read_text())
        raw["XY"][7][1] = label
        path.write_text(json.dumps(raw))
        result = call("train_classifier.py", *train_flags(folder), capsys=capsys)
        assert_one_line(result, "toy_test.json: XY[7]", repr(label), "not a number from 0 to 1")
        assert not (folder / "models").exists()


def plain_score(weights, tokens, uniform, multipliers=1):
    """Alpha, beta and score of one sentence, a token after the other."""
    embedded = weights["embedding.weight"][torch.as_tensor(tokens).long()] * multipliers

    def states(inputs, suffix):
        w_ih, w_hh, b_ih, b_hh = (
            weights[f"lstm.{name}_l0{suffix}"]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        hidden = cell = torch.zeros(w_hh.shape[1], dtype=w_hh.dtype)
        for x in inputs:
            i, f, g, o = (w_ih @ x + b_ih + w_hh @ hidden + b_hh).chunk(4)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * cell.tanh()
            yield hidden

    forward = list(states(embedded, ""))
    backward = list(states(embedded.flip(0), "_reverse"))[::-1]
    h = torch.cat([torch.stack(forward), torch.stack(backward)], dim=1)
    beta = h @ weights["evidence.weight"][0] + weights["evidence.bias"]
    if uniform:
        alpha = torch.full_like(beta, 1 / len(beta))
    else:
        inner = (h @ weights["attention.0.weight"].T + weights["attention.0.bias"]).clamp(min=0)
        logits = inner @ weights["attention.2.weight"][0] + weights["attention.2.bias"]
        alpha = logits.exp() / logits.exp().sum()
    return alpha, beta, (alpha * beta).sum()


def plain_loss(score, y):
    p = 1 / (1 + (-score).exp())
    return -(y * p.log() + (1 - y) * (1 - p).log())


class TestGoingOn:
    def test_a_finished_run_says_so(self, workplace, capsys):
        before = files_in(workplace)
        status, out, _ = call("train_classifier.py", *train_flags(workplace), capsys=capsys)
        assert status == 0 and "is finished" in out
        status, out, _ = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert status == 0 and "24 checkpoints, 0 of them evaluated now" in out
        flags = ["--dataset", "toy", "--epochs", 15, "--lr", 0.002]
        flags += ["--data_dir", workplace / "data", "--outputs_dir", workplace / "outputs"]
        status, out, _ = call("embedding_beta.py", *flags, capsys=capsys)
        assert status == 0 and "is finished" in out
        assert files_in(workplace) == before

    def test_the_state_of_a_finished_run_is_dropped(self, workplace, capsys):
        flags = [*train_flags(workplace), "--drop_resume"]
        status, out, _ = call("train_classifier.py", *flags, capsys=capsys)
        assert status == 0 and "resume.pt was dropped" in out
        before = files_in(workplace)
        status, out, _ = call("train_classifier.py", *flags, capsys=capsys)
        assert status == 0 and "is finished" in out and len(out.splitlines()) == 1
        assert files_in(workplace) == before
        longer = train_flags(workplace, steps=1000)
        result = call("train_classifier.py", *longer, capsys=capsys)
        assert_one_line(result, "resume.pt was dropped, so it cannot be extended to 1000", "delete")

    # the others in translation, where they are the same kernels
    @pytest.mark.parametrize("encoder", ["transformer"])
    def test_a_killed_run_of_another_encoder_ends_with_the_same_bytes(
        self, encoder, experiment, tmp_path
    ):
        config = write_json(tmp_path / "model.json", SMALL | {"encoder": encoder})
        runs = []
        for name in ("killed", "whole"):
            flags = train_flags(experiment, models_dir=tmp_path / name, config=config)
            command = command_of("classification", "train_classifier.py", *flags)
            run = f"h_dim=48,b_size=32,seed=20,normal,encoder={encoder}"
            runs.append(tmp_path / name / "toy" / run)
            if name == "killed":
                for awaited in ("model10", "model60"):
                    kill_when(runs[0] / awaited, command)
            end = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            assert ("resuming from step" in end.stdout) == (name == "killed")
        killed, whole = map(files_in, runs)
        assert killed.keys() == whole.keys()
        for name in whole.keys() - {"resume.pt", "run.json"}:
            assert killed[name] == whole[name], name

    def test_a_killed_run_ends_with_the_same_bytes(self, experiment, tmp_path):
        """Killed without warning, three times, at moments that the run itself does not choose."""
        flags = train_flags(experiment, models_dir=tmp_path / "models")
        command = command_of("classification", "train_classifier.py", *flags)
        folder = tmp_path / "models" / "toy" / "h_dim=48,b_size=32,seed=20,normal"
        for awaited in ("model0", "model20", "model60"):
            kill_when(folder / awaited, command)
        end = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        assert "resuming from step" in end.stdout
        uninterrupted = files_in(experiment / "models" / "toy" / folder.name)
        for name in uninterrupted.keys() - {"resume.pt", "run.json"}:
            assert (folder / name).read_bytes() == uninterrupted[name], name

    def test_more_steps_go_on_from_the_end(self, workplace, tmp_path, capsys):
        longer = {"steps": 140, "custom_saves": SAVES + ",120,130"}
        call("train_classifier.py", *train_flags(workplace, **longer), capsys=capsys)
        fresh = train_flags(workplace, **longer, models_dir=tmp_path / "fresh")
        call("train_classifier.py", *fresh, capsys=capsys)
        run = "h_dim=48,b_size=32,seed=20,normal"
        extended, direct = workplace / "models/toy" / run, tmp_path / "fresh/toy" / run
        for it in [*ITERATIONS[:-1], 120, 130, 139]:
            name = f"model{it}"
            assert (extended / name).read_bytes() == (direct / name).read_bytes(), name

    def test_evaluation_adds_what_is_missing(self, workplace, capsys):
        whole = (workplace / "outputs" / "toy_logs.pkl").read_bytes()
        (workplace / "outputs" / "toy_logs.pkl").unlink()
        write_configs(workplace, iterations=ITERATIONS[:3])
        _, out, _ = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert "9 checkpoints, 9 of them evaluated now" in out
        write_configs(workplace)
        _, out, _ = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert "24 checkpoints, 15 of them evaluated now" in out
        assert (workplace / "outputs" / "toy_logs.pkl").read_bytes() == whole
        # a shorter list takes nothing away
        write_configs(workplace, iterations=ITERATIONS[:3])
        _, out, _ = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert "15 checkpoints that are not in the list stay in it" in out
        assert "9 checkpoints, 0 of them evaluated now" in out
        assert (workplace / "outputs" / "toy_logs.pkl").read_bytes() == whole

    def test_a_dump_of_other_sizes_is_left_alone(self, workplace, tmp_path, capsys):
        """It lies beside in another folder."""
        before = files_in(workplace / "outputs")
        flags = dump_flags(workplace, test_set_size=50)
        result = call("eval_dump.py", *flags, capsys=capsys)
        assert_one_line(result, "other settings (val: 300, now 50; train: 300", "--outputs_dir")
        assert files_in(workplace / "outputs") == before
        result = call("eval_dump.py", *flags, "--outputs_dir", tmp_path / "new", capsys=capsys)
        assert result[0] == 0 and (tmp_path / "new" / "toy_logs.pkl").exists()

    def test_evaluation_sees_a_new_checkpoint(self, workplace, capsys):
        folder = workplace / "models" / "toy" / "h_dim=48,b_size=32,seed=13,normal"
        torch.save(torch.load(folder / "model90"), folder / "model119")  # without a seal
        _, out, _ = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert "24 checkpoints, 1 of them evaluated now" in out
        dump = load(workplace / "outputs" / "toy_logs.pkl")
        np.testing.assert_array_equal(dump["alpha"]["normal_b", 119], dump["alpha"]["normal_b", 90])

    def test_an_interrupted_evaluation_keeps_what_it_has(self, workplace, capsys):
        whole = (workplace / "outputs" / "toy_logs.pkl").read_bytes()
        (workplace / "outputs" / "toy_logs.pkl").unlink()
        # the tenth checkpoint is damaged, so the evaluation ends there
        damaged = workplace / "models" / "toy" / "h_dim=48,b_size=32,seed=13,normal" / "model5"
        intact = damaged.read_bytes()
        damaged.write_bytes(intact[:1000])
        status, _, err = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert status == 2 and "model5 is damaged" in err
        assert len(list((workplace / "outputs" / "toy_logs.parts").iterdir())) == 9
        damaged.write_bytes(intact)
        _, out, _ = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert "24 checkpoints, 15 of them evaluated now" in out
        assert (workplace / "outputs" / "toy_logs.pkl").read_bytes() == whole

    @pytest.mark.parametrize(
        ("save_after", "stop", "status", "epoch"),
        [
            (0, "raise KeyboardInterrupt", 130, 6),
            (1000, "os.kill(os.getpid(), signal.SIGTERM)", 143, 7),  # the only save
        ],
    )
    def test_an_interrupted_word_baseline_ends_the_same(
        self, save_after, stop, status, epoch, experiment, tmp_path, capsys
    ):
        flags = ["--dataset", "toy", "--data_dir", experiment / "data", "--epochs", 8, "--lr", 3]
        call("embedding_beta.py", *flags, "--outputs_dir", tmp_path / "whole", capsys=capsys)
        (path,) = (tmp_path / "whole").glob("*.pkl")
        assert load(path)["epoch"] < 6  # the best epoch comes before the interruption
        interrupted = f"""
import os, runpy, signal, sys
from attention_dynamics import cli
from attention_dynamics.training import word_baseline
word_baseline.SAVE_AFTER = {save_after}
lines = []
def say(line):
    lines.append(line)
    if len(lines) == 6:
        {stop}
cli.say = say
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
        command = [sys.executable, "-c", interrupted, FOLDER / "embedding_beta.py", *flags]
        command += ["--outputs_dir", tmp_path / "parts"]
        end = subprocess.run(list(map(str, command)), stderr=subprocess.DEVNULL)
        assert end.returncode == status
        _, out, _ = call(
            "embedding_beta.py", *flags, "--outputs_dir", tmp_path / "parts", capsys=capsys
        )
        assert f"resuming in epoch {epoch}" in out
        assert files_in(tmp_path / "parts") == files_in(tmp_path / "whole")

    def test_the_number_of_threads_stays(self, experiment, tmp_path):
        """A run begun on one thread goes on with one: other sums would round differently."""
        results = {}
        for name, stops in (("whole", [60]), ("parts", [30, 60])):
            for threads, steps in zip("12", stops):
                saves = "0,5,10,20"
                flags = train_flags(
                    experiment, models_dir=tmp_path / name, steps=steps, custom_saves=saves
                )
                environment = os.environ | {"OMP_NUM_THREADS": threads}
                command = command_of("classification", "train_classifier.py", *flags)
                subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            results[name] = next((tmp_path / name).rglob("model59")).read_bytes()
        assert results["whole"] == results["parts"]


class TestSaves:
    def test_one_past_the_end_is_ignored(self, experiment, tmp_path, capsys):
        """As in the authors' commands; a line says so, and the last step still has its name."""
        flags = {"models_dir": tmp_path, "steps": 10, "custom_saves": "0,9,10,500"}
        status, out, err = call(
            "train_classifier.py", *train_flags(experiment, **flags), capsys=capsys
        )
        assert status == 0, err
        assert "--custom_saves 10,500: ignored, past the last step, 9" in out.splitlines()
        (run,) = (tmp_path / "toy").iterdir()
        assert {path.name for path in run.glob("model*")} == {"model0", "model9"}


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"dataset": "imdb"}, ["unknown dataset imdb: did you mean IMDB?"]),
            ({"dataset": "IMDB"}, ["IMDB_train.json is missing", "prepare_data.py --dataset IMDB"]),
            ({"steps": 0}, ["--steps", "0 is not a positive"]),
            ({"steps": -5}, ["--steps", "-5 is not a positive"]),
            ({"steps": "many"}, ["--steps", "'many'"]),
            ({"seed": -1}, ["--seed", "negative"]),
            ({"seed": 2**40}, ["--seed", "too large"]),
            ({"save_every": 0}, ["--save_every"]),
            ({"test_set_size": 0}, ["--test_set_size"]),
            ({"custom_saves": "0,-3"}, ["--custom_saves", "-3 is negative"]),
            ({"custom_saves": "0;5"}, ["--custom_saves", "no spaces"]),
            ({"config": "nowhere.json"}, ["nowhere.json is missing"]),
            ({"device": "tpu"}, ["--device tpu"]),
            ({"data_dir": "nowhere"}, ["toy_train.json is missing"]),
        ],
    )
    def test_training_flags(self, experiment, tmp_path, capsys, changes, words):
        flags = train_flags(experiment, models_dir=tmp_path / "models", **changes)
        assert_one_line(call("train_classifier.py", *flags, capsys=capsys), *words)
        assert not (tmp_path / "models").exists()

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ({**SMALL, "heads": 2}, ['"heads" is unknown']),
            ({"h_dim": 48}, ['"b_size" is missing', '"embed_dim" is missing']),
            ({**SMALL, "h_dim": 0}, ['"h_dim" is 0']),
            ({**SMALL, "h_dim": "48"}, ["\"h_dim\" is '48'"]),
            ({**SMALL, "h_dim": True}, ['"h_dim" is True']),
            ([1], ["not an object"]),
        ],
    )
    def test_model_config(self, experiment, tmp_path, capsys, config, words):
        path = tmp_path / "model.json"
        path.write_text(json.dumps(config))
        flags = train_flags(experiment, models_dir=tmp_path / "models", config=path)
        assert_one_line(call("train_classifier.py", *flags, capsys=capsys), *words)
        assert not (tmp_path / "models").exists()

    def test_a_run_of_other_settings_is_not_continued(self, workplace, capsys):
        before = files_in(workplace / "models")
        (workplace / "model.json").write_text(json.dumps({**SMALL, "embed_dim": 24}))
        result = call("train_classifier.py", *train_flags(workplace), capsys=capsys)
        assert_one_line(result, "embed_dim: 128, now 24")
        assert files_in(workplace / "models") == before

    def test_a_run_on_other_data_is_not_continued(self, workplace, capsys):
        path = workplace / "data" / "toy_train.json"
        raw = json.loads(path.read_text())
        raw["XY"] = raw["XY"][:-1]
        path.write_text(json.dumps(raw))
        (path.parent / "toy_files.json").unlink()  # it would tell
        result = call("train_classifier.py", *train_flags(workplace), capsys=capsys)
        assert_one_line(result, "other data")

    def test_a_full_disk(self, experiment, tmp_path):
        """A limit on the size of files stands for it: a write fails in the middle."""
        flags = train_flags(experiment, models_dir=tmp_path / "models")
        command = command_of("classification", "train_classifier.py", *flags)
        script = f"ulimit -f 100; exec {shlex.join(command)}"
        end = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
        assert end.returncode == 2
        assert len(end.stderr.splitlines()) == 1 and "could not be written" in end.stderr
        assert files_in(tmp_path / "models") == {}

    def test_all_missing_checkpoints_are_named(self, workplace, capsys):
        for _, seed, _ in RUNS[:2]:
            folder = workplace / "models" / "toy" / f"h_dim=48,b_size=32,seed={seed},normal"
            (folder / "model60").unlink()
            (folder / "model5").unlink()
        result = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert_one_line(result, "4 checkpoints", "seed=20,normal: model5 model60", "seed=13")

    def test_a_checkpoint_of_another_size(self, workplace, capsys):
        (workplace / "model.json").write_text(json.dumps({**SMALL, "intermediate_dim": 16}))
        (workplace / "outputs" / "toy_logs.pkl").unlink()
        result = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert_one_line(result, "other settings (intermediate_dim: 32, now 16)")
        for record in workplace.glob("models/*/*/run.json"):
            record.unlink()  # the authors' runs have none
        result = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert_one_line(result, "model0 is a checkpoint of other settings or data", "size mismatch")

    def test_a_checkpoint_with_code_in_it(self, workplace, capsys):
        marker = workplace / "marker"

        class Attack:
            def __reduce__(self):
                return (Path.touch, (marker,))

        folder = workplace / "models" / "toy" / "h_dim=48,b_size=32,seed=20,normal"
        (folder / "model0").write_bytes(pickle.dumps(Attack()))
        result = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert_one_line(result, "model0 is damaged or not a checkpoint")
        assert not marker.exists()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"name": None}, ['entry 1: "name" is missing']),
            ({"iteration": -1}, ['"iteration" is -1']),
            ({"iteration": "0"}, ["\"iteration\" is '0'"]),
            ({"uniform": 0}, ['"uniform" is 0']),
            ({"lr": 1}, ['"lr" is unknown']),
            ({"iteration": 5}, ["Normal_A at 5 is listed twice"]),
        ],
    )
    def test_evaluation_list(self, workplace, capsys, change, words):
        path = workplace / "configs" / "toy.json"
        entries = json.loads(path.read_text())
        entries[0] = {k: v for k, v in (entries[0] | change).items() if v is not None}
        path.write_text(json.dumps(entries))
        before = files_in(workplace)
        assert_one_line(call("eval_dump.py", *dump_flags(workplace), capsys=capsys), *words)
        assert files_in(workplace) == before

    def collect(self, folder: Path, capsys):
        flags = ["--datasets", "toy", "--out_file", folder / "new.pkl"]
        flags += ["--outputs_dir", folder / "outputs"]
        result = call("collect_classification_stats.py", *flags, capsys=capsys)
        assert not (folder / "new.pkl").exists()
        return result

    def test_collecting_without_a_dump(self, workplace, capsys):
        (workplace / "outputs" / "toy_logs.pkl").unlink()
        assert_one_line(self.collect(workplace, capsys), "eval_dump.py --dataset toy")

    def test_collecting_without_a_word_baseline(self, workplace, capsys):
        (workplace / "outputs" / "toyembedding256beta.pkl").unlink()
        assert_one_line(self.collect(workplace, capsys), "embedding_beta.py --dataset toy")

    def test_collecting_a_damaged_dump(self, workplace, capsys):
        path = workplace / "outputs" / "toy_logs.pkl"
        path.write_bytes(path.read_bytes()[:5000])
        assert_one_line(self.collect(workplace, capsys), "toy_logs.pkl is not a pickle of plain")

    def test_collecting_a_malicious_dump(self, workplace, capsys):
        marker = workplace / "marker"

        class Attack:
            def __reduce__(self):
                return (os.system, (f"touch {marker}",))

        (workplace / "outputs" / "toy_logs.pkl").write_bytes(pickle.dumps([Attack()]))
        assert_one_line(self.collect(workplace, capsys), "system")
        assert not marker.exists()

    def test_collecting_a_baseline_of_other_words(self, workplace, capsys):
        path = workplace / "outputs" / "toyembedding256beta.pkl"
        baseline = load(path)
        baseline["vocab"][5] = "other"
        path.write_bytes(pickle.dumps(baseline))
        assert_one_line(self.collect(workplace, capsys), "another vocabulary")
