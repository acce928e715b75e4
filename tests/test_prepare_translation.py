"""translation/prepare_data.py: readers, splits, files, errors."""

import gzip
import json
from functools import partial

import pytest
from conftest import (
    ROOT,
    assert_one_line,
    files_in,
    load_script,
    make_tar,
    run_script,
)

from attention_dynamics.cli import InputError
from attention_dynamics.files import storage
from attention_dynamics.files.download import PublicFile
from attention_dynamics.translation.datasets import DATASETS, iwslt14, toy

prepare = load_script("translation", "prepare_data")

FOLDER = ROOT / "translation"
prepare_script = partial(run_script, "translation", "prepare_data.py")


def read_lines(path):
    text = path.read_text()
    assert text.endswith("\n")
    return text[:-1].split("\n")


def write_multi30k(folder, train, val):
    folder.mkdir(parents=True, exist_ok=True)
    for split, pairs in (("train", train), ("val", val)):
        for side, language in enumerate(("de", "en")):
            text = "".join(pair[side] + "\n" for pair in pairs)
            (folder / f"{split}.{language}.gz").write_bytes(gzip.compress(text.encode()))


@pytest.mark.slow
def test_toy_as_a_user_prepares_it(tmp_path):
    results = [
        prepare_script("--dataset", "toy", "--data_dir", tmp_path / name, cwd=cwd)
        for name, cwd in (("one", FOLDER.parent), ("two", FOLDER))
    ]
    assert [(status, err) for status, _, err in results] == [(0, "")] * 2
    assert results[0] == results[1]
    assert [line.split(",")[0] for line in results[0][1].splitlines()] == [
        "train: 4",
        "val: 200 sentence pairs",
    ]
    assert files_in(tmp_path / "one" / "toy") == files_in(tmp_path / "two" / "toy")
    lexicon = dict(zip(toy.SOURCE, toy.TARGET))
    assert len(lexicon) == len(set(lexicon.values())) == len(toy.NOUNS) + len(toy.ADJECTIVES)
    adjectives = {toy.SOURCE[i] for i in toy.ADJECTIVES}
    moved = 0
    for split in ("train", "val"):
        sources = read_lines(tmp_path / "one" / "toy" / f"{split}.src")
        targets = read_lines(tmp_path / "one" / "toy" / f"{split}.trg")
        for source, target in zip(sources, targets):
            words = source.split()
            nouns = [word for word in words if word not in adjectives]
            assert len(nouns) == len(set(nouns)) == 5 and len(words) <= 10
            in_order = [lexicon[word] for word in words]
            assert sorted(in_order) == sorted(target.split())
            # an adjective has changed places with the noun after it, and nothing else has
            for i, word in enumerate(words):
                if word in adjectives:
                    in_order[i], in_order[i + 1] = in_order[i + 1], in_order[i]
            assert in_order == target.split()
            moved += any(word in adjectives for word in words)
    assert 0.88 < moved / 4200 < 0.96  # 1 - 0.6^5 of the sentences have an adjective


def test_seed_changes_toy(tmp_path):
    for seed in (1, 2):
        folder = str(tmp_path / str(seed))
        prepare.main(["--dataset", "toy", "--seed", str(seed), "--data_dir", folder])
    assert files_in(tmp_path / "1" / "toy") != files_in(tmp_path / "2" / "toy")


def test_multi30k(tmp_path, capsys):
    train = [(f"Satz {i} ä", f"Sentence  {i} ") for i in range(7)] + [("", "nothing")]
    val = [("Ein Satz\u2028 hier", "A sentence here")]
    write_multi30k(tmp_path / "raw" / "multi30k", train, val)
    for source in ("raw", "raw/multi30k"):
        folder = tmp_path / source.replace("/", "-").replace("raw", "data")
        prepare.main(
            ["--dataset", "multi30k", "--source", str(tmp_path / source), "--data_dir", str(folder)]
        )
        out = capsys.readouterr().out
        assert "differs from the public file" in out
        assert "left out 1 pairs with an empty side" in out
        assert "train: 7 sentence pairs" in out and "val: 1 sentence pairs" in out
        files = files_in(folder / "multi30k")
        assert list(files) == ["files.json", "train.de", "train.en", "val.de", "val.en"]
        assert files["train.de"].decode() == "".join(f"Satz {i} ä\n" for i in range(7))
        assert files["train.en"].decode() == "".join(f"Sentence  {i}\n" for i in range(7))
        assert files["val.de"].decode() == "Ein Satz\u2028 hier\n"


