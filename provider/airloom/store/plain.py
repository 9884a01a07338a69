"""Plain values to bytes and back: JSON for what JSON keeps exactly, bytes as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

_ITEMS, _DEPTH = 1000, 16


class JsonSerializer:
    """None, bool, int, finite float, str, and small lists and dicts of these."""

    name = "json/1"

    def dump(self, value: object) -> Sequence[Buffer] | None:
        """Give JSON in UTF-8; None for a value that would come back as another."""
        kind = type(value)
        if kind is int:
            # Python refuses to read very long numbers from text.
            return [str(value).encode()] if _is_short(value) else None
        if kind in (list, dict) and not _is_plain(value, 0, set()):
            return None
        try:
            # Lone surrogates would come back as other text: encoding refuses them.
            return [json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()]
        except ValueError:
            return None

    def load(self, data: memoryview) -> object:
        """Read JSON."""
        # As text: of bytes, the encoding would be guessed each time.
        return json.loads(str(data, "utf-8"))


def _is_short(value: object) -> bool:
    return isinstance(value, int) and -(2**63) <= value < 2**64


def _is_plain(value: object, depth: int, seen: set[int]) -> bool:
    """Say whether JSON keeps a value exactly: exact types, no container twice, few items."""
    kind = type(value)
    if kind is int:
        return _is_short(value)
    if value is None or kind in (bool, float, str):
        return True
    if kind not in (list, dict) or depth > _DEPTH or id(value) in seen:
        return False
    seen.add(id(value))
    if len(value) > _ITEMS or len(seen) > _ITEMS:  # type: ignore[arg-type]
        return False
    if kind is list:
        return all(_is_plain(item, depth + 1, seen) for item in value)  # type: ignore[attr-defined]
    return all(
        type(key) is str and _is_plain(item, depth + 1, seen)
        for key, item in value.items()  # type: ignore[attr-defined]
    )


class BytesSerializer:
    """Bytes, as they are."""

    name = "bytes/1"

    def dump(self, value: object) -> Sequence[Buffer] | None:
        """Give the value itself."""
        return [value] if isinstance(value, bytes) else None

    def load(self, data: memoryview) -> object:
        """Copy the memory."""
        return bytes(data)
