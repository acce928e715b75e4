"""Make the training and validation files of a dataset in data/ from what is public.

python prepare_data.py --dataset multi30k
python prepare_data.py --dataset iwslt14 --source ~/Downloads/de-en.tgz
"""

import itertools
import json
import os
import random
import re
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.files import archives, download, storage
from attention_dynamics.files.download import PublicFile
from attention_dynamics.translation.data import CORPORA, DATASETS, pieces_path

MULTI30K = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
NEWS = "http://data.statmt.org/news-commentary/v14/training/"
FILES = {
    "multi30k": [
        PublicFile(f"multi30k/{name}.gz", f"{MULTI30K}{name}.gz", f"sha256:{checksum}")
        for name, checksum in {
            "train.de": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
            "train.en": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
            "val.de": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
            "val.en": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
        }.items()
    ],
    "iwslt14": [
        PublicFile("de-en.tgz", "http://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz")
    ],
} | {
    f"news_commentary_v14_{x}_{y}": [
        PublicFile(
            f"news-commentary-v14.{x}-{y}.tsv.gz", f"{NEWS}news-commentary-v14.{x}-{y}.tsv.gz"
        )
    ]
    for x, y in (("en", "nl"), ("en", "pt"), ("it", "pt"))
}
# iwslt14, as fairseq's prepare-iwslt14.sh makes it
VALIDATION_EVERY = 23  # of so many sentence pairs, one is for validation
MAX_RATIO = 1.5  # of the longer side's words to the shorter's
IWSLT14_PAIRS = 160_239  # for training, of the public archive

# The toy languages: word i of one means word i of the other. A sentence has a noun for each of its
# parts; an adjective precedes its noun in one language, and follows it in the other.
TOY_SOURCE = ["".join(s) for s in itertools.product("bdgk", "aei", ("la", "mo", "nu"))]
TOY_TARGET = ["".join(s) for s in itertools.product("pstv", "ouy", ("ri", "ze", "fa"))]
TOY_CLASSES = {
    "subject": range(8),
    "verb": range(8, 15),
    "object": range(15, 23),
    "place": range(23, 30),
    "adjective": range(30, 36),
}
TOY_PAIRS = {"train": 4000, "val": 200}

Pair = tuple[str, str]


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    splits = read_splits(args)
    write(splits, args.data_dir / CORPORA[args.dataset].folder, args.dataset)
    for split, pairs in splits.items():
        print(describe(split, pairs))


def parse_args(argv: list[str] | None):
    parser = cli.Parser("Prepare the data of one dataset: download, clean, split.")
    cli.add_dataset(parser, DATASETS)
    parser.add_argument(
        "--source",
        type=Path,
        help="use this instead of a download: the public file, or a folder which holds the public"
        " files or what is in them",
    )
    parser.add_argument(
        "--max_length",
        type=cli.positive_int,
        default=175,
        help="iwslt14: leave out pairs with more words than this on either side",
    )
    parser.add_argument(
        "--val_size",
        type=cli.positive_int,
        default=2000,
        help="news_commentary: sentence pairs to draw for validation",
    )
    parser.add_argument(
        "--seed", type=cli.seed, default=1, help="seed of that draw, and of the toy data"
    )
    cli.add_folders(parser, __file__, "data")
    return parser.parse_args(argv)


def read_splits(args) -> dict[str, list[Pair]]:
    """The sentence pairs of each split, none with an empty side."""
    if args.dataset == "toy":
        if args.source is not None:
            raise InputError("--source: the toy data is generated, it has no source")
        return {split: generate_toy(split, args.seed) for split in TOY_PAIRS}
    paths = download.locate(FILES[args.dataset], args.source, args.data_dir / "downloads")
    if args.dataset == "multi30k":
        return {split: leave_out_empty(read_multi30k(paths, split)) for split in ("train", "val")}
    if args.dataset == "iwslt14":
        return split_iwslt14(leave_out_empty(tokenize(read_iwslt14(paths))), args.max_length)
    pairs = leave_out_empty(read_news_commentary(paths, FILES[args.dataset][0].name))
    return draw_validation(pairs, args.val_size, args.seed)


def read_multi30k(paths: list[Path], split: str) -> list[Pair]:
    """Elliott et al. 2016: a caption a line."""
    names = [f"multi30k/{split}.{language}" for language in ("de", "en")]
    return zip_sides(read_lines(paths, names), *names)


