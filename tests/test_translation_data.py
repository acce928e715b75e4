"""translation/data.py: reading a dataset, its SentencePiece model, and what cannot be used."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import RAW, ROOT, load_script

from attention_dynamics.cli import InputError
from attention_dynamics.translation import data

prepare = load_script("translation", "prepare_data")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder with the toy data in it, and a SentencePiece model made of them."""
    folder = tmp_path_factory.mktemp("toy")
    prepare.main(["--dataset", "toy", "--data_dir", str(folder)])
    data.load_dataset(folder, "toy")
    return folder


@pytest.fixture
def copy(toy, tmp_path):
    """Its files, to be spoilt, without the record that would tell."""
    (tmp_path / "toy").mkdir()
    for path in (toy / "toy").iterdir():
        if path.name != data.RECORD:
            (tmp_path / "toy" / path.name).write_bytes(path.read_bytes())
    return tmp_path


def lines(folder, name):
    return (folder / "toy" / name).read_text().splitlines()


def test_sentences_are_encoded_with_their_ends(toy):
    dataset = data.load_dataset(toy, "toy")
    assert dataset.vocab[:4] == ["<pad>", "<s>", "</s>", "<unk>"] and len(dataset.vocab) == 224
    for pairs, split in ((dataset.train, "train"), (dataset.val, "val")):
        sources, targets = lines(toy, f"{split}.src"), lines(toy, f"{split}.trg")
        assert len(pairs) == len(sources) == len(targets)
        assert pairs.references == targets
        assert pairs.source.values.dtype == np.int64
        for side, texts in ((pairs.source, sources), (pairs.target, targets)):
            assert len(side) == len(texts)
            for tokens, text in zip(side, texts):
                assert tokens[0] == data.BOS and tokens[-1] == data.EOS
                assert len(tokens) == len(text.split()) + 2  # of the toy data, a word a piece
                assert dataset.pieces.decode(tokens[1:-1].tolist()) == text


def test_take_and_concatenate(toy):
    dataset = data.load_dataset(toy, "toy")
    rows = np.array([5, 0, 5])
    both = dataset.train.take(rows).concatenate(dataset.val)
    assert len(both) == 3 + len(dataset.val)
    assert both.references[:4] == [dataset.train.references[row] for row in rows] + [
        dataset.val.references[0]
    ]
    for i, row in enumerate(rows):
        assert both.source[i].tolist() == dataset.train.source[row].tolist()
        assert both.target[i].tolist() == dataset.train.target[row].tolist()
    assert both.target[3].tolist() == dataset.val.target[0].tolist()


def test_the_evaluated_training_pairs_are_seeded_and_as_many_as_validation(toy):
    dataset = data.load_dataset(toy, "toy")
    alone, splits = data.evaluated_pairs(dataset, with_train=False)
    assert alone is dataset.val and list(splits) == ["val"]
    pairs, splits = data.evaluated_pairs(dataset, with_train=True)
    n = len(dataset.val)
    assert [rows.tolist() for rows in splits.values()] == [list(range(n)), list(range(n, 2 * n))]
    assert pairs.references[:n] == dataset.val.references
    drawn = pairs.take(splits["train"]).references
    assert drawn != dataset.train.references[:n] and set(drawn) <= set(dataset.train.references)
    assert data.evaluated_pairs(dataset, with_train=True)[0].references == pairs.references


def test_the_first_pairs_of_validation_are_evaluated(toy):
    dataset = data.load_dataset(toy, "toy")
    pairs, splits = data.evaluated_pairs(dataset, with_train=True, test_set_size=5)
    assert [rows.tolist() for rows in splits.values()] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert pairs.references[:5] == dataset.val.references[:5]
    assert set(pairs.references[5:]) <= set(dataset.train.references)
    many = len(dataset.val) + 1
    assert data.evaluated_pairs(dataset, with_train=False, test_set_size=many)[0] is dataset.val


def test_batches_hold_every_pair_once(toy):
    pairs = data.load_dataset(toy, "toy").val
    seen = []
    for rows, batch in data.batches_of_like_length(pairs, 50):
        longest = max(batch.source.lengths.max(), batch.target.lengths.max())
        assert len(rows) == 1 or longest * len(rows) <= 50
        assert batch.references == [pairs.references[row] for row in rows]
        seen += rows.tolist()
    assert sorted(seen) == list(range(len(pairs)))


