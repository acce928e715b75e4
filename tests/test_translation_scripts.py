"""The translation scripts as a user calls them, on toy data and a small model."""

import csv
import json
import os
import pickle
import shutil
import subprocess
from functools import partial
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
from attention_dynamics.analysis import bootstrap
from attention_dynamics.training import checkpoints, word_baseline
from attention_dynamics.translation.datasets import DATASETS, toy
from attention_dynamics.translation.task import TASK
from attention_dynamics.views.figures import FIGURES
from attention_dynamics.views.figures.sentence import sentence_of

pytestmark = pytest.mark.slow  # whole stages

FOLDER = ROOT / "translation"
call = partial(call_script, "translation")
ITERATIONS = [0, 50, 100, 150, 250]  # the toy data has 125 steps an epoch
RUN = "h_dim=128,dropout=0.100000,b_size=32,seed=20,normal"
SMALL = json.loads((FOLDER / "configs" / "toy_model.json").read_text())


def train_flags(folder: Path, seed: int = 20, uniform: bool = False, **changes) -> list:
    flags = {
        "dataset": "toy",
        "seed": seed,
        "epochs": 2,
        "save_every": 50,
        "config": folder / "model.json",
        "data_dir": folder / "data",
        "models_dir": folder / "models",
    } | changes
    return flags_of(flags) + ["--uniform"] * uniform


def dump_flags(folder: Path, *more, **changes) -> list:
    flags = {
        "dataset": "toy",
        "config": folder / "model.json",
        **{f"{name}_dir": folder / name for name in ("data", "models", "outputs", "configs")},
    } | changes
    return flags_of(flags) + list(more)


ALL = ["--eval_bleu", "--include_train_subset"]


def collect_flags(folder: Path, *more) -> list:
    flags = ["--datasets", "toy", "--out_file", folder / "stats.pkl"]
    return [*flags, "--outputs_dir", folder / "outputs", *more]


def write_configs(folder: Path, runs=RUNS, iterations=ITERATIONS) -> None:
    write_json(folder / "model.json", SMALL)
    write_list(folder / "configs" / "toy.json", iterations, runs)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    """A folder in which every stage has run, in processes of their own."""
    folder = tmp_path_factory.mktemp("experiment")
    write_configs(folder)

    script = partial(output_of, "translation", cwd=folder)
    data = ["--dataset", "toy", "--data_dir", folder / "data"]
    script("prepare_data.py", *data)
    for _, seed, uniform in RUNS:
        script("train_translation.py", *train_flags(folder, seed, uniform))
    script("eval_dump.py", *dump_flags(folder, *ALL))
    script("embedding_beta.py", *data, "--epochs", 12, "--outputs_dir", folder / "outputs")
    everything = [f"--include_{what}" for what in ("kendall_tau", "spearman", "pearson")]
    everything += ["--include_train_results", "--include_bleu_results", "--resamples", 100]
    table = script("collect_translation_stats.py", *collect_flags(folder, *everything))
    (folder / "table.txt").write_text(table)
    return folder


@pytest.fixture
def workplace(experiment, tmp_path) -> Path:
    """A copy of the experiment to change."""
    return Path(shutil.copytree(experiment, tmp_path / "copy"))


def lexicon(vocab: list[str]) -> np.ndarray:
    """Of each source token, the target token that it means; -1 of the others."""
    token = {piece.removeprefix("▁"): i for i, piece in enumerate(vocab)}
    meaning = np.full(len(vocab), -1)
    for source, target in zip(toy.SOURCE, toy.TARGET):
        meaning[token[source]] = token[target]
    return meaning


def rows_of(dump: dict):
    """Of each row of the columns: the source tokens, the target token, and where it stands."""
    sentences, place = dump["sentences"], 0
    for i in range(len(sentences["split"])):
        source, target = (
            sentences[side][slice(*sentences[f"{side}_offsets"][i : i + 2])]
            for side in ("source", "target")
        )
        for token in target[1:]:
            yield source, token, slice(place, place + len(source))
            place += len(source)


