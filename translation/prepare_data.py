"""Prepare the data of one dataset: download, clean, split.

Your own data become a dataset under a new name: give two text files, the source language first, one
sentence per line; or a csv, tsv or jsonl with two columns; or a folder with train and val files of
either kind. All may be compressed (.gz).

reads:   the public files, downloaded to data/downloads/, or --source PATH
writes:  the training and validation sentences in data/<dataset>/; for your own data the
         SentencePiece model too
next:    train_translation.py (or train_runs.sh, which trains all runs of a dataset)

examples:
  python prepare_data.py --dataset multi30k
  python prepare_data.py --dataset iwslt14 --source ~/Downloads/de-en.tgz
  python prepare_data.py --dataset mine --source corpus.fr corpus.en
"""

from argparse import Namespace
from pathlib import Path

from attention_dynamics import cli
from attention_dynamics.corpus import add_dataset, refuse_flags
from attention_dynamics.files import download
from attention_dynamics.translation.data import add_vocab_size, load_pieces, train_pieces
from attention_dynamics.translation.datasets import DATASETS, own
from attention_dynamics.translation.datasets.corpus import Options
from attention_dynamics.translation.preparation import describe, write


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    options = Options(args.seed, args.max_length, args.val_size)
    if args.dataset in DATASETS.names():
        refuse_flags(args, "from", "to", "vocab_size")
        corpus = DATASETS.find(args.dataset)
        if args.source and len(args.source) > 1:
            raise cli.InputError("--source: give one file or folder")
        source = args.source[0] if args.source else None
        paths = download.locate(corpus.files, source, args.data_dir / "downloads")
    else:
        languages = own.Languages(getattr(args, "from"), args.to)
        corpus, paths = own.read_source(args.dataset, args.source, languages, options), []
    splits = corpus.read(paths, options)
    pieces = None
    if corpus.own:
        sides = zip(*splits["train"])
        pieces = train_pieces([sentence for side in sides for sentence in side], args.vocab_size)
    write(splits, corpus, args.data_dir, pieces)
    for split, pairs in splits.items():
        print(describe(split, pairs))
    if pieces is not None:
        print(f"vocabulary: {load_pieces(pieces).vocab_size():,} pieces for both languages")


def parse_args(argv: list[str] | None) -> Namespace:
    parser = cli.Parser(__doc__)
    add_dataset(parser, DATASETS, new=True)
    parser.add_argument(
        "--source",
        type=Path,
        nargs="+",
        help="use this instead of a download: the public file, or a folder with the public files or"
        " their contents; or your own data",
    )
    parser.add_argument(
        "--from",
        metavar="COLUMN",
        help="your own data: the column of the source language; its number, from 1, if the file has"
        " no header; of text files in a folder, what their names end in, such as fr",
    )
    parser.add_argument("--to", metavar="COLUMN", help="the same for the target language")
    parser.add_argument(
        "--max_length",
        type=cli.positive_int,
        default=175,
        help="iwslt14 and your own data: leave out pairs with more words than this on either side",
    )
    parser.add_argument(
        "--val_size",
        type=cli.positive_int,
        help="sentence pairs to draw for validation (default: 2,000 for news_commentary; of your"
        " own data without a validation file a tenth, at most 1,000)",
    )
    add_vocab_size(parser)
    parser.add_argument(
        "--seed", type=cli.seed, default=1, help="seed of that draw, and of the toy data"
    )
    cli.add_folders(parser, __file__, "data")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main)
