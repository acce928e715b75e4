"""classification/prepare_data.py: readers, sampling, vocabulary, files, errors, real data."""

import hashlib
import json
import os
import random
import threading
from collections import Counter
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import (
    RAW,
    ROOT,
    assert_one_line,
    load_script,
    make_folder,
    make_tar,
    make_zip,
    run_script,
)

from attention_dynamics.classification import preparation
from attention_dynamics.classification.datasets import DATASETS, newsgroups, toy
from attention_dynamics.cli import InputError
from attention_dynamics.files.download import PublicFile

FOLDER = ROOT / "classification"
prepare_script = partial(run_script, "classification", "prepare_data.py")


@pytest.fixture(scope="module")
def prepare():
    return load_script("classification", "prepare_data")


def read_result(folder, name):
    """Vocabulary, and per split the sentences as (words, label)."""
    train = json.loads((folder / f"{name}_train.json").read_bytes())
    test = json.loads((folder / f"{name}_test.json").read_bytes())
    assert list(train) == ["vocab", "XY"] and list(test) == ["XY"]
    vocab = train["vocab"]
    assert len(set(vocab)) == len(vocab)
    assert {i for part in (train, test) for x, _ in part["XY"] for i in x} == set(range(len(vocab)))
    return vocab, {
        split: [([vocab[i] for i in x], y) for x, y in part["XY"]]
        for split, part in (("train", train), ("test", test))
    }


@pytest.mark.slow
def test_toy_as_a_user_prepares_it(tmp_path):
    results = [
        prepare_script("--dataset", "toy", "--data_dir", tmp_path / name, cwd=cwd)
        for name, cwd in (("one", FOLDER.parent), ("two", FOLDER))
    ]
    assert [(status, err) for status, _, err in results] == [(0, "")] * 2
    assert results[0] == results[1]
    assert [line.split(":")[0] for line in results[0][1].splitlines()] == [
        "train",
        "test",
        "vocabulary",
    ]
    for split in ("train", "test"):
        file = f"toy_{split}.json"
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    vocab, splits = read_result(tmp_path / "one", "toy")
    assert [len(splits[split]) for split in ("train", "test")] == [2000, 500]
    keywords = {w: y for y, words in toy.KEYWORDS.items() for w in words}
    assert not set(keywords) & set(toy.FILLERS)
    assert set(vocab) == set(keywords) | set(toy.FILLERS)
    mixed = 0
    for words, label in splits["train"] + splits["test"]:
        votes = Counter(keywords[w] for w in words if w in keywords)
        assert 15 <= len(words) <= 40
        assert 1 <= votes[label] <= 3 and votes[label] > votes[1 - label] <= 1
        mixed += votes[1 - label]
    assert 0.1 < mixed / 2500 < 0.3
    # an evaluation takes the first rows of the test file: the classes are mixed there
    assert 30 < sum(label for _, label in splits["test"][:100]) < 70


@pytest.mark.slow
def test_errors_as_a_user_sees_them(tmp_path):
    for arguments, message in (
        (["--dataset", "MNIST"], "unknown dataset MNIST (known: IMDB Furd"),
        (["--dataset", "imdb"], "unknown dataset imdb: did you mean IMDB? (known: IMDB Furd"),
        (["--dataset", "toy", "--max_length", "-3"], "-3 is not a positive number"),
        (["--dataset", "SMS", "--source", tmp_path / "absent"], "there is no such file or folder"),
    ):
        result = prepare_script(*arguments, "--data_dir", tmp_path / "data", cwd=tmp_path)
        assert_one_line(result, message)
        assert not (tmp_path / "data").exists()


def test_seed_changes_toy_and_order(prepare, tmp_path):
    for seed in (1, 2):
        prepare.main(
            ["--dataset", "toy", "--seed", str(seed), "--data_dir", str(tmp_path / str(seed))]
        )
    assert (tmp_path / "1/toy_test.json").read_bytes() != (
        tmp_path / "2/toy_test.json"
    ).read_bytes()


def test_draw_is_a_shuffle_cut_short():
    """A sample is what the first rows of the shuffled whole would be, and counts as much."""
    examples = []
    for i in range(300):
        length = (0, 3, 9)[i % 3] if i % 7 else 3
        examples.append((" ".join([f"w{i}"] * length), None if i % 5 == 0 else i % 2))

    def draw(max_count):
        return preparation.draw(iter(examples), max_count, 5, random.Random(4), "train")

    whole = draw(None)
    expected = {
        w
        for text, y in examples
        if y is not None
        for w in text.split()
        if 0 < len(text.split()) <= 5
    }
    assert {words[0] for words in whole.sentences} == expected
    assert all(
        label == int(words[0][1:]) % 2 for words, label in zip(whole.sentences, whole.labels)
    )
    assert len(whole.labels) + sum(whole.left_out.values()) == whole.n_read == 300
    assert whole.sentences != sorted(whole.sentences)
    for count in (1, 10, len(expected) - 1, len(expected), 1000):
        sample = draw(count)
        assert sample.sentences == whole.sentences[:count]
        assert sample.labels == whole.labels[:count]
    assert sum(draw(10).left_out.values()) < sum(whole.left_out.values())
    assert draw(1000).left_out == whole.left_out


