"""From a dataset's sentence pairs to its processed files."""

import json
from pathlib import Path

import numpy as np

from attention_dynamics.cli import InputError
from attention_dynamics.files import storage
from attention_dynamics.translation.data import RECORD, pieces_path
from attention_dynamics.translation.datasets.corpus import Corpus, Pair, Splits


def write(splits: Splits, corpus: Corpus, data_dir: Path, pieces: bytes | None = None) -> None:
    """Write all files; a failure leaves the sentences that were there.

    A SentencePiece model made from other sentences is removed first. ``pieces`` takes its place; if
    that is None, training makes another model.
    """
    folder = data_dir / corpus.folder
    contents: dict[Path, bytes] = {}
    for split, pairs in splits.items():
        if not pairs:
            raise InputError(f"no sentence pair is left for {split}")
        for side, language in enumerate((corpus.source, corpus.target)):
            sentences = [pair[side] for pair in pairs]
            lines = "".join(sentence + "\n" for sentence in sentences)
            text = json.dumps(sentences, ensure_ascii=False) if corpus.json else lines
            contents[folder / f"{split}.{language}"] = text.encode()
            if corpus.json and split == "train":
                contents[folder / f"{split}.{language}_raw"] = lines.encode()
    if pieces is not None:
        contents[pieces_path(folder)] = pieces
    if all(path.exists() and path.read_bytes() == new for path, new in contents.items()):
        return
    if pieces is None:  # before the sentences: a killed process leaves no pieces of other ones
        pieces_path(folder).unlink(missing_ok=True)
    storage.save_set(contents, folder / RECORD)


def describe(split: str, pairs: list[Pair]) -> str:
    words = np.array([[len(sentence.split()) for sentence in pair] for pair in pairs])
    source, target = np.quantile(words, (0.05, 0.5, 0.95, 1), axis=0, method="nearest").T
    return f"{split}: {len(pairs):,} sentence pairs, words at 5/50/95/100%: " + ", ".join(
        f"{side} {'/'.join(map(str, quantiles))}"
        for side, quantiles in (("source", source), ("target", target))
    )
