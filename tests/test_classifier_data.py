"""classification/data.py: vocabulary and encoding against torchtext, checks, batches."""

import json
import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from torchtext.vocab import Vocab

from attention_dynamics.analysis.ragged import training_rows
from attention_dynamics.classification import data
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.cli import InputError

SPECIALS = ["<pad>", "<bos>", "<eos>", "<unk>"]


def write(folder, train, test, vocab, name="toy"):
    """The published layout."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}_train.json").write_text(json.dumps({"vocab": vocab, "XY": train}))
    (folder / f"{name}_test.json").write_text(json.dumps({"XY": test}))


def random_text(seed, words=60, sentences=80, shortest=0):
    """Word indices of Zipf's law with labels, and a vocabulary in no order; some words rare."""
    rng = np.random.default_rng(seed)
    vocab = [f"w{i}" for i in range(words - 4)] + ["'", "é", "日本", "z z"]
    rng.shuffle(vocab)
    chances = 1 / np.arange(1, words + 1) ** 1.5

    def split():
        return [
            [
                rng.choice(
                    words, size=rng.integers(shortest, 12), p=chances / chances.sum()
                ).tolist(),
                int(rng.integers(0, 2)),
            ]
            for _ in range(sentences)
        ]

    return split(), split(), list(map(str, vocab))


def torchtext_encoding(train, test, vocab, kept_anyway=()):
    """What torchtext makes of it: the vocabulary, and both splits as tokens and labels."""
    counter = Counter(vocab[i] for words, _ in train for i in words)
    for word in set(vocab) & set(kept_anyway):
        counter.setdefault(word, 0)
    words = Vocab(counter, min_freq=3, specials=SPECIALS)
    if kept_anyway:  # torchtext has no such exception: take from its full list what is to be kept
        full = Vocab(counter, min_freq=1, specials=SPECIALS).itos
        full += sorted(word for word in kept_anyway if word in vocab and counter[word] == 0)
        words.itos = [w for w in full if w in words.stoi or w in kept_anyway]
        words.stoi = {word: i for i, word in enumerate(words.itos)}
    unk = words.stoi["<unk>"]
    splits = [
        (
            [[1, *(words.stoi.get(vocab[i], unk) for i in row), 2] for row, _ in split],
            [label for _, label in split],
        )
        for split in (train, test)
    ]
    return words.itos, *splits


def as_lists(sentences):
    return [row.tolist() for row in sentences.tokens], sentences.labels.tolist()


# Vocabulary and encoding


@pytest.mark.parametrize("seed", range(4))
def test_vocabulary_and_tokens_are_torchtexts(seed, tmp_path):
    train, test, vocab = random_text(seed)
    write(tmp_path, train, test, vocab)
    dataset = data.load_dataset(tmp_path, "toy")
    expected_vocab, expected_train, expected_test = torchtext_encoding(train, test, vocab)
    assert 4 < len(expected_vocab) < len(vocab) + 4
    assert dataset.vocab == expected_vocab
    assert as_lists(dataset.train) == expected_train
    assert as_lists(dataset.test) == expected_test
    assert dataset.name == "toy" and len(dataset.train) == len(train)
    assert dataset.train.tokens.values.dtype == dataset.train.labels.dtype == np.int64


def test_vocabulary_by_hand(tmp_path):
    # b 4 times, a and c 3 times, d twice, e only in the test set
    write(
        tmp_path,
        train=[[[1, 1, 1, 0], 1], [[2, 2, 2, 0, 0, 3, 3, 1], 0]],
        test=[[[4, 3, 2, 1, 0], 1]],
        vocab=["c", "b", "a", "d", "e"],
    )
    dataset = data.load_dataset(tmp_path, "toy")
    assert dataset.vocab == [*SPECIALS, "b", "a", "c"]
    assert as_lists(dataset.train) == (
        [[1, 4, 4, 4, 6, 2], [1, 5, 5, 5, 6, 6, 3, 3, 4, 2]],
        [1, 0],
    )
    assert as_lists(dataset.test) == ([[1, 3, 3, 5, 4, 6, 2]], [1])


