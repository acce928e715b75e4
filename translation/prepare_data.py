"""Prepare the data of one dataset: download, clean, split.

reads:   the public files, downloaded to data/downloads/, or --source PATH
writes:  the training and validation sentences in data/<dataset>/
next:    train_translation.py (or train_runs.sh, which trains all runs of a dataset)

examples:
  python prepare_data.py --dataset multi30k
  python prepare_data.py --dataset iwslt14 --source ~/Downloads/de-en.tgz
"""

from argparse import Namespace
from pathlib import Path

from attention_dynamics import cli
from attention_dynamics.corpus import find
from attention_dynamics.files import download
from attention_dynamics.translation.datasets import DATASETS
from attention_dynamics.translation.datasets.corpus import Options
from attention_dynamics.translation.preparation import describe, write


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    corpus = find(DATASETS, args.dataset)
    paths = download.locate(corpus.files, args.source, args.data_dir / "downloads")
    splits = corpus.read(paths, Options(args.seed, args.max_length, args.val_size))
    write(splits, corpus, args.data_dir)
    for split, pairs in splits.items():
        print(describe(split, pairs))


def parse_args(argv: list[str] | None) -> Namespace:
    parser = cli.Parser(__doc__)
    cli.add_dataset(parser, DATASETS)
    parser.add_argument(
        "--source",
        type=Path,
        help="use this instead of a download: the public file, or a folder with the public files or"
        " their contents",
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


if __name__ == "__main__":
    cli.run(main)