def test_draw_gives_every_sentence_the_same_chance():
    rng = random.Random(0)
    counts = Counter()
    for _ in range(2000):
        sample = preparation.draw(((f"w{i}", 0) for i in range(10)), 3, 5, rng, "train")
        counts.update(words[0] for words in sample.sentences)
    assert all(abs(counts[f"w{i}"] - 600) < 100 for i in range(10))


def test_vocabulary_order():
    """Falling training frequency, then the alphabet; words of the test split alone come last."""
    train = [["b", "c", "a"], ["c", "<pad>"]]
    test = [["z", "z", "z", "b"], ["y", "z", "x"]]
    assert preparation.build_vocab(train, test) == ["c", "<pad>", "a", "b", "z", "x", "y"]


def test_a_message_without_what_gives_its_group_away():
    message = "\n".join(
        [
            "From: a@b.c",
            "Subject: Re: goalies",
            "",
            "In article <1@x> d@e.f writes:",
            "> Who is the best goalie?",
            "Roy, of course.",
            "",
            "And second: Hextall.",
            "--",
            "A. B., Go Habs!",
        ]
    )
    assert newsgroups.message_body(message) == "Roy, of course.\n\nAnd second: Hextall."
    assert newsgroups.message_body("From: a@b.c\n\nOne paragraph.\n") == "One paragraph."
    assert newsgroups.message_body("From: a@b.c\n\n") == ""


TREES = {
    "trees/train.txt": "(3 (2 It) (4 (2 -LRB-) (3 works\\/fine)))\n(2 (2 So) (2 what))\n",
    "trees/test.txt": "(0 (2 Bad) (2 .))\n(4 Good)\n",
}


def test_furd(prepare, tmp_path, capsys):
    path = make_zip(tmp_path / "trainDevTestTrees_PTB.zip", TREES)
    prepare.main(["--dataset", "Furd", "--source", str(path), "--data_dir", str(tmp_path)])
    _, splits = read_result(tmp_path, "Furd")
    assert splits["train"] == [(["it", "(", "works/fine"], 1)]
    assert sorted(splits["test"]) == [(["bad", "."], 0), (["good"], 1)]
    output = capsys.readouterr().out
    assert "differs from the public file" in output and "1 another class" in output


def test_imdb_from_an_archive_and_from_a_folder(prepare, tmp_path):
    files = {
        f"aclImdb/{split}/{kind}/{i}_1.txt": f"A {kind} film<br />No. {i} of {split}"
        for split in ("test", "train")
        for kind in ("pos", "neg")
        for i in range(20)
    }
    files["aclImdb/train/unsup/0_0.txt"] = "not labelled"
    sources = [
        make_tar(tmp_path / "aclImdb_v1.tar.gz", files),
        make_folder(tmp_path / "folder", dict(reversed(files.items()))),
        tmp_path / "folder" / "aclImdb",
    ]
    written = []
    for i, source in enumerate(sources):
        folder = tmp_path / str(i)
        prepare.main(["--dataset", "IMDB", "--source", str(source), "--data_dir", str(folder)])
        written.append([(folder / f"IMDB_{s}.json").read_bytes() for s in ("train", "test")])
    assert written[0] == written[1] == written[2]
    _, splits = read_result(tmp_path / "0", "IMDB")
    for split, sentences in splits.items():
        assert len(sentences) == 40
        for words, label in sentences:
            assert words[1] == ("pos" if label else "neg") and words[-1] == split
            assert words[2:5] == ["film", "no", "."]


@pytest.mark.parametrize(
    ("dataset", "folder"),
    [("Yelp", "yelp_review_polarity_csv"), ("Amzn", "amazon_review_polarity_csv")],
)
def test_reviews_are_sampled(prepare, tmp_path, dataset, folder):
    def rows(n):
        quoted = '"2","Title","Good ""value"" here.\\nTwo lines, \\""really\\"""\n'
        return quoted + "".join(
            f'"{1 + i % 2}","word{i}","{"text " * (i % 4)}"\n' for i in range(n)
        )

    files = {f"{folder}/train.csv": rows(300), f"{folder}/test.csv": rows(60)}
    files[f"{folder}/readme.txt"] = "about"
    path = make_tar(tmp_path / f"{folder}.tgz", files)
    command = ["--dataset", dataset, "--source", str(path), "--data_dir", str(tmp_path)]
    prepare.main(command)
    _, splits = read_result(tmp_path, dataset)
    assert [len(splits[split]) for split in ("train", "test")] == [301, 61]
    text = "title good value here . two lines , really"
    assert (text.split(), 1) in splits["train"]
    assert all(
        int(words[0][4:]) % 2 == label for words, label in splits["test"] if words[0] != "title"
    )
    prepare.main([*command, "--max_train", "20", "--max_test", "5"])
    _, fewer = read_result(tmp_path, dataset)
    assert fewer["train"] == splits["train"][:20] and len(fewer["test"]) == 5