@pytest.mark.parametrize("kind", ["dict of arrays", "dict of lists"])
def test_words_of_w2v_are_kept_however_rare(kind, tmp_path):
    train, test, vocab = random_text(7)
    counter = Counter(vocab[i] for words, _ in train for i in words)
    rare = [word for word in vocab if counter[word] < 3]
    kept = [*rare[::2], vocab[0], "not a word of this dataset"]
    write(tmp_path, train, test, vocab)
    vectors = np.ones(3, dtype=np.float32)
    w2v = {word: vectors if kind == "dict of arrays" else vectors.tolist() for word in kept}
    (tmp_path / "w2v.pkl").write_bytes(pickle.dumps(w2v, 3))  # as python 3.7 writes it
    dataset = data.load_dataset(tmp_path, "toy")
    expected_vocab, expected_train, expected_test = torchtext_encoding(train, test, vocab, kept)
    assert set(rare[::2]) <= set(expected_vocab)
    assert dataset.vocab == expected_vocab
    assert as_lists(dataset.train) == expected_train
    assert as_lists(dataset.test) == expected_test


def test_words_called_like_a_special_token_are_that_token(tmp_path):
    """As torchtext has it: <unk> in the text is the token <unk>, and is in the vocabulary once."""
    train = [[[0, 0, 0, 1, 1, 1], 1], [[2, 2, 2, 2, 3], 0]]
    vocab = ["<unk>", "a", "<pad>", "b"]
    write(tmp_path, train, train, vocab)
    dataset = data.load_dataset(tmp_path, "toy")
    expected_vocab, expected_train, _ = torchtext_encoding(train, train, vocab)
    assert dataset.vocab == expected_vocab == [*SPECIALS, "a"]
    assert as_lists(dataset.train) == expected_train


def test_sentences_without_words_are_bos_and_eos(tmp_path):
    write(tmp_path, [[[], 1], [[0], 0], [[], 0]], [[[], 1]], ["a"])
    dataset = data.load_dataset(tmp_path, "toy")
    assert as_lists(dataset.train) == ([[1, 2], [1, 3, 2], [1, 2]], [1, 0, 0])
    assert as_lists(dataset.test) == ([[1, 2]], [1])


@pytest.mark.parametrize(
    ("labels", "dtype", "gold"),
    [
        ([0, 1, 1, 0], np.int64, [0, 1, 1, 0]),
        ([False, True, True, False], np.int64, [0, 1, 1, 0]),
        ([0, True, 1, False], np.int64, [0, 1, 1, 0]),
        ([0.0, 1.0, 1.0, 0.0], np.float64, [0, 1, 1, 0]),
        ([0.5, 0.5000001, 1.0, -0.0], np.float64, [0, 1, 1, 0]),
        ([0.25, True, 1, 0.1], np.float64, [0, 1, 1, 0]),
    ],
)
def test_labels_may_be_whole_numbers_booleans_or_floats(labels, dtype, gold, tmp_path):
    pairs = [[[0], label] for label in labels]
    write(tmp_path, pairs, [[[0], 1], [[0], 0]], ["a"])
    dataset = data.load_dataset(tmp_path, "toy")
    assert dataset.train.labels.tolist() == list(map(float, labels))
    assert dataset.train.labels.dtype == dtype
    assert dataset.train.gold.tolist() == gold and dataset.train.gold.dtype == np.int64
    # the other split has a type of its own, and gives way where both stand in one column
    assert dataset.test.labels.dtype == np.int64
    both = dataset.test.concatenate(dataset.train)
    assert both.labels.tolist() == [1, 0, *map(float, labels)]
    assert both.gold.tolist() == [1, 0, *gold]
    _, _, tensor = data.to_tensors(both)
    assert tensor.tolist() == both.labels.tolist()


