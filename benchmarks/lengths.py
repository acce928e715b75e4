"""Lengths of real texts, for benchmarks that bring no data of their own."""

import numpy as np
from scipy.special import ndtr

LONGEST = 400  # words; longer reviews are left out in preparation
# Tokens a text, at 0%, 1%, ... 100% of the texts: the 50,000 labelled reviews of aclImdb_v1 (both
# splits) and the 5,574 messages of the SMS Spam Collection, each tokenized with torchtext's
# basic_english as classification/prepare_data.py does, none left out for its length; the 30,014
# sentence pairs of Multi30k, in SentencePiece pieces with <s> and </s>.
# fmt: off
QUANTILES = {
    "IMDB": (
        8, 49, 56, 63, 68, 74, 80, 86, 92, 98, 104, 110, 115, 119, 123, 126, 129, 131, 134, 136,
        138, 140, 142, 143, 145, 147, 148, 150, 152, 153, 155, 157, 159, 161, 163, 165, 167, 169,
        171, 173, 175, 178, 180, 183, 185, 187, 190, 193, 195, 198, 201, 204, 207, 211, 214, 217,
        221, 225, 229, 233, 237, 241, 245, 249, 254, 259, 264, 270, 276, 282, 288, 294, 301, 309,
        317, 325, 333, 341, 350, 359, 369, 380, 392, 404, 416, 430, 445, 461, 480, 500, 521, 545,
        572, 604, 638, 683, 736, 804, 897, 1041, 2752,
    ),
    "SNS": (
        1, 4, 5, 5, 5, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9, 9, 10, 10,
        10, 10, 11, 11, 11, 11, 11, 12, 12, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15, 15, 16,
        16, 17, 17, 17, 18, 18, 19, 19, 20, 20, 21, 21, 22, 22, 23, 23, 24, 25, 25, 26, 26, 27, 27,
        28, 28, 29, 29, 30, 30, 31, 31, 32, 32, 33, 33, 34, 34, 35, 36, 36, 37, 38, 39, 41, 43, 45,
        49, 65, 212,
    ),
    "multi30k de": (
        4, 8, 9, 9, 10, 10, 10, 10, 11, 11, 11, 11, 11, 12, 12, 12, 12, 12, 12, 12, 13, 13, 13, 13,
        13, 13, 13, 13, 14, 14, 14, 14, 14, 14, 14, 14, 15, 15, 15, 15, 15, 15, 15, 15, 15, 16, 16,
        16, 16, 16, 16, 16, 17, 17, 17, 17, 17, 17, 17, 18, 18, 18, 18, 18, 18, 18, 19, 19, 19, 19,
        19, 19, 20, 20, 20, 20, 20, 21, 21, 21, 21, 22, 22, 22, 23, 23, 23, 23, 24, 24, 25, 25, 26,
        26, 27, 28, 29, 30, 32, 35, 57,
    ),
    "multi30k en": (
        6, 9, 9, 10, 10, 10, 11, 11, 11, 11, 11, 11, 12, 12, 12, 12, 12, 12, 12, 13, 13, 13, 13, 13,
        13, 13, 13, 13, 13, 14, 14, 14, 14, 14, 14, 14, 14, 14, 15, 15, 15, 15, 15, 15, 15, 15, 15,
        16, 16, 16, 16, 16, 16, 16, 16, 16, 17, 17, 17, 17, 17, 17, 17, 17, 18, 18, 18, 18, 18, 18,
        18, 19, 19, 19, 19, 19, 19, 20, 20, 20, 20, 20, 21, 21, 21, 21, 22, 22, 22, 23, 23, 24, 24,
        25, 25, 26, 27, 28, 29, 32, 54,
    ),
}
# fmt: on
# Of source and target length in multi30k: the rank correlation.
PAIR_CORRELATION = 0.83

# Words seen at least 3 times in training, and the four special ones, as the classifier has them
# with texts of at most 400 tokens.
VOCAB_SIZE = {"IMDB": 29735, "SNS": 2569}


def draw(
    dataset: str, count: int, rng: np.random.Generator, longest: int | None = None
) -> np.ndarray:
    """Lengths of ``count`` texts of at most ``longest`` tokens: int64 (count,)."""
    table = QUANTILES[dataset]
    percent = np.arange(len(table))
    top = 100 if longest is None else np.interp(longest, table, percent)
    return np.interp(rng.uniform(0, top, count), percent, table).astype(np.int64)


def draw_pairs(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of ``count`` source and target sentences of multi30k: int64 (count,) each."""
    covariance = [[1, PAIR_CORRELATION], [PAIR_CORRELATION, 1]]
    percent = 100 * ndtr(rng.multivariate_normal([0, 0], covariance, count)).T
    source, target = (
        np.interp(values, np.arange(101), QUANTILES[f"multi30k {language}"]).astype(np.int64)
        for values, language in zip(percent, ("de", "en"))
    )
    return source, target
