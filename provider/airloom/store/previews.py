"""A value in a few words: its type's name, and a text of at most 200 signs.

No value is printed whole: a preview looks at a few items of a container and at the shape
of a table, never at what a foreign class prints of itself.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import islice
from types import FunctionType

LONGEST = 200
_PRINTED = frozenset(("datetime", "decimal", "fractions", "pathlib", "uuid", "zoneinfo"))
_KNOWN = ("builtins", "collections")
_SHOWN = 8


def type_name(value: object) -> str:
    """Qualified name of a value's type, without a module for the built-in ones.

    >>> type_name(1), type_name(reprlib.aRepr)
    ('int', 'reprlib.Repr')
    """
    return class_name(type(value))


def class_name(cls: type) -> str:
    """Qualified name of a class; see `type_name`."""
    module = str(getattr(cls, "__module__", "builtins"))
    name = cls.__qualname__
    return name if module == "builtins" else f"{module}.{name}"


def preview(value: object) -> str:
    """Describe a value; never raises, whatever the value's class does.

    >>> preview([1, 2, 3])
    'list of 3: [1, 2, 3]'
    """
    kind = type(value)
    if kind is int and -(10**18) < value < 10**18:  # type: ignore[operator]
        return repr(value)
    try:
        text = _described(value)
    except Exception:  # the value's own class answers, and it may answer anything
        text = f"<{type_name(value)}>"
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _described(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:LONGEST])
    if isinstance(value, type):
        return f"class {class_name(value)}"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return _table(value, shape)
    if isinstance(value, (bytes, bytearray)):
        return f"{type_name(value)} of {len(value)}: {bytes(value[:40])!r}"
    if isinstance(value, (Mapping, Sequence, Set)) and not isinstance(value, range):
        length = f"{type_name(value)} of {len(value)}"
        return f"{length}: {_Short().repr(value)}" if type(value).__module__ in _KNOWN else length
    return _Short().repr(value)


def _table(value: object, shape: tuple[object, ...]) -> str:
    columns = getattr(value, "columns", None)
    if columns is not None:
        names = ", ".join(str(name)[:40] for name in islice(columns, _SHOWN))
        more = ", ..." if len(columns) > _SHOWN else ""
        return f"{type_name(value)} of {' x '.join(map(str, shape))}: {names}{more}"
    dtype = getattr(value, "dtype", "")
    if shape == () and type(value).__module__ == "numpy":
        return _cut(str(value))
    return f"{type_name(value)} of {dtype} {shape}"


class _Short(reprlib.Repr):
    """reprlib's cut texts, and no foreign ``__repr__``, whose length and cost nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = _SHOWN
        self.maxstring = self.maxother = 60

    def repr1(self, x: object, level: int) -> str:
        # By class, not by the class's name as reprlib does it: a user's class may be called "list".
        kind = type(x)
        if kind.__module__ in _KNOWN and hasattr(self, f"repr_{kind.__name__}"):
            return super().repr1(x, level)
        return self.repr_instance(x, level)

    # reprlib sorts all keys and items to show the first few.
    def repr_dict(self, x: dict[object, object], level: int) -> str:
        if level <= 0:
            return "{...}"
        shown = [
            f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in islice(x.items(), _SHOWN)
        ]
        return f"{{{', '.join(shown + ['...'] * (len(x) > _SHOWN))}}}"

    def repr_set(self, x: Set[object], level: int) -> str:
        if level <= 0 or not x:
            return "{...}" if x else "set()"
        shown = [self.repr1(item, level - 1) for item in islice(x, _SHOWN)]
        return f"{{{', '.join(shown + ['...'] * (len(x) > _SHOWN))}}}"

    def repr_frozenset(self, x: Set[object], level: int) -> str:
        return f"frozenset({self.repr_set(x, level)})"

    def repr_instance(self, x: object, level: int) -> str:
        if x is None or isinstance(x, (bool, float, complex, range)) or type(x).__module__ in _PRINTED:
            return _cut(repr(x))
        if isinstance(x, (bytes, bytearray)):
            return repr(bytes(x[:20]))
        if isinstance(x, Enum):
            return f"{class_name(type(x))}.{x.name}"
        if isinstance(x, type):
            return f"<class {class_name(x)}>"
        if isinstance(x, FunctionType):
            return f"<function {x.__module__}.{x.__qualname__}>"
        if isinstance(x, BaseException):
            return f"{class_name(type(x))}({', '.join(self.repr1(arg, level - 1) for arg in x.args[:3])})"
        if is_dataclass(x) and level > 0:
            shown = islice((f for f in fields(x) if f.repr), _SHOWN)
            inner = ", ".join(f"{f.name}={self.repr1(getattr(x, f.name), level - 1)}" for f in shown)
            return f"{class_name(type(x))}({inner})"
        shape = getattr(x, "shape", None)
        if isinstance(shape, tuple) and shape:
            return f"<{_table(x, shape)}>"
        if isinstance(x, (list, tuple, dict, set, frozenset)):
            return f"<{type_name(x)} of {len(x)}>"
        return f"<{type_name(x)}>"
