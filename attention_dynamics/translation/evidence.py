"""The columns of a dump as agreements are computed from them."""

from typing import Any

import numpy as np

from attention_dynamics.analysis import collection, dynamics
from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.cli import InputError


def evidence_of(
    dump: dict[str, Any], betas: dict[str, np.ndarray], split: str, performance: str
) -> dynamics.Evidence:
    """The columns of one split: a row for each target token, an entry for each source token.

    ``betas`` are word baselines, source x target, by their names in :class:`dynamics.Evidence`.
    """
    again = f'run "python eval_dump.py --dataset {dump["dataset"]}'
    sentences = dump["sentences"]
    if split not in sentences["split"]:
        raise InputError(
            f"the dump of {dump['dataset']} has no training sentences: "
            f'{again} --include_train_subset"'
        )
    if any((*key, performance) not in dump["metas"] for key in dump["alpha"]):
        raise InputError(
            f'the dump of {dump["dataset"]} has no {performance}: {again} --eval_bleu"'
        )
    source = Ragged(sentences["source"], sentences["source_offsets"])
    # the targets after <s>, and for each the sentence that it is in
    target_offsets = sentences["target_offsets"]
    n_target = np.diff(target_offsets) - 1
    sentence = np.repeat(np.arange(len(n_target)), n_target)
    target = np.delete(sentences["target"], target_offsets[:-1])

    chosen = collection.rows_of_split(sentences["split"], split)
    ends = offsets_of(n_target)
    rows = slice(ends[chosen.start], ends[chosen.stop])
    lengths = source.lengths[sentence]

    def of_words(_: slice) -> dict[str, np.ndarray]:
        words = source.take(sentence[rows]).values, np.repeat(target[rows], lengths[rows])
        return {name: beta[words] for name, beta in betas.items()}

    return collection.evidence(
        dump,
        offsets_of(lengths),
        rows,
        performance,
        of_words,
        sentence=sentence[rows] - chosen.start,
    )
