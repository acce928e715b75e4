"""What a translation dataset's entry holds, and the published settings, its defaults."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from attention_dynamics.corpus import BaseCorpus, PublishedRun

Pair = tuple[str, str]
Splits = dict[str, list[Pair]]  # the training pairs ("train") and those of ``Corpus.validation``

RUNS = (
    PublishedRun("Normal_A", 20, calculate_grad=True),
    PublishedRun("Normal_B", 13),
    PublishedRun("uniform", 12, uniform=True),
)
SAVES = "--save_every 2000 --custom_saves 0,50,100,500,1000,1500"
FIRST_ITERATIONS = (0, 50, 100, 500, 1000, 1500, 2000, 4000, 6000, 8000, 10000)
EVALUATE = "--eval_bleu --include_train_subset --grad_bsize 32"


@dataclass(frozen=True)
class Options:
    """Flags of ``prepare_data.py`` that a reader may use.

    Attributes
    ----------
    max_length : words of the longest sentence that is kept
    val_size : number of pairs to draw for validation; None for the dataset's own
    """

    seed: int
    max_length: int
    val_size: int | None


@dataclass(frozen=True, kw_only=True)
class Corpus(BaseCorpus):
    """A dataset of sentence pairs: ``<folder>/<split>.<language>`` in the data folder.

    Attributes
    ----------
    read : paths of the files, and options, to the pairs of each split, none with an empty side
    source, target : the languages, which files end in
    validation : name of the validation split
    json : a file is a list of sentences; else it has one sentence per line
    vocab_size : default size of the SentencePiece vocabulary
    pieces : type of the SentencePiece model: ``unigram``, or ``word``, which splits only at spaces
    """

    read: Callable[[list[Path], Options], Splits]
    folder: str
    source: str
    target: str
    validation: str = "val"
    json: bool = False
    vocab_size: int = 8000
    pieces: str = "unigram"
    runs: tuple[PublishedRun, ...] = RUNS
    train: str = f"--epochs 20 {SAVES}"
    evaluate: str = EVALUATE

    @property
    def taken(self) -> tuple[str, ...]:
        return (*self.names, self.folder)

    @property
    def training_files(self) -> tuple[str, ...]:
        return (f"{self.folder}/train.{self.source}",)