class TestTwoNames:
    """SMS and SNS are one dataset."""

    TRAIN, TEST, VOCAB = random_text(5)

    @pytest.mark.parametrize("asked", ["SMS", "SNS"])
    @pytest.mark.parametrize("there", ["SMS", "SNS"])
    def test_files_are_found_under_either(self, asked, there, tmp_path):
        write(tmp_path, self.TRAIN, self.TEST, self.VOCAB, there)
        dataset = data.load_dataset(tmp_path, asked)
        assert dataset.name == asked
        expected_vocab, expected_train, expected_test = torchtext_encoding(
            self.TRAIN, self.TEST, self.VOCAB
        )
        assert dataset.vocab == expected_vocab
        assert as_lists(dataset.train) == expected_train
        assert as_lists(dataset.test) == expected_test
        # the same data, whatever it is called
        assert dataset.digest == data.load_dataset(tmp_path, there).digest

    @pytest.mark.parametrize("asked", ["SMS", "SNS"])
    def test_the_name_that_is_asked_for_wins(self, asked, tmp_path):
        sizes = {"SMS": 30, "SNS": 40}
        for name, size in sizes.items():
            write(tmp_path, self.TRAIN[:size], self.TEST[:size], self.VOCAB, name)
        dataset = data.load_dataset(tmp_path, asked)
        assert len(dataset.train) == len(dataset.test) == sizes[asked]

    @pytest.mark.parametrize(("asked", "other"), [("SMS", "SNS"), ("SNS", "SMS")])
    def test_train_and_test_are_of_one_name(self, asked, other, tmp_path):
        """The test file's word indices refer to its own training file."""
        write(tmp_path, self.TRAIN, self.TEST, self.VOCAB, asked)
        write(tmp_path, self.TRAIN, self.TEST, self.VOCAB, other)
        (tmp_path / f"{asked}_test.json").unlink()
        with pytest.raises(InputError, match=f"{asked}_test.json is missing"):
            data.load_dataset(tmp_path, asked)

    @pytest.mark.parametrize("asked", ["SMS", "SNS"])
    def test_messages_name_what_was_asked_for(self, asked, tmp_path):
        make = f'run "python prepare_data.py --dataset {asked}"'
        with pytest.raises(InputError, match=f"{asked}_train.json is missing: {make}"):
            data.load_dataset(tmp_path, asked)
        write(tmp_path, [[[0], 2]], self.TEST, self.VOCAB, "SNS")
        with pytest.raises(InputError, match=f"SNS_train.json: .* label 2, .*: {make}"):
            data.load_dataset(tmp_path, asked)

    def test_no_other_dataset_has_two(self, tmp_path):
        write(tmp_path, self.TRAIN, self.TEST, self.VOCAB, "SMS")
        for name in set(DATASETS) - {"SNS"}:
            with pytest.raises(InputError, match=f"{name}_train.json is missing"):
                data.load_dataset(tmp_path, name)


def test_digest_tells_whether_what_the_model_sees_has_changed(tmp_path):
    train, test, vocab = random_text(0)

    def digest():
        return data.load_dataset(tmp_path, "toy").digest

    write(tmp_path, train, test, vocab)
    digests = [digest()]
    assert digest() == digests[0]
    write(tmp_path, train[1:], test, vocab)
    digests.append(digest())
    write(tmp_path, train, test[1:], vocab)
    digests.append(digest())
    write(tmp_path, train, test, vocab)
    (tmp_path / "w2v.pkl").write_bytes(pickle.dumps({vocab[0]: 1}))
    digests.append(digest())
    assert len(set(digests)) == 4


# What cannot be used

GOOD = [[[0, 1], 1], [[1], 0], [[2, 2, 0], 1]]


