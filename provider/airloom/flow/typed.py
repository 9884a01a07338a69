"""Types of parameters beyond the plain ones: their JSON Schema, and values from JSON and back.

Dataclasses, enums, ``Literal``, dates, containers and unions of these are read here; what pydantic
has made, and ``Annotated`` types with its bounds, pydantic reads itself. It is imported only then.
"""

from __future__ import annotations

import dataclasses
import enum
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Annotated, Any, Literal, Protocol, Union, cast, get_args, get_origin, get_type_hints

from airloom.codec import Json, to_json
from airloom.names import did_you_mean
from airloom.plan import ParameterType

Schema = dict[str, Json]


class Wrong(ValueError):
    """A value is not of its type; ``path`` leads to the part that is at fault."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path

    def below(self, part: object) -> Wrong:
        """The same, seen from one level above."""
        return Wrong(self.message, f"{part}.{self.path}" if self.path else str(part))


class Typed(Protocol):
    """How values of one type come from JSON and become JSON."""

    @property
    def schema(self) -> Schema: ...
    def load(self, value: Json) -> Any:
        """Value for JSON; `Wrong` when it is not of the type."""
        ...

    def dump(self, value: Any) -> Json:
        """JSON of a value, or of what a value can be made of."""
        ...


def typed(given: Any) -> Typed | None:
    """Reader of a type; None when there is none for it."""
    if is_pydantic(given):
        return _Pydantic(given)
    module = getattr(type(given), "__module__", "").partition(".")[0]
    if module == "click":
        return _of_click(given)
    return _reader(given)


def kind_of(schema: Schema) -> ParameterType:
    """Plain type that values of a schema have on the command line."""
    kinds: dict[Json, ParameterType] = {
        "integer": "int",
        "number": "float",
        "string": "str",
        "boolean": "bool",
    }
    name, parts = schema.get("type"), schema.get("anyOf")
    if isinstance(name, list):  # an optional value is read as one that is there
        others = [one for one in name if one != "null"]
        name = others[0] if len(others) == 1 else None
    if isinstance(parts, list):
        inner = [part for part in parts if isinstance(part, dict) and part.get("type") != "null"]
        return kind_of(inner[0]) if len(inner) == 1 else "json"
    return kinds.get(name, "json") if isinstance(name, str) else "json"


def takes_text(schema: Schema) -> bool:
    """Say whether a text may be a value as it stands."""
    name, parts = schema.get("type"), schema.get("anyOf")
    if isinstance(parts, list):
        return any(isinstance(part, dict) and takes_text(part) for part in parts)
    choices = schema.get("enum")
    if isinstance(choices, list) and any(isinstance(choice, str) for choice in choices):
        return True
    return name == "string" or (isinstance(name, list) and "string" in name)


def is_pydantic(given: Any) -> bool:
    """Say whether a type is pydantic's to read; without importing it."""
    if "pydantic" not in sys.modules:
        return False
    if hasattr(given, "__pydantic_core_schema__"):
        return True
    return get_origin(given) is Annotated or any(is_pydantic(part) for part in get_args(given))


class _Pydantic:
    def __init__(self, given: Any) -> None:
        from pydantic import TypeAdapter

        self._adapter: Any = TypeAdapter(given)

    @property
    def schema(self) -> Schema:
        whole: Schema = self._adapter.json_schema()
        definitions = cast("Schema", whole.pop("$defs", {}))
        inlined = cast("Schema", _inlined(whole, definitions, ()))
        return {name: value for name, value in inlined.items() if name not in ("title", "default")}

    def load(self, value: Json) -> Any:
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            first, *others = error.errors()
            path = ".".join(map(str, first["loc"]))
            more = f" (and {len(others)} more: {'; '.join(_told(one) for one in others)})" if others else ""
            raise Wrong(f"{first['msg']}, not {first['input']!r}{more}"[:1000], path) from None

    def dump(self, value: Any) -> Json:
        found: Json = self._adapter.dump_python(self.load(value), mode="json")
        return found


