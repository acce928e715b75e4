"""Yelp and Amzn: reviews of few stars against many (Zhang et al. 2015).

They have 560,000 and 3,600,000 training reviews, so a sample is the default.
"""

from pathlib import Path

from attention_dynamics.classification.datasets.corpus import Corpus, Examples
from attention_dynamics.classification.datasets.readers import read_csv
from attention_dynamics.files.download import PublicFile


def corpus(name: str, stem: str, checksum: str | None) -> Corpus:
    """The dataset of the archive ``<stem>.tgz``."""

    def read(paths: list[Path], split: str, _seed: int) -> Examples:
        for text, label in read_csv(paths, f"{stem}/{split}.csv", {"1": 0, "2": 1}):
            yield text.replace("\\n", " ").replace('\\"', '"'), label

    url = f"https://s3.amazonaws.com/fast-ai-nlp/{stem}.tgz"
    return Corpus(
        name=name,
        files=(PublicFile(f"{stem}.tgz", url, checksum),),
        read=read,
        labels=("negative", "positive"),
        sample=25_000,
        published=True,
        embedding="--epochs 60 --lr 0.00005",
    )


YELP = corpus(
    "Yelp",
    "yelp_review_polarity_csv",
    "sha256:528f22e286cad085948acbc3bea7e58188416546b0e364d0ae4ca0ce666abe35",
)
AMZN = corpus("Amzn", "amazon_review_polarity_csv", checksum=None)  # none is published
