"""AG_News: news, World against Business (Zhang et al. 2015)."""

from pathlib import Path

from attention_dynamics.classification.datasets.corpus import Corpus, Examples
from attention_dynamics.classification.datasets.readers import read_csv
from attention_dynamics.files.download import PublicFile

URL = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv/"


def read(paths: list[Path], split: str, _seed: int) -> Examples:
    """Class 1 is World, class 3 Business."""
    classes = {"1": 0, "2": None, "3": 1, "4": None}
    for text, label in read_csv(paths, f"ag_news_csv/{split}.csv", classes):
        yield text.replace("\\", " "), label  # a backslash stands where a line ended


CORPUS = Corpus(
    name="AG_News",
    files=(
        PublicFile(
            "ag_news_csv/train.csv", f"{URL}train.csv", "md5:b1a00f826fdfbd249f79597b59e1dc12"
        ),
        PublicFile(
            "ag_news_csv/test.csv", f"{URL}test.csv", "md5:d52ea96a97a2d943681189a97654912d"
        ),
    ),
    read=read,
    labels=("World", "Business"),
    published=True,
)
