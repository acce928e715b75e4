"""Processed data: reading it, checking it, and making batches of it."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attention_dynamics.analysis.ragged import Ragged, batches_by_length
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.cli import InputError
from attention_dynamics.files import storage

SPECIALS = ["<pad>", "<bos>", "<eos>", "<unk>"]
PAD, BOS, EOS, UNK = range(4)
MIN_COUNT = 3  # rarer words are <unk>
LARGEST_LABEL: dict[type, float] = {int: math.inf, bool: 1, float: 1}  # by its type in the file


@dataclass(frozen=True)
class Sentences:
    """Encoded sentences.

    Attributes
    ----------
    tokens : int64, each sentence with <bos> and <eos>
    labels : (rows,), what is trained on: int64 from 0; of two labels float64 from 0 to 1 where any
        is a float
    """

    tokens: Ragged
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def gold(self) -> np.ndarray:
        """The gold labels, int64 (rows,): a float counts as 1 above 0.5, else as 0."""
        return np.ceil(self.labels - 0.5).astype(np.int64)

    def take(self, rows: np.ndarray) -> "Sentences":
        return Sentences(self.tokens.take(rows), self.labels[rows])

    def concatenate(self, other: "Sentences") -> "Sentences":
        labels = np.concatenate([self.labels, other.labels])
        return Sentences(self.tokens.concatenate(other.tokens), labels)

    def first(self, count: int) -> "Sentences":
        return self.take(np.arange(min(count, len(self))))


@dataclass(frozen=True)
class Dataset:
    """A dataset as the models see it.

    Attributes
    ----------
    digest : tells whether the files have changed
    labels : the name of each label
    tokenizer : what cut its text into words, as torchtext calls it
    """

    name: str
    vocab: list[str]
    train: Sentences
    test: Sentences
    digest: str
    labels: tuple[str, ...] = ("0", "1")
    tokenizer: str = "basic_english"


def load_dataset(data_dir: Path, name: str) -> Dataset:
    """Read ``<name>_train.json`` and ``<name>_test.json`` and encode them.

    The vocabulary is <pad> <bos> <eos> <unk>, then the words seen at least three times in
    training, by falling frequency and then by alphabet. A word with an entry in ``w2v.pkl`` is
    kept however rare (the authors' folder brings that file; its vectors are not used).

    A label is 0 or 1, a boolean, or a float from 0 to 1; of more than two labels a whole number
    from 0. Files under another name of the dataset (SMS for SNS) are found too.

    Raises
    ------
    InputError
        where a file is missing, damaged, or holds what cannot be used.
    """
    corpus = DATASETS.find(name, data_dir)
    make = corpus.make
    train_path = corpus.find_file(data_dir, "_train.json")
    train_path = train_path or data_dir / f"{name}_train.json"
    stem = train_path.name.removesuffix("_train.json")
    test_path = train_path.with_name(f"{stem}_test.json")
    raw_train = storage.load_json(train_path, make)
    raw_test = storage.load_json(test_path, make)
    storage.check_set(train_path.with_name(f"{stem}_files.json"), (train_path, test_path), make)
    words = raw_train.get("vocab") if isinstance(raw_train, dict) else None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InputError(f'{train_path} has no list of words "vocab": {make}')
    train_words, train_labels = _read_pairs(raw_train, len(words), train_path, make)
    test_words, test_labels = _read_pairs(raw_test, len(words), test_path, make)
    names = _label_names(raw_train, corpus.labels, train_labels, train_path, make)
    for labels, path in ((train_labels, train_path), (test_labels, test_path)):
        _check_labels(labels, len(names), path, make)

    counts = np.bincount(train_words.values, minlength=len(words))
    kept_anyway = _words_with_vectors(data_dir / "w2v.pkl")
    kept = [
        i
        for i, word in enumerate(words)
        if (counts[i] >= MIN_COUNT or word in kept_anyway) and word not in SPECIALS
    ]
    kept.sort(key=lambda i: (-counts[i], words[i]))
    token_of_word = np.full(len(words), UNK)
    token_of_word[kept] = np.arange(len(kept)) + len(SPECIALS)
    for token, special in enumerate(SPECIALS):
        if special in words:
            token_of_word[words.index(special)] = token

    return Dataset(
        name=name,
        vocab=SPECIALS + [words[i] for i in kept],
        train=Sentences(_encode(train_words, token_of_word), _label_array(train_labels)),
        test=Sentences(_encode(test_words, token_of_word), _label_array(test_labels)),
        digest=storage.digest(
            train_path,
            test_path,
            "\n".join(sorted(kept_anyway)).encode(errors="surrogatepass"),
        ),
        labels=names,
        tokenizer=raw_train.get("tokenizer", "basic_english"),
    )


def _words_with_vectors(path: Path) -> set[str]:
    """The words of ``w2v.pkl``, a dict of vectors; none where there is no such file."""
    if not path.exists():
        return set()
    make = "remove it, or fetch the authors' data anew"
    vectors = storage.load_pickle(path, make)
    if not isinstance(vectors, dict) or not all(isinstance(word, str) for word in vectors):
        raise InputError(f"{path} is not a dict of words: {make}")
    return set(vectors)


def _read_pairs(raw: dict, vocab_size: int, path: Path, make: str) -> tuple[Ragged, list[Any]]:
    """The sentences (word indices) and labels of a file's ``XY``, checked.

    How large a label may be is left to :func:`_check_labels`.
    """
    pairs = raw.get("XY") if isinstance(raw, dict) else None
    if not isinstance(pairs, list) or not pairs:
        raise InputError(f'{path} has no sentences ("XY" is missing or empty): {make}')
    for number, pair in enumerate(pairs):
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], list)):
            raise InputError(f"{path}: XY[{number}] is not [[word index, ...], label]: {make}")
        kind = type(pair[1])
        if kind not in LARGEST_LABEL or not 0 <= pair[1] <= LARGEST_LABEL[kind]:
            raise InputError(
                f"{path}: XY[{number}] has the label {pair[1]!r}, not a number from 0 to 1 "
                f"or, of more than two labels, a whole number from 0: {make}"
            )
    rows = [pair[0] for pair in pairs]
    if set(map(type, itertools.chain.from_iterable(rows))) - {int}:
        raise InputError(f"{path} has a word index that is not a whole number: {make}")
    try:
        words = Ragged.from_rows(rows, dtype=np.int64)
    except OverflowError:
        raise InputError(f"{path} has a word index outside the vocabulary: {make}") from None
    outside = np.flatnonzero((words.values < 0) | (words.values >= vocab_size))
    if len(outside):
        number = np.searchsorted(words.offsets, outside[0], side="right") - 1
        raise InputError(
            f"{path}: XY[{number}] has the word index {words.values[outside[0]]}, outside the "
            f"vocabulary of {vocab_size}: {make}"
        )
    return words, [pair[1] for pair in pairs]


def _label_names(
    raw: dict, known: tuple[str, ...], labels: list[Any], path: Path, make: str
) -> tuple[str, ...]:
    """The names of the labels: the file's ``labels``, else the known ones, else numbers.

    Without names in the file there are two labels or as many as are in use in training.
    """
    if "labels" in raw:
        names = raw["labels"]
        if not (isinstance(names, list) and len(names) > 1) or {*map(type, names)} != {str}:
            raise InputError(f'{path}: "labels" is not a list of two or more names: {make}')
        return tuple(names)
    largest, count = max(labels), 2
    if largest > 1:
        used = set(labels)
        count = next(label for label in itertools.count() if label not in used)
    if largest > count - 1:
        raise InputError(
            f"{path}: XY[{labels.index(largest)}] has the label {largest}, but no sentence has "
            f'label {count} (number labels from 0, or name all of them in "labels"): {make}'
        )
    return known if len(known) == count else tuple(map(str, range(count)))


def _check_labels(labels: list[Any], n_labels: int, path: Path, make: str) -> None:
    """Raise an InputError unless each is one of so many; a float may be one of two."""
    for number, label in enumerate(labels):
        if label >= n_labels or (n_labels > 2 and type(label) is float):
            raise InputError(
                f"{path}: XY[{number}] has the label {label}, but the {n_labels} labels in "
                f"training are whole numbers from 0 to {n_labels - 1}: {make}"
            )


def _label_array(labels: list[Any]) -> np.ndarray:
    return np.array(labels, dtype=np.float64 if float in map(type, labels) else np.int64)


def _encode(words: Ragged, token_of_word: np.ndarray) -> Ragged:
    """Words to tokens, with <bos> before each sentence and <eos> after it."""
    sentences = np.arange(len(words))
    offsets = words.offsets + 2 * np.arange(len(words) + 1)
    tokens = np.empty(offsets[-1], dtype=np.int64)
    tokens[offsets[:-1]], tokens[offsets[1:] - 1] = BOS, EOS
    sentence_of_word = np.repeat(sentences, words.lengths)
    tokens[np.arange(len(words.values)) + 2 * sentence_of_word + 1] = token_of_word[words.values]
    return Ragged(tokens, offsets)


def evaluated_sentences(
    dataset: Dataset, test_set_size: int
) -> tuple[Sentences, dict[str, np.ndarray]]:
    """The sentences to evaluate, and which of their rows belong to which split.

    The first of the test set (called "val", as in the results), and as many training sentences,
    drawn with seed 1.
    """
    test = dataset.test.first(test_set_size)
    count = min(len(test), len(dataset.train))
    drawn = np.random.default_rng(1).choice(len(dataset.train), count, replace=False)
    sentences = test.concatenate(dataset.train.take(drawn))
    return sentences, {"val": np.arange(len(test)), "train": np.arange(len(test), len(sentences))}


def to_tensors(
    batch: Sentences, device: torch.device | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens (total,) and labels (batch,) on the device, lengths (batch,) on the CPU."""
    tokens = torch.from_numpy(batch.tokens.values).to(device)
    labels = torch.from_numpy(batch.labels).to(device)
    return tokens, torch.from_numpy(batch.tokens.lengths), labels


def batches_of_like_length(
    sentences: Sentences, max_tokens: int
) -> Iterator[tuple[np.ndarray, Sentences]]:
    """Every sentence once, in batches of like lengths: row numbers and sentences."""
    for rows in batches_by_length(sentences.tokens.lengths, max_tokens):
        yield rows, sentences.take(rows)


def beta_path(outputs_dir: Path, dataset: str, embed_dim: int) -> Path:
    """Where ``embedding_beta.py`` keeps the word baseline."""
    return outputs_dir / f"{dataset}embedding{embed_dim}beta.pkl"


def logistic_path(outputs_dir: Path, dataset: str) -> Path:
    """Where ``logistic_beta.py`` keeps the logistic word baseline."""
    return outputs_dir / f"{dataset}_logistic_beta.pkl"
