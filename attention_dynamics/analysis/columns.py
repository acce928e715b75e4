"""What a column of a dump is. Each task has a table of its columns: ``<task>/columns.py``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Column:
    """A number for each token (classification) or pair of tokens (translation) of a checkpoint.

    Attributes
    ----------
    symbol, latex : how tables and figures write it
    version : to be raised by one when the same weights give other numbers; a dump of an older
        version is then evaluated again
    compute : from an evaluated batch of the task: (entries,), all rows end to end
    compared : tables have the agreement of the gold checkpoint's with β^uf, as ``agr_<name>``, and
        ``xi_<name>``. Larger values are to speak for the gold label or token.
    on_request : only for the entries of the evaluated list with ``calculate_grad``
    """

    symbol: str
    latex: str
    version: int
    compute: Callable[[Any], Tensor]
    compared: bool = False
    on_request: bool = False
