"""The columns of a dump as agreements are computed from them."""

from typing import Any

import numpy as np

from attention_dynamics import collection, dynamics


def evidence_of(
    dump: dict[str, Any], beta_px: np.ndarray | None, split: str, performance: str
) -> dynamics.Evidence:
    """The columns of one split, turned so that larger means "speaks for the gold label"."""
    sentences = dump["sentences"]
    rows = collection.rows_of_split(sentences["split"], split)
    lengths = np.diff(sentences["offsets"])[rows]
    sign = np.repeat(2 * sentences["target"][rows] - 1, lengths).astype(np.float32)
    return collection.evidence(
        dump,
        sentences["offsets"],
        rows,
        performance,
        None if beta_px is None else lambda entries: beta_px[sentences["tokens"][entries]],
        sign,
    )
