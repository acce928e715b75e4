"""The translation datasets: a file for each family, and the table of all.

To add one, copy a file that is like it (``multi30k.py`` has one sentence per line, and a split) and
add it here.
"""

from attention_dynamics.corpus import Datasets
from attention_dynamics.translation.datasets import iwslt14, multi30k, news_commentary, own, toy

CORPORA = (
    multi30k.CORPUS,
    iwslt14.CORPUS,
    news_commentary.EN_NL,
    news_commentary.EN_PT,
    news_commentary.IT_PT,
    toy.CORPUS,
)
DATASETS = Datasets(CORPORA, own.entry, "/train.src")
