"""Make data/<dataset>_train.json and data/<dataset>_test.json from a public dataset.

python prepare_data.py --dataset IMDB
python prepare_data.py --dataset IMDB --source ~/Downloads/aclImdb_v1.tar.gz
"""

import csv
import heapq
import itertools
import json
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attention_dynamics import cli
from attention_dynamics.classification.data import DATASETS, MIN_COUNT
from attention_dynamics.cli import InputError
from attention_dynamics.files import archives, download, storage
from attention_dynamics.files.download import PublicFile

SPLITS = ("train", "test")
AG_NEWS = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv/"
FAST_AI = "https://s3.amazonaws.com/fast-ai-nlp/"
FILES = {
    "IMDB": [
        PublicFile(
            "aclImdb_v1.tar.gz",
            "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
            "md5:7c2ac02c03563afcf9b574c7e56c153a",
        )
    ],
    "Furd": [
        PublicFile(
            "trainDevTestTrees_PTB.zip",
            "https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip",
            "sha256:5c613a4f673fc74097d523a2c83f38e0cc462984d847b82c7aaf36b01cbbbfcc",
        )
    ],
    "AG_News": [
        PublicFile(
            "ag_news_csv/train.csv", AG_NEWS + "train.csv", "md5:b1a00f826fdfbd249f79597b59e1dc12"
        ),
        PublicFile(
            "ag_news_csv/test.csv", AG_NEWS + "test.csv", "md5:d52ea96a97a2d943681189a97654912d"
        ),
    ],
    "Newsgroups": [
        PublicFile(
            "20news-bydate.tar.gz",
            "https://ndownloader.figshare.com/files/5975967",
            "sha256:8f1b2514ca22a5ade8fbb9cfa5727df95fa587f4c87b786e15c759fa66d95610",
        )
    ],
    "Yelp": [
        PublicFile(
            "yelp_review_polarity_csv.tgz",
            FAST_AI + "yelp_review_polarity_csv.tgz",
            "sha256:528f22e286cad085948acbc3bea7e58188416546b0e364d0ae4ca0ce666abe35",
        )
    ],
    "Amzn": [
        PublicFile("amazon_review_polarity_csv.tgz", FAST_AI + "amazon_review_polarity_csv.tgz")
    ],
    "SNS": [
        PublicFile(
            "sms+spam+collection.zip",
            "https://archive.ics.uci.edu/static/public/228/sms+spam+collection.zip",
            "sha256:1587ea43e58e82b14ff1f5425c88e17f8496bfcdb67a583dbff9eefaf9963ce3",
        )
    ],
}
FILES["SMS"] = FILES["SNS"]
LARGE = ("Yelp", "Amzn")  # 560,000 and 3,600,000 training reviews: a sample is the default
LARGE_SAMPLE = 25_000

# The toy data's truth: the label is the one whose keywords a sentence has more of.
TOY_KEYWORDS = {
    1: ("brilliant", "charming", "delightful", "moving", "superb"),
    0: ("bland", "clumsy", "dreadful", "pointless", "tedious"),
}
TOY_FILLERS = ["".join(s) for s in itertools.product("bdkmt", "aeio", "lnrs", "aei")][:200]
TOY_SENTENCES = {"train": 2000, "test": 500}

# What a reader gives, a sentence at a time: its text, and 0, 1 or None for another class.
Examples = Iterator[tuple[str, int | None]]


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    read = read_examples(args)
    rng = random.Random(args.seed)
    samples = {
        split: draw(read(split), getattr(args, f"max_{split}"), args.max_length, rng, split)
        for split in SPLITS
    }
    vocab = build_vocab(samples["train"].sentences, samples["test"].sentences)
    write(samples, vocab, args.data_dir / args.dataset)
    for split in SPLITS:
        print(describe(split, samples[split]))
    print(describe_vocab(samples["train"].sentences, vocab))


