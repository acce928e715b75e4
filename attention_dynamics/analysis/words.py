"""What training does to words: means of the columns over the occurrences of each word.

The paper's claim, word by word: early in training the uniform run learns which words speak for a
label (β^uf); later, attention goes to these words. In translation a "word" is a pair of a source
piece and a target piece.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from attention_dynamics.analysis.evidence import Evidence, RunNames
from attention_dynamics.analysis.metrics import METRICS
from attention_dynamics.analysis.task import Task

DERIVED = {"alpha_n": "alpha", "beta_centered": "beta"}  # from which column: see Words.mean


@dataclass(frozen=True)
class Words:
    """The words of the evaluated sentences of a split.

    With two labels, β is evidence for label 1, and minus β evidence for label 0. With more, the
    occurrences of a word are grouped by the gold label of their sentence, and β is evidence for
    that label.

    Attributes
    ----------
    evidence : the columns
    tokens : int (groups, 1), a word of the vocabulary; (groups, 2), source and target piece
    labels : int (groups,), the label that β is evidence for; None in translation
    counts : int (groups,), how often each occurs
    px : float (groups,), β^px; None if there is no word baseline
    group : int (entries,), where each entry of the columns belongs; -1 if that was left out
    sign : of each entry: turns evidence for the gold label into evidence for ``labels``
    names : the labels' names; none in translation
    """

    runs: RunNames
    evidence: Evidence
    tokens: np.ndarray
    labels: np.ndarray | None
    counts: np.ndarray
    px: np.ndarray | None
    group: np.ndarray
    sign: np.ndarray | float
    names: list[str]

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, groups: np.ndarray) -> "Words":
        """The given words (int array, without repetition), in the given order."""
        place = np.full(len(self) + 1, -1)  # one more: of -1
        place[groups] = np.arange(len(groups))
        return replace(
            self,
            tokens=self.tokens[groups],
            labels=None if self.labels is None else self.labels[groups],
            counts=self.counts[groups],
            px=None if self.px is None else self.px[groups],
            group=place[self.group],
        )

    def mean(self, column: str, run: str) -> np.ndarray:
        """The mean of a column over the occurrences of each word: float64 (iterations, words).

        ``"alpha_n"`` is α times the number of source tokens, 1 being what uniform attention
        gives: sentences differ in length. ``"beta_centered"`` is β minus its mean over the source
        tokens: in translation β is a log-probability, and only such differences tell one source
        token from another. NaN at iterations where the column was not computed.
        """
        return np.array([self._mean(column, run, it) for it in self.runs.iterations])

    def _mean(self, column: str, run: str, iteration: int) -> np.ndarray:
        name = DERIVED.get(column, column)
        values = self.evidence.column(name, run, iteration)
        if values is None:
            return np.full(len(self), np.nan)
        values, offsets = values.astype(np.float64), self.evidence.offsets
        lengths = np.diff(offsets)
        if column == "alpha_n":
            values *= np.repeat(lengths, lengths)
        if column == "beta_centered":
            values -= np.repeat(np.add.reduceat(values, offsets[:-1]) / lengths, lengths)
        if name == "beta":
            values *= self.sign
        # the last bin is that of -1, the words that were left out
        sums = np.bincount(self.group % (len(self) + 1), values, minlength=len(self) + 1)
        return sums[:-1] / self.counts

    @cached_property
    def attention(self) -> np.ndarray:
        """``alpha_n``, the mean over the gold and the comparison runs: (iterations, words)."""
        runs = [self.runs.gold, *self.runs.comparisons]
        return np.mean([self.mean("alpha_n", run) for run in runs], axis=0)

    @cached_property
    def uniform_beta(self) -> np.ndarray:
        """β^uf, in translation less its mean over the source tokens: (iterations, words)."""
        return self.mean("beta" if self.names else "beta_centered", self.runs.uniform)

    def uniform_evidence(self, label: int | None) -> np.ndarray:
        """β^uf for ``label``: (iterations, words); NaN for words of other labels."""
        if len(self.names) > 2:
            return np.where(self.labels == label, self.uniform_beta, np.nan)
        return self.uniform_beta * self.sign_of(label)

    def sign_of(self, label: int | None) -> int:
        """-1 if evidence for ``label`` is minus β: with two labels, of label 0."""
        return -1 if len(self.names) == 2 and label == 0 else 1

    def leading(self, label: int | None, iteration: int, count: int) -> np.ndarray:
        """The words with the most β^uf for ``label`` at an iteration; equals as in the vocabulary.

        Returns
        -------
        int array, at most ``count`` places
        """
        beta = self.uniform_evidence(label)[self.runs.iterations.index(iteration)]
        order = np.argsort(-beta, kind="stable")  # NaN last
        return order[: min(count, int(np.sum(~np.isnan(beta))))]

    def leading_of_labels(self, iteration: int, count: int) -> dict[int | None, np.ndarray]:
        """:meth:`leading` for each label that has words; in translation for None alone."""
        labels = range(len(self.names)) if self.names else [None]
        leading = {label: self.leading(label, iteration, count) for label in labels}
        return {label: places for label, places in leading.items() if len(places)}

    def frequent(self, min_count: int) -> "Words":
        """Those that occur at least so often."""
        return self.take(np.flatnonzero(self.counts >= min_count))

    def written(self, task: Task, vocab: list[str]) -> list[str]:
        """How each word is shown: ``good``; in translation ``gut → good``."""
        shown = task.show(vocab)[0]
        return [" → ".join(shown[token] for token in tokens) for tokens in self.tokens]

    def early_iteration(self) -> int:
        """The first at which the uniform run's performance has made 3/4 of its way to its best."""
        performances = [
            self.evidence.performance(self.runs.uniform, it) for it in self.runs.iterations
        ]
        level = performances[0] + 0.75 * (max(performances) - performances[0])
        return next(it for it, p in zip(self.runs.iterations, performances) if p >= level)

    def agreement(self, iteration: int) -> np.ndarray:
        """Pearson's correlation over words of β^uf at an iteration with ``alpha_n`` at each.

        With two labels, evidence for either counts: how far β^uf is from its mean over words.
        float (iterations,), NaN where it is not defined.
        """
        beta = self.uniform_beta[self.runs.iterations.index(iteration)]
        if len(self.names) == 2:
            beta = np.abs(beta - beta.mean())
        offsets = np.array([0, len(self)])
        match = METRICS["pearson"].match
        return np.array([match(beta, alpha, offsets)[0] for alpha in self.attention])


