"""Plain values as Python text, for generated files: whatever a flow says stays inside of its literal."""

from __future__ import annotations

import re

WIDTH = 104


def python(value: object, indent: int = 4) -> str:
    """Python literal of a JSON value, in double quotes, wrapped where it is long.

    >>> python({"a": [1, None, True]})
    '{"a": [1, None, True]}'
    """
    flat = _flat(value)
    if len(flat) + indent <= WIDTH or not isinstance(value, (list, dict)) or not value:
        return flat
    pad = " " * (indent + 4)
    items = (
        [f"{_flat(key)}: {python(item, indent + 4)}" for key, item in sorted(value.items())]
        if (isinstance(value, dict))
        else [python(item, indent + 4) for item in value]
    )
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + "\n" + "".join(f"{pad}{item},\n" for item in items) + " " * indent + closing


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flat(key)}: {_flat(item)}" for key, item in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flat, value)) + "]"
    if isinstance(value, str):
        text = repr(value)
        # repr falls back to single quotes; the file's own style is double ones where both are as plain.
        return f'"{text[1:-1]}"' if text.startswith("'") and '"' not in text and "\\'" not in text else text
    return repr(value)


def docstring(text: str) -> str:
    """Text that is safe between three double quotes."""
    safe = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    # A CR would be read as the end of a line; NUL and half of a surrogate pair are no Python source.
    safe = re.sub("[\0\r\ud800-\udfff]", lambda found: repr(found[0])[1:-1], safe)
    return safe + " " if safe.endswith('"') else safe
