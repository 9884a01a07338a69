"""Which part of a value cannot be saved, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from airloom.errors import ArtifactError
from airloom.store.previews import type_name

_DEEPEST = 6
_MOST_ITEMS = 1000

_MENDS = (
    ("generator", "make it a list, or save what makes it."),
    ("async_generator", "make it a list, or save what makes it."),
    ("coroutine", "await it, and save its result."),
    ("_io.", "save the file's path or its contents instead."),
    ("tempfile.", "save the file's contents instead."),
    ("_thread.", "make a new one where it is used: a lock means nothing in another process."),
    ("threading.", "make a new one where it is used: it means nothing in another process."),
    ("socket.", "save the address, and connect again where it is used."),
    ("sqlite3.", "save the database's path, and connect again where it is used."),
    ("module", "import the module in the step that uses it."),
)
_MEND = "save what rebuilds it instead, or keep it in a local variable."


def explain(name: str, value: object, error: Exception, save: Callable[[object], object]) -> ArtifactError:
    """Make the error that names the innermost part that cannot be saved.

    Parameters
    ----------
    name
        The artifact's name.
    value
        The value that could not be saved.
    error
        What saving it raised.
    save
        Saves a value, or raises.
    """
    if isinstance(error, RecursionError) or "recursion" in str(error):
        return ArtifactError(
            f"self.{name} of type {type_name(value)} is nested too deeply to be saved",
            where=f"self.{name}",
            mend="save it as a flat list or a table.",
        )
    path, part = "", value
    for _ in range(_DEEPEST):
        for step, child in islice(_children(part), _MOST_ITEMS):
            if not _can(save, child):
                path, part = path + step, child
                break
        else:
            break
    kind = type_name(part)
    reason = "" if kind in str(error) else f": {type(error).__name__}: {str(error)[:300]}"
    mend = next((text for start, text in _MENDS if kind.startswith(start)), _MEND)
    return ArtifactError(
        f"self.{name}{path} of type {kind} cannot be saved{reason}", where=f"self.{name}{path}", mend=mend
    )


def _can(save: Callable[[object], object], value: object) -> bool:
    try:
        save(value)
    except Exception:  # whatever a foreign class raises, it cannot be saved
        return False
    return True


def _children(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from ((f"[{key!r:.60}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from (("{...}", item) for item in value)
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict) and not isinstance(value, type):
        yield from ((f".{name}", item) for name, item in attributes.items())