class TestStages:
    def test_checkpoints_and_history(self, experiment):
        folder = experiment / "models" / "toy" / RUN
        names = {f"model{step}" for step in range(0, 251, 50)}
        names |= {"model", "resume.pt", "history.csv", "run.json", "best.json"}
        assert {path.name for path in folder.iterdir()} == names
        with open(folder / "history.csv") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == [
            *("step", "epoch", "train_loss", "val_loss", "val_perplexity", "val_acc")
        ]
        assert [int(row["step"]) for row in rows] == [0, 50, 100, 125, 150, 200, 250]
        assert [row["epoch"] for row in rows] == ["", "", "", "1", "", "", "2"]
        assert [bool(row["val_acc"]) for row in rows] == [bool(row["epoch"]) for row in rows]
        assert rows[0]["train_loss"] == ""  # there is none yet
        losses = [float(row["train_loss"]) for row in rows[1:]]
        assert losses == sorted(losses, reverse=True)
        best = json.loads((folder / "best.json").read_text())
        assert best["epoch"] == 2 and best["step"] == 250
        assert best["val_acc"] == pytest.approx(float(rows[-1]["val_acc"]), rel=1e-5)
        assert (folder / "model").read_bytes() == (folder / "model250").read_bytes()

    def test_dump_has_the_documented_columns(self, experiment):
        dump = load(experiment / "outputs" / "toy_logs.pkl")
        sentences = dump["sentences"]
        assert list(sentences["split"]) == ["val"] * 200 + ["train"] * 200
        n_source = np.diff(sentences["source_offsets"])
        n_target = np.diff(sentences["target_offsets"]) - 1
        lengths = np.repeat(n_source, n_target)
        assert set(dump["alpha"]) == {(name, it) for name, _, _ in RUNS for it in ITERATIONS}
        assert set(dump["grad"]) == {("Normal_A", it) for it in ITERATIONS}
        for column in ("alpha", "beta", "grad"):
            for values in dump[column].values():
                assert values.shape == (lengths.sum(),) and values.dtype == np.float32
        starts = np.concatenate([[0], lengths.cumsum()[:-1]])
        sums = np.add.reduceat(dump["alpha"]["Normal_A", 250], starts)
        np.testing.assert_allclose(sums, 1, atol=1e-5)
        uniform = dump["alpha"]["Uniform", 250]
        np.testing.assert_allclose(uniform, np.repeat(1 / lengths, lengths), rtol=1e-6)
        assert {key for name, it, key in dump["metas"] if (name, it) == ("Uniform", 0)} == {
            f"{split}_{what}"
            for split in ("val", "train")
            for what in ("acc", "perplexity", "bleu")
        }
        best = json.loads((experiment / "models" / "toy" / RUN / "best.json").read_text())
        for key in ("val_acc", "val_perplexity", "val_bleu"):
            assert dump["metas"]["Normal_A", 250, key] == pytest.approx(best[key], rel=1e-6)
        assert dump["metas"]["Normal_A", 250, "val_bleu"] > 40
        assert not (experiment / "outputs" / "toy_logs.parts").exists()

    def test_figures(self, experiment, tmp_path, capsys):
        flags = ["--datasets", "toy", "--stats", experiment / "stats.pkl", "--out_dir", tmp_path]
        flags += ["--outputs_dir", experiment / "outputs", "--performance", "val_bleu"]
        status, out, err = call("plot_dynamics.py", *flags, capsys=capsys)
        assert status == 0, err
        figures = [f"toy_{name}" for name in FIGURES]
        assert len(out.splitlines()) == 4 * len(figures)
        for figure in figures:
            assert (tmp_path / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
            assert (tmp_path / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
        # a sentence's entries are those of its rows
        dump = load(experiment / "outputs" / "toy_logs.pkl")
        sentence = sentence_of(TASK, dump, 2)
        assert sentence.source[-1] == sentence.target[-1] == "</s>"
        assert sentence.target[0] != "<s>"
        alpha = sentence.column("alpha", "Normal_A", 250)
        assert alpha.shape == (len(sentence.target), len(sentence.source))
        np.testing.assert_allclose(alpha.sum(axis=1), 1, atol=1e-5)
        every_row = [dump["alpha"]["Normal_A", 250][entries] for _, _, entries in rows_of(dump)]
        assert any(np.array_equal(alpha[0], row) for row in every_row)

    def test_the_lexicon_comes_out_on_top(self, experiment):
        dump = load(experiment / "outputs" / "toy_logs.pkl")
        beta_px = load(experiment / "outputs" / "toyembedding256translation.pkl")["beta"]
        meaning = lexicon(dump["vocab"])
        columns = {
            "alpha": dump["alpha"]["normal_b", 250],
            "beta": dump["beta"]["Uniform", 250],
            "delta": dump["grad"]["Normal_A", 250],
        }
        top, chance = {name: [] for name in [*columns, "beta_px"]}, []
        for source, target, entries in rows_of(dump):
            right = meaning[source] == target
            if right.any():  # </s> has no meaning
                chance.append(right.mean())
                for name, column in columns.items():
                    top[name].append(right[column[entries].argmax()])
                top["beta_px"].append(right[beta_px[source, target].argmax()])
        assert len(chance) > 2000 and np.mean(chance) < 0.25
        # Not more: for a noun with an adjective, attention may rest on the adjective before it.
        assert np.mean(top["alpha"]) > 0.75
        assert np.mean(top["beta"]) > 0.9
        assert np.mean(top["delta"]) > 0.7
        assert np.mean(top["beta_px"]) > 0.99

    def test_word_baseline_is_the_lexicon(self, experiment):
        baseline = load(experiment / "outputs" / "toyembedding256translation.pkl")
        beta = baseline["beta"]
        assert beta.shape == (224, 224) and beta.dtype == np.float32
        np.testing.assert_allclose(beta.sum(axis=1), 1, rtol=1e-5)
        meaning = lexicon(baseline["vocab"])
        words = np.flatnonzero(meaning >= 0)
        assert (beta[words].argmax(axis=1) == meaning[words]).all()

    def test_the_published_loss_is_another_fit(self, workplace, tmp_path, capsys):
        """It is trained on <s> and padding too. The setting is recorded; nothing is replaced."""
        path = workplace / "outputs" / "toyembedding256translation.pkl"
        first, content = load(path), path.read_bytes()
        assert first["settings"]["published_loss"] is False
        flags = ["--dataset", "toy", "--epochs", 12, "--data_dir", workplace / "data"]
        flags += ["--published_loss", "--outputs_dir"]
        result = call("embedding_beta.py", *flags, workplace / "outputs", capsys=capsys)
        assert_one_line(result, "other settings (published_loss: False, now True)", "--outputs_dir")
        assert path.read_bytes() == content
        assert call("embedding_beta.py", *flags, tmp_path, capsys=capsys)[0] == 0
        second = load(tmp_path / path.name)
        assert second["settings"] == first["settings"] | {"published_loss": True}
        assert not np.array_equal(second["beta"], first["beta"])
        status, out, _ = call("embedding_beta.py", *flags, tmp_path, capsys=capsys)
        assert status == 0 and out == f"{tmp_path / path.name} is finished\n"

    def test_the_published_loss_is_for_training_alone(
        self, experiment, tmp_path, capsys, monkeypatch
    ):
        """The choice of the epoch, by the loss of the validation sentences, is without it."""
        found = []

        def record(model, batch_loss, train, validation, *_):
            rows = np.arange(64)
            sums = [batch_loss(train, rows, True), batch_loss(validation, rows, False)]
            found.append([loss.item() for loss in sums])

        monkeypatch.setattr(word_baseline, "fit", record)
        flags = ["--dataset", "toy", "--data_dir", experiment / "data", "--outputs_dir", tmp_path]
        for more in ([], ["--published_loss"]):
            assert call("embedding_beta.py", *flags, *more, capsys=capsys)[0] == 0
        (train, validation), (published_train, published_validation) = found
        assert published_validation == validation
        assert published_train > 1.1 * train  # 7 to 9 tokens after <s> in a sentence

    def test_an_unfinished_fit_of_the_other_loss_is_not_continued(
        self, experiment, tmp_path, capsys, monkeypatch
    ):
        flags = ["--dataset", "toy", "--data_dir", experiment / "data", "--epochs", 3]
        flags += ["--embed_dim", 8, "--bsize", 256]
        here, there = (["--outputs_dir", tmp_path / name] for name in ("here", "there"))
        path = tmp_path / "here" / "toyembedding8translation.pkl"
        lines = []

        def say(line):
            lines.append(line)
            if len(lines) == 3:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(word_baseline, "SAVE_AFTER", 0)
            patch.setattr(cli, "say", say)
            assert call("embedding_beta.py", *flags, *here, capsys=capsys)[0] == 130
        assert word_baseline.unfinished_path(path).exists()
        before = files_in(tmp_path)
        result = call("embedding_beta.py", *flags, *here, "--published_loss", capsys=capsys)
        assert_one_line(result, "resume.pt was made with other settings (published_loss: False")
        assert files_in(tmp_path) == before
        status, out, _ = call("embedding_beta.py", *flags, *here, capsys=capsys)
        assert status == 0 and "resuming in epoch 3" in out
        call("embedding_beta.py", *flags, *there, capsys=capsys)
        assert files_in(tmp_path / "here") == files_in(tmp_path / "there")

    def test_empty_sentences_on_either_side(self, experiment, tmp_path, capsys):
        """Every stage takes them as ``<s> </s>``: source, target, and both."""
        data = shutil.copytree(experiment / "data", tmp_path / "data") / "toy"
        (data / "toy.model").unlink()
        (data / "files.json").unlink()  # it would tell of the change
        for split in ("train", "val"):
            for side, empty in (("src", (0, 2, 50)), ("trg", (1, 2, 50))):
                texts = (data / f"{split}.{side}").read_text().splitlines()
                for line in empty:
                    texts[line] = ""
                (data / f"{split}.{side}").write_text("\n".join(texts) + "\n")
        write_configs(tmp_path, iterations=[0, 50])
        (tmp_path / "model.json").write_text(json.dumps({**SMALL, "h_dim": 8}))
        said = f"{data / 'train.src'}: 3 empty lines are kept as <s> </s>"

        def run(script: str, flags: list) -> str:
            status, out, err = call(script, *flags, capsys=capsys)
            assert (status, err) == (0, ""), (out, err)
            return out

        for _, seed, uniform in RUNS:
            flags = train_flags(tmp_path, seed, uniform, epochs=1)
            assert said in run("train_translation.py", flags)
        assert said in run("eval_dump.py", dump_flags(tmp_path, *ALL))
        folders = ["--data_dir", tmp_path / "data", "--outputs_dir", tmp_path / "outputs"]
        beta = tmp_path / "outputs" / "toyembedding256translation.pkl"
        for more in (["--published_loss"], []):
            beta.unlink(missing_ok=True)
            flags = ["--dataset", "toy", "--epochs", 1, *folders, *more]
            assert said in run("embedding_beta.py", flags)
        included = ["kendall_tau", "train_results", "bleu_results"]
        run(
            "collect_translation_stats.py",
            collect_flags(tmp_path, *(f"--include_{what}" for what in included)),
        )
        dump = load(tmp_path / "outputs" / "toy_logs.pkl")
        lengths = [
            np.diff(dump["sentences"][f"{side}_offsets"])[[0, 1, 2]]
            for side in ("source", "target")
        ]
        assert lengths[0][0] == lengths[0][2] == lengths[1][1] == lengths[1][2] == 2
        assert min(lengths[1][0], lengths[0][1]) > 2
        for column in ("alpha", "beta", "grad"):
            for values in dump[column].values():
                assert np.isfinite(values).all()
        for summary in load(tmp_path / "stats.pkl").values():
            assert 0 < summary["agr_unif"] <= 1 and 0 <= summary["best_perf"] <= 100

    def test_results_have_the_published_keys(self, experiment):
        results = load(experiment / "stats.pkl")
        assert set(results) == {
            ("toy", metric, split, f"{split}_{performance}")
            for metric in ("top 5% match", "kendall tau", "spearman", "pearson")
            for split in ("val", "train")
            for performance in ("acc", "bleu")
        }
        summary = results["toy", "top 5% match", "val", "val_acc"]
        for key in ("agr_unif", "agr_px", "agr_grad", "agr_normal", "baseline"):
            assert 0 <= summary[key] <= 1
        assert summary["arg_grad"] == summary["agr_grad"]
        assert summary["iterations"] == ITERATIONS
        assert 75 < summary["best_perf"] <= 100  # percent
        assert summary["agr_unif"] > 2 * summary["baseline"]
        assert summary["agr_px"] > 4 * summary["baseline"]
        assert summary["agr_grad"] > 4 * summary["baseline"]
        assert summary["alpha_corrs_std"] == dict.fromkeys(ITERATIONS)  # one comparison run
        assert not summary.keys() & {"agr_logistic", "xi_logistic"}
        bleu = results["toy", "top 5% match", "val", "val_bleu"]
        assert 40 < bleu["best_perf"] <= 100

    def test_agreement_with_the_word_baseline_by_hand(self, experiment):
        dump = load(experiment / "outputs" / "toy_logs.pkl")
        beta_px = load(experiment / "outputs" / "toyembedding256translation.pkl")["beta"]
        of_iteration = []
        for iteration in ITERATIONS:
            matches = []
            for source, target, entries in rows_of(dump):
                values = dump["beta"]["Uniform", iteration][entries]
                chosen = values[beta_px[source, target].argmax()]
                matches.append((values > chosen).sum() < np.ceil(0.05 * len(values)))
            n_val = (np.diff(dump["sentences"]["target_offsets"])[:200] - 1).sum()
            of_iteration.append(np.mean(matches[:n_val]))
        results = load(experiment / "stats.pkl")
        summary = results["toy", "top 5% match", "val", "val_acc"]
        assert summary["agr_px"] == pytest.approx(max(of_iteration))

    @pytest.mark.parametrize("split", ["val", "train"])
    def test_intervals_are_of_resampled_sentences(self, experiment, split):
        dump = load(experiment / "outputs" / "toy_logs.pkl")
        n_rows = np.diff(dump["sentences"]["target_offsets"]) - 1
        results = load(experiment / "stats.pkl")
        summary = results["toy", "top 5% match", split, f"{split}_acc"]
        best = max(ITERATIONS, key=lambda it: dump["metas"]["Normal_A", it, f"{split}_acc"])
        of_iterations = []
        for iteration in ITERATIONS:
            matches = []
            for _, _, entries in rows_of(dump):
                values = dump["beta"]["normal_b", iteration][entries]
                chosen = values[dump["alpha"]["Normal_A", best][entries].argmax()]
                matches.append((values > chosen).sum() < np.ceil(0.05 * len(values)))
            of_sentences = np.split(np.array(matches), np.cumsum(n_rows)[:-1])
            of_iterations.append(of_sentences[:200] if split == "val" else of_sentences[200:])
        resampled = []
        for counts in np.concatenate(list(bootstrap.weights(200, 100, 0))).astype(int):
            rows = np.repeat(np.arange(200), counts)
            means = [np.concatenate([of[i] for i in rows]).mean() for of in of_iterations]
            resampled.append(max(means))
        low, high = summary["intervals"]["agr_normal"]
        assert low < summary["agr_normal"] < high
        assert [low, high] == pytest.approx(np.sort(resampled)[[2, 97]])

    def test_table_is_printed(self, experiment):
        table = (experiment / "table.txt").read_text().splitlines()
        assert table[1].split()[:3] == ["dataset", "metric", "performance"]
        assert [line.split()[0] for line in table[3:]].count("toy") == 16
        assert table[-1].startswith("toy: one comparison run")

    def test_table_for_a_program(self, experiment, tmp_path, capsys):
        flags = collect_flags(experiment, "--format", "csv", "--include_bleu_results")
        flags[3] = tmp_path / "stats.pkl"
        status, out, err = call("collect_translation_stats.py", *flags, capsys=capsys)
        assert status == 0, err
        rows = list(csv.DictReader(out.splitlines()))
        assert [row["performance"] for row in rows] == ["val_acc", "val_bleu"]
        summary = load(tmp_path / "stats.pkl")["toy", "top 5% match", "val", "val_acc"]
        assert float(rows[0]["agr_unif"]) == summary["agr_unif"]
        assert float(rows[0]["agr_unif_high"]) == summary["intervals"]["agr_unif"][1]


class TestGoingOn:
    def test_a_finished_run_says_so(self, workplace, capsys):
        before = files_in(workplace)
        status, out, _ = call("train_translation.py", *train_flags(workplace), capsys=capsys)
        assert status == 0 and "is finished: 250 steps" in out and "BLEU" in out
        status, out, _ = call("eval_dump.py", *dump_flags(workplace, *ALL), capsys=capsys)
        assert status == 0 and "15 checkpoints, 0 of them evaluated now" in out
        flags = ["--dataset", "toy", "--data_dir", workplace / "data", "--epochs", 12]
        flags += ["--outputs_dir", workplace / "outputs"]
        status, out, _ = call("embedding_beta.py", *flags, capsys=capsys)
        assert status == 0 and "is finished" in out
        assert files_in(workplace) == before

    def test_the_state_of_a_finished_run_is_dropped(self, workplace, capsys):
        flags = [*train_flags(workplace), "--drop_resume"]
        status, out, _ = call("train_translation.py", *flags, capsys=capsys)
        assert status == 0 and "resume.pt was dropped" in out
        before = files_in(workplace)
        status, out, _ = call("train_translation.py", *flags, capsys=capsys)
        assert status == 0 and "is finished: 250 steps" in out and "BLEU" in out
        assert "dropped" not in out and files_in(workplace) == before
        longer = train_flags(workplace, epochs=3)
        result = call("train_translation.py", *longer, capsys=capsys)
        assert_one_line(result, "resume.pt was dropped, so it cannot be extended to 375", "delete")
        (workplace / "models" / "toy" / RUN / "best.json").unlink()
        status, _, err = call("train_translation.py", *flags, capsys=capsys)
        assert status == 2 and "best.json is missing: delete" in err

    @pytest.mark.parametrize("encoder", ["gru", "average"])
    def test_a_killed_run_of_another_encoder_ends_with_the_same_bytes(
        self, encoder, experiment, tmp_path
    ):
        config = write_json(tmp_path / "model.json", SMALL | {"n_layers": 2, "encoder": encoder})
        runs = []
        for name in ("killed", "whole"):
            flags = train_flags(
                experiment, models_dir=tmp_path / name, config=config, epochs=1, save_every=25
            )
            command = command_of("translation", "train_translation.py", *flags)
            runs.append(tmp_path / name / "toy" / f"{RUN},encoder={encoder}")
            if name == "killed":
                for awaited in ("model25", "model100"):
                    kill_when(runs[0] / awaited, command)
            end = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            assert ("resuming from step" in end.stdout) == (name == "killed")
        killed, whole = map(files_in, runs)
        assert killed.keys() == whole.keys()
        for name in whole.keys() - {"resume.pt", "run.json"}:
            assert killed[name] == whole[name], name

    def test_a_killed_run_ends_with_the_same_bytes(self, experiment, tmp_path):
        """Killed without warning, four times, at moments that the run itself does not choose."""
        flags = train_flags(experiment, models_dir=tmp_path / "models")
        command = command_of("translation", "train_translation.py", *flags)
        folder = tmp_path / "models" / "toy" / RUN
        for awaited in ("model0", "model100", "model", "model200"):
            kill_when(folder / awaited, command)
        end = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        assert "resuming from step" in end.stdout
        uninterrupted = files_in(experiment / "models" / "toy" / RUN)
        assert files_in(folder).keys() == uninterrupted.keys()
        for name in uninterrupted.keys() - {"resume.pt", "run.json"}:
            assert (folder / name).read_bytes() == uninterrupted[name], name

    def test_what_a_kill_left_unwritten_is_written(self, workplace, capsys):
        folder = workplace / "models" / "toy" / RUN
        whole = files_in(folder)
        for name in ("model", "best.json", "history.csv"):
            (folder / name).unlink()
        status, _, _ = call("train_translation.py", *train_flags(workplace), capsys=capsys)
        assert status == 0
        assert files_in(folder) == whole

    def test_more_epochs_go_on_from_the_end(self, workplace, tmp_path, capsys):
        call("train_translation.py", *train_flags(workplace, epochs=3), capsys=capsys)
        fresh = train_flags(workplace, epochs=3, models_dir=tmp_path / "fresh")
        call("train_translation.py", *fresh, capsys=capsys)
        extended, direct = workplace / "models/toy" / RUN, tmp_path / "fresh/toy" / RUN
        assert (direct / "model350").exists()
        for path in direct.iterdir():
            if path.name not in ("resume.pt", "run.json"):
                assert (extended / path.name).read_bytes() == path.read_bytes(), path.name

    def test_steps_in_place_of_epochs(self, workplace, tmp_path, capsys):
        """Two epochs of 125 steps: their first 30 steps, extended to 60, are the same steps."""
        part = train_flags(workplace, models_dir=tmp_path, save_every=15)
        _, out, _ = call("train_translation.py", *part, "--steps", 30, capsys=capsys)
        assert "best: epoch 0.24" in out
        _, out, _ = call("train_translation.py", *part, "--steps", 60, capsys=capsys)
        assert "resuming from step 30" in out and "best: epoch 0.48" in out
        assert not (tmp_path / "toy" / RUN / "model75").exists()
        direct = train_flags(workplace, models_dir=tmp_path / "direct", save_every=15)
        call("train_translation.py", *direct, "--steps", 60, capsys=capsys)
        for name in ("model45", "model60", "model"):
            extended = (tmp_path / "toy" / RUN / name).read_bytes()
            assert extended == (tmp_path / "direct/toy" / RUN / name).read_bytes(), name
        whole = torch.load(workplace / "models/toy" / RUN / "model50")
        call("train_translation.py", *part, "--steps", 60, "--custom_saves", 50, capsys=capsys)
        again = torch.load(tmp_path / "toy" / RUN / "model50")
        assert all(torch.equal(again[key], value) for key, value in whole.items())

    @pytest.mark.parametrize(
        ("epochs", "steps", "ends"),
        [
            (2, None, {4: 1, 7: 2}),  # 10 pairs, 3 a batch: an epoch is 3 1/3 updates
            (2, 3, {3: 0.9}),
            (2, 4, {4: 1}),
            (9, 10, {4: 1, 7: 2, 10: 3}),
        ],
    )
    def test_ends_of_epochs(self, epochs, steps, ends):
        script = load_script("translation", "train_translation")
        assert script.epoch_ends(10, 3, epochs, steps) == ends

    def test_bleu_can_be_added(self, workplace, capsys):
        path = workplace / "outputs" / "toy_logs.pkl"
        whole = path.read_bytes()
        path.unlink()
        write_configs(workplace, RUNS[:1], [150, 250])
        subset = "--include_train_subset"
        call("eval_dump.py", *dump_flags(workplace, subset), capsys=capsys)
        assert ("Normal_A", 250, "val_bleu") not in load(path)["metas"]
        _, out, _ = call("eval_dump.py", *dump_flags(workplace, *ALL), capsys=capsys)
        assert "2 checkpoints, 2 of them evaluated now" in out
        # without the flag, what is there stays
        _, out, _ = call("eval_dump.py", *dump_flags(workplace, subset), capsys=capsys)
        assert "2 checkpoints, 0 of them evaluated now" in out
        metas = load(path)["metas"]
        for key, value in pickle.loads(whole)["metas"].items():
            assert key[:2] not in {("Normal_A", 150), ("Normal_A", 250)} or metas[key] == value

    def test_an_interrupted_evaluation_keeps_what_it_has(self, workplace, capsys):
        whole = (workplace / "outputs" / "toy_logs.pkl").read_bytes()
        (workplace / "outputs" / "toy_logs.pkl").unlink()
        damaged = workplace / "models" / "toy" / RUN.replace("20", "13") / "model100"
        intact = damaged.read_bytes()
        damaged.write_bytes(intact[:1000])
        status, _, err = call("eval_dump.py", *dump_flags(workplace, *ALL), capsys=capsys)
        assert status == 2 and "model100 is damaged" in err
        assert len(list((workplace / "outputs" / "toy_logs.parts").iterdir())) == 7
        damaged.write_bytes(intact)
        _, out, _ = call("eval_dump.py", *dump_flags(workplace, *ALL), capsys=capsys)
        assert "15 checkpoints, 8 of them evaluated now" in out
        assert (workplace / "outputs" / "toy_logs.pkl").read_bytes() == whole

    def test_the_batch_size_of_delta_does_not_matter(self, workplace, capsys):
        write_configs(workplace, RUNS[:1], [100])
        found = []
        for size in (1, 32):
            flags = dump_flags(workplace, grad_bsize=size, outputs_dir=workplace / str(size))
            assert call("eval_dump.py", *flags, capsys=capsys)[0] == 0
            found.append(load(workplace / str(size) / "toy_logs.pkl")["grad"]["Normal_A", 100])
        # float32 sums in another order: a few roundings of the largest values
        one, many = found
        assert np.abs(one - many).max() < 1e-5 * np.abs(one).max()

    def test_runs_side_by_side_train_one_vocabulary(self, experiment, tmp_path):
        shutil.copytree(experiment / "data", tmp_path / "data")
        (tmp_path / "data" / "toy" / "toy.model").unlink()
        flags = {"data_dir": tmp_path / "data", "models_dir": tmp_path / "models", "epochs": 1}
        commands = [
            command_of(
                "translation", "train_translation.py", *train_flags(experiment, seed, **flags)
            )
            for seed in (1, 2, 3)
        ]
        processes = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands
        ]
        outputs = [process.communicate()[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * 3
        assert sum("training 224 pieces" in out for out in outputs) == 1
        model = Path("data") / "toy" / "toy.model"
        assert (tmp_path / model).read_bytes() == (experiment / model).read_bytes()


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"dataset": "wmt"}, ["unknown dataset wmt", "multi30k"]),
            ({"dataset": "iwslt14"}, ["train.de is missing", "prepare_data.py --dataset iwslt14"]),
            ({"epochs": 0}, ["--epochs", "0 is not a positive"]),
            ({"seed": -1}, ["--seed", "negative"]),
            ({"custom_saves": "0,-1"}, ["--custom_saves", "-1 is negative"]),
            ({"config": "nowhere.json"}, ["nowhere.json is missing"]),
            ({"vocab_size": 70}, ["toy.model has 224 pieces, not 70"]),
            ({"device": "tpu"}, ["--device tpu"]),
        ],
    )
    def test_training_flags(self, experiment, tmp_path, capsys, changes, words):
        flags = train_flags(experiment, models_dir=tmp_path / "models", **changes)
        assert_one_line(call("train_translation.py", *flags, capsys=capsys), *words)
        assert not (tmp_path / "models").exists()

    @pytest.mark.parametrize(
        "script", ["train_translation.py", "eval_dump.py", "embedding_beta.py"]
    )
    def test_data_that_do_not_fit_together(self, workplace, capsys, script):
        path = workplace / "data" / "toy" / "val.trg"
        path.write_bytes(path.read_bytes() + b"one more\n")
        flags = {
            "train_translation.py": train_flags(workplace),
            "eval_dump.py": dump_flags(workplace),
            "embedding_beta.py": ["--dataset", "toy", "--data_dir", workplace / "data"],
        }[script]
        assert_one_line(call(script, *flags, capsys=capsys), "val.src has 200", "val.trg 201")

    def test_a_run_of_other_settings_or_data_is_not_continued(self, workplace, capsys):
        before = files_in(workplace / "models")
        (workplace / "model.json").write_text(json.dumps({**SMALL, "n_layers": 2}))
        result = call("train_translation.py", *train_flags(workplace), capsys=capsys)
        assert_one_line(result, "n_layers: 1, now 2")
        (workplace / "model.json").write_text(json.dumps(SMALL))
        path = workplace / "data" / "toy" / "val.trg"
        path.write_bytes(path.read_bytes().replace(b"puri", b"pufa", 1))
        result = call("train_translation.py", *train_flags(workplace), capsys=capsys)
        assert_one_line(result, "val.trg is not the file that was prepared with the others")
        (path.parent / "files.json").unlink()
        result = call("train_translation.py", *train_flags(workplace), capsys=capsys)
        assert_one_line(result, "other data")
        assert files_in(workplace / "models") == before

    def test_all_missing_checkpoints_are_named(self, workplace, capsys):
        for seed in (20, 13):
            folder = workplace / "models" / "toy" / RUN.replace("20", str(seed))
            (folder / "model100").unlink()
        result = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert_one_line(result, "2 checkpoints", "model100", "seed=13", "train_translation.py")

    def test_a_checkpoint_of_another_size(self, workplace, capsys):
        folder = workplace / "models" / "toy"
        for path in folder.iterdir():
            path.rename(folder / path.name.replace("h_dim=128", "h_dim=64"))
        (workplace / "model.json").write_text(json.dumps({**SMALL, "h_dim": 64}))
        (workplace / "outputs" / "toy_logs.pkl").unlink()
        result = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert_one_line(result, "other settings (h_dim: 128, now 64)")
        for record in workplace.glob("models/*/*/run.json"):
            record.unlink()  # the authors' runs have none
        result = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert_one_line(result, "model0 is a checkpoint of other settings or data", "size mismatch")

    def test_calculate_grad_must_be_there(self, workplace, capsys):
        path = workplace / "configs" / "toy.json"
        entries = json.loads(path.read_text())
        del entries[3]["calculate_grad"]
        path.write_text(json.dumps(entries))
        result = call("eval_dump.py", *dump_flags(workplace), capsys=capsys)
        assert_one_line(result, 'entry 4: "calculate_grad" is missing')

    @pytest.mark.parametrize(
        ("asked", "lacks", "flag"),
        [
            ("--include_bleu_results", "val_bleu", "--eval_bleu"),
            ("--include_train_results", "training sentences", "--include_train_subset"),
        ],
    )
    def test_results_that_the_dump_has_not(self, workplace, capsys, asked, lacks, flag):
        dump = load(workplace / "outputs" / "toy_logs.pkl")
        dump["metas"] = {key: v for key, v in dump["metas"].items() if key[2] != "val_bleu"}
        if flag == "--include_train_subset":
            dump["sentences"]["split"] = np.repeat("val", 400)
        (workplace / "outputs" / "toy_logs.pkl").write_bytes(pickle.dumps(dump))
        (workplace / "stats.pkl").unlink()
        result = call(
            "collect_translation_stats.py", *collect_flags(workplace, asked), capsys=capsys
        )
        assert_one_line(result, f"no {lacks}", f"eval_dump.py --dataset toy {flag}")
        assert not (workplace / "stats.pkl").exists()
        status, _, _ = call(
            "collect_translation_stats.py", *collect_flags(workplace), capsys=capsys
        )
        assert status == 0

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("toy_logs.pkl", ["eval_dump.py --dataset toy"]),
            ("toyembedding256translation.pkl", ["embedding_beta.py --dataset toy"]),
        ],
    )
    def test_collecting_without_a_file(self, workplace, capsys, name, words):
        path = workplace / "outputs" / name
        content = path.read_bytes()
        path.unlink()
        flags = collect_flags(workplace)
        assert_one_line(call("collect_translation_stats.py", *flags, capsys=capsys), *words)
        path.write_bytes(content[:2000])
        assert_one_line(call("collect_translation_stats.py", *flags, capsys=capsys), *words)


