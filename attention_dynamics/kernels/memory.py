"""How the C library hands out memory, which decides what a large tensor costs."""

import contextlib
import ctypes
import sys

# mallopt's parameters, from glibc's malloc.h
TRIM_THRESHOLD, MMAP_MAX = -1, -4
KEPT = 2**31 - 1  # bytes


def keep_freed_memory() -> None:
    """Let freed memory, up to 2 GiB, wait for the next tensor instead of going to the system.

    By default glibc gives back every block of over 32 MiB, and what is free above 64 MiB. A step of
    training then asks for the same gigabyte as the step before, and the system clears each page of
    it again: up to half of the step's time. Nothing is set if the C library is not glibc.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # no glibc
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(MMAP_MAX, 0)
            mallopt(TRIM_THRESHOLD, KEPT)
