"""toy: two generated languages. Word i of one means word i of the other.

A sentence is five different nouns, some with an adjective, which precedes its noun in one language
and follows it in the other. Which nouns a sentence has, a model with uniform attention can tell; in
which order, only attention can.

After three epochs the largest α lies on the right word in 0.80 to 0.87 of the rows with nine seeds
of ten, and in 0.73 with the other; by chance it would in 0.12. What the nine miss are mostly nouns
with an adjective, where α lies on the adjective before.
"""

import itertools
import random
from pathlib import Path

from attention_dynamics.corpus import PublishedRun
from attention_dynamics.translation.datasets.corpus import Corpus, Options, Pair, Splits

NOUNS = range(100)
ADJECTIVES = range(100, 110)
NOUNS_OF_A_SENTENCE = 5
WITH_ADJECTIVE = 0.4  # probability
SOURCE = ["".join(s) for s in itertools.product("bdgklmn", "aeio", ("la", "mo", "nu", "ri"))][:110]
TARGET = ["".join(s) for s in itertools.product("pstvzfj", "ouya", ("ri", "ze", "fa", "ku"))][:110]
PAIRS = {"train": 4000, "val": 200}


def read(_paths: list[Path], options: Options) -> Splits:
    return {split: generate(split, options.seed) for split in PAIRS}


def generate(split: str, seed: int) -> list[Pair]:
    """Random sentences and their translations, word for word but for the adjectives' places."""
    rng = random.Random(f"{split} {seed}")

    pairs = []
    for _ in range(PAIRS[split]):
        source, target = [], []
        for noun in rng.sample(NOUNS, NOUNS_OF_A_SENTENCE):
            adjective = [rng.choice(ADJECTIVES)] if rng.random() < WITH_ADJECTIVE else []
            source += [*adjective, noun]
            target += [noun, *adjective]
        pairs.append((" ".join(SOURCE[i] for i in source), " ".join(TARGET[i] for i in target)))
    return pairs


CONFIG = "--config configs/toy_model.json"
CORPUS = Corpus(
    name="toy",
    read=read,
    folder="toy",
    source="src",
    target="trg",
    vocab_size=224,
    pieces="word",
    runs=(
        PublishedRun("Normal_A", 20, calculate_grad=True),
        PublishedRun("Normal_B", 13),
        PublishedRun("Normal_C", 14),
        PublishedRun("Normal_D", 15),
        PublishedRun("uniform", 12, uniform=True),
    ),
    train=f"--epochs 3 {CONFIG} --save_every 125 --custom_saves 0,50,100,150,175,200,300",
    iterations=(0, 50, 100, 150, 175, 200, 250, 300, 375),
    # without BLEU, which took longer than all else in the evaluation
    evaluate=f"{CONFIG} --include_train_subset --grad_bsize 32",
    embedding="--epochs 10 --lr 0.002",
)
