"""The authors' data folder and configs drop in unchanged.

Each test builds such a folder in one of its variants beside a copy of the scripts, and runs every
stage on it by the commands of the published README.
"""

import json
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from conftest import call_script, copy_source, write_json, write_list

from attention_dynamics import cli
from attention_dynamics.files import storage

pytestmark = pytest.mark.slow  # whole stages

PUBLISHED_SIZES = {"hidden_dim": 8, "batch_size": 4}
OUR_SIZES = {"h_dim": 8, "b_size": 4}
RUNS = [("Normal_A", 20, False), ("Normal_B", 13, False), ("uniform", 12, True)]


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """A function that runs ``python SCRIPT FLAGS`` in the copy of a task's folder."""
    monkeypatch.setattr(cli, "LINES_EVERY", 3600.0)  # a busy machine may need over a minute

    def run(task: str, command: str) -> str:
        script, *flags = command.split()
        status, out, err = call_script(tmp_path / task, script, *flags, capsys=capsys)
        assert (status, err) == (0, ""), (command, out, err)
        return out

    return run


def copy_of(task: str, folder: Path, sizes: dict) -> Path:
    """The scripts of a task, with the authors' model config and no list of checkpoints."""
    copy_source(folder, task, without=("configs",))
    write_json(folder / task / "configs" / "model.json", sizes)
    (folder / task / "data").mkdir()
    return folder / task


def write_sentences(data: Path, name: str, labels: list) -> None:
    """``<name>_train.json`` and ``<name>_test.json``: the first five words tell the label."""
    rng = random.Random(0)
    vocab = [f"w{i}" for i in range(30)]
    for split, count in (("train", 80), ("test", 30)):
        pairs = []
        for _ in range(count):
            label = rng.choice(labels)
            words = rng.choices(range(10, 30), k=rng.randint(0, 8))
            words += rng.choices(range(5) if label > 0.5 else range(5, 10), k=2)
            pairs.append([words, label])
        content = {"vocab": vocab, "XY": pairs} if split == "train" else {"XY": pairs}
        (data / f"{name}_{split}.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("asked", "files", "labels", "w2v", "listed", "sizes"),
    [
        ("SMS", "SMS", [False, True], True, "SMS_log.json", PUBLISHED_SIZES),
        ("SNS", "SMS", [0.0, 0.2, 0.7, 1.0], False, "SNS.json", OUR_SIZES),
        ("SMS", "SNS", [0, 1], False, "SNS_log.json", PUBLISHED_SIZES),
    ],
)
def test_classification(run, tmp_path, asked, files, labels, w2v, listed, sizes):
    folder = copy_of("classification", tmp_path, sizes | {"intermediate_dim": 8, "embed_dim": 6})
    write_sentences(folder / "data", files, labels)
    if w2v:
        vectors = {"w1": np.zeros(3, dtype=np.float32), "w2": [0.0, 1.0, 2.0]}
        (folder / "data" / "w2v.pkl").write_bytes(pickle.dumps(vectors))
    write_list(folder / "configs" / listed, [0, 3, 5, 10, 11, 250], RUNS, grad=None)

    for seed in ("20", "13", "12 --uniform"):
        out = run(
            "classification",
            f"train_classifier.py --seed {seed} --dataset {asked} --steps 12 --test_set_size 4000 "
            "--save_every 5 --custom_saves 0,3,400",
        )
        assert "--custom_saves 400: ignored, past the last step, 11" in out
    out = run("classification", f"eval_dump.py --dataset {asked} --test_set_size 25")
    assert "Normal_B 250 (ends at 11)" in out
    run("classification", f"embedding_beta.py --dataset {asked} --bsize 64 --epochs 2 --lr 0.0002")
    stats = tmp_path / "stats.pkl"
    run(
        "classification",
        f"collect_classification_stats.py --datasets {asked} --out_file {stats} "
        "--include_kendall_tau --include_train_results",
    )

    assert (folder / "models" / asked / "h_dim=8,b_size=4,seed=12,uniform" / "model11").exists()
    dump = storage.load_pickle(folder / "outputs" / f"{asked}_logs.pkl", "")
    assert dump["dataset"] == asked
    pairs = json.loads((folder / "data" / f"{files}_test.json").read_text())["XY"][:25]
    assert dump["sentences"]["target"][:25].tolist() == [int(label > 0.5) for _, label in pairs]
    assert list(dump["sentences"]["split"]) == ["val"] * 25 + ["train"] * 25
    results = storage.load_pickle(stats, "")
    assert results.keys() == {
        (asked, metric, split, key)
        for metric in ("top 5% match", "kendall tau")
        for split, key in (("val", "test_acc"), ("train", "train_acc"))
    }
    for summary in results.values():
        assert summary["iterations"] == [0, 3, 5, 10, 11]
        assert 0 <= summary["best_perf"] <= 1