def parse_args(argv: list[str] | None):
    parser = cli.Parser("Prepare the data of one dataset: download, tokenize, split, index.")
    cli.add_dataset(parser, DATASETS)
    parser.add_argument(
        "--source",
        type=Path,
        help="use this instead of a download: the public archive, or a folder which holds the"
        " archive or what is in it",
    )
    parser.add_argument(
        "--max_length",
        type=cli.positive_int,
        default=400,
        help="leave out sentences of more tokens than this",
    )
    for split in SPLITS:
        parser.add_argument(
            f"--max_{split}",
            type=cli.positive_int,
            help=f"keep a random sample of this many {split} sentences (default: all;"
            f" {LARGE_SAMPLE:,} of {' and '.join(LARGE)})",
        )
    parser.add_argument(
        "--seed", type=cli.seed, default=1, help="seed of samples, order, SMS split and toy data"
    )
    cli.add_folders(parser, __file__, "data")
    args = parser.parse_args(argv)
    if args.dataset in LARGE:
        args.max_train = args.max_train or LARGE_SAMPLE
        args.max_test = args.max_test or LARGE_SAMPLE
    return args


def read_examples(args) -> Callable[[str], Examples]:
    """The function that reads a split of the dataset asked for."""
    if args.dataset == "toy":
        if args.source is not None:
            raise InputError("--source: the toy data is generated, it has no source")
        return lambda split: generate_toy(split, args.seed)
    paths = download.locate(FILES[args.dataset], args.source, args.data_dir / "downloads")
    if args.dataset in ("SNS", "SMS"):
        messages = read_sns(paths, args.seed)
        return lambda split: iter(messages[split])
    reader = {
        "IMDB": read_imdb,
        "Furd": read_furd,
        "AG_News": read_ag_news,
        "Newsgroups": read_newsgroups,
        "Yelp": read_yelp,
        "Amzn": read_amzn,
    }[args.dataset]
    return lambda split: reader(paths, split)


def read_imdb(paths: list[Path], split: str) -> Examples:
    """Maas et al. 2011: a review a file."""
    labels = {f"aclImdb/{split}/neg/*.txt": 0, f"aclImdb/{split}/pos/*.txt": 1}
    yield from read_documents(paths, labels, "utf-8")


def read_newsgroups(paths: list[Path], split: str) -> Examples:
    """The 20 Newsgroups by date: a message a file, baseball (0) against hockey (1)."""
    labels = {
        f"20news-bydate-{split}/rec.sport.baseball/*": 0,
        f"20news-bydate-{split}/rec.sport.hockey/*": 1,
    }
    for text, label in read_documents(paths, labels, "latin-1"):
        yield message_body(text), label


def read_documents(paths: list[Path], labels: dict[str, int], encoding: str) -> Examples:
    documents = [
        ("\n".join(archives.text_lines(file, encoding)), labels[pattern])
        for pattern, file in archives.read_files(paths, list(labels))
    ]
    # An archive has its own order, a folder another; the same texts give the same result.
    yield from sorted(documents)


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


def read_furd(paths: list[Path], split: str) -> Examples:
    """Socher et al. 2013: a tree a line, ``(3 (2 It) (4 works))``; its root is the label."""
    for _, file in archives.read_files(paths, [f"trees/{split}.txt"]):
        for number, tree in enumerate(archives.text_lines(file), start=1):
            if not tree.strip():
                continue
            leaves = re.findall(r"\([0-4] ([^()]+)\)", tree)
            whole = tree.count("(") == tree.count(")") == 2 * len(leaves) - 1
            if not (whole and re.match(r"\([0-4] ", tree)):
                raise damaged(
                    f"trees/{split}.txt", number, "not a tree such as (3 (2 It) (4 works))"
                )
            root = int(tree[1])
            yield " ".join(map(plain_word, leaves)), None if root == 2 else int(root > 2)


def plain_word(leaf: str) -> str:
    """A word of the treebank as it is written elsewhere."""
    brackets = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
    quotes = {"``": '"', "''": '"'}
    return (brackets | quotes).get(leaf.upper(), leaf).replace("\\/", "/").replace("\\*", "*")


