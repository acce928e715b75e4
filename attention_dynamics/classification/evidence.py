"""The columns of a dump as agreements are computed from them."""

from typing import Any

import numpy as np

from attention_dynamics.analysis import collection, dynamics


def evidence_of(
    dump: dict[str, Any], betas: dict[str, np.ndarray], split: str, performance: str
) -> dynamics.Evidence:
    """The columns of one split, turned so that larger means "speaks for the gold label".

    ``betas`` are word baselines, arrays over words by their names in :class:`dynamics.Evidence`.
    """
    sentences = dump["sentences"]
    rows = collection.rows_of_split(sentences["split"], split)
    lengths = np.diff(sentences["offsets"])[rows]
    tokens = sentences["tokens"]
    sign = np.repeat(2 * sentences["target"][rows] - 1, lengths).astype(np.float32)
    return collection.evidence(
        dump,
        sentences["offsets"],
        rows,
        performance,
        lambda entries: {name: beta[tokens[entries]] for name, beta in betas.items()},
        sign,
    )
