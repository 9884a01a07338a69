"""Which pages of a private memory map were written to, as Linux tells it.

Source: Documentation/admin-guide/mm/pagemap.rst of Linux. Of the 64 bits a page, 63 says
that it is in memory, 62 that it is swapped out, 61 that it is the file's page. A page that
was written to is a private copy: no longer the file's.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PAGEMAP = "/proc/self/pagemap"
_ENTRY = 8
_AT_ONCE = 1 << 20
_TOP_BYTE = slice(7, None, 8) if sys.byteorder == "little" else slice(0, None, 8)
_FILE_PAGE = 0b101
_COPIES = frozenset((0b100, 0b010, 0b110))


class _PyBuffer(ctypes.Structure):
    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


def address_of(data: Buffer) -> int:
    """Address of contiguous memory, also of such that is read-only."""
    view = _PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(data), ctypes.byref(view), 0)
    try:
        return view.buf or 0
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))


def written(mapped: memoryview, spans: list[tuple[int, int]]) -> bool | None:
    """Say whether any page of the spans was written to since it was mapped.

    Parameters
    ----------
    mapped
        The whole private map of a file.
    spans
        Address and length in bytes of memory inside the map.

    Returns
    -------
    bool or None
        None when the system does not tell.
    """
    try:
        fd = os.open(_PAGEMAP, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # A page that was just read must show as the file's; where it does not, the system tells
        # nothing (a sandbox), or it was written to itself. Both are for the caller to find out.
        mapped[0]
        if _states(fd, address_of(mapped), 1) != {_FILE_PAGE}:
            return None
        return any(_COPIES & _states(fd, address, length) for address, length in spans if length)
    except OSError:
        return None
    finally:
        os.close(fd)


def _states(fd: int, address: int, length: int) -> set[int]:
    first = address // mmap.PAGESIZE * _ENTRY
    end = ((address + length - 1) // mmap.PAGESIZE + 1) * _ENTRY
    found: set[int] = set()
    while first < end:
        entries = os.pread(fd, min(_AT_ONCE, end - first), first)
        if not entries:
            raise OSError(f"{_PAGEMAP} ends at {first}")
        found.update(top >> 5 for top in set(entries[_TOP_BYTE]))
        first += len(entries)
    return found
