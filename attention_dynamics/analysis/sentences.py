"""The evaluated sentences of a dump."""

from dataclasses import dataclass, field, replace

import numpy as np

from attention_dynamics.analysis.ragged import Ragged, offsets_of


@dataclass(frozen=True)
class Sentences:
    """Evaluated sentences. Each has one distribution or several over its source tokens.

    Attributes
    ----------
    source : the source tokens
    splits : (sentences,), "val" or "train"
    target : in translation the predicted tokens; there is a distribution for each of them
    labels : in classification the gold labels, from 0: (sentences,)
    label_names : in classification the names of the labels
    """

    source: Ragged
    splits: np.ndarray
    target: Ragged | None = None
    labels: np.ndarray | None = None
    label_names: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.source)

    @property
    def distributions(self) -> np.ndarray:
        """The number of distributions of each sentence: int64 (sentences,)."""
        return np.ones(len(self), dtype=np.int64) if self.target is None else self.target.lengths

    @property
    def entries(self) -> np.ndarray:
        """Where each sentence begins and ends in the columns of the dump: (sentences + 1,)."""
        return offsets_of(self.source.lengths * self.distributions)

    @property
    def words(self) -> tuple[np.ndarray, ...]:
        """Of each entry of the columns: its source token; in translation its target token too."""
        sentence = np.repeat(np.arange(len(self)), self.distributions)
        source = self.source.take(sentence)
        if self.target is None:
            return (source.values,)
        return source.values, np.repeat(self.target.values, source.lengths)

    def rows_of(self, split: str) -> slice:
        """The sentences of a split. They are neighbours."""
        rows = np.flatnonzero(self.splits == split)
        return slice(rows[0], rows[-1] + 1) if len(rows) else slice(0, 0)

    def take(self, rows: slice | np.ndarray) -> "Sentences":
        """Some sentences: a slice or row numbers (int array), in this order."""
        numbers = np.arange(len(self))[rows]
        return replace(
            self,
            source=self.source.take(numbers),
            splits=self.splits[rows],
            target=None if self.target is None else self.target.take(numbers),
            labels=None if self.labels is None else self.labels[rows],
        )
