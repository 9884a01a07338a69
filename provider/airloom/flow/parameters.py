"""Parameters: values that a run is started with, from the command line, Airflow's form or code.

A value crosses every border as JSON (`codec.Json`), checked against the JSON Schema that
the plan holds, and becomes a Python value in the task.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from airloom.codec import Json
from airloom.errors import FlowError, ParameterError, Place
from airloom.flow.configs import ParameterContext, evaluate, waits
from airloom.flow.registry import caller
from airloom.plan import ParameterPlan, ParameterType

if TYPE_CHECKING:
    from typing_extensions import Self

    from airloom.flow.typed import Schema, Typed


class _JSONType:
    """Marker type of parameters whose value is any JSON, written as JSON text on the command line."""

    name = "JSON"

    def __repr__(self) -> str:
        return "JSONType"


JSONType = _JSONType()

SCHEMAS: dict[ParameterType, dict[str, Json]] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "json": {"type": ["object", "array", "string", "number", "integer", "boolean", "null"]},
    "list": {"type": "array", "items": {"type": "string"}},
    "file": {"type": ["string", "null"]},
}
_PYTHON: dict[ParameterType, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "str": str,
    "bool": bool,
    "list": list,
    "file": str,
}
_EXAMPLES = {"int": "3", "float": "0.5", "str": "text", "bool": "True or False", "json": '{"a": 1}'}


class Parameter:
    """A value that each run is started with; read-only inside of the flow.

    Parameters
    ----------
    name
        How it is called on the command line and in Airflow's form.
    default
        Its value when none is given. A callable is called with a `ParameterContext`
        when the flow is compiled, with a result of the parameter's type.
    type
        ``int``, ``float``, ``str``, ``bool`` or ``JSONType``; ``date``, ``datetime``, an enum, a
        ``Literal``, a ``click.Choice``; a dataclass or a pydantic model; that of the default when
        not given.
    help
        One line for the command line and the form.
    required
        A run without the value is refused.
    separator
        The text is cut here into a list of texts.
    """

    _file = False
    _said: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *positional: Any, **arguments: Any) -> Self:
        """Keep the arguments: those that use configs are filled in by `filled`."""
        self = super().__new__(cls)
        self._said = (positional, arguments)
        return self

    def __init__(
        self,
        name: str,
        default: Any = None,
        type: Any = None,  # noqa: A002 - Metaflow's name
        help: str | None = None,  # noqa: A002 - Metaflow's name
        required: bool | None = None,
        show_default: bool = True,
        separator: str | None = None,
    ) -> None:
        self.name = name
        self.attribute = name
        self.default = default
        self.help = help or ""
        self.required = bool(required)
        self.show_default = show_default
        self.separator = separator
        self.place = getattr(self, "place", None) or caller()
        self.typed: Typed | None = None
        self.kind = "json" if self.waits else self._kind(type)

    @property
    def waits(self) -> bool:
        """Whether an argument waits for the value of a config."""
        return waits(self._said[0]) or waits(self._said[1])

    def filled(self, configs: Mapping[str, Any]) -> Parameter:
        """Parameter with the values of configs among its arguments; itself where there are none.

        Raises
        ------
        FlowError
            When a config or a key does not exist.
        """
        if not self.waits:
            return self
        try:
            positional, arguments = (evaluate(one, configs) for one in self._said)
        except FlowError as error:
            raise self.__class__.refused(self, error.what, error.mend) from error
        found: Any = Parameter.__new__(self.__class__, *positional, **arguments)
        found.place = self.place
        found.__init__(*positional, **arguments)
        found.place, found.attribute = self.place, self.attribute
        return found  # type: ignore[no-any-return]

    def _kind(self, given: Any) -> ParameterType:
        if self.separator is not None:
            return "list"
        if given is None:
            given = str if self.default is None or callable(self.default) else self.default.__class__
        kinds: dict[Any, ParameterType] = {int: "int", float: "float", str: "str", bool: "bool"}
        if given is JSONType or (isinstance(given, type) and issubclass(given, (dict, list))):
            return "json"
        if isinstance(given, type) and given in kinds:
            return kinds[given]
        # Not at the top: the plain types, which nearly all parameters have, need none of it.
        from airloom.flow.typed import Wrong, kind_of, typed

        try:
            self.typed = typed(given)
        except Wrong as error:
            raise self.refused(f"its type cannot be read: {error}", "use types that JSON can hold.") from None
        if self.typed is None:
            raise self.refused(
                f"the type {getattr(given, '__name__', given)!r} is not one a parameter can have",
                "use int, float, str, bool or JSONType, a date, an enum, a dataclass or a pydantic model.",
            )
        return kind_of(self.typed.schema)

    def refused(self, what: str, mend: str) -> ParameterError:
        """Error that names this parameter and its line."""
        return ParameterError(f"parameter {self.name!r}: {what}", where=self.place, mend=mend)

    def to_plan(self, context: ParameterContext, folder: Path) -> ParameterPlan:
        """Plan of this parameter; a callable default is called here.

        Raises
        ------
        ParameterError
            When the default is not of the parameter's type, or its callable raises.
        """
        default = self._default(context)
        schema = dict(SCHEMAS[self.kind] if self.typed is None else self.typed.schema)
        said = schema.pop("description", "")
        if default is None and not self.required and (self.typed is not None or self.kind != "json"):
            schema = _or_null(schema)
        return ParameterPlan(
            name=self.name,
            attribute=self.attribute,
            type=self.kind,
            schema=schema,
            required=self.required,
            default=default,
            help=self.help or str(said),
            separator=self.separator,
            line=self.place.line or 0,
        )

    def _given(self, context: ParameterContext) -> Any:
        if not callable(self.default):
            return self.default
        try:
            return self.default(context)
        except Exception as error:
            raise self.refused(f"its default raised {error!r}", "mend the function.") from error

    def _default(self, context: ParameterContext) -> Json:
        value = self._given(context)
        if value is None:
            return None
        if self.typed is not None:
            from airloom.flow.typed import takes_text

            if isinstance(value, str) and self.kind == "json" and not takes_text(self.typed.schema):
                value = self._json(value)
            return self._typed_json(value, self.place)
        if self.kind == "list" and isinstance(value, str):
            value = value.split(self.separator)
        if self.kind == "json" and isinstance(value, str):
            value = self._json(value)
        if self.kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.kind == "str" and not isinstance(value, str):
            value = str(value)
        return checked(self.name, self.kind, value, self.place)

    def check(self, value: Json, where: Place | str) -> Json:
        """Return the value's JSON when it is of the parameter's type, as deep as that goes.

        Raises
        ------
        ParameterError
            When it is not.
        """
        return value if self.typed is None else self._typed_json(value, where)

    def load(self, value: Json, where: Place | str) -> Any:
        """Value as the steps see it.

        Raises
        ------
        ParameterError
            When it is not of the parameter's type.
        """
        if self.typed is None or value is None:
            return value
        self._typed_json(value, where)
        return self.typed.load(value)

    def _typed_json(self, value: Any, where: Place | str) -> Json:
        from airloom.flow.typed import Wrong

        assert self.typed is not None  # noqa: S101 - asked before
        try:
            found = self.typed.dump(value)
            self.typed.load(found)
        except Wrong as error:
            raise ParameterError(
                f"parameter {self.name!r}: {error}", where=where, mend="give a value of the parameter's type."
            ) from None
        return found

    def _json(self, text: str) -> Json:
        try:
            value: Json = json.loads(text)
        except ValueError as error:
            raise self.refused(f"its default is not JSON ({error})", "write JSON text, or a dict.") from error
        return value

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name

    # A data descriptor: reading goes to the task's value, writing is refused.
    @overload
    def __get__(self, flow: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, flow: Any, owner: type | None = None) -> Any: ...
    def __get__(self, flow: Any, owner: type | None = None) -> Any:
        return self if flow is None else flow.airloom_parameter(self.attribute)

    def __set__(self, flow: Any, value: object) -> None:
        raise AttributeError(
            f"the parameter {self.name!r} cannot be changed: "
            "flow level attributes and parameters are read-only"
        )


def _or_null(schema: Schema) -> Schema:
    kind = schema.get("type")
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]  # type: ignore[misc] # it is a list
    if isinstance(kind, list):
        return schema if "null" in kind else {**schema, "type": [*kind, "null"]}
    if isinstance(kind, str):
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]} if kind is None and "enum" not in schema else schema


def checked(
    name: str, kind: ParameterType, value: Json, where: Place | str, schema: Mapping[str, Json] | None = None
) -> Json:
    """Return the value when it is of the parameter's type; of a deeper schema only choices and bounds count.

    Raises
    ------
    ParameterError
        When it is not.
    """
    wanted = _PYTHON.get(kind)
    wrong = wanted is not None and not isinstance(value, wanted)
    if kind in ("int", "float") and isinstance(value, bool):
        wrong = True
    if isinstance(value, float) and not math.isfinite(value):  # no JSON, so no plan and no form has it
        wrong = True
    if kind == "list" and isinstance(value, list) and not all(isinstance(item, str) for item in value):
        wrong = True
    if kind == "json":
        try:
            # Keys become texts and tuples lists here already, not only when the value has travelled.
            value = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError):
            wrong = True
    if wrong:
        raise ParameterError(
            f"parameter {name!r}: {value!r} is not {_called(kind)}",
            where=where,
            mend=f"give {_called(kind)}.",
        )
    if schema is not None and ("enum" in schema or kind in ("int", "float")):
        _check_schema(name, value, where, schema)
    return float(value) if kind == "float" and isinstance(value, int) else value


def _json_or_text(schema: Mapping[str, Json], text: str) -> Json:
    try:
        value: Json = json.loads(text)
    except ValueError:
        from airloom.flow.typed import takes_text

        # Of the type JSON texts stand in quotation marks, everywhere else as they are.
        if schema == SCHEMAS["json"] or not takes_text(dict(schema)):
            raise
        return text
    return value


def _check_schema(name: str, value: Json, where: Place | str, schema: Mapping[str, Json]) -> None:
    from airloom.flow.typed import bounds_problem

    choices = schema.get("enum")
    if isinstance(choices, list):
        if not any(one == value and isinstance(one, bool) == isinstance(value, bool) for one in choices):
            shown = ", ".join(repr(choice) for choice in choices if choice is not None)
            raise ParameterError(
                f"parameter {name!r}: {value!r} is not one of {shown}", where=where, mend="give one of these."
            )
    elif isinstance(value, (int, float)):
        problem = bounds_problem(dict(schema), value)
        if problem is not None:
            raise ParameterError(
                f"parameter {name!r}: {problem}", where=where, mend="give a number in between."
            )


def from_text(plan: ParameterPlan, text: str, where: str) -> Json:
    """JSON value of a parameter given as text on the command line or in a variable.

    Raises
    ------
    ParameterError
        When the text is not of the parameter's type.
    """
    try:
        if plan.type == "int":
            return int(text)
        if plan.type == "float":
            return float(text)
        if plan.type == "bool":
            return _BOOLEANS[text.strip().lower()]
        if plan.type == "json":
            return _json_or_text(plan.schema, text)
    except (ValueError, KeyError):
        raise ParameterError(
            f"parameter {plan.name!r}: {text!r} is not {_called(plan.type)}",
            where=where,
            mend=f"write for instance {_EXAMPLES[plan.type]}.",
        ) from None
    if plan.type == "list":
        return list(text.split(plan.separator)) if text else []
    return text


_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_BOOLEANS |= {"t": True, "y": True, "on": True, "f": False, "n": False, "off": False}


def _called(kind: ParameterType) -> str:
    return {
        "int": "a whole number",
        "float": "a number",
        "str": "a text",
        "bool": "true or false",
        "json": "JSON",
        "list": "a list of texts",
        "file": "a text",
    }[kind]


def parameters_of(flow: type) -> dict[str, Parameter]:
    """Parameters of a flow class by attribute, in the order of declaration, inherited ones first."""
    found: dict[str, Parameter] = {}
    for base in reversed(flow.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Parameter):
                found[name] = value
            else:
                found.pop(name, None)  # a subclass has something else under the name
    return found