def check_error(folder, *words):
    with pytest.raises(InputError) as error:
        data.load_dataset(folder, "toy")
    message = str(error.value)
    assert "\n" not in message
    assert 'run "python prepare_data.py --dataset toy"' in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_file_that_is_missing(split, tmp_path):
    write(tmp_path, GOOD, GOOD, ["a", "b", "c"])
    (tmp_path / f"toy_{split}.json").unlink()
    check_error(tmp_path, f"toy_{split}.json is missing")


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_file_that_is_damaged(split, tmp_path):
    write(tmp_path, GOOD, GOOD, ["a", "b", "c"])
    path = tmp_path / f"toy_{split}.json"
    whole = path.read_bytes()
    for content in (b"", whole[:-1], whole[: len(whole) // 2], b"\xff" + whole, whole + b"]"):
        path.write_bytes(content)
        check_error(tmp_path, f"toy_{split}.json is damaged")
    for content in (b"[]", b"3", b"null", b'"text"', b"{}", b'{"vocab": ["a"], "X": []}'):
        path.write_bytes(content)
        check_error(tmp_path, f"toy_{split}.json")


@pytest.mark.parametrize("vocab", [None, "abc", {"a": 0}, ["a", 1, "c"], ["a", None, "c"], 3])
def test_a_vocabulary_that_is_no_list_of_words(vocab, tmp_path):
    write(tmp_path, GOOD, GOOD, vocab)
    check_error(tmp_path, "toy_train.json", "vocab")


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        # a word index out of range
        ([[[0], 1], [[1, 3], 0]], ["XY[1]", "index 3", "3"]),
        ([[[], 0], [[0], 1], [[1, -1], 0]], ["XY[2]", "index -1"]),
        ([[[0], 1], [[10**12], 0]], ["XY[1]", "index 1000000000000"]),
        ([[[0], 1], [[2**63], 0]], []),
        ([[[0], 1], [[10**30], 0]], []),
        # a word index that is no whole number
        ([[[0], 1], [[1.0], 0]], ["word index"]),
        ([[[0], 1], [["1"], 0]], ["word index"]),
        ([[["0"], 1], [["1"], 0]], ["word index"]),
        ([[[0], 1], [[None], 0]], ["word index"]),
        ([[[True], 1], [[False], 0]], ["word index"]),
        ([[[0], 1], [[True], 0]], ["word index"]),
        ([[[0], 1], [[[1, 2]], 0]], ["word index"]),
        ([[[[0]], 1], [[[1]], 0]], ["word index"]),
        ([[[[0, 1]], 1], [[[1, 2], [0, 1]], 0]], ["word index"]),
        ([[[{"0": 1}], 1]], ["word index"]),
        # a label that is no number from 0 to 1
        ([[[0], 1], [[1], 2]], ["XY[1]", "label 2"]),
        ([[[0], 1], [[1], -1]], ["XY[1]", "label -1"]),
        ([[[0], 1], [[1], 1.5]], ["XY[1]", "label 1.5", "from 0 to 1"]),
        ([[[0], 0.5], [[1], -0.001]], ["XY[1]", "label -0.001"]),
        ([[[0], 1], [[1], 10**30]], ["XY[1]", "label 1000"]),
        ([[[0], 1], [[1], float("inf")]], ["XY[1]", "label inf"]),
        ([[[0], 1], [[1], "0.5"]], ["XY[1]", "label '0.5'"]),
        ([[[0], 1], [[1], "1"]], ["XY[1]", "label '1'"]),
        ([[[0], 1], [[1], None]], ["XY[1]", "label None"]),
        ([[[0], 1], [[1], [1]]], ["XY[1]", "label [1]"]),
        ([[[0], 1], [[1], float("nan")]], ["XY[1]", "label nan"]),
        # an empty list, and what is no list of pairs
        ([], ["no sentences"]),
        (None, ["no sentences"]),
        ({"0": [[0], 1]}, ["no sentences"]),
        ("text", ["no sentences"]),
        ([[[0], 1], [[1]]], ["XY[1]"]),
        ([[[0], 1], [[1], 0, 0]], ["XY[1]"]),
        ([[[0], 1], []], ["XY[1]"]),
        ([[[0], 1], 3], ["XY[1]"]),
        ([[[0], 1], "ab"], ["XY[1]"]),
        ([[[0], 1], ["ab", 1]], ["XY[1]"]),
        ([[[0], 1], [0, 1]], ["XY[1]"]),
        ([[[0], 1], [None, 1]], ["XY[1]"]),
        ([[[0], 1], {"0": 1, "1": 2}], ["XY[1]"]),
    ],
)
def test_sentences_that_cannot_be_used(pairs, words, split, tmp_path):
    train, test = (pairs, GOOD) if split == "train" else (GOOD, pairs)
    write(tmp_path, train, test, ["a", "b", "c"])
    check_error(tmp_path, f"toy_{split}.json", *words)


