"""Frozen dataclasses to plain JSON values and back, strictly and in a stable order.

One codec serves the plan and every record, so that both are read the same way:
an unknown field, a missing one or a wrong type is an error with the field's path.
"""

from __future__ import annotations

import json
import types
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

T = TypeVar("T", bound="DataclassInstance")


def to_json(value: object) -> Json:
    """Plain JSON value of a dataclass, tuple, dict or scalar."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(value: object) -> bytes:
    """Canonical JSON bytes: sorted keys, no spaces, UTF-8; the same value gives the same bytes."""
    return json.dumps(
        to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode("utf-8", "surrogatepass")  # a text of a flow may hold half of a pair


def loads(cls: type[T], data: bytes) -> T:
    """Read a dataclass from JSON bytes.

    Raises
    ------
    ValueError
        When the bytes are not JSON, or a field is missing, unknown or of another type.
    """
    return from_json(cls, json.loads(data))


def from_json(cls: type[T], value: Json) -> T:
    """Read a dataclass from a JSON value; see `loads`."""
    return _decode(cls, value, cls.__name__)  # type: ignore[no-any-return]


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _decode(hint: Any, value: Any, path: str) -> Any:
    origin = get_origin(hint)
    if hint is Any or _is_json(hint):
        return value
    if is_dataclass(hint):
        return _decode_dataclass(hint, value, path)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        (inner,) = [arg for arg in get_args(hint) if arg is not type(None)]
        return _decode(inner, value, path)
    if origin is tuple:
        _expect(list, value, path)
        return tuple(_decode(get_args(hint)[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        _expect(dict, value, path)
        return {key: _decode(get_args(hint)[1], item, f"{path}.{key}") for key, item in value.items()}
    if origin is Literal:
        if value not in get_args(hint):
            raise ValueError(f"{path} is {value!r}, not one of {get_args(hint)}")
        return value
    return _decode_scalar(getattr(hint, "__supertype__", hint), value, path)


def _is_json(hint: Any) -> bool:
    args = get_args(hint)
    return len(args) > 2 and bool in args and str in args


def _decode_dataclass(hint: Any, value: Any, path: str) -> Any:
    _expect(dict, value, path)
    hints = _hints(hint)
    known = {field.name: field for field in fields(hint)}
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise ValueError(f"{path} has unknown fields {unknown}")
    arguments = {}
    for name, field in known.items():
        if name in value:
            arguments[name] = _decode(hints[name], value[name], f"{path}.{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{path}.{name} is missing")
    return hint(**arguments)


def _decode_scalar(hint: Any, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float) and isinstance(value, bool):
        raise ValueError(f"{path} is {value!r}, not {hint.__name__}")
    _expect(hint, value, path)
    return value


def _expect(kind: type, value: object, path: str) -> None:
    if not isinstance(value, kind):
        raise ValueError(f"{path} is {value!r}, not {kind.__name__}")
