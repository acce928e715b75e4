"""A user's own data: reading every kind of file, refusing bad ones, and the name in every stage."""

import csv
import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from argparse import Namespace
from itertools import product
from pathlib import Path

import pytest
from conftest import (
    ROOT,
    assert_one_line,
    call_script,
    copy_source,
    files_in,
    load,
    load_script,
    make_folder,
    write_json,
    write_list,
)

from attention_dynamics import grid
from attention_dynamics.analysis import tables
from attention_dynamics.classification import preparation
from attention_dynamics.classification.data import load_dataset
from attention_dynamics.classification.datasets import DATASETS as CLASSIFICATION
from attention_dynamics.classification.datasets import own
from attention_dynamics.cli import InputError
from attention_dynamics.files import tabular
from attention_dynamics.training import checkpoints
from attention_dynamics.training.runs import checkpoint_path, run_folder
from attention_dynamics.translation.data import load_dataset as load_pairs
from attention_dynamics.translation.datasets import DATASETS as TRANSLATION

ROWS = [(f'say "{i}", then {i % 3} more', ("bad", "good")[i % 2]) for i in range(40)]
PAIRS = [(f"le mot {i} est ici", f"word {i} is here") for i in range(60)]
COLUMNS = [
    tabular.Column("--text", None, ("text", "sentence")),
    tabular.Column("--label", None, ("label",)),
]


@pytest.fixture(scope="module")
def prepare():
    return load_script("classification", "prepare_data").main


@pytest.fixture(scope="module")
def prepare_pairs():
    return load_script("translation", "prepare_data").main


def table(rows, ending, header=("text", "label")) -> bytes:
    """The bytes of a file of two columns; no header for None, and in a .jsonl."""
    if ending.startswith(".jsonl"):
        lines = [json.dumps(dict(zip(header, row))) for row in rows]
    elif ending.startswith(".tsv"):
        lines = ["\t".join(row) for row in ([header] if header else []) + list(rows)]
    else:
        quoted = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in rows]
        lines = [",".join(row) for row in ([header] if header else []) + quoted]
    content = "".join(line + "\n" for line in lines).encode()
    return gzip.compress(content, mtime=0) if ending.endswith(".gz") else content


ENDINGS = [kind + gz for kind, gz in product(tabular.ENDINGS, ("", ".gz"))]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def sentences_in(folder, name="mine"):
    """Labels, and each split's sentences with their labels' names."""
    train = json.loads((folder / f"{name}_train.json").read_bytes())
    test = json.loads((folder / f"{name}_test.json").read_bytes())
    assert [key for key in train if key != "tokenizer"] == ["vocab", "labels", "XY"]
    return train["labels"], [
        sorted(
            (" ".join(train["vocab"][i] for i in words), train["labels"][label])
            for words, label in part["XY"]
        )
        for part in (train, test)
    ]


# Tables


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_kind_of_table_gives_the_same_cells(tmp_path, ending):
    path = write(tmp_path / f"a [1]{ending}", table(ROWS, ending))
    found = list(tabular.read_columns(path, COLUMNS))
    assert [tuple(cells) for _, cells in found] == ROWS
    first = 1 if ".jsonl" in ending else 2
    assert [line for line, _ in found] == list(range(first, first + len(ROWS)))