TALK = """<url>http://talk</url>
<keywords>talks, all</keywords>
<speaker>A. B.</speaker>
<talkid>{}</talkid>
<title>{}: a talk</title>
<description>{}: about it</description>
{}"""


def write_iwslt14(path, sides):
    files = {}
    for language, lines in sides.items():
        body = "".join(f" {line} \n" for line in lines)
        files[f"de-en/train.tags.de-en.{language}"] = TALK.format(1, language, language, body)
    return make_tar(path, files)


def test_iwslt14(tmp_path, capsys):
    n = 100
    sides = {
        "de": [f"Das ist der Satz Nr. {i}, z.B. so <3 ..." for i in range(n)],
        "en": [f"This isn't sentence number {i}, e.g. <3 ..." for i in range(n)],
    }
    sides["de"][10] = "sehr lang " * 60  # too long, and too unequal
    sides["en"][20] = "uneven " * 75  # too unequal
    sides["en"][30] = ""
    sides["de"][31] = sides["en"][31] = "\x01"  # nothing that Moses keeps
    sides["de"][40] = sides["en"][40] = "lang " * 81
    sides["de"][50], sides["en"][50] = "ein zwei", "one two three"  # just within the ratio
    sides["de"][51], sides["en"][51] = "ein zwei", "one two three four"  # just outside
    sides["de"][52], sides["en"][52] = "ja " * 80, "yes " * 80  # just within the length
    path = write_iwslt14(tmp_path / "de-en.tgz", sides)
    flags = ["--dataset", "iwslt14", "--source", str(path), "--data_dir", str(tmp_path)]
    prepare.main([*flags, "--max_length", "80"])
    out = capsys.readouterr().out
    assert "no checksum is published; read" in out
    assert "left out 2 pairs with an empty side" in out
    # as Moses writes it, in lower case
    kept = [
        (
            f"das ist der satz nr. {i} , z.b. so &lt; 3 ...",
            f"this isn &apos;t sentence number {i} , e.g. &lt; 3 ...",
        )
        for i in range(n)
    ]
    kept[50] = ("ein zwei", "one two three")
    kept[52] = (" ".join(["ja"] * 80), " ".join(["yes"] * 80))
    kept = [pair for i, pair in enumerate(kept) if i not in (10, 20, 30, 31, 40, 51)]
    # the title and the description stay, without their tags; other tags as they are
    speaker = "&lt; speaker &gt; a. b. &lt; / speaker &gt;"
    titles = [("de : a talk", "en : a talk"), ("de : about it", "en : about it")]
    kept = [(speaker, speaker), *titles, *kept]
    folder = tmp_path / "iwslt14"
    assert sorted(files_in(folder)) == [
        *("files.json", "train.de", "train.en", "valid.de", "valid.en")
    ]
    found = {
        split: list(zip(*(read_lines(folder / f"{split}.{side}") for side in ("de", "en"))))
        for split in ("train", "valid")
    }
    assert found["valid"] == kept[22::23] and len(found["valid"]) == 4
    assert found["train"] == [pair for i, pair in enumerate(kept) if i % 23 != 22]
    counts = "left out 2 pairs with a side of more than 80 words, and 2 with a side more than 1.5"
    assert counts in out
    expected = "160,239 are expected from the public archive"
    assert f"{len(found['train'])} training pairs; {expected}" in out


