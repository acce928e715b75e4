"""How the C library hands out memory, which decides what a large tensor costs."""

import ctypes
import sys

# mallopt's parameters, from glibc's malloc.h
TRIM_THRESHOLD, MMAP_MAX = -1, -4
KEPT = 2**31 - 1  # bytes


def keep_freed_memory() -> bool:
    """Let freed memory, up to 2 GiB, wait for the next tensor instead of going to the system.

    By default glibc gives back every block of over 32 MiB, and what is free above 64 MiB. A step of
    training then asks for the same gigabyte as the step before, and the system clears each page of
    it again: up to half of the step's time.

    Returns
    -------
    whether it is so now: there is nothing to set where the C library is not glibc
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return mallopt(MMAP_MAX, 0) == 1 and mallopt(TRIM_THRESHOLD, KEPT) == 1
