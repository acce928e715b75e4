"""Pieces of words (SentencePiece) summed to whole words, as the exports can do it."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from attention_dynamics.analysis.ragged import Ragged
from attention_dynamics.analysis.sentences import Sentences

# What a column's sum over source and target pieces is divided by: the number of (source, target)
# pieces of the word. Other columns are summed.
DIVISORS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "alpha": lambda n_source, n_target: n_target,
    "beta": lambda n_source, n_target: n_source,
}


def whole_words(
    sentences: Sentences, vocab: list[str], begins: Callable[[list[str]], np.ndarray]
) -> tuple[Sentences, list[str], Callable[[str, np.ndarray], np.ndarray]]:
    """Sentences of words in place of pieces.

    - α is summed over the source pieces of a word and averaged over the target pieces, so that
      it stays a distribution (as Clark et al., 2019, "What Does BERT Look At?", section 3.1).
    - Δ is summed over both: by the chain rule it then is −∂NLL/∂m of the whole target word, m
      multiplying the embeddings of the whole source word.
    - β, a log-probability, is summed over the target pieces, which gives that of the whole word,
      and averaged over the source pieces: each of them alone predicts the target. Not weighted
      by α, or β would no longer be independent of the attention that it is compared with.

    Parameters
    ----------
    begins : of the vocabulary: bool array, whether a piece begins a word; specials are words

    Returns
    -------
    the sentences, whose tokens refer to the vocabulary that comes second; and a function of a
    column's name and its values, float32 (entries,), that gives those of words, float32
    """
    assert sentences.target is not None  # only translation has pieces
    names: dict[str, int] = {}
    source, source_word = _joined(sentences.source, vocab, begins(vocab), names)
    target, target_word = _joined(sentences.target, vocab, begins(vocab), names)
    joined = replace(sentences, source=source, target=target)
    n_words = int(joined.entries[-1])

    # of each entry: the places of its two words in their sentence, and that of its sentence
    in_source, in_target = replace(
        sentences,
        source=Ragged(_in_row(source_word, sentences.source), sentences.source.offsets),
        target=Ragged(_in_row(target_word, sentences.target), sentences.target.offsets),
    ).words
    sentence = np.repeat(np.arange(len(sentences)), np.diff(sentences.entries))
    at = joined.entries[sentence] + in_target * source.lengths[sentence] + in_source
    # of each entry of words: how many pieces its two words have
    n_source, n_target = replace(
        joined,
        source=Ragged(np.bincount(source_word), source.offsets),
        target=Ragged(np.bincount(target_word), target.offsets),
    ).words

    def combine(column: str, values: np.ndarray) -> np.ndarray:
        sums = np.bincount(at, values, minlength=n_words)
        if column in DIVISORS:
            sums = sums / DIVISORS[column](n_source, n_target)
        return sums.astype(np.float32)

    return joined, list(names), combine


def _joined(
    pieces: Ragged, vocab: list[str], is_first: np.ndarray, names: dict[str, int]
) -> tuple[Ragged, np.ndarray]:
    """The words of rows of pieces, and the number of each piece's word, over all rows: (pieces,).

    ``names`` numbers the texts of words; new ones are added.
    """
    starts = is_first[pieces.values]
    starts[pieces.offsets[:-1]] = True
    firsts = np.flatnonzero(starts).tolist()
    texts = [vocab[token] for token in pieces.values]
    tokens = [
        names.setdefault("".join(texts[start:end]), len(names))
        for start, end in pairwise([*firsts, len(texts)])
    ]
    word = np.cumsum(starts) - 1
    offsets = np.append(word[pieces.offsets[:-1]], len(tokens))
    return Ragged(np.array(tokens), offsets), word


def _in_row(word: np.ndarray, pieces: Ragged) -> np.ndarray:
    """Numbers of words, counted from the first of each row."""
    return word - np.repeat(word[pieces.offsets[:-1]], pieces.lengths)