@pytest.mark.parametrize(
    ("german", "english", "expected"),
    [
        (  # a point is apart at the end alone; quotation marks, brackets and & are escaped
            'Er sagte: "Ja & Nein" [lacht].',
            'He said, "Yes & no" [laughs].',
            (
                "Er sagte : &quot; Ja &amp; Nein &quot; &#91; lacht &#93; .",
                "He said , &quot; Yes &amp; no &quot; &#91; laughs &#93; .",
            ),
        ),
        (  # an English apostrophe stays with what follows it, a German one is a word
            "Wie geht's Anna?",
            "It's Anna's, isn't it?",
            ("Wie geht &apos; s Anna ?", "It &apos;s Anna &apos;s , isn &apos;t it ?"),
        ),
        (  # within a number, commas and points are no signs; a German ordinal keeps its point
            "Am 3. Mai waren es 1.234,5 (oder 99%).",
            "Mr. Lee paid $1,234.5 on No. 3.",
            ("Am 3. Mai waren es 1.234,5 ( oder 99 % ) .", "Mr. Lee paid $ 1,234.5 on No. 3 ."),
        ),
        (  # hyphens and a run of points stay whole; spaces are one
            " Ein\u00a0Hals-Nasen-Arzt ... ja  | so ",
            "A well-known\tone...yes/no",
            ("Ein Hals-Nasen-Arzt ... ja &#124; so", "A well-known one ... yes / no"),
        ),
        ("\x01", "", ("", "")),
    ],
)
def test_tokens_are_those_of_moses(german, english, expected):
    """Derived by hand from the rules of ``tokenizer.perl -l de`` and ``-l en``."""
    assert iwslt14.tokenize([(german, english)]) == [expected]


def news(lines):
    return gzip.compress("".join(line + "\n" for line in lines).encode(), mtime=0)


def test_news_commentary(tmp_path, capsys):
    lines = [f"Source {i}\tZiel {i}" for i in range(50)]
    lines[5:5] = ["\t", "Only one side\t", "\tThe other", 'A "quoted" word\tZitat "hier']
    source = tmp_path / "news-commentary-v14.en-nl.tsv.gz"
    source.write_bytes(news(lines))
    flags = ["--dataset", "news_commentary_v14_en_nl", "--source", str(source)]
    for name in ("one", "two"):
        folder = str(tmp_path / name)
        prepare.main([*flags, "--val_size", "10", "--data_dir", folder])
        assert "left out 3 pairs with an empty side" in capsys.readouterr().out
    folder = tmp_path / "one" / "news-commentary-v14-en-nl"
    assert files_in(folder) == files_in(tmp_path / "two" / "news-commentary-v14-en-nl")
    assert sorted(files_in(folder)) == [
        "files.json",
        "train.src",
        "train.src_raw",
        "train.trg",
        "train.trg_raw",
        "val.src",
        "val.trg",
    ]
    sides = {
        name: json.loads((folder / name).read_text())
        for name in files_in(folder)
        if not name.endswith(("raw", ".json"))
    }
    for side in ("src", "trg"):
        assert read_lines(folder / f"train.{side}_raw") == sides[f"train.{side}"]
    pairs = list(zip(sides["train.src"], sides["train.trg"]))
    pairs += list(zip(sides["val.src"], sides["val.trg"]))
    assert len(sides["val.src"]) == 10 and len(pairs) == 51
    full = [tuple(line.split("\t")) for line in lines if all(line.split("\t"))]
    assert sorted(pairs) == sorted(full)
    prepare.main([*flags, "--val_size", "10", "--seed", "2", "--data_dir", str(tmp_path / "two")])
    assert files_in(folder) != files_in(tmp_path / "two" / "news-commentary-v14-en-nl")


def test_every_public_file():
    files = [file for corpus in DATASETS.values() for file in corpus.files]
    assert all(isinstance(file, PublicFile) and file.url.startswith("http") for file in files)
    assert [bool(file.checksum) for file in files] == [True] * 4 + [False] * 4
    assert [name for name, corpus in DATASETS.items() if not corpus.files] == ["toy"]


