"""Furd: the Stanford Sentiment Treebank (Socher et al. 2013)."""

import re
from pathlib import Path

from attention_dynamics.classification.datasets.corpus import Corpus, Examples
from attention_dynamics.classification.datasets.readers import damaged
from attention_dynamics.files import archives
from attention_dynamics.files.download import PublicFile


def read(paths: list[Path], split: str, _seed: int) -> Examples:
    """One tree per line, ``(3 (2 It) (4 works))``; its root is the label."""
    name = f"trees/{split}.txt"
    for _, file in archives.read_files(paths, [name]):
        for number, tree in enumerate(archives.text_lines(file), start=1):
            if not tree.strip():
                continue
            leaves = re.findall(r"\([0-4] ([^()]+)\)", tree)
            whole = tree.count("(") == tree.count(")") == 2 * len(leaves) - 1
            if not (whole and re.match(r"\([0-4] ", tree)):
                raise damaged(name, number, "not a tree such as (3 (2 It) (4 works))")
            root = int(tree[1])
            yield " ".join(map(plain_word, leaves)), None if root == 2 else int(root > 2)


def plain_word(leaf: str) -> str:
    """A word of the treebank as it is written elsewhere."""
    brackets = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
    quotes = {"``": '"', "''": '"'}
    return (brackets | quotes).get(leaf.upper(), leaf).replace("\\/", "/").replace("\\*", "*")


CORPUS = Corpus(
    name="Furd",
    files=(
        PublicFile(
            "trainDevTestTrees_PTB.zip",
            "https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip",
            "sha256:5c613a4f673fc74097d523a2c83f38e0cc462984d847b82c7aaf36b01cbbbfcc",
        ),
    ),
    read=read,
    labels=("negative", "positive"),
    published=True,
    authors={
        **{"agr_unif": 0.198, "agr_px": 0.336, "agr_grad": 0.224, "baseline": 0.083},
        **{"xi_unif": 0.782, "xi_px": None, "xi_grad": 0.782, "best_perf": 0.835},
    },
)