def read_ag_news(paths: list[Path], split: str) -> Examples:
    """Zhang et al. 2015: World (class 1, label 0) against Business (class 3, label 1)."""
    classes = {"1": 0, "2": None, "3": 1, "4": None}
    for text, label in read_csv(paths, f"ag_news_csv/{split}.csv", classes):
        yield text.replace("\\", " "), label  # a backslash stands where a line ended


def read_yelp(paths: list[Path], split: str) -> Examples:
    """Zhang et al. 2015: one and two stars (class 1) against three and four (class 2)."""
    yield from read_reviews(paths, f"yelp_review_polarity_csv/{split}.csv")


def read_amzn(paths: list[Path], split: str) -> Examples:
    """Zhang et al. 2015: one and two stars (class 1) against four and five (class 2)."""
    yield from read_reviews(paths, f"amazon_review_polarity_csv/{split}.csv")


def read_reviews(paths: list[Path], name: str) -> Examples:
    for text, label in read_csv(paths, name, {"1": 0, "2": 1}):
        yield text.replace("\\n", " ").replace('\\"', '"'), label


def read_csv(paths: list[Path], name: str, classes: dict[str, int | None]) -> Examples:
    """Rows of a class and one or two texts (title and body), which are joined."""
    for _, file in archives.read_files(paths, [name]):
        lines = (line + "\n" for line in archives.text_lines(file))
        rows = csv.reader(lines, strict=True)
        try:
            for row in rows:
                if len(row) < 2 or row[0] not in classes:
                    what = f"not one of the classes {', '.join(classes)} and its text"
                    raise damaged(name, rows.line_num, what)
                yield " ".join(row[1:]), classes[row[0]]
        except csv.Error as error:
            raise damaged(name, rows.line_num, str(error)) from None


def read_sns(paths: list[Path], seed: int) -> dict[str, list[tuple[str, int]]]:
    """Almeida et al. 2011: ``ham`` or ``spam`` (1), a tab, a message; split 80/20 here."""
    name = "SMSSpamCollection"
    examples, continued = [], []
    for _, file in archives.read_files(paths, [name]):
        for number, line in enumerate(archives.text_lines(file), start=1):
            kind, tab, text = line.partition("\t")
            if tab and kind in ("ham", "spam"):
                examples.append((text, int(kind == "spam")))
            elif examples and not tab:  # a message may hold a line end
                text, label = examples[-1]
                examples[-1] = (f"{text} {line}", label)
                continued += [number] if line.strip() else []
            else:
                raise damaged(name, number, "not ham or spam, a tab and a message")
    if continued:
        numbers = ", ".join(map(str, continued[:5])) + (", …" if len(continued) > 5 else "")
        print(f"{name}: taken as part of the message before, having no label: line {numbers}")
    random.Random(seed).shuffle(examples)
    n_train = round(0.8 * len(examples))
    return {"train": examples[:n_train], "test": examples[n_train:]}


def damaged(name: str, number: int, what: str) -> InputError:
    return InputError(f"{name}, line {number}: {what}; get the public file again")


def generate_toy(split: str, seed: int) -> Examples:
    """Filler words of Zipfian frequency, and one to three keywords of the sentence's label.

    Every fifth sentence or so also has one keyword of the other label, and then more of its own.
    """
    rng = random.Random(f"{split} {seed}")
    weights = [1 / rank for rank in range(3, 3 + len(TOY_FILLERS))]
    for i in range(TOY_SENTENCES[split]):
        label = i % 2
        n_own = rng.randint(1, 3)
        keywords = [rng.choice(TOY_KEYWORDS[label]) for _ in range(n_own)]
        if n_own > 1 and rng.random() < 0.3:
            keywords.append(rng.choice(TOY_KEYWORDS[1 - label]))
        n_fillers = rng.randint(15, 40) - len(keywords)
        words = rng.choices(TOY_FILLERS, weights, k=n_fillers) + keywords
        rng.shuffle(words)
        yield " ".join(words), label


@dataclass
class Sample:
    """The sentences of a split, in random order, and what was left out on the way."""

    sentences: list[list[str]]
    labels: list[int]
    left_out: dict[str, int]
    n_read: int


