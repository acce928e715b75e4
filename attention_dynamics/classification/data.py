"""Processed data: reading it, checking it, and making batches of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from attention_dynamics.analysis.ragged import Ragged, batches_by_length
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import find
from attention_dynamics.files import storage

SPECIALS = ["<pad>", "<bos>", "<eos>", "<unk>"]
PAD, BOS, EOS, UNK = range(4)
MIN_COUNT = 3  # rarer words are <unk>


@dataclass(frozen=True)
class Sentences:
    """Encoded sentences.

    Attributes
    ----------
    tokens : int64, each sentence with <bos> and <eos>
    labels : (rows,), what is trained on: int64, 0 or 1; float64 from 0 to 1 where any is a float
    """

    tokens: Ragged
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def gold(self) -> np.ndarray:
        """The gold labels, int64 (rows,): a label counts as 1 above 0.5, else as 0."""
        return (self.labels > 0.5).astype(np.int64)

    def take(self, rows: np.ndarray) -> "Sentences":
        return Sentences(self.tokens.take(rows), self.labels[rows])

    def concatenate(self, other: "Sentences") -> "Sentences":
        labels = np.concatenate([self.labels, other.labels])
        return Sentences(self.tokens.concatenate(other.tokens), labels)

    def first(self, count: int) -> "Sentences":
        return self.take(np.arange(min(count, len(self))))


@dataclass(frozen=True)
class Dataset:
    """A dataset as the models see it; ``digest`` tells whether its files have changed."""

    name: str
    vocab: list[str]
    train: Sentences
    test: Sentences
    digest: str


def load_dataset(data_dir: Path, name: str) -> Dataset:
    """Read ``<name>_train.json`` and ``<name>_test.json`` and encode them.

    The vocabulary is <pad> <bos> <eos> <unk>, then the words seen at least three times in
    training, by falling frequency and then by alphabet. A word with an entry in ``w2v.pkl`` is
    kept however rare (the authors' folder brings that file; its vectors are not used).

    A label is 0 or 1, a boolean, or a float from 0 to 1. Files under another name of the dataset
    (SMS for SNS) are found too.

    Raises
    ------
    InputError
        where a file is missing, damaged, or holds what cannot be used.
    """
    make = f'run "python prepare_data.py --dataset {name}"'
    train_path = find(DATASETS, name).find_file(data_dir, "_train.json")
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
        train=Sentences(_encode(train_words, token_of_word), train_labels),
        test=Sentences(_encode(test_words, token_of_word), test_labels),
        digest=storage.digest(
            train_path,
            test_path,
            "\n".join(sorted(kept_anyway)).encode(errors="surrogatepass"),
        ),
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


def _read_pairs(raw: dict, vocab_size: int, path: Path, make: str) -> tuple[Ragged, np.ndarray]:
    """The sentences (word indices) and labels of a file's ``XY``, checked."""
    pairs = raw.get("XY") if isinstance(raw, dict) else None
    if not isinstance(pairs, list) or not pairs:
        raise InputError(f'{path} has no sentences ("XY" is missing or empty): {make}')
    for number, pair in enumerate(pairs):
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], list)):
            raise InputError(f"{path}: XY[{number}] is not [[word index, ...], label]: {make}")
        if type(pair[1]) not in (int, bool, float) or not 0 <= pair[1] <= 1:
            raise InputError(
                f"{path}: XY[{number}] has the label {pair[1]!r}, not a number from 0 to 1: {make}"
            )
    rows = [pair[0] for pair in pairs]
    if set(map(type, chain.from_iterable(rows))) - {int}:
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
    labels = [pair[1] for pair in pairs]
    return words, np.array(labels, dtype=np.float64 if float in map(type, labels) else np.int64)


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