@pytest.mark.parametrize(
    ("dataset", "files", "flags", "message"),
    [
        ("multi30k", {"train.de": b"a\n", "train.en": b"a\nb\n"}, [], "has 1 lines and .* 2"),
        ("multi30k", {"train.de": b"a\n"}, [], r"no multi30k/train\.en"),
        ("multi30k", {"train.de": b"a\xff\n", "train.en": b"a\n"}, [], "not utf-8"),
        (
            "multi30k",
            {f"{s}.{x}": b"\n" for s in ("train", "val") for x in ("de", "en")},
            [],
            "no ",
        ),
        ("iwslt14", {"x": b""}, [], r"no de-en/train\.tags\.de-en\.de"),
        ("news_commentary_v14_it_pt", {"x": b""}, [], r"no news-commentary-v14\.it-pt\.tsv"),
        (
            "news_commentary_v14_it_pt",
            {"news-commentary-v14.it-pt.tsv": b"a\tb\na\tb\tc\n"},
            [],
            "line 2: not two columns",
        ),
        (
            "news_commentary_v14_it_pt",
            {"news-commentary-v14.it-pt.tsv": b"a\tb\nc\td\n"},
            ["--val_size", "2"],
            "--val_size 2: there are no more than 2 pairs",
        ),
        ("toy", {}, [], "it has no source"),
    ],
)
def test_bad_sources_are_one_line_and_change_nothing(tmp_path, dataset, files, flags, message):
    source = tmp_path / "source"
    source.mkdir()
    for name, content in files.items():
        (source / name).write_bytes(content)
    folder = tmp_path / "data" / DATASETS[dataset].folder
    folder.mkdir(parents=True)
    (folder / "train.de").write_text("old")
    command = ["--dataset", dataset, "--source", str(source), "--data_dir", str(tmp_path / "data")]
    with pytest.raises(InputError, match=message) as error:
        prepare.main([*command, *flags])
    assert "\n" not in str(error.value)
    assert files_in(folder) == {"train.de": b"old"}


@pytest.mark.slow
def test_errors_as_a_user_sees_them(tmp_path):
    for arguments, message in (
        (["--dataset", "wmt14"], "unknown dataset wmt14: did you mean iwslt14? (known: multi30k"),
        (["--dataset", "toy", "--val_size", "0"], "0 is not a positive number"),
        (["--dataset", "multi30k", "--source", tmp_path / "absent"], "there is no such file"),
    ):
        result = prepare_script(*arguments, "--data_dir", tmp_path / "data", cwd=tmp_path)
        assert_one_line(result, message)
        assert not (tmp_path / "data").exists()


def test_pieces_of_other_sentences_are_removed(tmp_path):
    command = ["--dataset", "toy", "--data_dir", str(tmp_path)]
    prepare.main(command)
    model = tmp_path / "toy" / "toy.model"
    model.write_text("a model")
    prepare.main(command)  # changes nothing
    assert model.exists()
    prepare.main([*command, "--seed", "2"])
    assert not model.exists()


def test_a_killed_preparation_leaves_no_pieces_of_other_sentences(tmp_path, monkeypatch):
    command = ["--dataset", "toy", "--data_dir", str(tmp_path)]
    prepare.main(command)
    model = tmp_path / "toy" / "toy.model"
    model.write_text("a model")
    save_set = storage.save_set

    def killed(*arguments):
        save_set(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "save_set", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare.main([*command, "--seed", "2"])
    assert not model.exists()


@pytest.mark.parametrize("name", ["train.src", "train.trg", "val.src", "val.trg"])
def test_a_failure_while_writing_keeps_the_old_files(tmp_path, name):
    command = ["--dataset", "toy", "--data_dir", str(tmp_path)]
    prepare.main(command)
    before = files_in(tmp_path / "toy")
    blocked = tmp_path / "toy" / f".{name}.tmp"
    blocked.mkdir()  # the temporary file cannot be opened
    with pytest.raises(InputError, match="could not be written"):
        prepare.main([*command, "--seed", "2"])
    blocked.rmdir()
    assert files_in(tmp_path / "toy") == before