def _told(error: Mapping[str, Any]) -> str:
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def _inlined(value: Json, definitions: Schema, inside: tuple[str, ...]) -> Json:
    # A form reads each part where it stands; a type that contains itself ends as any object.
    if isinstance(value, list):
        return [_inlined(item, definitions, inside) for item in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name in inside:
            return {"type": "object"}
        rest = {key: item for key, item in value.items() if key != "$ref"}
        found = cast("Schema", _inlined(definitions.get(name, {}), definitions, (*inside, name)))
        return {**found, **rest}
    return {key: _inlined(item, definitions, inside) for key, item in value.items() if key != "discriminator"}


@dataclass(frozen=True)
class _Plain:
    """A type that one function reads and one writes."""

    schema: Schema
    load: Callable[[Json], Any]
    write: Callable[[Any], Json] = to_json

    def dump(self, value: Any) -> Json:
        # What is of the type already is written as it is, and so is what it can be read from.
        try:
            return self.write(value)
        except (TypeError, ValueError, AttributeError, LookupError):
            return self.write(self.load(value))


def _reader(given: Any) -> Typed | None:
    scalar = _SCALARS.get(given) if isinstance(given, type) else None
    if scalar is not None:
        return scalar
    if isinstance(given, type) and issubclass(given, enum.Enum):
        return _enum(given)
    if dataclasses.is_dataclass(given) and isinstance(given, type):
        return _Dataclass(given)
    if given is Any:
        return _Plain({}, lambda value: value)
    origin, arguments = get_origin(given), get_args(given)
    if origin is Literal:
        return _choice(list(arguments))
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin in (list, set, frozenset, tuple) and arguments:
        return _sequence(origin, arguments)
    if origin is dict and arguments and arguments[0] is str:
        return _mapping(arguments[1])
    return None


def _scalar(name: str, kinds: tuple[type, ...], called: str) -> _Plain:
    def load(value: Json) -> Any:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise Wrong(f"{value!r} is not {called}")
        return float(value) if kinds[0] is float and isinstance(value, int) else value

    return _Plain({"type": name}, load)


def _date(text: Json) -> date:
    try:
        return date.fromisoformat(cast("str", text))
    except (TypeError, ValueError):
        raise Wrong(f"{text!r} is not a date, e.g. 2026-11-25") from None


def _moment(text: Json) -> datetime:
    try:
        # Python 3.10 does not read the Z that Airflow's form writes.
        found = datetime.fromisoformat(cast("str", text).replace("Z", "+00:00"))
    except (AttributeError, TypeError, ValueError):
        raise Wrong(f"{text!r} is not a date and time, e.g. 2026-11-25T06:00:00+01:00") from None
    return _zoned(found)


def _zoned(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


_SCALARS: dict[type, Typed] = {
    bool: _scalar("boolean", (bool,), "true or false"),
    int: _scalar("integer", (int,), "a whole number"),
    float: _scalar("number", (float, int), "a number"),
    str: _scalar("string", (str,), "a text"),
    list: _scalar("array", (list,), "a list"),
    dict: _scalar("object", (dict,), "an object"),
    type(None): _scalar("null", (type(None),), "null"),
    date: _Plain({"type": "string", "format": "date"}, _date, lambda value: value.isoformat()),
    datetime: _Plain(
        {"type": "string", "format": "date-time"}, _moment, lambda value: _zoned(value).isoformat()
    ),
}


def _choice(values: list[Json]) -> _Plain:
    def load(value: Json) -> Json:
        # True is 1 for Python, and another value for everybody else.
        for one in values:
            if one == value and isinstance(one, bool) == isinstance(value, bool):
                return one
        raise Wrong(f"{value!r} is not one of {', '.join(map(repr, values))}")

    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    kinds = {names.get(type(value)) for value in values}
    schema: Schema = {"enum": list(values)}
    if len(kinds) == 1 and None not in kinds:
        schema["type"] = kinds.pop()
    return _Plain(schema, load, load)


def _enum(given: type[enum.Enum]) -> _Plain:
    inner = _choice([to_json(member.value) for member in given])

    def write(value: Any) -> Json:
        return inner.load(value.value if isinstance(value, given) else value)  # type: ignore[no-any-return]

    return _Plain(inner.schema, lambda value: given(inner.load(value)), write)


def _of_click(given: Any) -> Typed | None:
    """Reader of the types of parameters that click has: Choice, IntRange, FloatRange and the plain ones."""
    name = type(given).__name__
    if name == "Choice":
        inner = _choice([str(choice) for choice in given.choices])
        if given.case_sensitive:
            return inner
        by_lower = {str(choice).lower(): str(choice) for choice in given.choices}

        def load(value: Json) -> Json:
            return inner.load(by_lower.get(str(value).lower(), value))  # type: ignore[no-any-return]

        return _Plain(inner.schema, load, load)
    if name in ("IntRange", "FloatRange"):
        return _range(_SCALARS[int if name == "IntRange" else float], given)
    plain: dict[str, type] = {
        "IntParamType": int,
        "FloatParamType": float,
        "StringParamType": str,
        "BoolParamType": bool,
    }
    return _SCALARS[plain[name]] if name in plain else None


def _range(inner: Typed, given: Any) -> _Plain:
    schema = dict(inner.schema)
    for bound, is_open, word in (
        (given.min, given.min_open, "inimum"),
        (given.max, given.max_open, "aximum"),
    ):
        if bound is not None:
            letter = "m"
            schema[f"exclusiveM{word}" if is_open else letter + word] = bound

    def load(value: Json) -> Any:
        number = inner.load(value)
        problem = bounds_problem(schema, number)
        if problem:
            raise Wrong(problem)
        return number

    return _Plain(schema, load, load)


def bounds_problem(schema: Schema, value: float) -> str | None:
    """Say which bound of a schema a number breaks."""
    checks: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
        ("minimum", "less than", lambda one, other: one < other),
        ("maximum", "more than", lambda one, other: one > other),
        ("exclusiveMinimum", "not more than", lambda one, other: one <= other),
        ("exclusiveMaximum", "not less than", lambda one, other: one >= other),
    )
    for name, word, breaks in checks:
        if name in schema and breaks(value, schema[name]):
            return f"{value!r} is {word} {schema[name]}"
    return None


def _union(arguments: tuple[Any, ...]) -> Typed | None:
    readers = [_reader(argument) for argument in arguments]
    if not all(readers):
        return None
    parts = cast("list[Typed]", readers)
    plain = [part.schema.get("type") for part in parts if set(part.schema) == {"type"}]
    schema: Schema = {"anyOf": [part.schema for part in parts]}
    if len(plain) == len(parts):
        schema = {"type": plain}

    def load(value: Json) -> Any:
        problems = []
        for part in parts:
            try:
                return part.load(value)
            except Wrong as error:
                problems.append(error)
        # Of an optional value the other type has more to say.
        raise next((one for one in problems if one.path or "null" not in one.message), problems[0])

    def write(value: Any) -> Json:
        for argument, part in zip(arguments, parts, strict=True):
            if isinstance(argument, type) and isinstance(value, argument):
                return part.dump(value)
        return next(part for part in parts if _fits(part, value)).dump(value)

    return _Plain(schema, load, write)


def _fits(part: Typed, value: Json) -> bool:
    try:
        part.load(value)
    except Wrong:
        return False
    return True


def _sequence(origin: type, arguments: tuple[Any, ...]) -> Typed | None:
    fixed = origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis)
    readers = [_reader(argument) for argument in arguments if argument is not Ellipsis]
    if not all(readers):
        return None
    parts = cast("list[Typed]", readers)
    schema: Schema = {"type": "array"}
    if fixed:
        schema |= {"prefixItems": [part.schema for part in parts]}
        schema |= {"minItems": len(parts), "maxItems": len(parts)}
    else:
        schema["items"] = parts[0].schema
        schema |= {"uniqueItems": True} if origin in (set, frozenset) else {}

    def part(place: int) -> Typed:
        return parts[place] if fixed else parts[0]

    def load(value: Json) -> Any:
        if not isinstance(value, list):
            raise Wrong(f"{value!r} is not a list")
        if fixed and len(value) != len(parts):
            raise Wrong(f"{len(value)} items are given, not {len(parts)}")
        return origin(_below(place, part(place).load, item) for place, item in enumerate(value))

    def write(value: Any) -> Json:
        if isinstance(value, (str, Mapping)):
            raise Wrong(f"{value!r} is not a list")
        items = sorted(value) if origin in (set, frozenset) else value
        return [_below(place, part(place).dump, item) for place, item in enumerate(items)]

    return _Plain(schema, load, write)


