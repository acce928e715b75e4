"""toy: two generated languages. Word i of one means word i of the other.

A sentence has a noun for each of its parts; an adjective precedes its noun in one language, and
follows it in the other.
"""

import itertools
import random
from pathlib import Path

from attention_dynamics.translation.datasets.corpus import EVALUATE, Corpus, Options, Pair, Splits

SOURCE = ["".join(s) for s in itertools.product("bdgk", "aei", ("la", "mo", "nu"))]
TARGET = ["".join(s) for s in itertools.product("pstv", "ouy", ("ri", "ze", "fa"))]
CLASSES = {
    "subject": range(8),
    "verb": range(8, 15),
    "object": range(15, 23),
    "place": range(23, 30),
    "adjective": range(30, 36),
}
PAIRS = {"train": 4000, "val": 200}


def read(_paths: list[Path], options: Options) -> Splits:
    return {split: generate(split, options.seed) for split in PAIRS}


def generate(split: str, seed: int) -> list[Pair]:
    """Random sentences and their translations, word for word but for the adjectives' places."""
    rng = random.Random(f"{split} {seed}")

    pairs = []
    for _ in range(PAIRS[split]):
        source, target = [], []
        for part in ("subject", "verb", "object", "place"):
            noun = rng.choices(CLASSES[part])
            adjective = rng.choices(CLASSES["adjective"])
            if part == "verb" or rng.random() < 0.5:
                adjective = []
            source += adjective + noun
            target += noun + adjective
        pairs.append((" ".join(SOURCE[i] for i in source), " ".join(TARGET[i] for i in target)))
    return pairs


CONFIG = "--config configs/toy_model.json"
CORPUS = Corpus(
    name="toy",
    read=read,
    folder="toy",
    source="src",
    target="trg",
    vocab_size=76,
    pieces="word",
    train=f"--epochs 2 {CONFIG} --custom_saves 0,10,25,50,75,100,125,150,200",
    iterations=(0, 10, 25, 50, 75, 100, 125, 150, 200, 250),
    evaluate=f"{CONFIG} {EVALUATE}",
    embedding="--epochs 10 --lr 0.002",
)