def test_cells_with_line_breaks_quotes_and_a_byte_order_mark(tmp_path):
    """Compared with what Python's csv module writes."""
    rows = [["label", "text"], ["a", "one\ntwo, three"], ["b", 'he said "no"'], ["c", "ü, 中"]]
    with open(tmp_path / "x.csv", "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows(rows)
    found = list(tabular.read_columns(tmp_path / "x.csv", COLUMNS))
    assert found == [(number, [y, x]) for number, (x, y) in zip((2, 4, 5), rows[1:])]


def test_columns_by_name_and_by_number(tmp_path):
    path = write(tmp_path / "x.csv", "2,more,Title\n1,,Other\n")
    columns = [tabular.Column("--text", "3", ()), tabular.Column("--label", "1", ())]
    assert list(tabular.read_columns(path, columns)) == [(1, ["Title", "2"]), (2, ["Other", "1"])]
    # names that are numbers, in a header
    path = write(tmp_path / "y.csv", "1,3\nx,y\n")
    assert list(tabular.read_columns(path, columns)) == [(2, ["y", "x"])]
    path = write(tmp_path / "z.jsonl", '{"a": 1.5, "b": "x"}\n\n{"b": "y", "a": true, "c": []}\n')
    columns = [tabular.Column("--text", "b", ()), tabular.Column("--label", "a", ())]
    assert list(tabular.read_columns(path, columns)) == [(1, ["x", "1.5"]), (3, ["y", "true"])]


# Classification


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_table_is_divided(prepare, tmp_path, capsys, ending):
    source = write(tmp_path / f"reviews{ending}", table(ROWS, ending, ("review", "stars")))
    command = ["--dataset", "mine", "--source", str(source), "--label", "stars"]
    prepare([*command, "--data_dir", str(tmp_path / "data")])
    labels, (train, test) = sentences_in(tmp_path / "data")
    assert labels == ["bad", "good"] and (len(train), len(test)) == (32, 8)
    assert sorted(train + test) == sorted(
        (f"say {i} , then {i % 3} more", y) for (_, y), i in zip(ROWS, range(40))
    )
    out = capsys.readouterr().out.splitlines()
    for line, part in zip(out, (train, test)):
        for label in labels:
            assert f", {sum(y == label for _, y in part)} {label}, " in line
    # the same split from any kind of file; another one from another seed; another share
    before = files_in(tmp_path / "data")
    other = write(tmp_path / "other.jsonl", table(ROWS, ".jsonl"))
    for flags, same in (([], True), (["--seed", "2"], False)):
        prepare(
            [
                "--dataset",
                "mine",
                "--source",
                str(other),
                *flags,
                "--data_dir",
                str(tmp_path / "data"),
            ]
        )
        assert (files_in(tmp_path / "data") == before) == same
    prepare([*command, "--split", "0.5", "--data_dir", str(tmp_path / "data")])
    assert [len(part) for part in sentences_in(tmp_path / "data")[1]] == [20, 20]


@pytest.mark.parametrize("names", [("train", "test"), ("train", "dev"), ("train", "valid", "test")])
def test_a_folder_of_two_tables(prepare, tmp_path, names):
    """The test file may be called otherwise; a test file goes before a validation file."""
    kinds = dict(zip(names, (".tsv", ".jsonl.gz", ".csv")))
    rows = {"train": ROWS[:30], "test": ROWS[30:36], "dev": ROWS[30:36], "valid": ROWS[36:]}
    folder = make_folder(
        tmp_path / "source",
        {f"{name}{kind}": table(rows[name], kind) for name, kind in kinds.items()},
    )
    prepare(["--dataset", "mine", "--source", str(folder), "--data_dir", str(tmp_path)])
    _, (train, test) = sentences_in(tmp_path)
    assert len(train) == 30 and test == sorted(
        (f"say {i} , then {i % 3} more", ROWS[i][1]) for i in range(30, 36)
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "9", "-1.5"], ["-1.5", "9", "10"]),
        (["10", "9", "x"], ["10", "9", "x"]),
        ([True, False, True], ["false", "true"]),
        (["sci/tech", "<b>", "élan $"], ["<b>", "sci/tech", "élan $"]),
    ],
)
def test_labels_keep_their_names(prepare, tmp_path, labels, expected):
    lines = [json.dumps({"text": f"t{i}", "label": labels[i % 3]}) for i in range(90)]
    source = write(tmp_path / "x.jsonl", "\n".join(lines))
    prepare(["--dataset", "mine", "--source", str(source), "--data_dir", str(tmp_path)])
    found, parts = sentences_in(tmp_path)
    assert found == expected
    names = {
        f"t{i}": str(labels[i % 3]).lower() if labels[0] is True else labels[i % 3]
        for i in range(90)
    }
    assert all(names[text] == label for part in parts for text, label in part)


def test_tokenizers(prepare, tmp_path):
    rows = [("I'd say: it 's <unk> Fine.", label) for label in "ab" * 10]
    source = write(tmp_path / "x.csv", table(rows, ".csv"))
    written = {}
    for tokenizer in preparation.TOKENIZERS:
        command = ["--dataset", "mine", "--source", str(source), "--data_dir", str(tmp_path)]
        prepare([*command, "--tokenizer", tokenizer])
        written[tokenizer] = sentences_in(tmp_path)[1][0][0][0]
        assert load_dataset(tmp_path, "mine").tokenizer == tokenizer
    assert written == {
        "basic_english": "i ' d say it ' s <unk> fine .",
        "split": "I'd say: it 's <unk> Fine.",
        "moses": "I 'd say : it ' s < unk > Fine .",
    }


def test_the_names_reach_the_models_view(prepare, tmp_path):
    source = write(tmp_path / "x.csv", table(ROWS, ".csv"))
    prepare(["--dataset", "mine", "--source", str(source), "--data_dir", str(tmp_path)])
    assert load_dataset(tmp_path, "mine").labels == ("bad", "good")
    prepare(["--dataset", "toy", "--data_dir", str(tmp_path)])
    assert load_dataset(tmp_path, "toy").labels == ("negative", "positive")
    train = json.loads((tmp_path / "mine_train.json").read_bytes())
    (tmp_path / "mine_files.json").unlink()  # it would tell of a change
    write_json(tmp_path / "mine_train.json", {key: train[key] for key in ("vocab", "XY")})
    assert load_dataset(tmp_path, "mine").labels == ("0", "1")
    for damaged in ("ab", ["one"], [0, 1], {"a": "b"}):
        write_json(tmp_path / "mine_train.json", train | {"labels": damaged})
        with pytest.raises(InputError, match=r'"labels" is not .* --dataset mine --source FILE"'):
            load_dataset(tmp_path, "mine")


