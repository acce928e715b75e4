"""From a dataset's examples to its processed files: sample, vocabulary, ``<name>_train.json``."""

import heapq
import itertools
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.classification.data import MIN_COUNT
from attention_dynamics.classification.datasets.corpus import Examples
from attention_dynamics.cli import InputError
from attention_dynamics.files import storage

SPLITS = ("train", "test")
TOKENIZERS = ("basic_english", "split", "moses")  # torchtext's others need further packages


@dataclass
class Sample:
    """The sentences of a split, in random order, and what was left out on the way."""

    sentences: list[list[str]]
    labels: list[int]
    left_out: dict[str, int]
    n_read: int


def load_tokenizer(name: str) -> Callable[[str], list[str]]:
    """One of ``TOKENIZERS``; "split" is for text that is tokenized already.

    Raises
    ------
    InputError
        where it is none of them, as a damaged data file may have it.
    """
    if name not in TOKENIZERS:
        raise InputError(f"there is no tokenizer {name!r}, only {', '.join(TOKENIZERS)}")
    from torchtext.data.utils import get_tokenizer

    tokenize: Callable[..., list[str]] = get_tokenizer(None if name == "split" else name)
    # Moses writes ' as &apos; unless it is told not to
    return partial(tokenize, escape=False) if name == "moses" else tokenize


def draw(
    examples: Examples,
    max_count: int | None,
    max_length: int,
    rng: random.Random,
    split: str,
    tokenizer: str = "basic_english",
) -> Sample:
    """Shuffle, leave out what does not fit, and stop at ``max_count`` sentences.

    Every example gets a random place in the order. Those that are too far back for the sample
    are not tokenized, and only the sample is held in memory.
    """
    tokenize = load_tokenizer(tokenizer)
    # a heap with the last place on top: (-place, number, tokens, label)
    kept: list[tuple[float, int, list[str], int]] = []
    left_out: dict[str, list[float]] = {"too long": [], "empty": [], "another class": []}
    n_read = 0
    for text, label in cli.progress_bar(examples, desc=split, unit="sentence", leave=False):
        n_read += 1
        place = rng.random()
        full = len(kept) == max_count
        if full and place > -kept[0][0]:
            continue
        if label is None:
            left_out["another class"].append(place)
            continue
        tokens = [sys.intern(token) for token in tokenize(text)]
        if not 0 < len(tokens) <= max_length:
            left_out["too long" if tokens else "empty"].append(place)
            continue
        (heapq.heappushpop if full else heapq.heappush)(kept, (-place, n_read, tokens, label))
    if not kept:
        raise InputError(f"no sentence of at most {max_length} tokens is left for {split}")
    last = -kept[0][0] if len(kept) == max_count else 1
    kept.sort(reverse=True)
    return Sample(
        sentences=[tokens for _, _, tokens, _ in kept],
        labels=[label for *_, label in kept],
        left_out={why: sum(p < last for p in places) for why, places in left_out.items()},
        n_read=n_read,
    )


def build_vocab(train: Iterable[list[str]], test: Iterable[list[str]]) -> list[str]:
    """All words by falling frequency in training, then those of the test split alone.

    Special words and the frequency threshold are the models' business, not the file's.
    """
    from torchtext.vocab import Vocab

    train_counts = Counter(itertools.chain.from_iterable(train))
    test_counts = Counter(itertools.chain.from_iterable(test))
    for word in train_counts:
        test_counts.pop(word, None)
    return [
        word for counts in (train_counts, test_counts) for word in Vocab(counts, specials=[]).itos
    ]


def write(
    samples: dict[str, Sample],
    vocab: list[str],
    stem: Path,
    labels: Sequence[str] = (),
    tokenizer: str = TOKENIZERS[0],
) -> None:
    """Write the two files, and ``<name>_files.json``, the record of both.

    ``labels`` are the names of the labels, if the dataset's table entry does not have them.
    ``tokenizer`` is recorded if it is not the published one, for sentences that are read later.
    """
    index = {word: i for i, word in enumerate(vocab)}
    content: dict[str, dict[str, Any]] = {
        split: {
            "XY": [
                [[index[word] for word in sentence], label]
                for sentence, label in zip(sample.sentences, sample.labels)
            ]
        }
        for split, sample in samples.items()
    }
    facts: dict[str, Any] = {"labels": list(labels)} if labels else {}
    if tokenizer != TOKENIZERS[0]:
        facts["tokenizer"] = tokenizer
    content["train"] = {"vocab": vocab} | facts | content["train"]
    contents = {
        stem.with_name(f"{stem.name}_{split}.json"): json.dumps(
            content[split], ensure_ascii=False
        ).encode()
        for split in SPLITS
    }
    storage.save_set(contents, stem.with_name(f"{stem.name}_files.json"))


def describe(split: str, sample: Sample, labels: Sequence[str]) -> str:
    n = len(sample.labels)
    left_out = ", ".join(f"{count:,} {why}" for why, count in sample.left_out.items() if count)
    count = Counter(sample.labels)
    counts = ", ".join(f"{count[label]:,} {name}" for label, name in enumerate(labels))
    lengths = [len(sentence) for sentence in sample.sentences]
    quantiles = np.quantile(lengths, (0.05, 0.25, 0.5, 0.75, 0.95, 1), method="nearest")
    return (
        f"{split}: {n:,} sentences kept of {sample.n_read:,} (left out: {left_out or 'none'}), "
        f"{counts}, tokens at 5/25/50/75/95/100%: " + "/".join(str(int(q)) for q in quantiles)
    )


def describe_vocab(train: list[list[str]], vocab: list[str]) -> str:
    counts = Counter(itertools.chain.from_iterable(train))
    frequent = sum(count >= MIN_COUNT for count in counts.values())
    return (
        f"vocabulary: {len(vocab):,} words, {frequent:,} seen at least {MIN_COUNT} times in "
        f"training, {len(vocab) - len(counts):,} in the test split alone"
    )
