"""What a column of a dump is. Each task has a table of its columns: ``<task>/columns.py``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Column:
    """A number for each token (classification) or pair of tokens (translation) of a checkpoint.

    Attributes
    ----------
    symbol, latex : how tables and figures write it
    version : raise it when the same weights give other numbers. Dumps record it.
    compute : from the task's ``Evaluation`` of a checkpoint: (entries,), all rows end to end
    compared : tables have the agreement of the gold checkpoint's with β^uf, as ``agr_<name>``, and
        ``xi_<name>``. Larger values must speak for the gold label or token.
    words : what it is, for figures
    on_request : only for the checkpoints with ``calculate_grad``
    """

    symbol: str
    latex: str
    version: int
    compute: Callable[[Any], np.ndarray]
    compared: bool = False
    on_request: bool = False
    words: str = ""


def columns_of(
    table: dict[str, Column], evaluation: Any, on_request: bool
) -> dict[str, np.ndarray | None]:
    """The columns of an evaluated checkpoint; None for those that were not asked for."""
    return {
        name: column.compute(evaluation) if on_request or not column.on_request else None
        for name, column in table.items()
    }
