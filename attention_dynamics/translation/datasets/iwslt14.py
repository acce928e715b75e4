"""iwslt14: TED talks, German to English (Cettolo et al. 2014), prepared as fairseq does."""

import re
from pathlib import Path

from attention_dynamics import cli
from attention_dynamics.files.download import PublicFile
from attention_dynamics.translation.datasets.corpus import (
    FIRST_ITERATIONS,
    SAVES,
    Corpus,
    Options,
    Pair,
    Splits,
)
from attention_dynamics.translation.datasets.readers import leave_out_empty, read_lines, zip_sides

VALIDATION_EVERY = 23  # of so many sentence pairs, one is for validation
MAX_RATIO = 1.5  # of the longer side's words to the shorter's
EXPECTED_PAIRS = 160_239  # for training, of the public archive


def read(paths: list[Path], options: Options) -> Splits:
    return divide(leave_out_empty(tokenize(read_talks(paths))), options.max_length)


def read_talks(paths: list[Path]) -> list[Pair]:
    """The training files of the archive, by the rules of ``prepare-iwslt14.sh``.

    It leaves out lines with these three tags, and strips those of titles and descriptions, which
    stay. No other tag is touched: the number of pairs would change.
    """
    names = [f"de-en/train.tags.de-en.{language}" for language in ("de", "en")]
    lines = read_lines(paths, names)
    left_out, tag = re.compile("<(url|talkid|keywords)>"), re.compile("</?(title|description)>")
    kept = {
        name: [tag.sub("", line).strip() for line in lines[name] if not left_out.search(line)]
        for name in names
    }
    return zip_sides(kept, *names)


def tokenize(pairs: list[Pair]) -> list[Pair]:
    """German and English as the Moses tokenizer writes them: words and signs, spaces between.

    Some signs are escaped, as Moses does for its own formats: ``'`` is ``&apos;``.
    """
    from sacremoses import MosesTokenizer

    german, english = MosesTokenizer(lang="de"), MosesTokenizer(lang="en")
    return [
        (german.tokenize(x, return_str=True), english.tokenize(y, return_str=True))
        for x, y in cli.progress_bar(pairs, desc="tokenizing", unit="pair")
    ]


def divide(pairs: list[Pair], max_length: int) -> Splits:
    """Leave out what is too long or too unequal (Moses' ``clean-corpus-n.perl``), write the rest in
    lower case, and take every 23rd pair for validation.
    """
    kept, n_long, n_unequal = [], 0, 0
    for x, y in pairs:
        shorter, longer = sorted((len(x.split()), len(y.split())))
        if longer > max_length:
            n_long += 1
        elif longer > MAX_RATIO * shorter:
            n_unequal += 1
        else:
            kept.append((x.lower(), y.lower()))
    print(
        f"left out {n_long:,} pairs with a side of more than {max_length} words, and "
        f"{n_unequal:,} with a side more than {MAX_RATIO} times as long as the other"
    )
    train = [pair for i, pair in enumerate(kept, start=1) if i % VALIDATION_EVERY]
    print(f"{len(train):,} training pairs; {EXPECTED_PAIRS:,} are expected from the public archive")
    return {"train": train, "valid": kept[VALIDATION_EVERY - 1 :: VALIDATION_EVERY]}


CORPUS = Corpus(
    name="iwslt14",
    files=(
        PublicFile("de-en.tgz", "http://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz"),
    ),
    read=read,
    folder="iwslt14",
    source="de",
    target="en",
    validation="valid",
    published=True,
    train=f"--epochs 30 {SAVES}",
    iterations=(
        *FIRST_ITERATIONS,
        *range(16000, 40001, 6000),
        *(60000, 80000, 100000, 150000, 200000, 250000, 300000),
    ),
)
