"""Prepare the data of one dataset: download, tokenize, split, index.

reads:   the public file, downloaded to data/downloads/, or --source PATH
writes:  data/<dataset>_train.json and _test.json
next:    train_classifier.py (or train_runs.sh, which trains all runs of a dataset)

examples:
  python prepare_data.py --dataset IMDB
  python prepare_data.py --dataset IMDB --source ~/Downloads/aclImdb_v1.tar.gz
"""

import random
from argparse import Namespace
from pathlib import Path

from attention_dynamics import cli
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.classification.preparation import (
    SPLITS,
    build_vocab,
    describe,
    describe_vocab,
    draw,
    write,
)
from attention_dynamics.corpus import find
from attention_dynamics.files import download


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    corpus = find(DATASETS, args.dataset)
    paths = download.locate(corpus.files, args.source, args.data_dir / "downloads")
    rng = random.Random(args.seed)
    samples = {}
    for split in SPLITS:
        examples = corpus.read(paths, split, args.seed)
        size = getattr(args, f"max_{split}") or corpus.sample
        samples[split] = draw(examples, size, args.max_length, rng, split)
    vocab = build_vocab(samples["train"].sentences, samples["test"].sentences)
    write(samples, vocab, args.data_dir / args.dataset)
    for split in SPLITS:
        print(describe(split, samples[split]))
    print(describe_vocab(samples["train"].sentences, vocab))


def parse_args(argv: list[str] | None) -> Namespace:
    parser = cli.Parser(__doc__)
    cli.add_dataset(parser, DATASETS)
    parser.add_argument(
        "--source",
        type=Path,
        help="use this instead of a download: the public archive, or a folder with the archive or"
        " its contents",
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