@pytest.mark.slow
def test_the_same_text_gives_the_same_pieces(toy):
    """In another process, and whatever the number of threads."""
    program = (
        "import sys, hashlib; from pathlib import Path; "
        "from attention_dynamics.translation import data; "
        "text = Path(sys.argv[1]).read_text().splitlines(); "
        "print(hashlib.md5(data.train_pieces(text, 30)).hexdigest())"
    )
    command = [sys.executable, "-c", program, str(toy / "toy" / "train.src")]
    found = {
        subprocess.run(
            command, cwd=ROOT / "translation", capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(found) == 1


def test_pieces_are_trained_where_there_are_none(copy, capsys):
    before = data.load_dataset(copy, "toy")
    assert capsys.readouterr().out == ""
    model = copy / "toy" / "toy.model"
    content = model.read_bytes()
    model.unlink()
    after = data.load_dataset(copy, "toy")
    assert capsys.readouterr().out == f"{model}: training 224 pieces\n"
    assert model.read_bytes() == content
    assert before.digest == after.digest
    assert {path.name for path in (copy / "toy").iterdir()} == {
        "toy.model",
        *(f"{split}.{side}" for split in ("train", "val") for side in ("src", "trg")),
    }


@pytest.mark.parametrize("name", ["train.src", "train.trg", "val.src", "val.trg"])
def test_the_digest_tells_any_change(copy, name):
    before = data.load_dataset(copy, "toy").digest
    text = lines(copy, name)
    (copy / "toy" / name).write_text("\n".join(text[::-1]) + "\n")
    assert data.load_dataset(copy, "toy").digest != before


def test_line_ends_and_spaces_do_not_matter(copy):
    before = data.load_dataset(copy, "toy").val
    path = copy / "toy" / "val.src"
    path.write_text("\r\n".join(f" {line} " for line in lines(copy, "val.src")))
    after = data.load_dataset(copy, "toy").val
    assert before.source.values.tolist() == after.source.values.tolist()
    # what Python takes for line ends is none of ours
    path.write_text("a\u2028b\n" + "\n".join(lines(copy, "val.src")[1:]))
    assert len(data.load_dataset(copy, "toy").val) == len(before)


def spoil(folder, name, content):
    (folder / "toy" / name).write_bytes(content)


GOOD = b"gila kala\n" * 200


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("val.src", GOOD[:-10], ["val.src has 199 sentences", "val.trg 200", "prepare_data.py"]),
        ("val.trg", GOOD + b"one\n", ["val.trg 201"]),
        ("val.src", GOOD + b"\n", ["val.src has 201 sentences", "val.trg 200"]),
        ("val.src", b"", ["val.src has no sentences"]),
        ("train.trg", b"gila\nk\xe4la\n", ["train.trg, line 2: it is not UTF-8"]),
        ("toy.model", b"not a model", ["toy.model is damaged", "delete"]),
        ("toy.model", b"", ["toy.model"]),
    ],
)
def test_bad_files_are_one_line(copy, name, content, words):
    spoil(copy, name, content)
    with pytest.raises(InputError) as error:
        data.load_dataset(copy, "toy")
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_empty_lines_are_kept_and_counted(copy, capsys):
    """As ``<s> </s>``. The end of the last line is no empty line."""
    for name, empty in (("train.src", [0, 7]), ("val.trg", [3]), ("val.src", [3, 9, 10])):
        texts = lines(copy, name)
        for number, line in enumerate(empty):
            texts[line] = " \t" if number == 1 else ""
        (copy / "toy" / name).write_text("\n".join(texts) + "\n")
    dataset = data.load_dataset(copy, "toy")
    assert capsys.readouterr().out.splitlines() == [
        f"{copy / 'toy' / 'train.src'}: 2 empty lines are kept as <s> </s>",
        f"{copy / 'toy' / 'val.src'}: 3 empty lines are kept as <s> </s>",
        f"{copy / 'toy' / 'val.trg'}: 1 empty line is kept as <s> </s>",
    ]
    assert len(dataset.train) == 4000 and len(dataset.val) == 200
    for row in (3, 9, 10):
        assert dataset.val.source[row].tolist() == [data.BOS, data.EOS]
    assert dataset.val.target[3].tolist() == [data.BOS, data.EOS]
    assert dataset.val.references[3] == ""
    assert (dataset.val.source.lengths == 2).sum() == 3


