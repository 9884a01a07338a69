"""Arrays of Python's own texts, as Apache Arrow lays texts out: one memory, not an object each.

What `reduced` hands to pickle is an Arrow array of the type large_string: offsets (int64),
the texts in UTF-8, and for None a bitmap. Only arrays of nothing but ``str`` and None go this
way, and only where PyArrow is there to save them; they are read without it, too, if slower.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer

_FEWEST = 10_000
_LOOKED_AT = 1000
_TEXTS = ({str}, {str, type(None)})


def reduced(array: Any) -> tuple[Any, ...]:
    """Take an array apart for pickle: one of texts by Arrow, any other as NumPy does it."""
    if array.dtype.hasobject and array.size >= _FEWEST:
        found = _by_arrow(array)
        if found is not None:
            return found
    return array.__reduce_ex__(5)  # type: ignore[no-any-return]


def _by_arrow(array: Any) -> tuple[Callable[..., object], tuple[object, ...]] | None:
    if array.dtype.kind != "O":
        return None
    # As NumPy pickles it: what is in neither order comes back in C's.
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    items = array.ravel(order=order)
    # Few texts many times over are few objects: pickle keeps them so, and Arrow would not.
    some = items[:: max(1, len(items) // _LOOKED_AT)].tolist()
    if len(set(map(id, some))) * 2 < len(some) or set(map(type, items.tolist())) not in _TEXTS:
        return None
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
    except ImportError:
        return None
    try:
        nulls, offsets, texts = pa.array(items, type=pa.large_string()).buffers()
    except (UnicodeError, pa.ArrowException):
        # Half of a surrogate pair is a text in Python, and none in UTF-8.
        return None
    memory = (None if nulls is None else PickleBuffer(nulls), PickleBuffer(offsets), PickleBuffer(texts))
    return restored, (array.shape, order, *memory)


def restored(
    shape: tuple[int, ...], order: str, nulls: Buffer | None, offsets: Buffer, texts: Buffer
) -> object:
    """Make the array of texts again; pickles name this function."""
    import numpy as np

    count = int(np.prod(shape))
    try:
        import pyarrow as pa
    except ImportError:
        items = np.array(_one_by_one(count, nulls, offsets, texts), dtype=object)
    else:
        memory = [None if part is None else pa.py_buffer(part) for part in (nulls, offsets, texts)]
        found = pa.Array.from_buffers(pa.large_string(), count, memory)
        items = found.to_numpy(zero_copy_only=False)
    return items.reshape(shape, order=order)  # type: ignore[call-overload]  # the order is one of two


def _one_by_one(count: int, nulls: Buffer | None, offsets: Buffer, texts: Buffer) -> list[str | None]:
    places = struct.unpack_from(f"={count + 1}q", offsets)
    data = bytes(texts)
    found: list[str | None] = [data[start:end].decode() for start, end in itertools.pairwise(places)]
    if nulls is not None:
        bits = bytes(nulls)
        return [text if bits[at >> 3] >> (at & 7) & 1 else None for at, text in enumerate(found)]
    return found