# epochs, and the last of the iterations that are evaluated
PUBLISHED = {
    "multi30k": (20, [18000, 20000, 24000, 28000, 32000, 36000]),
    "iwslt14": (30, [60000, 80000, 100000, 150000, 200000, 250000, 300000]),
    "news_commentary_v14_en_nl": (40, [80000, 90000, 100000, 130000]),
    "news_commentary_v14_en_pt": (30, [60000, 70000, 80000, 90000]),
    "news_commentary_v14_it_pt": (40, [34000, 40000, 50000, 52000]),
}
FIRST = [0, 50, 100, 500, 1000, 1500, 2000, 4000, 6000, 8000, 10000]


def test_published_commands():
    def lines(script, *arguments):
        command = [FOLDER / script, "--dry-run", *arguments]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [line.split("  #")[0].rstrip() for line in out.splitlines() if line[0] != "#"]

    assert lines("train_runs.sh") == [
        f"python train_translation.py --dataset {dataset} --seed {seed} --epochs {epochs} "
        "--save_every 2000 --custom_saves 0,50,100,500,1000,1500" + " --uniform" * (seed == 12)
        for dataset, (epochs, _) in PUBLISHED.items()
        for seed in (20, 13, 12)
    ]
    assert lines("dump_logs.sh") == [
        f"python eval_dump.py --dataset {dataset} --eval_bleu --include_train_subset "
        "--grad_bsize 32"
        for dataset in PUBLISHED
    ]
    assert lines("embedding_runs.sh", "multi30k") == ["python embedding_beta.py --dataset multi30k"]


@pytest.mark.parametrize("dataset", [*PUBLISHED, "toy"])
def test_published_checkpoints(dataset):
    entries = checkpoints.known(FOLDER / "configs", FOLDER, DATASETS.find(dataset), {}, False)
    expected = {"Normal_A": (20, False, True), "Normal_B": (13, False, False)}
    if dataset == "toy":
        expected |= {"Normal_C": (14, False, False), "Normal_D": (15, False, False)}
    expected |= {"uniform": (12, True, False)}
    by_name = {}
    for entry in entries:
        by_name.setdefault(entry.name, []).append(entry.iteration)
        assert (entry.seed, entry.uniform, entry.calculate_grad) == expected[entry.name]
    assert list(by_name) == list(expected)
    assert all(iterations == by_name["uniform"] for iterations in by_name.values())
    if dataset in PUBLISHED:
        last = PUBLISHED[dataset][1]
        assert by_name["uniform"][:11] == FIRST
        assert by_name["uniform"][-len(last) :] == last


def test_no_script_needs_the_gpu(experiment, tmp_path):
    """The whole runs where CUDA shows no device."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    flags = train_flags(experiment, models_dir=tmp_path, epochs=1)
    command = command_of("translation", "train_translation.py", *flags)
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
