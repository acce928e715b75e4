"""The classification scripts as a user calls them, on toy data and a small model."""

import csv
import json
import os
import pickle
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_one_line, call_script, files_in, load_script

from attention_dynamics.ragged import Ragged

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "classification"
STEPS, SAVES = 120, "0,5,10,20,40,60,90"
ITERATIONS = [0, 5, 10, 20, 40, 60, 90, 119]
RUNS = [("Normal_A", 20, False), ("normal_b", 13, False), ("Uniform", 12, True)]
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
    listed = [part for name, value in flags.items() for part in (f"--{name}", value)]
    return listed + ["--uniform"] * uniform


def dump_flags(folder: Path, **changes) -> list:
    flags = {
        "dataset": "toy",
        "test_set_size": 300,
        "config": folder / "model.json",
        **{f"{name}_dir": folder / name for name in ("data", "models", "outputs", "configs")},
    } | changes
    return [part for name, value in flags.items() for part in (f"--{name}", value)]


def write_configs(folder: Path, runs=RUNS, iterations=ITERATIONS) -> None:
    (folder / "model.json").write_text(json.dumps(SMALL))
    entries = [
        {"name": name, "iteration": iteration, "seed": seed, "uniform": uniform}
        | ({} if name == "Normal_A" else {"calculate_grad": False})
        for name, seed, uniform in runs
        for iteration in iterations
    ]
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "configs" / "toy.json").write_text(json.dumps(entries))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    """A folder in which every stage has run, in processes of their own."""
    folder = tmp_path_factory.mktemp("experiment")
    write_configs(folder)

    def script(name: str, *flags) -> str:
        # from another working directory than the script's
        return subprocess.run(
            [sys.executable, FOLDER / name, *map(str, flags)],
            cwd=folder,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

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
        "--include_train_results",
        *("--resamples", 100),
    )
    (folder / "table.txt").write_text(table)
    return folder


@pytest.fixture
def workplace(experiment, tmp_path) -> Path:
    """A copy of the experiment to change."""
    return Path(shutil.copytree(experiment, tmp_path / "copy"))


def load(path: Path):
    return pickle.loads(path.read_bytes())


