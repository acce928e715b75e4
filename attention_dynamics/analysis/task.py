"""What the analysis needs to know about a task. Each task has one: ``<task>/task.py``."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics.analysis.columns import Column
from attention_dynamics.analysis.evidence import SCORE, Evidence, gold_evidence
from attention_dynamics.analysis.levels import Level, levels_of
from attention_dynamics.analysis.ragged import offsets_of
from attention_dynamics.analysis.sentences import Sentences
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import Datasets


@dataclass(frozen=True)
class Task:
    """Classification or translation.

    Attributes
    ----------
    name : the folder of its stages
    datasets : by name
    columns : of its dumps, by name
    performances : of each split, the keys of the metas; the first finds the gold checkpoint
    sentences_of : the evaluated sentences of a dump
    show : of the tokens of a sentence: how each is written, and the sentence as plain text
    beta_path : of (outputs folder, dataset, dimension): the file of the word baseline
    logistic_path : of (outputs folder, dataset): the file of the logistic word baseline
    begins_word : of the vocabulary, where tokens are pieces of words: bool array, whether each
        begins a word
    dump_flags : what a dump may lack (a split or a performance), and the flag of ``eval_dump.py``
        that adds it
    """

    name: str
    datasets: Datasets[Any]
    columns: dict[str, Column]
    performances: dict[str, list[str]]
    sentences_of: Callable[[dict[str, Any]], Sentences]
    show: Callable[[list[str]], tuple[list[str], str]]
    beta_path: Callable[[Path, str, int], Path]
    logistic_path: Callable[[Path, str], Path] | None = None
    begins_word: Callable[[list[str]], np.ndarray] | None = None
    dump_flags: dict[str, str] = field(default_factory=dict)

    @property
    def levels(self) -> dict[str, Level]:
        return levels_of(self.columns)

    @property
    def collect_script(self) -> str:
        return f"collect_{self.name}_stats.py"

    def evidence_of(
        self, dump: dict[str, Any], betas: dict[str, np.ndarray], split: str, performance: str
    ) -> Evidence:
        """The columns of one split of a dump.

        Parameters
        ----------
        betas : word baselines by name: (words,), of K > 2 labels (words, K), or (source words,
            target words) in translation
        performance : a key of the metas

        Raises
        ------
        InputError
            if the dump lacks the split or the performance, or a word baseline is of other labels.
        """
        sentences = self.sentences_of(dump)
        rows = sentences.rows_of(split)
        if rows.stop == 0:
            what = {"train": "training sentences", "val": "test sentences"}[split]
            raise self._lacks(dump, split, what)
        if any((*key, performance) not in dump["metas"] for key in dump["alpha"]):
            raise self._lacks(dump, performance, performance)

        entries = slice(*sentences.entries[[rows.start, rows.stop]])
        chosen = sentences.take(rows)
        sentence = np.repeat(np.arange(len(chosen)), chosen.distributions)
        lengths = chosen.source.lengths[sentence]  # of each distribution
        offsets = offsets_of(lengths)
        gold = None if chosen.labels is None else np.repeat(chosen.labels, lengths)
        for name, beta in betas.items():
            if gold is not None and (beta.shape[1:] or (2,)) != (len(chosen.label_names),):
                raise InputError(
                    f"the word baseline {name} of {dump['dataset']} is of another number of labels "
                    "than the dump: delete it and fit it again"
                )

        def for_gold(beta: np.ndarray) -> np.ndarray:
            return beta if gold is None else gold_evidence(beta, gold)

        def column(name: str, run: str, iteration: int) -> np.ndarray | None:
            values = dump.get(name, {}).get((run, iteration))
            if values is None:
                return None
            # of two labels a dump has the evidence for label 1, else that for the gold one
            two = name == "beta" and len(chosen.label_names) == 2
            return for_gold(values[entries]) if two else values[entries]

        def scores(run: str, iteration: int) -> np.ndarray:
            if SCORE in dump:
                return dump[SCORE][run, iteration][rows]
            alpha, beta = (dump[name][run, iteration][entries] for name in ("alpha", "beta"))
            score = np.add.reduceat(alpha.astype(np.float64) * beta, offsets[:-1])
            return np.stack([np.zeros_like(score), score], axis=1)

        return Evidence(
            offsets=offsets,
            column=column,
            performance=lambda run, iteration: dump["metas"][run, iteration, performance],
            scores=None if chosen.labels is None else scores,
            words={name: for_gold(beta[chosen.words]) for name, beta in betas.items()},
            sentence=None if chosen.target is None else sentence,
            attention_from=dump.get("settings", {}).get("attention_from", 0),
        )

    def _lacks(self, dump: dict[str, Any], key: str, what: str) -> InputError:
        command = f"python eval_dump.py --dataset {dump['dataset']} {self.dump_flags.get(key, '')}"
        return InputError(f'the dump of {dump["dataset"]} has no {what}: run "{command.strip()}"')
