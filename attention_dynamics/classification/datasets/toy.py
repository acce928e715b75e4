"""toy: generated sentences whose truth is known. A few keywords decide the label."""

import itertools
import random
from pathlib import Path

from attention_dynamics.classification.datasets.corpus import Corpus, Examples

# The label is the one whose keywords a sentence has more of.
KEYWORDS = {
    1: ("brilliant", "charming", "delightful", "moving", "superb"),
    0: ("bland", "clumsy", "dreadful", "pointless", "tedious"),
}
FILLERS = ["".join(s) for s in itertools.product("bdkmt", "aeio", "lnrs", "aei")][:200]
SENTENCES = {"train": 2000, "test": 500}


def read(_paths: list[Path], split: str, seed: int) -> Examples:
    """Filler words of Zipfian frequency, and one to three keywords of the sentence's label.

    Every fifth sentence or so also has one keyword of the other label, and then more of its own.
    """
    rng = random.Random(f"{split} {seed}")
    weights = [1 / rank for rank in range(3, 3 + len(FILLERS))]
    for i in range(SENTENCES[split]):
        label = i % 2
        n_own = rng.randint(1, 3)
        keywords = [rng.choice(KEYWORDS[label]) for _ in range(n_own)]
        if n_own > 1 and rng.random() < 0.3:
            keywords.append(rng.choice(KEYWORDS[1 - label]))
        n_fillers = rng.randint(15, 40) - len(keywords)
        words = rng.choices(FILLERS, weights, k=n_fillers) + keywords
        rng.shuffle(words)
        yield " ".join(words), label


CORPUS = Corpus(
    name="toy",
    read=read,
    labels=("negative", "positive"),
    train="--steps 120 --custom_saves 0,5,10,15,20,25,30,40,60,80 --test_set_size 100",
    iterations=(0, 5, 10, 15, 20, 25, 30, 40, 60, 80, 119),
    evaluate="--test_set_size 400",
    embedding="--epochs 20 --lr 0.001",
)