def keyword_tokens(vocab: list[str]) -> set[int]:
    keywords = load_script("classification", "prepare_data").TOY_KEYWORDS
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
            for metric in ("top 5% match", "kendall tau", "spearman")
            for split, performance in (("val", "test_acc"), ("train", "train_acc"))
        }
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
        assert [line.split()[0] for line in table[3:]].count("toy") == 6
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

    def test_figures(self, experiment, tmp_path, capsys):
        flags = ["--datasets", "toy", "--stats", experiment / "stats.pkl", "--out_dir", tmp_path]
        flags += ["--outputs_dir", experiment / "outputs", "--sentence", 3]
        flags += ["--iterations", f"0,{ITERATIONS[-1]}"]
        status, out, err = call("plot_dynamics.py", *flags, capsys=capsys)
        assert status == 0, err
        assert len(out.splitlines()) == 4
        for figure in ("toy_dynamics", "toy_sentence"):
            assert (tmp_path / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
            assert (tmp_path / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
        # a sentence's entries are those of its tokens
        dump = load(experiment / "outputs" / "toy_logs.pkl")
        sentence = load_script("classification", "plot_dynamics").sentence_of(dump, 3)
        assert sentence.source[0] == "<bos>" and sentence.source[-1] == "<eos>"
        assert sentence.sign == 2 * dump["sentences"]["target"][3] - 1
        alpha = dump["alpha"]["Normal_A", 119][sentence.entries]
        assert len(alpha) == len(sentence.source)
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
        assert "toylogisticbeta.pkl: C " in out and "test accuracy" in out
        baseline = load(workplace / "outputs" / "toylogisticbeta.pkl")
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
        (workplace / "outputs" / "toylogisticbeta.pkl").unlink()
        call("logistic_beta.py", *self.flags(workplace), capsys=capsys)
        assert files_in(workplace) == before
        call("logistic_beta.py", *self.flags(workplace), "--seed", 1, capsys=capsys)
        assert files_in(workplace) != before

    def test_one_of_other_words_is_not_used(self, workplace, capsys):
        path = workplace / "outputs" / "toyembedding256beta.pkl"
        baseline = load(path)
        baseline["vocab"][5] = "other"
        (workplace / "outputs" / "toylogisticbeta.pkl").write_bytes(pickle.dumps(baseline))
        result = self.collect(workplace, capsys)
        assert_one_line(result, "another vocabulary", "logistic_beta.py --dataset toy")
        assert not (workplace / "new.pkl").exists()

    @pytest.mark.parametrize("kept", [0, 1])
    def test_one_label_is_no_data(self, workplace, capsys, kept):
        path = workplace / "data" / "toy_train.json"
        raw = json.loads(path.read_text())
        raw["XY"] = [pair for pair in raw["XY"] if pair[1] == kept]
        path.write_text(json.dumps(raw))
        result = call("logistic_beta.py", *self.flags(workplace), capsys=capsys)
        assert_one_line(result, "too few sentences of one label")
        assert not (workplace / "outputs" / "toylogisticbeta.pkl").exists()

    def test_without_data(self, tmp_path, capsys):
        result = call("logistic_beta.py", *self.flags(tmp_path), capsys=capsys)
        assert_one_line(result, "toy_train.json is missing", "prepare_data.py --dataset toy")

    def test_fit_is_at_the_minimum(self):
        """The gradient of the plain, dense objective vanishes."""
        module = load_script("classification", "logistic_beta")
        rng = np.random.default_rng(0)
        rows = [rng.integers(0, 90, n) for n in rng.integers(1, 25, 200)]
        labels = np.array([int((row < 30).mean() + 0.1 * rng.normal() > 0.33) for row in rows])
        sentences = module.Sentences(Ragged.from_rows(rows), labels)
        dense = np.array([np.bincount(row, minlength=100) / len(row) for row in rows])
        shares = module.relative_counts(sentences, 100)
        np.testing.assert_allclose(shares.toarray(), dense, rtol=1e-12)
        for strength in (10.0, 1000.0):
            beta, bias = module.fit(shares, labels, strength)
            residual = 1 / (1 + np.exp(-(dense @ beta + bias))) - labels
            gradient = dense.T @ residual + beta / strength
            assert max(abs(gradient).max(), abs(residual.sum())) / 200 < 1e-6
            assert (beta[90:] == 0).all() and abs(beta).max() > 1

        def loss(strength):
            order = np.random.default_rng(7).permutation(200)
            held_out, rest = order[:20], order[20:]
            beta, bias = module.fit(shares[rest], labels[rest], strength)
            p = 1 / (1 + np.exp(-(dense[held_out] @ beta + bias)))
            return -np.mean(np.log(np.where(labels[held_out] == 1, p, 1 - p)))

        strength, lowest = module.choose_strength(shares, labels, seed=7)
        assert lowest == pytest.approx(loss(strength))
        at = module.STRENGTHS.index(strength)
        assert 0 < at < len(module.STRENGTHS) - 1
        assert all(
            loss(other) > lowest for other in module.STRENGTHS[: at + 2] if other != strength
        )


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

    def test_a_killed_run_ends_with_the_same_bytes(self, experiment, tmp_path):
        """Killed without warning, three times, at moments that the run itself does not choose."""
        flags = train_flags(experiment, models_dir=tmp_path / "models")
        command = [sys.executable, FOLDER / "train_classifier.py", *map(str, flags)]
        folder = tmp_path / "models" / "toy" / "h_dim=48,b_size=32,seed=20,normal"
        for awaited in ("model0", "model20", "model60"):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            while not (folder / awaited).exists():
                assert process.poll() is None
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
        end = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        assert "going on from step" in end.stdout
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
        write_configs(workplace, iterations=ITERATIONS[:3])
        _, out, _ = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert "9 checkpoints, 0 of them evaluated now" in out
        write_configs(workplace)
        _, out, _ = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert "24 checkpoints, 15 of them evaluated now" in out
        assert (workplace / "outputs" / "toy_logs.pkl").read_bytes() == whole

    def test_evaluation_sees_a_new_checkpoint(self, workplace, capsys):
        folder = workplace / "models" / "toy" / "h_dim=48,b_size=32,seed=13,normal"
        shutil.copy(folder / "model90", folder / "model119")
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

    def test_an_interrupted_word_baseline_ends_the_same(self, experiment, tmp_path, capsys):
        flags = ["--dataset", "toy", "--data_dir", experiment / "data", "--epochs", 8]
        call("embedding_beta.py", *flags, "--outputs_dir", tmp_path / "whole", capsys=capsys)
        interrupted = """
import runpy, sys
from attention_dynamics import cli, word_baseline
word_baseline.SAVE_AFTER = 0
lines = []
def say(line):
    lines.append(line)
    if len(lines) == 6:
        raise KeyboardInterrupt
cli.say = say
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
        command = [sys.executable, "-c", interrupted, FOLDER / "embedding_beta.py", *flags]
        command += ["--outputs_dir", tmp_path / "parts"]
        assert subprocess.run(list(map(str, command)), stderr=subprocess.DEVNULL).returncode == 130
        _, out, _ = call(
            "embedding_beta.py", *flags, "--outputs_dir", tmp_path / "parts", capsys=capsys
        )
        assert "going on after epoch 5" in out
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
                command = [sys.executable, FOLDER / "train_classifier.py", *map(str, flags)]
                subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            results[name] = next((tmp_path / name).rglob("model59")).read_bytes()
        assert results["whole"] == results["parts"]


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"dataset": "imdb"}, ["invalid choice: 'imdb'", "IMDB"]),
            ({"dataset": "IMDB"}, ["IMDB_train.json is missing", "prepare_data.py --dataset IMDB"]),
            ({"steps": 0}, ["--steps", "0 is not a positive"]),
            ({"steps": -5}, ["--steps", "-5 is not a positive"]),
            ({"steps": "many"}, ["--steps", "'many'"]),
            ({"seed": -1}, ["--seed", "negative"]),
            ({"seed": 2**40}, ["--seed", "too large"]),
            ({"save_every": 0}, ["--save_every"]),
            ({"test_set_size": 0}, ["--test_set_size"]),
            ({"custom_saves": "0,120"}, ["--custom_saves 120: past the last step, 119"]),
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
        result = call("train_classifier.py", *train_flags(workplace), capsys=capsys)
        assert_one_line(result, "data:")

    def test_a_full_disk(self, experiment, tmp_path):
        """A limit on the size of files stands for it: a write fails in the middle."""
        flags = map(str, train_flags(experiment, models_dir=tmp_path / "models"))
        command = [sys.executable, str(FOLDER / "train_classifier.py"), *flags]
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
            ({"iteration": 5}, ["Normal_A at 5 is there twice"]),
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