def read_iwslt14(paths: list[Path]) -> list[Pair]:
    """Cettolo et al. 2014: the training files of the archive, by the rules of fairseq's script.

    ``prepare-iwslt14.sh`` leaves out lines with these three tags, and strips those of titles and
    descriptions, which stay. No other tag is touched: the number of pairs would change.
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


def split_iwslt14(pairs: list[Pair], max_length: int) -> dict[str, list[Pair]]:
    """Leave out what is too long or too unequal (Moses' ``clean-corpus-n.perl``), write the rest in
    lower case, and take every 23rd pair for validation.
    """
    lengths = np.array([[len(sentence.split()) for sentence in pair] for pair in pairs])
    lengths = lengths.reshape(-1, 2)  # where there is no pair too
    long = lengths.max(axis=1) > max_length
    unequal = lengths.max(axis=1) > MAX_RATIO * lengths.min(axis=1)
    print(
        f"left out {long.sum():,} pairs with a side of more than {max_length} words, and "
        f"{(unequal & ~long).sum():,} with a side more than {MAX_RATIO} times as long as the other"
    )
    kept = [(x.lower(), y.lower()) for (x, y), out in zip(pairs, long | unequal) if not out]
    train = [pair for i, pair in enumerate(kept, start=1) if i % VALIDATION_EVERY]
    print(f"{len(train):,} training pairs; {IWSLT14_PAIRS:,} are expected from the public archive")
    return {"train": train, "valid": kept[VALIDATION_EVERY - 1 :: VALIDATION_EVERY]}


def read_news_commentary(paths: list[Path], name: str) -> list[Pair]:
    """News Commentary v14: the two sides of a line, with a tab between them."""
    name = name.removesuffix(".gz")
    pairs = []
    for number, line in enumerate(read_lines(paths, [name])[name], start=1):
        columns = line.split("\t")
        if len(columns) != 2:
            raise InputError(
                f"{name}, line {number}: not two columns with a tab between them; get the public "
                "file again"
            )
        pairs.append((columns[0].strip(), columns[1].strip()))
    return pairs


def draw_validation(pairs: list[Pair], val_size: int, seed: int) -> dict[str, list[Pair]]:
    """Draw ``val_size`` of the pairs for validation."""
    if val_size >= len(pairs):
        raise InputError(f"--val_size {val_size}: there are no more than {len(pairs):,} pairs")
    chosen = set(random.Random(seed).sample(range(len(pairs)), val_size))
    return {
        "train": [pair for i, pair in enumerate(pairs) if i not in chosen],
        "val": [pairs[i] for i in sorted(chosen)],
    }


def read_lines(paths: list[Path], names: list[str]) -> dict[str, list[str]]:
    """The lines of the files called ``names``."""
    return {
        name: list(archives.text_lines(file)) for name, file in archives.read_files(paths, names)
    }


def zip_sides(lines: dict[str, list[str]], source: str, target: str) -> list[Pair]:
    if len(lines[source]) != len(lines[target]):
        raise InputError(
            f"{source} has {len(lines[source]):,} lines and {target} {len(lines[target]):,}: they "
            "do not belong together; get the public files again"
        )
    return [(x.strip(), y.strip()) for x, y in zip(lines[source], lines[target])]


def generate_toy(split: str, seed: int) -> list[Pair]:
    """Random sentences and their translations, word for word but for the adjectives' places."""
    rng = random.Random(f"{split} {seed}")

    pairs = []
    for _ in range(TOY_PAIRS[split]):
        source, target = [], []
        for part in ("subject", "verb", "object", "place"):
            noun = rng.choices(TOY_CLASSES[part])
            adjective = rng.choices(TOY_CLASSES["adjective"])
            if part == "verb" or rng.random() < 0.5:
                adjective = []
            source += adjective + noun
            target += noun + adjective
        pairs.append(
            (" ".join(TOY_SOURCE[i] for i in source), " ".join(TOY_TARGET[i] for i in target))
        )
    return pairs


def leave_out_empty(pairs: list[Pair]) -> list[Pair]:
    kept = [pair for pair in pairs if pair[0] and pair[1]]
    if len(kept) < len(pairs):
        print(f"left out {len(pairs) - len(kept):,} pairs with an empty side")
    return kept


def write(splits: dict[str, list[Pair]], folder: Path, dataset: str) -> None:
    """Write all files; a failure leaves those that were there.

    A SentencePiece model made from other sentences is removed: training makes another.
    """
    corpus = CORPORA[dataset]
    contents = {}
    for split, pairs in splits.items():
        if not pairs:
            raise InputError(f"no sentence pair is left for {split}")
        for side, language in enumerate((corpus.source, corpus.target)):
            sentences = [pair[side] for pair in pairs]
            text = "".join(sentence + "\n" for sentence in sentences)
            path = folder / f"{split}.{language}"
            contents[path] = json.dumps(sentences, ensure_ascii=False) if corpus.json else text
            if corpus.json and split == "train":
                contents[folder / f"{split}.{language}_raw"] = text
    contents = {path: text.encode() for path, text in contents.items()}
    if all(path.exists() and path.read_bytes() == text for path, text in contents.items()):
        return
    with ExitStack() as stack:
        for path, text in contents.items():
            file = stack.enter_context(storage.write_whole(path))
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # after this, the files need no more than a new name
        pieces_path(folder).unlink(missing_ok=True)


def describe(split: str, pairs: list[Pair]) -> str:
    words = np.array([[len(sentence.split()) for sentence in pair] for pair in pairs])
    source, target = np.quantile(words, (0.05, 0.5, 0.95, 1), axis=0, method="nearest").T
    return f"{split}: {len(pairs):,} sentence pairs, words at 5/50/95/100%: " + ", ".join(
        f"{side} {'/'.join(map(str, quantiles))}"
        for side, quantiles in (("source", source), ("target", target))
    )


if __name__ == "__main__":
    cli.run(main)
