"""Processed data: reading it, cutting it into pieces of words, and making batches of it."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sentencepiece
import torch

from attention_dynamics import cli
from attention_dynamics.analysis.ragged import Ragged, batches_by_length
from attention_dynamics.cli import InputError
from attention_dynamics.files import storage
from attention_dynamics.translation.datasets import DATASETS
from attention_dynamics.translation.datasets.corpus import Corpus

PAD, BOS, EOS, UNK = range(4)
RECORD = "files.json"  # of a dataset's folder: a digest of each prepared file


@dataclass(frozen=True)
class Pairs:
    """Encoded sentence pairs.

    ``source`` and ``target`` hold tokens (int64), each sentence with <s> and </s>; ``references``
    are the target sentences as text. The attention ranges over all source tokens, <s> and </s>
    among them; what is predicted are the target tokens after <s>.
    """

    source: Ragged
    target: Ragged
    references: list[str]

    def __len__(self) -> int:
        return len(self.references)

    def take(self, rows: np.ndarray) -> "Pairs":
        references = [self.references[row] for row in rows]
        return Pairs(self.source.take(rows), self.target.take(rows), references)

    def concatenate(self, other: "Pairs") -> "Pairs":
        return Pairs(
            self.source.concatenate(other.source),
            self.target.concatenate(other.target),
            self.references + other.references,
        )


@dataclass(frozen=True)
class Dataset:
    """A dataset as the models see it; ``digest`` tells whether its files have changed."""

    name: str
    pieces: sentencepiece.SentencePieceProcessor
    train: Pairs
    val: Pairs
    digest: str

    @property
    def vocab(self) -> list[str]:
        return [self.pieces.id_to_piece(token) for token in range(self.pieces.vocab_size())]


def add_vocab_size(parser: cli.Parser) -> None:
    parser.add_argument(
        "--vocab_size",
        type=cli.positive_int,
        help=f"size of the SentencePiece vocabulary (default: {Corpus.vocab_size:,}; toy "
        f"{DATASETS['toy'].vocab_size}; for your own data prepare_data.py chooses it: "
        f"{Corpus.vocab_size:,}, or fewer if the text is small)",
    )


def load_dataset(data_dir: Path, name: str, vocab_size: int | None = None) -> Dataset:
    """Read a dataset and encode it with its SentencePiece model, trained where there is none.

    Parameters
    ----------
    vocab_size : number of pieces; None for the dataset's own: 8,000; fewer in the toy data; of a
        user's own data what its SentencePiece model has

    Raises
    ------
    InputError
        where a file is missing, damaged, or holds what cannot be used.
    """
    corpus = DATASETS.find(name, data_dir)
    folder = data_dir / corpus.folder
    make = corpus.make
    paths = {
        split: [folder / f"{split}.{language}" for language in (corpus.source, corpus.target)]
        for split in ("train", corpus.validation)
    }
    texts = {}
    for split, (source_path, target_path) in paths.items():
        source = read_sentences(source_path, corpus.json, make)
        target = read_sentences(target_path, corpus.json, make)
        if len(source) != len(target):
            raise InputError(
                f"{source_path} has {len(source):,} sentences, {target_path} {len(target):,}: "
                f"they do not belong together: {make}"
            )
        texts[split] = (source, target)
    storage.check_set(folder / RECORD, [p for pair in paths.values() for p in pair], make)

    model_path = pieces_path(folder)
    if not corpus.own:
        vocab_size = vocab_size or corpus.vocab_size
    with storage.lock(folder):  # runs may start side by side
        if not model_path.exists():
            print(f"{model_path}: training {vocab_size or corpus.vocab_size:,} pieces")
            raw = [folder / f"train.{language}_raw" for language in (corpus.source, corpus.target)]
            sides: Sequence[list[str]] = texts["train"]
            if all(path.exists() for path in raw):  # as published, of News Commentary
                sides = [storage.load_text(path, make).split("\n") for path in raw]
            model = train_pieces([*sides[0], *sides[1]], vocab_size, corpus.pieces)
            storage.save_bytes(model, model_path)
    pieces = read_pieces(model_path, vocab_size)

    def encode(split: str) -> Pairs:
        source, target = (
            Ragged.from_rows(pieces.encode(side, add_bos=True, add_eos=True), dtype=np.int64)
            for side in texts[split]
        )
        return Pairs(source, target, texts[split][1])

    return Dataset(
        name=name,
        pieces=pieces,
        train=encode("train"),
        val=encode(corpus.validation),
        digest=storage.digest(*paths["train"], *paths[corpus.validation], model_path),
    )


def read_sentences(path: Path, as_json: bool, make: str) -> list[str]:
    """The sentences of a file. Empty ones are kept, and counted in a line."""
    if as_json:
        sentences = storage.load_json(path, make)
        if not isinstance(sentences, list) or not all(isinstance(s, str) for s in sentences):
            raise InputError(f"{path} is not a list of sentences: {make}")
    else:
        sentences = storage.load_text(path, make).split("\n")
        if sentences[-1] == "":
            sentences.pop()
    if not sentences:
        raise InputError(f"{path} has no sentences: {make}")
    sentences = [sentence.strip() for sentence in sentences]
    if empty := sentences.count(""):
        what = ("sentence" if as_json else "line") + (" is" if empty == 1 else "s are")
        print(f"{path}: {empty:,} empty {what} kept as <s> </s>")
    return sentences


def pieces_path(folder: Path) -> Path:
    """The SentencePiece model of a dataset's folder, which is named after it."""
    return folder / f"{folder.name}.model"