def test_a_datasets_own_sample_is_the_default(prepare, tmp_path, monkeypatch):
    sizes = {name: corpus.sample for name, corpus in DATASETS.items() if corpus.sample}
    assert sizes == {"Yelp": 25_000, "Amzn": 25_000}
    monkeypatch.setitem(DATASETS, "toy", replace(DATASETS["toy"], sample=30))
    for flags, expected in (([], [30, 30]), (["--max_test", "7"], [30, 7])):
        prepare.main(["--dataset", "toy", "--data_dir", str(tmp_path), *flags])
        _, splits = read_result(tmp_path, "toy")
        assert [len(splits[split]) for split in ("train", "test")] == expected


def test_sns_from_a_download(prepare, tmp_path, monkeypatch, capsys):
    """Without --source the file is fetched into the data folder, once."""
    messages = "".join(
        f"{'spam' if i % 4 == 0 else 'ham'}\tmessage number{i}\n" for i in range(100)
    )
    public = make_zip(tmp_path / "sms.zip", {"SMSSpamCollection": messages + "that goes on\n"})

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=tmp_path)

        def log_message(self, *args):
            pass

    checksum = "sha256:" + hashlib.sha256(public.read_bytes()).hexdigest()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])  # seconds between polls
        thread.start()
        file = PublicFile("sms.zip", f"http://127.0.0.1:{server.server_port}/sms.zip", checksum)
        monkeypatch.setitem(DATASETS, "SNS", replace(DATASETS["SNS"], files=(file,)))
        prepare.main(["--dataset", "SNS", "--data_dir", str(tmp_path / "data")])
        server.shutdown()
        thread.join()
    prepare.main(["--dataset", "SNS", "--data_dir", str(tmp_path / "data")])  # needs no server
    assert (tmp_path / "data/downloads/sms.zip").read_bytes() == public.read_bytes()
    assert capsys.readouterr().out.count("having no label: line 101\n") == 2  # once each time
    _, splits = read_result(tmp_path / "data", "SNS")
    assert [len(splits[split]) for split in ("train", "test")] == [80, 20]
    everything = splits["train"] + splits["test"]
    assert {words[1] for words, _ in everything} == {f"number{i}" for i in range(100)}
    assert all(label == (int(words[1][6:]) % 4 == 0) for words, label in everything)
    assert [words for words, _ in everything if words[1] == "number99"] == [
        ["message", "number99", "that", "goes", "on"]
    ]


def test_sms_and_sns_are_one_dataset(prepare, tmp_path):
    """The files have the name that was asked for, and the same in them."""
    messages = "".join(f"{('ham', 'spam')[i % 2]}\tnumber{i} is here\n" for i in range(20))
    source = make_zip(tmp_path / "sms+spam+collection.zip", {"SMSSpamCollection": messages})
    for name in ("SMS", "SNS"):
        folder = tmp_path / name
        prepare.main(["--dataset", name, "--source", str(source), "--data_dir", str(folder)])
        assert sorted(path.name for path in folder.iterdir()) == [
            f"{name}_files.json",
            f"{name}_test.json",
            f"{name}_train.json",
        ]
    for split in ("train", "test"):
        written = [tmp_path / name / f"{name}_{split}.json" for name in ("SMS", "SNS")]
        assert written[0].read_bytes() == written[1].read_bytes()


def test_every_public_file_has_a_url_and_a_checksum_but_amazon():
    files = [file for corpus in DATASETS.values() for file in corpus.files]
    assert all(isinstance(file, PublicFile) and file.url.startswith("https://") for file in files)
    assert [file.name for file in files if file.checksum is None] == [
        "amazon_review_polarity_csv.tgz"
    ]
    assert [name for name, corpus in DATASETS.items() if not corpus.files] == ["toy"]


GOOD_CSV = '"1","World news","here"\n"3","Business","there"\n"2","Sports",""\n'