@pytest.mark.parametrize("content", [5, None, [["a"]], {1: 2}, [1.5], {("a", "b"): 1}], ids=str)
def test_a_w2v_file_that_is_no_dict_of_words(content, tmp_path):
    write(tmp_path, GOOD, GOOD, ["a", "b", "c"])
    (tmp_path / "w2v.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"w2v\.pkl"):
        data.load_dataset(tmp_path, "toy")


def test_a_w2v_file_with_code_is_refused(tmp_path):
    write(tmp_path, GOOD, GOOD, ["a", "b", "c"])
    (tmp_path / "w2v.pkl").write_bytes(b"cos\nsystem\n(S'touch x'\ntR.")
    with pytest.raises(InputError, match=r"w2v\.pkl"):
        data.load_dataset(tmp_path, "toy")


# Batches


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    train, test, vocab = random_text(1, sentences=53)
    # the first word makes each sentence its own
    vocab = [f"n{i}" for i in range(53)] + vocab
    train = [[[i, *(word + 53 for word in words)], label] for i, (words, label) in enumerate(train)]
    test = [[[word + 53 for word in words], label] for words, label in test[:20]]
    (folder / "w2v.pkl").write_bytes(pickle.dumps({f"n{i}": 0 for i in range(53)}))
    write(folder, train, test, vocab)
    return data.load_dataset(folder, "toy")


def numbers_of(sentences, dataset):
    """Which training sentences they are; each must have its own tokens and label."""
    of_token = {row[1]: number for number, row in enumerate(dataset.train.tokens)}
    numbers = [of_token[row[1]] for row in sentences.tokens]
    for number, row, label in zip(numbers, sentences.tokens, sentences.labels):
        assert row.tolist() == dataset.train.tokens[number].tolist()
        assert label == dataset.train.labels[number]
    return numbers


def training_batch(sentences, batch_size, seed, step):
    return sentences.take(training_rows(len(sentences), batch_size, seed, step))


@pytest.mark.parametrize("batch_size", [1, 8, 52, 53, 54, 120])
def test_every_epoch_visits_each_sentence_once(batch_size, dataset):
    steps = -(-53 * 4 // batch_size)
    stream = []
    for step in range(steps):
        batch = training_batch(dataset.train, batch_size, 20, step)
        assert len(batch) == batch_size
        stream += numbers_of(batch, dataset)
    epochs = [stream[start : start + 53] for start in range(0, 53 * 4, 53)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(53))
    assert len(set(map(tuple, [*epochs, range(53)]))) == 5  # each in an order of its own


def test_a_batch_depends_on_seed_and_step_alone(dataset):
    first = [numbers_of(training_batch(dataset.train, 8, 20, s), dataset) for s in range(20)]
    np.random.default_rng(0).random(5)
    np.random.seed(3)  # noqa: NPY002  (the global generators have no say)
    torch.manual_seed(3)
    for step in (19, 3, 7, 0, 6):
        again = numbers_of(training_batch(dataset.train, 8, 20, step), dataset)
        assert again == first[step]
    other = [numbers_of(training_batch(dataset.train, 8, 13, s), dataset) for s in range(20)]
    assert all(ours != theirs for ours, theirs in zip(first, other))


def test_evaluated_sentences(dataset):
    sentences, splits = data.evaluated_sentences(dataset, 15)
    assert [splits[name].tolist() for name in ("val", "train")] == [
        list(range(15)),
        list(range(15, 30)),
    ]
    assert as_lists(sentences.take(splits["val"])) == as_lists(dataset.test.first(15))
    drawn = numbers_of(sentences.take(splits["train"]), dataset)
    assert len(set(drawn)) == 15 and set(drawn) <= set(range(53))
    assert sorted(drawn) != list(range(15))  # drawn, not the first
    again, _ = data.evaluated_sentences(dataset, 15)
    assert (again.tokens.values == sentences.tokens.values).all()
    # as many training sentences as there are test sentences, not as many as were asked for
    sentences, splits = data.evaluated_sentences(dataset, 4000)
    assert [len(rows) for rows in splits.values()] == [20, 20]


def test_evaluated_sentences_where_training_has_fewer(dataset):
    swapped = data.Dataset("toy", dataset.vocab, dataset.test, dataset.train, dataset.digest)
    sentences, splits = data.evaluated_sentences(swapped, 4000)
    assert [len(rows) for rows in splits.values()] == [53, 20]
    assert len(sentences) == 73


def test_tensors(dataset):
    batch = dataset.train.take(np.array([3, 0, 52]))
    tokens, lengths, labels = data.to_tensors(batch)
    assert tokens.dtype == lengths.dtype == labels.dtype == torch.int64
    assert [part.tolist() for part in tokens.split(lengths.tolist())] == as_lists(batch)[0]
    assert labels.tolist() == as_lists(batch)[1]


@pytest.mark.parametrize("max_tokens", [1, 40, 10**6])
def test_batches_of_like_length_hold_every_sentence_once(max_tokens, dataset):
    seen = []
    for rows, batch in data.batches_of_like_length(dataset.train, max_tokens):
        assert numbers_of(batch, dataset) == rows.tolist()
        assert len(batch) == 1 or len(batch) * batch.tokens.lengths.max() <= max_tokens
        seen += rows.tolist()
    assert sorted(seen) == list(range(53))


def test_parts_of_the_sentences(dataset):
    tokens, labels = as_lists(dataset.test)
    assert as_lists(dataset.test.first(6)) == (tokens[:6], labels[:6])
    assert as_lists(dataset.test.first(600)) == (tokens, labels)
    both = dataset.test.concatenate(dataset.train)
    train_tokens, train_labels = as_lists(dataset.train)
    assert as_lists(both) == (tokens + train_tokens, labels + train_labels)
    assert len(both) == 73


def test_names(tmp_path):
    assert " ".join(DATASETS.names()) == "IMDB Furd AG_News Newsgroups Yelp Amzn SNS SMS toy"
    assert data.beta_path(tmp_path, "SMS", 256) == tmp_path / "SMSembedding256beta.pkl"
    assert data.logistic_path(tmp_path, "SMS") == tmp_path / "SMS_logistic_beta.pkl"
