"""Prepare the data of one dataset: download, tokenize, split, index.

Your own data become a dataset under a new name: give a csv, tsv or jsonl file (also .gz) with a
text and a label in each row, or a folder with train.csv and test.csv, or the like.

reads:   the public file, downloaded to data/downloads/, or --source PATH
writes:  data/<dataset>_train.json and _test.json
next:    train_classifier.py (or train_runs.sh, which trains all runs of a dataset)

examples:
  python prepare_data.py --dataset IMDB
  python prepare_data.py --dataset IMDB --source ~/Downloads/aclImdb_v1.tar.gz
  python prepare_data.py --dataset mine --source reviews.csv --text review --label stars
"""

import random
from argparse import Namespace
from pathlib import Path

from attention_dynamics import cli
from attention_dynamics.classification.datasets import DATASETS, own
from attention_dynamics.classification.preparation import (
    SPLITS,
    TOKENIZERS,
    build_vocab,
    describe,
    describe_vocab,
    draw,
    write,
)
from attention_dynamics.corpus import add_dataset, refuse_flags
from attention_dynamics.files import download


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if args.dataset in DATASETS.names():
        refuse_flags(args, "text", "label", "split")
        corpus = DATASETS.find(args.dataset)
        paths = download.locate(corpus.files, args.source, args.data_dir / "downloads")
    else:
        options = own.Options(args.text, args.label, args.split or own.SPLIT, args.seed)
        corpus, paths = own.read_source(args.dataset, args.source, options), []
    rng = random.Random(args.seed)
    samples = {}
    for split in SPLITS:
        examples = corpus.read(paths, split, args.seed)
        size = getattr(args, f"max_{split}") or corpus.sample
        samples[split] = draw(examples, size, args.max_length, rng, split, args.tokenizer)
    vocab = build_vocab(samples["train"].sentences, samples["test"].sentences)
    labels = corpus.labels if corpus.own else ()
    write(samples, vocab, args.data_dir / args.dataset, labels, args.tokenizer)
    for split in SPLITS:
        print(describe(split, samples[split], corpus.labels))
    print(describe_vocab(samples["train"].sentences, vocab))


def parse_args(argv: list[str] | None) -> Namespace:
    parser = cli.Parser(__doc__)
    add_dataset(parser, DATASETS, new=True)
    parser.add_argument(
        "--source",
        type=Path,
        help="use this instead of a download: the public archive, or a folder with the archive or"
        " its contents; or your own data",
    )
    parser.add_argument(
        "--text",
        metavar="COLUMN",
        help="your own data: the column with the text; its number, from 1, if the file has no"
        f" header (default: the one called {', '.join(own.TEXT[:3])} or the like)",
    )
    parser.add_argument(
        "--label",
        metavar="COLUMN",
        help="your own data: the column with the label (default: the one called"
        f" {', '.join(own.LABEL[:3])} or the like)",
    )
    parser.add_argument(
        "--split",
        type=cli.share,
        help=f"your own data: share of training sentences if there is no test file (default:"
        f" {own.SPLIT})",
    )
    parser.add_argument(
        "--tokenizer",
        choices=TOKENIZERS,
        default="basic_english",
        help="torchtext's, which lower-cases and separates punctuation; split: at spaces only, for"
        " text that is tokenized already; moses: punctuation apart, case kept",
    )
    parser.add_argument(
        "--max_length",
        type=cli.positive_int,
        default=400,
        help="leave out sentences of more tokens than this",
    )
    defaults = [f"{name} {c.sample:,}" for name, c in DATASETS.items() if c.sample]
    for split in SPLITS:
        parser.add_argument(
            f"--max_{split}",
            type=cli.positive_int,
            help=f"keep a random sample of this many {split} sentences (default: all;"
            f" {', '.join(defaults)})",
        )
    parser.add_argument(
        "--seed", type=cli.seed, default=1, help="seed of samples, order, splits and toy data"
    )
    cli.add_folders(parser, __file__, "data")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main)
