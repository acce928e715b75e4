"""IMDB: film reviews (Maas et al. 2011)."""

from pathlib import Path

from attention_dynamics.classification.datasets.corpus import Corpus, Examples
from attention_dynamics.classification.datasets.readers import read_documents
from attention_dynamics.files.download import PublicFile


def read(paths: list[Path], split: str, _seed: int) -> Examples:
    """One review per file."""
    labels = {f"aclImdb/{split}/neg/*.txt": 0, f"aclImdb/{split}/pos/*.txt": 1}
    yield from read_documents(paths, labels, "utf-8")


CORPUS = Corpus(
    name="IMDB",
    files=(
        PublicFile(
            "aclImdb_v1.tar.gz",
            "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
            "md5:7c2ac02c03563afcf9b574c7e56c153a",
        ),
    ),
    read=read,
    labels=("negative", "positive"),
    published=True,
    embedding="--epochs 60 --lr 0.00005",
    authors={
        **{"agr_unif": 0.526, "agr_px": 0.816, "agr_grad": 0.616, "baseline": 0.056},
        **{"xi_unif": 0.868, "xi_px": 0.889, "xi_grad": 0.868, "best_perf": 0.896},
    },
)