def random_pairs(count: int, rng: random.Random) -> list[tuple[str, str]]:
    """Sentences of random words, enough different ones for 8,000 pieces."""

    def sentence() -> str:
        words = ("".join(rng.choices("abcdefghijklmnop", k=rng.randint(3, 9))) for _ in range(20))
        return " ".join(list(words)[: rng.randint(12, 20)])

    return [(sentence(), sentence()) for _ in range(count)]


@pytest.mark.parametrize(
    ("dataset", "listed", "sizes", "with_model"),
    [
        ("multi30k", "multi30k_log.json", {"num_layers": 2} | PUBLISHED_SIZES, False),
        ("news_commentary_v14_en_nl", "news_commentary_v14_en_nl.json", OUR_SIZES, True),
    ],
)
def test_translation(run, tmp_path, monkeypatch, dataset, listed, sizes, with_model):
    if "h_dim" in sizes:
        sizes = sizes | {"n_layers": 2}
    folder = copy_of("translation", tmp_path, sizes | {"dropout": 0.5})
    rng = random.Random(0)
    train, val = random_pairs(500, rng), random_pairs(8, rng)
    if dataset == "multi30k":
        data = folder / "data" / "multi30k"
        data.mkdir()
        train[3] = train[5] = ("", "")
        train[7], val[2], val[4], val[6] = (
            ("", train[7][1]),
            ("", val[2][1]),
            (val[4][0], ""),
            ("", ""),
        )
        for split, pairs in (("train", train), ("val", val)):
            for side, language in enumerate(("de", "en")):
                text = "".join(pair[side] + "\n" for pair in pairs)
                (data / f"{split}.{language}").write_text(text)
    else:
        data = folder / "data" / "news-commentary-v14-en-nl"
        data.mkdir()
        for split, pairs in (("train", train), ("val", val)):
            for side, ending in enumerate(("src", "trg")):
                sentences = [pair[side] for pair in pairs]
                (data / f"{split}.{ending}").write_text(json.dumps(sentences))
                if split == "train":
                    (data / f"train.{ending}_raw").write_text("\n".join(sentences) + "\n")
    model = data / f"{data.name}.model"
    if with_model:
        import sentencepiece

        monkeypatch.chdir(data)
        sentencepiece.SentencePieceTrainer.train(
            input="train.src_raw,train.trg_raw",
            model_prefix=data.name,
            vocab_size=8000,
            pad_id=0,
            bos_id=1,
            eos_id=2,
            unk_id=3,
            minloglevel=2,
        )
    before = {path: path.read_bytes() for path in data.iterdir()}
    write_list(folder / "configs" / listed, [0, 100, 4000], RUNS, grad=[run[0] for run in RUNS])

    for seed in ("20", "13", "12 --uniform"):
        out = run(
            "translation",
            f"train_translation.py --seed {seed} --dataset {dataset} --epochs 1 --save_every 100 "
            "--custom_saves 0,5000",
        )
        assert "--custom_saves 5000: ignored, past the last step, 125" in out
        if dataset == "multi30k":
            assert f"{data / 'train.de'}: 3 empty lines are kept as <s> </s>" in out
            assert f"{data / 'val.en'}: 2 empty lines are kept as <s> </s>" in out
    out = run(
        "translation",
        f"eval_dump.py --dataset {dataset} --eval_bleu --include_train_subset --grad_bsize 16",
    )
    assert "uniform 4000 (ends at 125)" in out
    run(
        "translation", f"embedding_beta.py --dataset {dataset} --bsize 64 --epochs 1 --embed_dim 16"
    )
    stats = tmp_path / "stats.pkl"
    run(
        "translation",
        f"collect_classification_stats.py --datasets {dataset} --out_file {stats} --embed_dim 16 "
        "--include_kendall_tau --include_train_results --include_bleu_results",
    )

    assert model.exists()
    assert before.items() <= {path: path.read_bytes() for path in data.iterdir()}.items()
    run_folder = "h_dim=8,dropout=0.500000,b_size=4,seed=20,normal"
    assert (folder / "models" / dataset / run_folder / "model100").exists()
    results = storage.load_pickle(stats, "")
    assert len(results) == 8 and {key[0] for key in results} == {dataset}
    assert all(summary["iterations"] == [0, 100] for summary in results.values())
