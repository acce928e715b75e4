"""Reading a pickle of numpy arrays and plain containers, and nothing else.

A pickle can call any function, and a small one can ask for any amount of memory or never end. This
reader admits the few constructors that arrays need, and takes memory and time in proportion to the
size of the file. It is Python's own reader in Python, which counts as it goes; the arrays, which
are most of a file, are read at the speed of the disk.
"""

import pickle
import re
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO, ClassVar

import numpy as np


class _Dtype:
    """Replaces ``numpy.dtype`` in a pickle: numbers, booleans and strings of fixed size only.

    A file can make numpy's own a dtype of Python objects, whose addresses the file then supplies.
    """

    def __init__(self, code: str, align: bool = False, copy: bool = False):
        if not re.fullmatch(r"[biufcSUV?]\d*", code):
            raise pickle.UnpicklingError(f"it has an array of {code!r}")
        self.dtype = np.dtype(code)
        if not self.dtype.itemsize:  # any number of them would fit
            raise pickle.UnpicklingError("it has an array of nothing")

    def __setstate__(self, state: tuple) -> None:
        _, byte_order, subdtype, names, fields, *_ = state
        if subdtype is not None or names is not None or fields is not None:
            raise pickle.UnpicklingError("it has an array with fields")
        self.dtype = self.dtype.newbyteorder(byte_order)


class _Array(np.ndarray):
    """An array that older protocols first create empty and then fill."""

    def __setstate__(self, state: tuple) -> None:
        version, shape, dtype, fortran_order, content = state
        if not isinstance(content, (bytes, bytearray)):  # bytes(10**10) is 10 GB
            raise pickle.UnpicklingError("it has an array without bytes")
        super().__setstate__((version, shape, dtype.dtype, fortran_order, bytes(content)))


class _Constructor:
    """A function that a pickle may call, and cannot alter."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable):
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Constructor(_Dtype),
    ("numpy", "ndarray"): "ndarray",  # an argument of _reconstruct; not to be called
    ("numpy._core.multiarray", "_reconstruct"): _Constructor(
        lambda *_: _Array((0,), dtype=np.uint8)
    ),
    ("numpy._core.multiarray", "scalar"): _Constructor(
        lambda dtype, content: np.frombuffer(content, dtype.dtype, count=1)[0]
    ),
    ("numpy._core.numeric", "_frombuffer"): _Constructor(
        lambda content, dtype, shape, order: np.frombuffer(content, dtype.dtype).reshape(
            shape, order=order
        )
    ),
    ("collections", "OrderedDict"): _Constructor(lambda: OrderedDict()),
}


class _Bounded:
    """A file that refuses to read more bytes than it has, before memory is taken for them."""

    def __init__(self, file: BinaryIO, size: int):
        self.file, self.left = file, size

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise EOFError("it ends too early")
        self.left -= size
        return self.file.read(size)

    def readline(self) -> bytes:
        line = self.file.readline(self.left)
        self.left -= len(line)
        return line


_Unpickler: Any = pickle._Unpickler  # the one in Python, whose steps can be replaced


class _Reader(_Unpickler):  # type: ignore[misc]
    """Python's reader without classes and external objects.

    ``budget`` is what may still be copied or hashed: bytes that stand in the file once can be
    named in it any number of times.
    """

    dispatch: ClassVar[dict[int, Callable]] = dict(_Unpickler.dispatch)
    for name in (
        *("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "PERSID", "BINPERSID"),
        *("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"),
    ):
        del dispatch[getattr(pickle, name)[0]]

    def __init__(self, file: BinaryIO, size: int):
        self.bounded, self.budget = _Bounded(file, size), size
        super().__init__(self.bounded)

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")  # numpy 1 wrote the older name
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _ADMITTED[module, name]

    def spend(self, cost: int) -> None:
        self.budget -= cost
        if self.budget < 0:
            raise pickle.UnpicklingError("it would take more memory or time than its size allows")

    def load_bytearray8(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(size)))

    def load_reduce(self) -> None:
        if not isinstance(self.stack[-1], tuple):
            raise pickle.UnpicklingError("it calls with what is no tuple")
        self.spend(sum(len(a) for a in self.stack[-1] if isinstance(a, (bytes, bytearray))))
        super().load_reduce()

    def load_build(self) -> None:
        state, target = self.stack[-1], self.stack[-2]
        if not isinstance(target, (_Array, _Dtype)) or not isinstance(state, tuple):
            raise pickle.UnpicklingError("it alters what it has no right to")
        self.spend(sum(len(part) for part in state if isinstance(part, (bytes, bytearray))))
        super().load_build()

    def load_setitem(self) -> None:
        self.admit_keys(self.stack[-2:-1], self.stack[-3])
        super().load_setitem()

    def load_setitems(self) -> None:
        self.admit_keys(self.stack[::2], self.metastack[-1][-1])
        super().load_setitems()

    def load_dict(self) -> None:
        self.admit_keys(self.stack[::2])
        super().load_dict()

    def load_additems(self) -> None:
        self.admit_keys(self.stack)
        super().load_additems()

    def load_frozenset(self) -> None:
        self.admit_keys(self.stack)
        super().load_frozenset()

    def admit_keys(self, keys: list, target: Any = None) -> None:
        """Hashing nested tuples takes time that grows exponentially with the size of the file.

        ``target`` gets the keys: an array would also take them.
        """
        if not isinstance(target, (dict, type(None))):
            raise pickle.UnpicklingError("it sets items of what is no dict")
        for key in keys:
            parts = key if isinstance(key, tuple) else (key,)
            if any(isinstance(part, tuple) for part in parts):
                raise pickle.UnpicklingError("it has a tuple of tuples as a key")
            self.spend(len(parts) - 1)
            self.spend(sum(part.bit_length() >> 6 for part in parts if isinstance(part, int)))

    for name in (
        "BYTEARRAY8",
        "REDUCE",
        "BUILD",
        "SETITEM",
        "SETITEMS",
        "DICT",
        "ADDITEMS",
        "FROZENSET",
    ):
        dispatch[getattr(pickle, name)[0]] = locals()[f"load_{name.lower()}"]
    del name


def load(file: BinaryIO, size: int) -> Any:
    """The value of the pickle in the next ``size`` bytes of ``file``.

    Raises
    ------
    Exception
        of almost any type if the bytes are damaged, or name anything that could run code.
    """
    reader = _Reader(file, size)
    value = reader.load()
    if reader.bounded.left:
        raise pickle.UnpicklingError("something follows its end")
    return _with_plain_arrays(value, {})


def _with_plain_arrays(value: Any, done: dict[int, Any]) -> Any:
    """``value`` with every :class:`_Array` in its containers as numpy's own array.

    ``done`` has what became of a container: one that is named a hundred times is visited once.
    """
    if id(value) in done:
        return done[id(value)]
    new: Any
    if isinstance(value, dict):
        done[id(value)] = new = type(value)()
        new.update((key, _with_plain_arrays(item, done)) for key, item in value.items())
    elif isinstance(value, list):
        done[id(value)] = new = []
        new.extend(_with_plain_arrays(item, done) for item in value)
    elif isinstance(value, tuple):
        done[id(value)] = new = tuple(_with_plain_arrays(item, done) for item in value)
    else:
        return value.view(np.ndarray) if isinstance(value, _Array) else value
    return new
