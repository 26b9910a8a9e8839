"""One setting of the C library's allocator that makes NumPy a quarter faster here."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
LARGEST_HEAP_BLOCK = 32 << 20  # what glibc allows


def keep_freed_memory() -> None:
    """Has glibc keep what is freed, for the whole process; does nothing elsewhere.

    By default arrays above a few hundred kilobytes go back to the system when they are freed, and each step pays again
    for hundreds of megabytes of fresh pages, filled with zeros by the kernel.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_HEAP_BLOCK)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_ARENA_MAX, 1)  # a thread's own arena gives back what is freed, whatever the thresholds
