"""Newsgroups: messages on baseball against hockey, of the 20 Newsgroups by date."""

import re
from pathlib import Path

from attention_dynamics.classification.datasets.corpus import Corpus, Examples
from attention_dynamics.classification.datasets.readers import read_documents
from attention_dynamics.files.download import PublicFile


def read(paths: list[Path], split: str, _seed: int) -> Examples:
    """One message per file."""
    labels = {
        f"20news-bydate-{split}/rec.sport.baseball/*": 0,
        f"20news-bydate-{split}/rec.sport.hockey/*": 1,
    }
    for text, label in read_documents(paths, labels, "latin-1"):
        yield message_body(text), label


def message_body(text: str) -> str:
    """A message without header, quotations and signature.

    These would give the newsgroup away by who writes there. The rules are scikit-learn's
    (``fetch_20newsgroups(remove=("headers", "footers", "quotes"))``): the header ends at the
    first empty line; whatever follows the last empty line or line of dashes is a signature.
    """
    body = text.partition("\n\n")[2].strip()
    lines = body.split("\n")
    last_rule = max((i for i, line in enumerate(lines) if not line.strip().strip("-")), default=0)
    if last_rule > 0:
        lines = lines[:last_rule]
    quotation = re.compile(r"writes in|writes:|wrote:|says:|said:|^In article|^Quoted from|^\||^>")
    return "\n".join(line for line in lines if not quotation.search(line))


CORPUS = Corpus(
    name="Newsgroups",
    files=(
        PublicFile(
            "20news-bydate.tar.gz",
            "https://ndownloader.figshare.com/files/5975967",
            "sha256:8f1b2514ca22a5ade8fbb9cfa5727df95fa587f4c87b786e15c759fa66d95610",
        ),
    ),
    read=read,
    labels=("baseball", "hockey"),
    published=True,
)