def words_of(
    task: Task, dump: dict[str, Any], betas: dict[str, np.ndarray], runs: RunNames, split: str
) -> Words:
    """The words of a split of a dump.

    Parameters
    ----------
    betas : word baselines by name; ``"px"`` is used

    Raises
    ------
    InputError
        if the dump lacks the split.
    """
    evidence = task.evidence_of(dump, betas, split, task.performances[split][0])
    sentences = task.sentences_of(dump)
    sentences = sentences.take(sentences.rows_of(split))
    names = sentences.label_names
    keys, sign = list(sentences.words), np.array(1.0)
    if sentences.labels is not None:
        labels = np.repeat(sentences.labels, sentences.source.lengths)
        if len(names) == 2:
            sign, labels = 2 * labels - 1, np.ones_like(labels)
        keys = [labels, *keys]
    sizes = [int(key.max()) + 1 for key in keys]
    flat, first, group, counts = np.unique(
        np.ravel_multi_index(tuple(key.astype(np.int64) for key in keys), sizes),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    found = np.stack(np.unravel_index(flat, sizes), axis=1)
    px = evidence.words.get("px")
    return Words(
        runs=runs,
        evidence=evidence,
        tokens=found[:, 1:] if names else found,
        labels=found[:, 0] if names else None,
        counts=counts,
        # of any occurrence: a word has one
        px=None if px is None else (px * sign)[first],
        group=group,
        sign=sign,
        names=names,
    )