GOOD = "text,label\n" + "".join(f"t{i},{'ab'[i % 2]}\n" for i in range(20))


@pytest.mark.parametrize(
    ("name", "content", "flags", "message"),
    [
        (
            "x.csv",
            GOOD,
            ["--text", "body"],
            r"no column body \(--text\): the columns are text, lab",
        ),
        ("x.csv", GOOD.replace("label", "kind"), [], "no column is called label.*columns are text"),
        ("x.csv", GOOD.replace("label", "Text"), [], "text and Text are there: choose with --text"),
        ("x.csv", GOOD.replace("label", "text"), [], "has the column text twice"),
        ("x.csv", GOOD, ["--label", "text"], "are the same column, text"),
        ("x.csv", GOOD, ["--text", "1", "--label", "1"], "--text and --label are the same column"),
        ("x.csv", GOOD, ["--text", "1", "--label", "3"], "has columns 1 to 2, not all of 1, 3"),
        ("x.csv", GOOD, ["--text", "1", "--label", "2"], "a header.* --text text --label label"),
        (
            "x.csv",
            GOOD + 'no"quote,a\nx,"never closed\ny,a\n',
            [],
            "x.csv, line 23: unexpected end",
        ),
        ("x.csv", GOOD + '"a"b,a\n', [], "x.csv, line 22: '.' expected"),
        ("x.csv", GOOD + "one\n", [], "x.csv, line 22: 1 columns, not 2"),
        ("x.csv", GOOD + "one,\n", [], "x.csv, line 22: the label is empty"),
        ("x.csv", GOOD + "a, b,a\n", [], "x.csv, line 22: 3 columns"),
        ("x.csv", GOOD.encode() + b"caf\xe9,a\n", [], "x.csv, line 22 is not utf-8"),
        ("x.csv", "text,label\n" + "x,a\n" * 9, [], "all 7 training sentences have the label a"),
        ("x.csv", "text,label\n" + '"",a\n"  ",b\n' * 9, [], "no sentence .* is left for train"),
        ("x.csv", "text,label\n", [], "x.csv has no rows"),
        ("x.csv", "", [], "x.csv is empty"),
        ("x.csv", "text,label\nx,a\ny,b\n", [], "2 sentences are too few|no training sentence"),
        (
            "x.csv",
            "text,label\n" + "".join(f"a,{i}\n" for i in range(200)),
            [],
            "200 labels in 200 r",
        ),
        ("x.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:-9], [], "x.csv.gz is damaged"),
        ("x.csv.gz", GOOD, [], "no x.csv in it|damaged"),
        ("x.jsonl", '{"text": "a", "label": 1}\n[1]\n', [], "x.jsonl, line 2: not an object"),
        ("x.jsonl", '{"text": "a", "label": 1}\n{"text"\n', [], "x.jsonl, line 2: not an object"),
        (
            "x.jsonl",
            '{"text": "a", "label": 1}\n{"text": "b"}\n',
            [],
            '2: "label" is missing or nu',
        ),
        ("x.jsonl", '{"text": ["a"], "label": 1}\n', [], '1: "text" is neither'),
        ("x.jsonl", '{"text": "a \\ud800", "label": 1}\n', [], '1: "text" has half of a surrogate'),
        ("x.jsonl", "\n", [], "x.jsonl is empty"),
        ("x.tsv", "text\tlabel\nx\ta\ty\n", [], "x.tsv, line 2: 3 columns"),
        ("x.xlsx", "", [], "read from .csv, .tsv, .jsonl files"),
        ("x.csv", GOOD, ["--split", "1.5"], "1.5 is not between 0 and 1"),
        ("x.csv", GOOD, ["--source", "nowhere.csv"], "nowhere.csv: there is no such file"),
    ],
)
def test_bad_data_is_one_line_and_changes_nothing(tmp_path, capsys, name, content, flags, message):
    source = write(tmp_path / name, content)
    data = make_folder(tmp_path / "data", {"mine_train.json": "old", "mine_test.json": "o"})
    command = ["--dataset", "mine", "--data_dir", data, "--source", source, *flags]
    status, _, err = call_script("classification", "prepare_data.py", *command, capsys=capsys)
    assert status == 2 and len(err.splitlines()) == 1, err
    assert re.search(message, err), err
    assert files_in(data) == {"mine_train.json": b"old", "mine_test.json": b"o"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"test.csv": GOOD}, "there is no train.csv"),
        ({"train.csv": GOOD, "train.tsv": GOOD}, "train.csv and train.tsv are there"),
        ({"train.csv": GOOD, "test.csv": GOOD + "x,new\n"}, "no training .* label new of the test"),
    ],
)
def test_bad_folders(prepare, tmp_path, files, message):
    folder = make_folder(tmp_path / "source", files)
    with pytest.raises(InputError, match=message):
        prepare(["--dataset", "mine", "--source", str(folder), "--data_dir", str(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


@pytest.mark.parametrize("task", ["classification", "translation"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../mine", "choose a name"),
        ("data/mine", "choose a name"),
        ("-mine", "expected one argument"),
        (".mine", "choose a name"),
        ("my data", "choose a name"),
        ("a|b", "choose a name"),
        ("", "choose a name"),
        ("m" * 101, "choose a name"),
        ("translation", "choose a name"),
        ("TOY", "did you mean toy"),
    ],
)
def test_names_that_data_cannot_have(tmp_path, capsys, task, name, message):
    source = write(tmp_path / "x.csv", table(ROWS, ".csv", ("source", "target")))
    command = ["--dataset", name, "--source", source, "--data_dir", tmp_path / "data"]
    assert_one_line(call_script(task, "prepare_data.py", *command, capsys=capsys), message)
    assert not (tmp_path / "data").exists()


def test_flags_and_source_belong_to_own_data(tmp_path, capsys):
    made = make_folder(tmp_path / "data", {"mine_train.json": "{}"})
    for flags, message in (
        (["--dataset", "toy", "--label", "x"], "--label: only for your own data"),
        (["--dataset", "mine"], "prepare_data.py --dataset mine --source FILE"),
        (["--dataset", "other"], "prepare_data.py --dataset other --source FILE"),
    ):
        flags = [*flags, "--data_dir", made]
        result = call_script("classification", "prepare_data.py", *flags, capsys=capsys)
        assert_one_line(result, message)


def test_a_failure_while_writing_keeps_the_old_files(prepare, prepare_pairs, tmp_path, monkeypatch):
    source = write(tmp_path / "x.csv", table(ROWS, ".csv", ("source", "target")))
    commands = {
        prepare: ["--text", "source", "--label", "target"],
        prepare_pairs: ["--vocab_size", "30"],
    }
    for number, (main, flags) in enumerate(commands.items()):
        folder = tmp_path / str(number)
        command = ["--dataset", "mine", "--source", str(source), *flags, "--data_dir", str(folder)]
        main(command)
        before, fsync, calls = files_in(folder), os.fsync, []

        def full(descriptor, calls=calls):
            calls.append(descriptor)
            if len(calls) == 2:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="No space left"):
            main([*command, "--seed", "2"])
        monkeypatch.setattr(os, "fsync", fsync)
        assert files_in(folder) == before
        main([*command, "--seed", "2"])
        assert files_in(folder) != before and files_in(folder).keys() == before.keys()


# Translation


def pairs_in(folder):
    return {
        split: list(
            zip(*((folder / f"{split}.{end}").read_text().splitlines() for end in ("src", "trg")))
        )
        for split in ("train", "val")
    }


SIDES = {"fr": "".join(x + "\n" for x, _ in PAIRS), "en": "".join(y + "\n" for _, y in PAIRS)}


def test_every_source_of_pairs_gives_the_same_files(prepare_pairs, tmp_path, capsys):
    files = {f"c.{side}": text for side, text in SIDES.items()}
    files |= {f"z.{side}.gz": gzip.compress(text.encode()) for side, text in SIDES.items()}
    files |= {f"one/train.{side}": text for side, text in SIDES.items()}
    files |= {f"p{ending}": table(PAIRS, ending, ("src", "target")) for ending in ENDINGS}
    files |= {f"n{ending}": table(PAIRS, ending, None) for ending in (".csv", ".tsv.gz")}
    make_folder(tmp_path, files)
    sources = [["c.fr", "c.en"], ["z.fr.gz", "z.en.gz"], ["one", "--from", "fr", "--to", "en"]]
    sources += [[f"p{ending}"] for ending in ENDINGS]
    sources += [[f"n{ending}", "--from", "1", "--to", "2"] for ending in (".csv", ".tsv.gz")]
    written = []
    for number, (source, *flags) in enumerate(sources):
        paths = [str(tmp_path / source)] + [
            str(tmp_path / f) for f in flags if f[:2] in ("c.", "z.")
        ]
        flags = flags if flags[:1] == ["--from"] else []
        folder = tmp_path / f"data{number}"
        prepare_pairs(["--dataset", "mine", "--source", *paths, *flags, "--data_dir", str(folder)])
        written.append(files_in(folder))
    assert all(files == written[0] for files in written)
    assert sorted(written[0]) == [
        *(
            "mine/files.json",
            "mine/mine.model",
            "mine/train.src",
            "mine/train.trg",
            "mine/val.src",
            "mine/val.trg",
        ),
    ]
    found = pairs_in(tmp_path / "data0/mine")
    assert [len(part) for part in found.values()] == [54, 6]
    assert sorted(found["train"] + found["val"]) == sorted(PAIRS)
    # 8,000 pieces are more than the text has: every stage takes what there is
    dataset = load_pairs(tmp_path / "data0", "mine")
    assert 20 < len(dataset.vocab) < 8000 and len(dataset.train) == 54
    assert f"{len(dataset.vocab)} pieces" in capsys.readouterr().out
    os.remove(tmp_path / "data0/mine/mine.model")
    assert load_pairs(tmp_path / "data0", "mine").digest == dataset.digest


def test_a_folder_with_validation_files(prepare_pairs, tmp_path):
    lines = {f"train.{side}": text for side, text in SIDES.items()}
    lines |= {"dev.fr": "un\n\nlong " + "a " * 99 + "\n", "dev.en": "one\nempty\nlong\n"}
    make_folder(tmp_path / "text", lines | {"train.de": "x\n"})
    make_folder(
        tmp_path / "tables",
        {
            "train.tsv": table(PAIRS, ".tsv", ("fr", "en")),
            "val.csv": table([("un", "one")], ".csv", ("fr", "en")),
        },
    )
    for source in ("text", "tables"):
        command = ["--dataset", "mine", "--source", str(tmp_path / source), "--max_length", "50"]
        prepare_pairs(
            [*command, "--from", "fr", "--to", "en", "--data_dir", str(tmp_path / "data")]
        )
        found = pairs_in(tmp_path / "data/mine")
        assert found == {"train": PAIRS, "val": [("un", "one")]}


@pytest.mark.parametrize(
    ("sources", "flags", "message"),
    [
        (["c.fr"], [], "your own data are read from .csv"),
        (["c.fr", "short.en"], [], "c.fr has 60 lines and .*short.en 59: they do not belong"),
        (["c.fr", "none.en"], [], "none.en: there is no such file"),
        (["c.fr", "c.en", "p.csv"], [], "3 files; give one, or one of each language"),
        (["p.csv"], [], "no column is called source, src.*--from 1 --to 2"),
        (["p.csv"], ["--from", "a", "--to", "c"], r"no column c \(--to\)"),
        (["folder"], [], r"--from fr --to en \(there are train.en, train.fr\)"),
        (["folder"], ["--from", "fr", "--to", "de"], "no file train.de"),
        (["empty"], ["--from", "fr", "--to", "de"], "no file train"),
        (["c.fr", "c.en"], ["--vocab_size", "7000"], r"no vocabulary of 7000 .*value <= \d"),
        (["c.fr", "c.en"], ["--val_size", "60"], "no more than 60 pairs"),
        (["latin.fr", "c.en"], [], "latin.fr, line 2 is not utf-8"),
        (["nil.fr", "nil.en"], [], "no sentence pairs"),
    ],
)
def test_bad_pairs_change_nothing(prepare_pairs, tmp_path, sources, flags, message):
    files = {f"c.{side}": text for side, text in SIDES.items()}
    files |= {f"folder/train.{side}": text for side, text in SIDES.items()}
    files |= {"short.en": SIDES["en"].partition("\n")[2], "p.csv": table(PAIRS, ".csv", ("a", "b"))}
    files |= {"latin.fr": b"un\n\xe9t\xe9\n", "nil.fr": "\n", "nil.en": "x\n", "empty/x": ""}
    make_folder(tmp_path, files | {"data/mine/train.src": "old"})
    paths = [str(tmp_path / source) for source in sources]
    command = ["--dataset", "mine", "--source", *paths, *flags]
    with pytest.raises(InputError, match=message) as error:
        prepare_pairs([*command, "--data_dir", str(tmp_path / "data")])
    assert "\n" not in str(error.value)
    assert files_in(tmp_path / "data") == {"mine/train.src": b"old"}


# A dataset is what has its files


def test_names_come_from_files(tmp_path):
    data = make_folder(
        tmp_path / "data",
        {
            name: ""
            for name in ("b_train.json", "a-1_train.json", "SMS_train.json", "x y_train.json")
        }
        | {f"{name}/train.src": "" for name in ("pairs", "toy", "news-commentary-v14-en-nl")},
    )
    outputs = make_folder(tmp_path / "outputs", {"c_logs.pkl": "", "IMDB_logs.pkl": ""})
    known = CLASSIFICATION.names()
    assert CLASSIFICATION.names(data) == [*known, "a-1", "b"]
    assert CLASSIFICATION.names(data, outputs) == [*known, "a-1", "b", "c"]
    assert TRANSLATION.names(data) == [*TRANSLATION.names(), "pairs"]
    assert CLASSIFICATION.names(tmp_path / "nowhere") == known
    entry = CLASSIFICATION.find("c", outputs_dir=outputs)
    assert entry.own and entry.name == "c" and entry.runs == CLASSIFICATION["Furd"].runs
    assert entry.train == CLASSIFICATION["Furd"].train
    with pytest.raises(InputError, match="unknown dataset B: did you mean b"):
        CLASSIFICATION.find("B", data)
    with pytest.raises(InputError, match="unknown dataset c "):
        CLASSIFICATION.find("c", data)


@pytest.mark.parametrize(
    ("script", "reads"),
    [
        ("train_classifier.py --seed 1", "data"),
        ("eval_dump.py", "data"),
        ("embedding_beta.py", "data"),
        ("logistic_beta.py", "data"),
        ("collect_classification_stats.py --out_file x.pkl", "outputs"),
        ("plot_dynamics.py", "outputs"),
        ("explore.py", "outputs"),
    ],
)
def test_every_stage_knows_an_own_name(tmp_path, capsys, script, reads):
    """With a file that is damaged: its message, which names a command that works."""
    make_folder(tmp_path, {"data/mine_train.json": "[", "outputs/mine_logs.pkl": "damaged"})
    script, *flags = script.split()
    flag = "--datasets" if script.startswith(("collect", "plot")) else "--dataset"
    folder = [f"--{reads}_dir", tmp_path / reads]
    for name, words in {
        "mine": ["damaged"]
        if reads == "data"
        else ["mine_logs.pkl" if "plot" not in script else ""],
        "mime": ["unknown dataset mime: did you mean mine? (known: IMDB"],
    }.items():
        result = call_script("classification", script, *flags, flag, name, *folder, capsys=capsys)
        assert_one_line(result, *words)
        if name == "mine" and reads == "data":
            assert 'run "python prepare_data.py --dataset mine --source FILE"' in result[2]


def test_the_grid_takes_own_names_and_further_flags(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(grid, "ROOT", tmp_path)
    make_folder(
        tmp_path,
        {"classification/data/mine_train.json": "", "translation/data/ours/train.src": ""}
        | {"elsewhere/theirs_train.json": ""},
    )
    jobs = grid.jobs("classification", "train_runs", ["mine"], ["--steps", "50"])
    assert len(jobs) == 7 and all(job.endswith(" --steps 50") for job in jobs)
    assert jobs[0].startswith("mine seed=20|train_classifier.py --dataset mine --seed 20 --steps 4")
    assert grid.jobs("translation", "dump_logs", ["ours"]) == [
        "ours|eval_dump.py --dataset ours --eval_bleu --include_train_subset --grad_bsize 32"
    ]
    assert grid.tasks_of(["ours", "mine"]) == {"classification": ["mine"], "translation": ["ours"]}
    flags = ["--data_dir", str(tmp_path / "elsewhere")]
    assert len(grid.jobs("classification", "train_runs", ["theirs"], flags)) == 7
    grid.main("classification", "dump_logs", "mine", "--runs", "Normal_A", "uniform")
    assert capsys.readouterr().out == "mine|eval_dump.py --dataset mine --runs Normal_A uniform\n"
    for task in ("classification", "translation"):
        assert "mine" not in " ".join(grid.jobs(task, "train_runs"))
    with pytest.raises(InputError, match="unknown dataset ourz: did you mean ours"):
        grid.tasks_of(["ourz"])


# Checkpoints that were saved

SIZES = {"h_dim": 4, "b_size": 2}


def evaluated(tmp_path, trained, corpus=None, runs=None, iterations=None):
    """The entries of an evaluation of runs {(seed, uniform): steps}."""
    models = tmp_path / "models"
    for (seed, uniform), steps in trained.items():
        folder = run_folder(models, "mine", SIZES, seed, uniform)
        make_folder(folder, {checkpoint_path(folder, step).name: "" for step in steps})
        make_folder(folder, {"model": "", "resume.pt": ""})
    args = Namespace(models_dir=models, configs_dir=tmp_path, runs=runs, iterations=iterations)
    return checkpoints.to_evaluate(args, corpus or own.entry("mine"), SIZES, grad_by_default=True)


def names_of(entries):
    assert all(entry.calculate_grad == (entry.name == "Normal_A") for entry in entries)
    return {entry.name: (entry.seed, entry.uniform) for entry in entries}


def test_saved_runs_have_the_published_names(tmp_path, capsys):
    runs = {
        (13, False): (0, 5, 9),
        (20, False): (0, 5, 9, 12),
        (12, True): (0, 5),
        (7, True): (0, 1),
    }
    entries = evaluated(tmp_path, runs)
    assert names_of(entries) == {
        "Normal_A": (20, False),
        "Normal_B": (13, False),
        "uniform": (12, True),
    }
    assert {
        name: [e.iteration for e in entries if e.name == name] for name in names_of(entries)
    } == {name: [0, 5] for name in ("Normal_A", "Normal_B", "uniform")}
    assert capsys.readouterr().out.splitlines() == [
        "left out: uniform attention, seed 7; seed 12 is evaluated",
        "left out, not saved by all runs: Normal_A 9 12",
        "left out, not saved by all runs: Normal_B 9",
    ]


@pytest.mark.parametrize(
    ("seeds", "names"),
    [
        ([5, 3, 4], {"Normal_A": 3, "Normal_B": 4, "Normal_C": 5}),
        ([20, 1, 13], {"Normal_A": 20, "Normal_B": 13, "Normal_C": 1}),
        ([13, 1], {"Normal_A": 1, "Normal_B": 13}),
        # 12 is the published seed of uniform attention only
        ([12, 14], {"Normal_A": 12, "Normal_C": 14}),
        (list(range(100, 128)), {"Normal_Z": 125, "Normal_27": 126, "Normal_28": 127}),
    ],
)
def test_other_seeds_are_named_in_order(tmp_path, seeds, names):
    entries = evaluated(tmp_path, {(seed, False): (0,) for seed in seeds})
    assert len(names_of(entries)) == len(seeds)
    assert names.items() <= {name: seed for name, (seed, _) in names_of(entries).items()}.items()


def test_saved_iterations_of_any_dataset(tmp_path):
    """Of a published dataset the runs that were trained; of a list, its runs."""
    furd = CLASSIFICATION["Furd"]
    trained = {(20, False): (0, 3, 9), (13, False): (0, 3), (12, True): (0, 3, 4)}
    for (seed, uniform), steps in trained.items():
        folder = run_folder(tmp_path / "models", "Furd", SIZES, seed, uniform)
        make_folder(folder, {checkpoint_path(folder, step).name: "" for step in steps})
    entries = evaluated(tmp_path, {}, furd, iterations="saved")
    assert names_of(entries).keys() == {"Normal_A", "Normal_B", "uniform"}
    assert {entry.iteration for entry in entries} == {0, 3} and len(entries) == 6
    # what all runs saved, even if one is chosen: processes side by side evaluate the same
    chosen = evaluated(tmp_path, {}, furd, runs=["Normal_A"], iterations="saved")
    assert [(entry.name, entry.iteration) for entry in chosen] == [("Normal_A", 0), ("Normal_A", 3)]
    write_list(tmp_path / "Furd.json", (1, 2))
    entries = evaluated(tmp_path, {}, furd, iterations="saved")
    assert names_of(entries).keys() == {"Normal_A", "normal_b", "Uniform"}
    assert {entry.iteration for entry in entries} == {0, 3}
    write_list(tmp_path / "Furd.json", (1,), [("Normal_A", 20, False), ("Normal_B", 99, False)])
    with pytest.raises(InputError, match=r"no checkpoint was saved by all of Normal_A Normal_B"):
        evaluated(tmp_path, {}, furd, iterations="saved")


def test_runs_and_iterations_are_chosen(tmp_path):
    runs = {(20, False): (0, 5, 9), (13, False): (0, 5, 9), (1, True): (0, 5)}
    entries = evaluated(tmp_path, runs, runs=["normal_A,Uniform"], iterations=[0, 9])
    assert [(e.name, e.iteration, e.calculate_grad) for e in entries] == [
        *(("Normal_A", 0, True), ("Normal_A", 9, True)),
        *(("uniform", 0, False), ("uniform", 9, False)),
    ]
    entries = evaluated(tmp_path, {}, runs=["Normal_B"])
    assert [(e.name, e.iteration) for e in entries] == [("Normal_B", 0), ("Normal_B", 5)]
    # of a published dataset, and of a list
    entries = evaluated(tmp_path, {}, CLASSIFICATION["Furd"], runs=["uniform"], iterations=[3])
    assert [(e.name, e.iteration, e.seed) for e in entries] == [("uniform", 3, 12)]
    write_list(tmp_path / "mine.json", (1, 2), grad=("normal_b",))
    assert len(evaluated(tmp_path, {})) == 6
    entries = evaluated(tmp_path, {}, iterations=[4])
    assert [(e.name, e.iteration, e.calculate_grad) for e in entries] == [
        *(("Normal_A", 4, False), ("normal_b", 4, True), ("Uniform", 4, False)),
    ]
    with pytest.raises(
        InputError, match=r"unknown run Normal_X.*\(known: Normal_A normal_b Uniform\)"
    ):
        evaluated(tmp_path, {}, runs=["Normal_X"])


def test_nothing_was_saved(tmp_path):
    with pytest.raises(InputError, match=r"no checkpoints of a run such as h_dim=4,b_size=2,seed="):
        evaluated(tmp_path, {})
    other = run_folder(tmp_path / "models", "mine", {"h_dim": 5, "b_size": 2}, 1, False)
    make_folder(other, {"model0": ""})
    with pytest.raises(InputError, match="no checkpoints of a run such as"):
        evaluated(tmp_path, {})
    with pytest.raises(InputError, match="no checkpoint was saved by all runs"):
        evaluated(tmp_path, {(1, False): (0,), (2, False): (1,)})


# All of it


def documented() -> list[tuple[str, str]]:
    """The commands of docs/own_data.md, each with the folder that it is typed in."""
    found, folder = [], ""
    text = (ROOT / "docs" / "own_data.md").read_text()
    for line in "".join(
        re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ).splitlines():
        if line.startswith("cd "):
            folder = line.removeprefix("cd ")
        elif line.startswith(("python ", "./")):
            found.append((folder, line))
    return found


@pytest.mark.slow
def test_from_a_file_to_the_explorer(tmp_path):
    """The documented commands, in a copy of the repository, with small models and few steps."""
    copy_source(tmp_path, without=("tests", "docs", "benchmarks"))
    rows = [(f"{('dull', 'fine')[i % 2]} film number {i % 7}", f"{i % 2} $") for i in range(90)]
    files = {"classification/reviews.csv": table(rows, ".csv", ("review", "sentiment"))}
    files |= {f"translation/corpus.{side}": text for side, text in SIDES.items()}
    make_folder(tmp_path, files)
    sizes = {"h_dim": 8, "b_size": 16}
    more = {"intermediate_dim": 4, "embed_dim": 6}
    write_json(tmp_path / "classification/configs/model.json", sizes | more)
    more = {"dropout": 0.1, "n_layers": 1}
    runs = tmp_path / "attention_dynamics/classification/datasets/corpus.py"  # three are enough
    runs.write_text(re.sub(r'    PublishedRun\("Normal_[C-F]".*\n', "", runs.read_text()))
    write_json(tmp_path / "translation/configs/model.json", sizes | more)
    environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(tmp_path), "JOBS": "2"}
    # the bash scripts train
    commands = [(folder, line) for folder, line in documented() if "_classifier.py" not in line]
    assert len(commands) == 14
    commands += [("", "python report.py")]
    reproduce = "python reproduce.py --dataset mine --task classification --out_dir csv"
    commands += [("", f"{reproduce} --runs Normal_A Normal_B uniform --train_flags='--steps 1000'")]
    for folder, line in commands:
        line = line.replace("--steps 1000", "--steps 12")
        line = line.replace("--epochs 5", "--epochs 5 --custom_saves 0,17")
        end = subprocess.run(
            [sys.executable if word == "python" else word for word in shlex.split(line)],
            cwd=tmp_path / folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert end.returncode == 0, (line, end.stderr)
    for task, iterations in (("classification", {0, 10, 11}), ("translation", {0, 17})):
        dump = load(tmp_path / task / "outputs" / "mine_logs.pkl")
        assert {iteration for _, iteration in dump["alpha"]} == iterations
        assert {name for name, _ in dump["grad"]} == {"Normal_A"}
        assert dump.get("labels") == (["0 $", "1 $"] if task == "classification" else None)
        page = (tmp_path / task / "outputs" / "mine_explorer.html").read_text()
        assert ('"labels": ["0 $", "1 $"]' in page) == (task == "classification")
    assert (tmp_path / "report" / "index.html").read_text().count("Explorer of mine") == 2
    check_row(tmp_path / "csv")


def check_row(folder: Path) -> None:
    """What reproduce.py writes: ``_data.txt`` is missing, as it did not prepare the data."""
    endings = ("", "_curves", "_costs", "_about", "_dynamics", "_sentence", "_words")
    assert {path.name for path in folder.iterdir()} == {f"mine{ending}.csv" for ending in endings}
    results = tables.results_of_csv(
        *((folder / name).read_text() for name in ("mine.csv", "mine_curves.csv"))
    )
    metrics = ("top 5% match", "kendall tau", "spearman")
    splits = {key[1:3] for key in results}
    assert splits == {(metric, split) for metric in metrics for split in ("val", "train")}
    with (folder / "mine_costs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == [
        *("train_runs", "dump_logs", "embedding_runs", "logistic_runs"),
        *("collect", "plot_dynamics"),
    ]
    assert {row["status"] for row in rows} == {"0"}
    about = dict(
        line.split(",", 1) for line in (folder / "mine_about.csv").read_text().splitlines()
    )
    assert about["seeds"] == "Normal_A=20 Normal_B=13 uniform=12"
    assert about["steps"] == "12" and about["train_flags"] == "--steps 12"
    assert about["checkpoints"] == "9" and about["device"] == "cpu"
    assert int(about["parameters"]) > 100