def train_pieces(
    sentences: list[str], vocab_size: int | None, model_type: str = "unigram"
) -> bytes:
    """Train one SentencePiece model for both languages; the same text gives the same model.

    Parameters
    ----------
    vocab_size : number of pieces; None for 8,000, or as many as the text can give

    Raises
    ------
    InputError
        where the text cannot give so many pieces, or so few.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            vocab_size=vocab_size or Corpus.vocab_size,
            hard_vocab_limit=vocab_size is not None,
            model_type=model_type,
            pad_id=PAD,
            bos_id=BOS,
            eos_id=EOS,
            unk_id=UNK,
            num_threads=1,  # with more, the model depends on their number
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).split("] ")[-1].strip()
        count = vocab_size or Corpus.vocab_size
        raise InputError(f"no vocabulary of {count} pieces (--vocab_size): {reason}") from None
    return model.getvalue()


def load_pieces(model: bytes) -> sentencepiece.SentencePieceProcessor:
    pieces = sentencepiece.SentencePieceProcessor()
    pieces.load_from_serialized_proto(model)
    return pieces


def read_pieces(path: Path, vocab_size: int | None) -> sentencepiece.SentencePieceProcessor:
    """Read a SentencePiece model from a file, and check that the models here can use it.

    ``vocab_size`` is the number of pieces that it should have; None for any.
    """
    again = f"delete {path}, and it will be trained anew"
    try:
        pieces = load_pieces(path.read_bytes())
    except (RuntimeError, OSError):
        raise InputError(f"{path} is damaged or not a SentencePiece model: {again}") from None
    if pieces.vocab_size() != (vocab_size or pieces.vocab_size()):
        raise InputError(
            f"{path} has {pieces.vocab_size()} pieces, not {vocab_size}: give --vocab_size, or "
            f"{again}"
        )
    ids = [pieces.pad_id(), pieces.bos_id(), pieces.eos_id(), pieces.unk_id()]
    if ids != [PAD, BOS, EOS, UNK]:
        raise InputError(f"{path} has pad, bos, eos, unk at {ids}, not [0, 1, 2, 3]: {again}")
    return pieces


def evaluated_pairs(
    dataset: Dataset, with_train: bool, test_set_size: int | None = None
) -> tuple[Pairs, dict[str, np.ndarray]]:
    """The pairs to evaluate, and which of their rows belong to which split.

    The first of validation (default: all); on request as many training pairs, drawn with seed 1.
    """
    val = dataset.val
    if test_set_size and test_set_size < len(val):
        val = val.take(np.arange(test_set_size))
    pairs, splits = val, {"val": np.arange(len(val))}
    if with_train:
        count = min(len(val), len(dataset.train))
        drawn = np.random.default_rng(1).choice(len(dataset.train), count, replace=False)
        pairs = pairs.concatenate(dataset.train.take(drawn))
        splits["train"] = np.arange(len(val), len(pairs))
    return pairs, splits


def to_tensors(
    pairs: Pairs, device: torch.device | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Source tokens (total,), lengths (batch,), target tokens (total,), lengths (batch,).

    Tokens are on the device, lengths on the CPU.
    """
    return (
        torch.from_numpy(pairs.source.values).to(device),
        torch.from_numpy(pairs.source.lengths),
        torch.from_numpy(pairs.target.values).to(device),
        torch.from_numpy(pairs.target.lengths),
    )


def batches_of_like_length(pairs: Pairs, max_tokens: int) -> Iterator[tuple[np.ndarray, Pairs]]:
    """Every pair once, in batches of like lengths: row numbers and pairs."""
    longer = np.maximum(pairs.source.lengths, pairs.target.lengths)
    for rows in batches_by_length(longer, max_tokens):
        yield rows, pairs.take(rows)


def beta_path(outputs_dir: Path, dataset: str, embed_dim: int) -> Path:
    """Where ``embedding_beta.py`` keeps the word baseline."""
    return outputs_dir / f"{dataset}embedding{embed_dim}translation.pkl"
