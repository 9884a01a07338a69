"""Frozen dataclasses to plain JSON values and back, strictly and in a stable order.

One codec serves the plan and every record, so that both are read the same way:
an unknown field, a missing one or a wrong type is an error with the field's path.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable
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
else:
    # Python 3.10 does not resolve a recursive alias inside of another type.
    Json = Any

T = TypeVar("T", bound="DataclassInstance")

LEFT_OUT_EMPTY = {"left_out_empty": True}
"""Metadata of a field that has no place in the JSON while it is empty.

For a field that came later: values from before keep their bytes, and with them their digests.
"""


def to_json(value: object) -> Json:
    """Plain JSON value of a dataclass, tuple, dict or scalar."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_json(getattr(value, field.name))
            for field in fields(value)
            if not field.metadata or getattr(value, field.name) or not field.metadata.get("left_out_empty")
        }
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(value: object, *, kept: tuple[str, ...] = ()) -> bytes:
    """Canonical JSON bytes: sorted keys, no spaces, UTF-8; the same value gives the same bytes.

    Parameters
    ----------
    kept
        Fields of the value in whose dicts the order of the keys means something and stays.
    """
    plain = to_json(value)
    if kept and isinstance(plain, dict):
        plain = {key: plain[key] if key in kept else _in_order(plain[key]) for key in sorted(plain)}
    return json.dumps(
        plain, sort_keys=not kept, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode("utf-8", "surrogatepass")  # a text of a flow may hold half of a pair


def _in_order(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


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
    return _decoder(cls)(value, cls.__name__)  # type: ignore[no-any-return]


Decoder = Callable[[Any, str], Any]


@cache
def _decoder(hint: Any) -> Decoder:
    """Function that reads values of one type; built once, since records are read by the thousand."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value, path: value
    if is_dataclass(hint):
        return _dataclass_decoder(hint)
    if origin in (Union, types.UnionType):
        (some,) = [_decoder(one) for one in inner if one is not type(None)]
        return lambda value, path: None if value is None else some(value, path)
    if origin is tuple:
        item = _decoder(inner[0])
        return lambda value, path: tuple(
            [item(one, f"{path}[{i}]") for i, one in enumerate(_expect(list, value, path))]
        )
    if origin is dict:
        entry = _decoder(inner[1])
        return lambda value, path: {
            key: entry(one, f"{path}.{key}") for key, one in _expect(dict, value, path).items()
        }
    if origin is Literal:
        return lambda value, path: _one_of(inner, value, path)
    scalar = getattr(hint, "__supertype__", hint)
    return lambda value, path: _scalar(scalar, value, path)


def _dataclass_decoder(hint: Any) -> Decoder:
    hints = get_type_hints(hint)
    known = {field.name: field for field in fields(hint)}
    needed = {
        name for name, one in known.items() if one.default is MISSING and one.default_factory is MISSING
    }
    decoders: dict[str, Decoder] = {}
    # A value of exactly such a type is taken as it is: most are, and a record can hold ten thousand others.
    exact = {name: _exact(hints[name]) for name in known}

    def decode(value: Any, path: str) -> Any:
        if not decoders:  # not before: a type may hold itself
            decoders.update({name: _decoder(hints[name]) for name in known})
        names = _expect(dict, value, path).keys()
        if not names <= known.keys():
            raise ValueError(f"{path} has unknown fields {sorted(names - known.keys())}")
        if not needed <= names:
            raise ValueError(f"{path}.{next(name for name in known if name in needed - names)} is missing")
        return hint(
            **{
                name: one if type(one) in exact[name] else decoders[name](one, f"{path}.{name}")
                for name, one in value.items()
            }
        )

    return decode


def _exact(hint: Any) -> tuple[type, ...]:
    inner = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return tuple(one for one in inner if one in (str, int, float, bool, type(None)))


def _one_of(known: tuple[Any, ...], value: Any, path: str) -> Any:
    if value not in known:
        raise ValueError(f"{path} is {value!r}, not one of {known}")
    return value


def _scalar(hint: Any, value: Any, path: str) -> Any:
    if type(value) is hint:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float) and isinstance(value, bool):
        raise ValueError(f"{path} is {value!r}, not {hint.__name__}")
    return _expect(hint, value, path)


def _expect(kind: type, value: Any, path: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{path} is {value!r}, not {kind.__name__}")
    return value
