"""Many sequences of different lengths as one flat array and its offsets; rows in batches."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import DTypeLike


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths, end to end.

    Attributes
    ----------
    values : array (total,), all rows end to end
    offsets : int64 array (rows + 1,); row ``i`` is ``values[offsets[i] : offsets[i + 1]]``
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence], dtype: DTypeLike | None = None) -> "Ragged":
        values = np.array(list(chain.from_iterable(rows)), dtype=dtype)
        return cls(values, offsets_of([len(row) for row in rows]))

    @classmethod
    def from_padded(cls, padded: np.ndarray, mask: np.ndarray) -> "Ragged":
        """The rows of an array (..., longest), without padding and without empty rows.

        ``mask`` is true at entries that count. It is as large as ``padded``, or is repeated to
        that size as numpy does: (sentences, 1, 1, tokens) for attention (sentences, heads,
        queries, tokens).
        """
        kept = np.broadcast_to(mask, padded.shape).astype(bool)
        lengths = kept.sum(axis=-1).ravel()
        return cls(padded[kept], offsets_of(lengths[lengths > 0]))

    @property
    def lengths(self) -> np.ndarray:
        """int64 array (rows,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    def indices(self, rows: np.ndarray) -> np.ndarray:
        """Where the entries of the given rows (int array) stand in ``values``, end to end."""
        lengths = self.lengths[rows]
        offsets = offsets_of(lengths)
        return np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)

    def take(self, rows: np.ndarray) -> "Ragged":
        """The given rows (int array), in the given order."""
        return Ragged(self.values[self.indices(rows)], offsets_of(self.lengths[rows]))

    def concatenate(self, other: "Ragged") -> "Ragged":
        return Ragged(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]]),
        )


def offsets_of(lengths: Iterable[int]) -> np.ndarray:
    """Offsets (rows + 1,) of rows of these lengths."""
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, dtype=np.int64))]).astype(np.int64)


def batches_by_length(lengths: np.ndarray, max_tokens: int) -> list[np.ndarray]:
    """Row numbers in batches of like lengths, each of at most ``max_tokens`` tokens or one row.

    The longest come first, so that a batch too large for the memory shows at once.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        count = max(1, max_tokens // max(1, lengths[order[start]]))
        batches.append(order[start : start + count])
        start += count
    return batches


def training_rows(count: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Rows of the batch of update ``step``: a place in an endless stream of shuffled epochs.

    They depend on the arguments alone, so that a run can go on from any step. Epoch ``e`` (from
    0) of ``count`` rows ends with the update in which row ``(e + 1) * count`` of the stream falls.
    """
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, places = np.divmod(places, count)
    rows = np.empty_like(places)
    for epoch in np.unique(epochs):
        shuffled = epoch_order(count, seed, int(epoch))
        rows[epochs == epoch] = shuffled[places[epochs == epoch]]
    return rows


@functools.lru_cache(maxsize=2)
def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of ``count`` rows in an epoch: int64 (count,)."""
    return np.random.default_rng([seed, epoch]).permutation(count)
