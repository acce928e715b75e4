"""Whether a value that was read from a file has the form that it should have.

A form is one of

- a type; ``int`` does not admit True
- a function of the value that says yes or no
- ``[form]``, a list of such values; ``(form, form, ...)``, a tuple of just these
- ``{"key": form, ...}``, a dict that has at least these keys
- ``Each(form, form)``, a dict whose keys and values have these forms
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Each(NamedTuple):
    keys: Any
    values: Any


def fits(value: Any, form: Any) -> bool:
    """Whether ``value`` has the form."""
    if isinstance(form, Each):
        return isinstance(value, dict) and all(
            fits(key, form.keys) and fits(item, form.values) for key, item in value.items()
        )
    if isinstance(form, dict):
        return (
            isinstance(value, dict)
            and form.keys() <= value.keys()
            and all(fits(value[key], part) for key, part in form.items())
        )
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(item, form[0]) for item in value)
    if isinstance(form, tuple):
        return isinstance(value, tuple) and len(value) == len(form) and all(map(fits, value, form))
    if isinstance(form, type):
        return isinstance(value, form) and (form is bool or not isinstance(value, bool))
    return bool(form(value))


def number(value: Any) -> bool:
    """An int or a float, Python's or numpy's."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def array(kinds: str, dimensions: int = 1) -> Callable[[Any], bool]:
    """A function that admits arrays of these kinds (as in ``dtype.kind``) and dimensions."""
    return lambda value: (
        isinstance(value, np.ndarray) and value.dtype.kind in kinds and value.ndim == dimensions
    )


def offsets(value: Any) -> bool:
    """Whole numbers that rise from 0: where each row begins and ends."""
    return (
        array("i")(value) and len(value) > 1 and value[0] == 0 and bool((np.diff(value) > 0).all())
    )
