"""The classification datasets: a file for each, and the table of all.

To add one, copy a file that is like it (``ag_news.py`` reads a CSV, ``imdb.py`` a folder of texts)
and add it here.
"""

from attention_dynamics.classification.datasets import (
    ag_news,
    furd,
    imdb,
    newsgroups,
    own,
    reviews,
    sns,
    toy,
)
from attention_dynamics.corpus import Datasets

CORPORA = (
    imdb.CORPUS,
    furd.CORPUS,
    ag_news.CORPUS,
    newsgroups.CORPUS,
    reviews.YELP,
    reviews.AMZN,
    sns.CORPUS,
    toy.CORPUS,
)
DATASETS = Datasets(CORPORA, own.entry, "_train.json")
