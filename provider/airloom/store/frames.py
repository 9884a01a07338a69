"""Tables of Arrow to bytes and back, in Arrow's own stream form.

``arrow/1`` keeps PyArrow's tables and record batches. A stream's body is the columns' memory
itself, so that saving makes no copy and loading is a view of the memory map; of a slice, only
its own rows are kept, where pickle keeps all of the table that it was cut from. A byte after
the stream tells which of the two it was, ``T`` or ``B``.

Frames of pandas go by pickle on purpose: with protocol 5 the memory of numeric columns and of
texts that pandas keeps in Arrow is not copied at all, and what Arrow would lose (index, attrs,
mixed objects) comes back as it was. What pickle is slow at, columns of Python's own texts,
`airloom.store.strings` lays out as Arrow does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer

TYPES = ("pyarrow.lib.Table", "pyarrow.lib.RecordBatch")

_BATCH = "pyarrow.lib.RecordBatch"


class ArrowSerializer:
    """PyArrow's tables and record batches."""

    name = "arrow/1"

    def dump(self, value: Any) -> Sequence[Buffer] | None:
        """Give an Arrow stream; None where Python defines a column's type, which a reader may not know."""
        import pyarrow as pa  # type: ignore[import-untyped]

        if not all(_is_known(field.type) for field in value.schema):
            return None
        parts = _Parts()
        try:
            with pa.ipc.new_stream(pa.PythonFile(parts, mode="w"), value.schema) as writer:
                writer.write(value)
        except pa.ArrowException:
            # What streams do not have, such as nested dictionaries that change from chunk to chunk.
            return None
        parts.write(b"B" if isinstance(value, pa.RecordBatch) else b"T")
        return parts.found

    def load(self, data: memoryview) -> object:
        """Read an Arrow stream; the columns are views of the memory."""
        import pyarrow as pa

        with pa.ipc.open_stream(pa.py_buffer(data[:-1])) as reader:
            if data[-1] == ord("T"):
                return reader.read_all()
            return reader.read_next_batch()


def _is_known(kind: Any) -> bool:
    """Whether Arrow itself defines a type and all in it: a reader may not know those that Python defines."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        return False
    if isinstance(kind, pa.DictionaryType):
        return _is_known(kind.value_type)
    return all(_is_known(kind.field(number).type) for number in range(kind.num_fields))


class _Parts:
    """A file that keeps what is written as it was given: no copy is made."""

    closed = False

    def __init__(self) -> None:
        self.found: list[Buffer] = []
        self._size = 0

    def write(self, data: Buffer) -> int:
        self.found.append(data)
        size = memoryview(data).nbytes
        self._size += size
        return size

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def writable(self) -> bool:
        return True