@pytest.mark.parametrize(
    ("dataset", "files", "message"),
    [
        ("IMDB", {"aclImdb/train/pos/1.txt": "good"}, r"no aclImdb/train/neg/\*\.txt"),
        ("Furd", {"trees/train.txt": TREES["trees/train.txt"]}, r"no trees/test\.txt"),
        (
            "Furd",
            TREES | {"trees/test.txt": "(3 (2 It) (4 works)\n"},
            r"test\.txt, line 1: not a tr",
        ),
        ("Furd", TREES | {"trees/test.txt": "(2 (2 So) (2 so))\n"}, "no sentence .* for test"),
        ("AG_News", {"train.csv": GOOD_CSV}, r"no ag_news_csv/test\.csv"),
        (
            "AG_News",
            {"train.csv": GOOD_CSV, "test.csv": GOOD_CSV + '"5","x","y"\n'},
            "line 4: not o",
        ),
        ("AG_News", {"train.csv": GOOD_CSV, "test.csv": GOOD_CSV + '"1"\n'}, "line 4: not one"),
        (
            "AG_News",
            {"train.csv": GOOD_CSV, "test.csv": GOOD_CSV + '"1","cut'},
            "line 4: unexpected",
        ),
        ("AG_News", {"train.csv": GOOD_CSV, "test.csv": '"1","a"b","c"\n'}, "line 1: "),
        ("SNS", {"SMSSpamCollection": "ham\thello\nmaybe\tspam\n"}, "line 2: not ham or spam"),
        ("SNS", {"SMSSpamCollection": "hello\n"}, "line 1: not ham or spam"),
        ("SNS", {"SMSSpamCollection": ""}, "no sentence"),
        ("SNS", {"other.txt": ""}, "no SMSSpamCollection"),
        ("Newsgroups", {"20news-bydate-train/x/1": ""}, r"no 20news-bydate-train/rec\.sport\.base"),
        ("Yelp", {"ag_news_csv/train.csv": GOOD_CSV}, r"no yelp_review_polarity_csv/train\.csv"),
        ("toy", {}, "it has no source"),
    ],
)
def test_bad_sources_are_one_line_and_change_nothing(prepare, tmp_path, dataset, files, message):
    source = tmp_path / "source"
    source.mkdir()
    make_folder(source, files)
    data = make_folder(
        tmp_path / "data", {f"{dataset}_train.json": "old", f"{dataset}_test.json": "o"}
    )
    with pytest.raises(InputError, match=message) as error:
        prepare.main(["--dataset", dataset, "--source", str(source), "--data_dir", str(data)])
    assert "\n" not in str(error.value)
    assert {path.name: path.read_text() for path in data.iterdir()} == {
        f"{dataset}_train.json": "old",
        f"{dataset}_test.json": "o",
    }


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_failure_while_writing_keeps_the_old_pair(prepare, tmp_path, split):
    command = ["--dataset", "toy", "--data_dir", str(tmp_path)]
    prepare.main(command)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    blocked = tmp_path / f".toy_{split}.json.tmp"
    blocked.mkdir()  # the temporary file cannot be opened
    with pytest.raises(InputError, match="could not be written"):
        prepare.main([*command, "--seed", "2"])
    blocked.rmdir()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_full_disk_keeps_the_old_pair(prepare, tmp_path, monkeypatch):
    command = ["--dataset", "toy", "--data_dir", str(tmp_path)]
    prepare.main(command)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    calls = []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:  # the test file, when the training file is complete
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(InputError, match="No space left"):
        prepare.main([*command, "--seed", "2"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.real_data
@pytest.mark.skipif(not RAW.is_dir(), reason="the real datasets are not in ../shared/data/raw")
@pytest.mark.parametrize(
    ("dataset", "sample", "n_train", "n_test", "share"),
    [
        # the published sizes of SST-2, and of the SMS collection (5,574)
        ("Furd", [], 6920, 1821, 0.52),
        ("SNS", [], 4459, 1115, 0.134),
        ("Newsgroups", [], 1043, 707, 0.50),
        ("AG_News", [], 2989, 811, 0.49),
        ("IMDB", ["--max_train", "300", "--max_test", "200"], 300, 200, 0.50),
    ],
)
def test_real_data(prepare, tmp_path, capsys, dataset, sample, n_train, n_test, share):
    prepare.main(["--dataset", dataset, "--source", str(RAW), "--data_dir", str(tmp_path), *sample])
    vocab, splits = read_result(tmp_path, dataset)
    assert (len(splits["train"]), len(splits["test"])) == (n_train, n_test)
    for sentences in splits.values():
        assert abs(sum(label for _, label in sentences) / len(sentences) - share) < 0.08
        assert all(1 <= len(words) <= 400 for words, _ in sentences)
        first = [label for _, label in sentences[:200]]
        assert 0 < sum(first) < len(first)
    counts = Counter(word for words, _ in splits["train"] for word in words)
    frequencies = [counts[word] for word in vocab]
    assert frequencies == sorted(frequencies, reverse=True)
    assert capsys.readouterr().out.splitlines()[-1].startswith("vocabulary: ")