def draw(
    examples: Examples, max_count: int | None, max_length: int, rng: random.Random, split: str
) -> Sample:
    """Shuffle, leave out what does not fit, and stop at ``max_count`` sentences.

    Every example gets a random place in the order. Those that are too far back for the sample
    are not tokenized, and only the sample is held in memory.
    """
    from torchtext.data.utils import get_tokenizer

    tokenize = get_tokenizer("basic_english")
    kept = []  # a heap with the hindmost place on top: (-place, number, tokens, label)
    left_out = {"too long": [], "empty": [], "another class": []}
    n_read = 0
    for text, label in cli.progress_bar(examples, desc=split, unit=" sentences", leave=False):
        n_read += 1
        place = rng.random()
        full = len(kept) == max_count
        if full and place > -kept[0][0]:
            continue
        if label is None:
            left_out["another class"].append(place)
            continue
        tokens = [sys.intern(token) for token in tokenize(text)]
        if not 0 < len(tokens) <= max_length:
            left_out["too long" if tokens else "empty"].append(place)
            continue
        (heapq.heappushpop if full else heapq.heappush)(kept, (-place, n_read, tokens, label))
    if not kept:
        raise InputError(f"no sentence of at most {max_length} tokens is left for {split}")
    last = -kept[0][0] if len(kept) == max_count else 1
    kept.sort(reverse=True)
    return Sample(
        sentences=[tokens for _, _, tokens, _ in kept],
        labels=[label for *_, label in kept],
        left_out={why: sum(p < last for p in places) for why, places in left_out.items()},
        n_read=n_read,
    )


def build_vocab(train: Iterable[list[str]], test: Iterable[list[str]]) -> list[str]:
    """All words by falling frequency in training, then those of the test split alone.

    Special words and the frequency threshold are the models' business, not the file's.
    """
    from torchtext.vocab import Vocab

    train_counts = Counter(itertools.chain.from_iterable(train))
    test_counts = Counter(itertools.chain.from_iterable(test))
    for word in train_counts:
        test_counts.pop(word, None)
    return [
        word for counts in (train_counts, test_counts) for word in Vocab(counts, specials=[]).itos
    ]


def write(samples: dict[str, Sample], vocab: list[str], stem: Path) -> None:
    """Write the two files; a failure leaves the two that were there."""
    index = {word: i for i, word in enumerate(vocab)}
    content = {
        split: {
            "XY": [
                [[index[word] for word in sentence], label]
                for sentence, label in zip(sample.sentences, sample.labels)
            ]
        }
        for split, sample in samples.items()
    }
    content["train"] = {"vocab": vocab} | content["train"]
    path = {split: stem.with_name(f"{stem.name}_{split}.json") for split in SPLITS}
    with (
        storage.write_whole(path["train"]) as train_file,
        storage.write_whole(path["test"]) as test_file,
    ):
        for split, file in (("train", train_file), ("test", test_file)):
            file.write(json.dumps(content[split], ensure_ascii=False).encode())
            file.flush()
            os.fsync(file.fileno())  # after this, both files need no more than a new name


def describe(split: str, sample: Sample) -> str:
    n = len(sample.labels)
    left_out = ", ".join(f"{count:,} {why}" for why, count in sample.left_out.items() if count)
    lengths = [len(sentence) for sentence in sample.sentences]
    quantiles = np.quantile(lengths, (0.05, 0.25, 0.5, 0.75, 0.95, 1), method="nearest")
    return (
        f"{split}: {n:,} sentences kept of {sample.n_read:,} (left out: {left_out or 'none'}), "
        f"{sum(sample.labels) / n:.1%} of label 1, tokens at 5/25/50/75/95/100%: "
        + "/".join(str(int(q)) for q in quantiles)
    )


def describe_vocab(train: list[list[str]], vocab: list[str]) -> str:
    counts = Counter(itertools.chain.from_iterable(train))
    frequent = sum(count >= MIN_COUNT for count in counts.values())
    return (
        f"vocabulary: {len(vocab):,} words, {frequent:,} seen at least {MIN_COUNT} times in "
        f"training, {len(vocab) - len(counts):,} in the test split alone"
    )


if __name__ == "__main__":
    cli.run(main)