def write_news(folder, with_raw: bool):
    """A News Commentary folder; its raw text has other words than its JSON files."""
    folder = folder / "news-commentary-v14-en-nl"
    folder.mkdir(parents=True)
    for split in ("train", "val"):
        for ending in ("src", "trg"):
            texts = ["ab ba abba baab", "", "ba"] * 20
            (folder / f"{split}.{ending}").write_text(json.dumps(texts))
            if with_raw and split == "train":
                raw = "xy yx xyyx\n\nabba yx ab\n" * 20
                (folder / f"{split}.{ending}_raw").write_text(raw)
    return folder


@pytest.mark.parametrize("with_raw", [True, False])
def test_the_pieces_of_news_commentary(tmp_path, capsys, with_raw):
    """Named after the folder, and trained on the raw text where that is there."""
    folder = write_news(tmp_path, with_raw)
    dataset = data.load_dataset(tmp_path, "news_commentary_v14_en_nl", vocab_size=10)
    out = capsys.readouterr().out
    assert f"{folder / 'train.src'}: 20 empty sentences are kept as <s> </s>" in out
    model = folder / "news-commentary-v14-en-nl.model"
    assert f"{model}: training 10 pieces" in out and model.exists()
    assert ("x" in "".join(dataset.vocab[4:])) == with_raw
    before = model.read_bytes()
    again = data.load_dataset(tmp_path, "news_commentary_v14_en_nl", vocab_size=10)
    assert again.digest == dataset.digest and model.read_bytes() == before


@pytest.mark.parametrize("name", ["train.src", "val.trg"])
def test_missing_files_are_one_line(copy, name):
    (copy / "toy" / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is missing: run .*prepare_data.py --dataset to"):
        data.load_dataset(copy, "toy")
    with pytest.raises(InputError, match="is missing"):
        data.load_dataset(copy / "nowhere", "multi30k")


def test_pieces_of_another_number(copy):
    text = lines(copy, "train.src")
    spoil(copy, "toy.model", data.train_pieces(text, 30))
    with pytest.raises(InputError, match=r"has 30 pieces, not 224: give --vocab_size, or delete"):
        data.load_dataset(copy, "toy")
    assert len(data.load_dataset(copy, "toy", 30).vocab) == 30


def test_pieces_with_other_special_tokens(copy):
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines(copy, "train.src")),
        model_writer=model,
        vocab_size=30,
        minloglevel=2,
    )
    spoil(copy, "toy.model", model.getvalue())
    with pytest.raises(InputError, match=r"pad, bos, eos, unk at \[-1, 1, 2, 0\]"):
        data.load_dataset(copy, "toy", 30)


def test_too_little_text_for_the_vocabulary(copy):
    (copy / "toy" / "toy.model").unlink()
    with pytest.raises(InputError, match="no vocabulary of 5000 pieces") as error:
        data.load_dataset(copy, "toy", 5000)
    assert "\n" not in str(error.value)
    assert not (copy / "toy" / "toy.model").exists()


def test_sentences_as_json(tmp_path):
    folder = tmp_path / "news-commentary-v14-en-nl"
    folder.mkdir()
    sentences = [f"Sentence {i} of the day." for i in range(50)]
    for split in ("train", "val"):
        for side in ("src", "trg"):
            (folder / f"{split}.{side}").write_text(json.dumps(sentences))
    dataset = data.load_dataset(tmp_path, "news_commentary_v14_en_nl", 30)
    assert dataset.val.references == sentences
    for bad, message in (
        ("[", "damaged"),
        ('{"a": 1}', "not a list of sentences"),
        ('["a", 1]', "not a list of sentences"),
    ):
        (folder / "val.src").write_text(bad)
        with pytest.raises(InputError, match=message):
            data.load_dataset(tmp_path, "news_commentary_v14_en_nl", 30)


@pytest.mark.real_data
@pytest.mark.skipif(not RAW.is_dir(), reason="the real datasets are not in ../shared/data/raw")
def test_multi30k(tmp_path):
    prepare.main(["--dataset", "multi30k", "--source", str(RAW), "--data_dir", str(tmp_path)])
    dataset = data.load_dataset(tmp_path, "multi30k")
    assert (len(dataset.train), len(dataset.val), len(dataset.vocab)) == (29_000, 1_014, 8_000)
    assert dataset.val.references[0] == "A group of men are loading cotton onto a truck"
    for side in (dataset.train.source, dataset.train.target):
        assert 14 < side.lengths.mean() < 20
        assert (side.values == data.UNK).mean() < 3e-3
    found = dataset.pieces.decode(dataset.val.target[0][1:-1].tolist())
    assert found == dataset.val.references[0]