def _mapping(argument: Any) -> Typed | None:
    reader = _reader(argument)
    if reader is None:
        return None

    def load(value: Json) -> Any:
        if not isinstance(value, dict):
            raise Wrong(f"{value!r} is not an object")
        return {key: _below(key, reader.load, item) for key, item in value.items()}

    def write(value: Any) -> Json:
        return {str(key): _below(key, reader.dump, item) for key, item in value.items()}

    return _Plain({"type": "object", "additionalProperties": reader.schema}, load, write)


def _below(part: object, function: Callable[[Any], Any], value: Any) -> Any:
    try:
        return function(value)
    except Wrong as error:
        raise error.below(part) from None


class _Dataclass:
    """A dataclass, as a JSON object with a field's name for each key."""

    def __init__(self, given: Any) -> None:
        self._class = given
        hints = get_type_hints(given)
        self._fields = {field.name: field for field in dataclasses.fields(given) if field.init}
        self._readers: dict[str, Typed] = {}
        for name in self._fields:
            reader = typed(hints[name])
            if reader is None:
                raise Wrong(f"the type {hints[name]!r} of the field is not one that JSON can hold", name)
            self._readers[name] = reader

    @property
    def schema(self) -> Schema:
        properties: Schema = {name: reader.schema for name, reader in self._readers.items()}
        schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        required: list[Json] = [name for name in self._fields if self._is_required(name)]
        return schema | ({"required": required} if required else {})

    def _is_required(self, name: str) -> bool:
        field = self._fields[name]
        return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING

    def load(self, value: Json) -> Any:
        if not isinstance(value, dict):
            raise Wrong(f"{value!r} is not an object")
        for name in value:
            if name not in self._fields:
                raise Wrong(f"there is no such field; {did_you_mean(name, list(self._fields))}", name)
        for name in self._fields:
            if name not in value and self._is_required(name):
                raise Wrong("is missing", name)
        arguments = {name: _below(name, self._readers[name].load, item) for name, item in value.items()}
        try:
            return self._class(**arguments)
        except (TypeError, ValueError) as error:
            raise Wrong(str(error)) from error

    def dump(self, value: Any) -> Json:
        found = value if isinstance(value, self._class) else self.load(value)
        return {
            name: _below(name, reader.dump, getattr(found, name)) for name, reader in self._readers.items()
        }
