"""Own sentences through saved checkpoints: what ``<task>/probe.py`` finds in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attention_dynamics.analysis.ragged import offsets_of
from attention_dynamics.analysis.task import Task
from attention_dynamics.training.saved import Key


@dataclass(frozen=True)
class Reading:
    """One sentence, and what each checkpoint finds in it.

    Attributes
    ----------
    text : as it was typed
    tokens : of the source, as the model sees them: n of them, with those that begin and end it
    words : (n,), how the tokens are shown. Beside one that the model does not know stands what
        was typed: ``typed <unk>``
    target : the predicted tokens, as they are shown; None in classification
    translation : the target as text; None in classification
    label : the gold label as a number; None in translation
    columns : of each column of the dumps, {(run, iteration): float32 (n,)}; in translation
        (predicted tokens, n). β and compared columns are larger where a token speaks for the gold
        label or token
    p : {(run, iteration): float (1,)}, the probability of the gold label; in translation that of
        each target token given those before it, (predicted tokens,)
    """

    text: str
    tokens: list[str]
    words: list[str]
    target: list[str] | None
    translation: str | None
    label: int | None
    columns: dict[str, dict[Key, np.ndarray]]
    p: dict[Key, np.ndarray]

    @property
    def alpha(self) -> dict[Key, np.ndarray]:
        """Attention."""
        return self.columns["alpha"]

    @property
    def beta(self) -> dict[Key, np.ndarray]:
        """Evidence of each token."""
        return self.columns["beta"]

    @property
    def delta(self) -> dict[Key, np.ndarray]:
        """Gradient influence."""
        return self.columns["grad"]

    @property
    def runs(self) -> dict[str, list[int]]:
        """The runs, and the iterations of each."""
        return {name: [it for other, it in self.p if other == name] for name, _ in self.p}


def read(
    task: Task,
    header: dict[str, Any],
    texts: Sequence[str],
    typed: Sequence[Sequence[str]],
    keys: Sequence[Key],
    evaluate: Callable[[str, int], dict[str, Any]],
) -> list[Reading]:
    """Evaluate checkpoints on sentences.

    Parameters
    ----------
    header : of a dump of these sentences, all of the split "val"
    texts, typed : of each sentence, and what was typed for each of its tokens
    keys : the checkpoints
    evaluate : of a checkpoint: the columns of a dump, its metas, and "p", float (distributions,)
    """
    dump = header | {name: {} for name in task.columns} | {"metas": {}}
    p = {}
    for key in keys:
        found = evaluate(*key)
        p[key] = found["p"]
        dump["metas"] |= {(*key, name): value for name, value in found["metas"].items()}
        for name in task.columns:
            dump[name][key] = found[name]
    evidence = task.evidence_of(dump, {}, "val", task.performances["val"][0])
    sentences = task.sentences_of(dump)
    distributions = offsets_of(sentences.distributions)

    readings = []
    for row, (text, typed_here) in enumerate(zip(texts, typed)):
        tokens = [dump["vocab"][token] for token in sentences.source[row]]
        shown, shown_typed = (task.show(list(words))[0] for words in (tokens, typed_here))
        target, translation = None, None
        if sentences.target is not None:
            pieces = [dump["vocab"][token] for token in sentences.target[row]]
            target, translation = task.show(pieces)
        entries = slice(*sentences.entries[[row, row + 1]])
        shape = (len(tokens),) if target is None else (len(target), len(tokens))
        readings.append(
            Reading(
                text=text,
                tokens=tokens,
                words=[a if a == b else f"{b} {a}" for a, b in zip(shown, shown_typed)],
                target=target,
                translation=translation,
                label=None if sentences.labels is None else int(sentences.labels[row]),
                columns={
                    name: {key: evidence.column(name, *key)[entries].reshape(shape) for key in keys}
                    for name in task.columns
                },
                p={key: p[key][slice(*distributions[[row, row + 1]])] for key in keys},
            )
        )
    return readings
