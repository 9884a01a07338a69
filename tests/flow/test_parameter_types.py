"""Parameters of deeper types: their JSON Schema, their values in steps, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import jsonschema
import pydantic
import pytest

from airloom import Parameter
from airloom.errors import ParameterError
from airloom.flow.configs import ParameterContext
from airloom.flow.parameters import checked, from_text
from airloom.plan import ParameterPlan

CONTEXT = ParameterContext("F", "p", "ada")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    BIG = 2


@dataclass
class Layer:
    size: int
    dropout: float = 0.5


@dataclass
class Network:
    """A network."""

    name: str
    layers: list[Layer]
    colour: Colour = Colour.RED
    since: date | None = None
    pair: tuple[int, str] = (1, "a")
    tags: set[str] = field(default_factory=set)
    shares: dict[str, float] = field(default_factory=dict)
    made: int = field(default=0, init=False)


class Window(pydantic.BaseModel):
    first: int = pydantic.Field(ge=0, le=10)


class Search(pydantic.BaseModel):
    """Where to look."""

    window: Window
    names: list[str] = []


class Tree(pydantic.BaseModel):
    children: list[Tree] = []


def planned(**options: Any) -> tuple[Parameter, ParameterPlan]:
    parameter = Parameter("p", **options)
    return parameter, parameter.to_plan(CONTEXT, Path())


NETWORK = Network(
    "n", [Layer(3), Layer(4, 0.1)], Colour.BLUE, date(2026, 11, 25), (2, "b"), {"y", "x"}, {"a": 1.0}
)
VALUES: list[tuple[Any, Any, Any]] = [
    (
        Network,
        NETWORK,
        {
            "name": "n",
            "layers": [{"size": 3, "dropout": 0.5}, {"size": 4, "dropout": 0.1}],
            "colour": "blue",
            "since": "2026-11-25",
            "pair": [2, "b"],
            "tags": ["x", "y"],
            "shares": {"a": 1.0},
        },
    ),
    (Search, Search(window=Window(first=3)), {"window": {"first": 3}, "names": []}),
    (Annotated[int, pydantic.Field(gt=0)], 5, 5),
    (Colour, Colour.RED, "red"),
    (Size, Size.BIG, 2),
    (Literal["a", "b"], "a", "a"),
    (Literal["a", 1, True], True, True),
    (click.Choice(["a", "b"]), "b", "b"),
    (click.IntRange(1, 5), 3, 3),
    (click.INT, 3, 3),
    (date, date(2026, 11, 25), "2026-11-25"),
    (datetime, datetime(2026, 11, 25, 6, tzinfo=timezone.utc), "2026-11-25T06:00:00+00:00"),
    (list[Layer], [Layer(1)], [{"size": 1, "dropout": 0.5}]),
    (dict[str, Colour], {"x": Colour.RED}, {"x": "red"}),
    (Colour | None, Colour.BLUE, "blue"),
    (int | str, "x", "x"),
]


_KINDS = [f"{number}-{getattr(kind, '__name__', 'of click')}" for number, (kind, _, _) in enumerate(VALUES)]


@pytest.mark.parametrize(("kind", "value", "plain"), VALUES, ids=_KINDS)
def test_a_value_becomes_json_and_comes_back(kind: Any, value: Any, plain: Any) -> None:
    parameter, plan = planned(type=kind, default=value)
    assert plan.default == plain
    jsonschema.validate(plain, plan.schema)
    assert parameter.load(plain, "here") == value
    assert type(parameter.load(plain, "here")) is type(value)
    assert parameter.check(plain, "here") == plain


@pytest.mark.parametrize(("kind", "value", "plain"), VALUES, ids=_KINDS)
def test_a_value_that_may_be_missing_has_a_schema_for_that(kind: Any, value: Any, plain: Any) -> None:
    _, plan = planned(type=kind)
    jsonschema.validate(None, plan.schema)
    jsonschema.validate(plain, plan.schema)
    if kind != Colour | None:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(None, planned(type=kind, required=True)[1].schema)


def test_the_default_may_be_json_text() -> None:
    assert planned(type=Layer, default='{"size": 3}')[1].default == {"size": 3, "dropout": 0.5}
    assert planned(type=Search, default='{"window": {"first": 3}}')[1].default["window"] == {"first": 3}  # type: ignore[index,call-overload]
    assert planned(type=Layer, default=lambda context: Layer(len(context.flow_name)))[1].default == {
        "size": 1,
        "dropout": 0.5,
    }


def test_the_type_may_be_that_of_the_default() -> None:
    assert planned(default=Colour.RED)[1].schema == {"enum": ["red", "blue"], "type": "string"}
    assert planned(default=Layer(1))[1].schema["type"] == "object"
    assert planned(default=date(2026, 1, 1))[1].schema == {"type": "string", "format": "date"}


def test_the_schema_of_a_dataclass_is_whole() -> None:
    schema = planned(type=Network, required=True)[1].schema
    assert schema["required"] == ["name", "layers"]
    assert schema["additionalProperties"] is False
    assert "made" not in schema["properties"]  # type: ignore[operator]


def test_the_schema_of_a_model_holds_bounds_and_no_references() -> None:
    schema = planned(type=Search, required=True)[1].schema
    window: Any = schema["properties"]["window"]  # type: ignore[index,call-overload]
    first = window["properties"]["first"]
    assert (first["type"], first["minimum"], first["maximum"]) == ("integer", 0, 10)
    assert "$" not in str(schema)
    assert planned(type=Search)[1].help == "Where to look."
    assert planned(type=Search, help="mine")[1].help == "mine"


def test_a_type_that_holds_itself_ends_as_any_object() -> None:
    schema: Any = planned(type=Tree, required=True)[1].schema
    assert schema["properties"]["children"]["items"]["type"] == "object"


WRONG: list[tuple[Any, Any, str]] = [
    (Network, {"name": "n", "layers": [{"size": "x"}]}, "layers.0.size: 'x' is not a whole number"),
    (Network, {"name": "n", "layers": [], "colr": 1}, "colr: there is no such field; did you mean 'colour'"),
    (Network, {"name": "n"}, "layers: is missing"),
    (Network, {"name": "n", "layers": [], "pair": [1]}, "pair: 1 items are given, not 2"),
    (Network, {"name": "n", "layers": [], "since": "yesterday"}, "since: 'yesterday' is not a date"),
    (Network, {"name": "n", "layers": [], "shares": {"a": True}}, "shares.a: True is not a number"),
    (Network, [1], "[1] is not an object"),
    (Search, {"window": {"first": 30}}, "window.first: Input should be less than or equal to 10, not 30"),
    (Search, {}, "window: Field required"),
    (Annotated[int, pydantic.Field(gt=0)], -1, "Input should be greater than 0, not -1"),
    (Colour, "green", "'green' is not one of 'red', 'blue'"),
    (Size, 3, "3 is not one of 1, 2"),
    (Literal["a", 1], True, "True is not one of 'a', 1"),
    (click.Choice(["a", "b"]), "c", "'c' is not one of 'a', 'b'"),
    (click.IntRange(1, 5), 6, "6 is more than 5"),
    (click.FloatRange(0, 1, max_open=True), 1, "1.0 is not less than 1"),
    (date, "2026-13-01", "'2026-13-01' is not a date"),
    (datetime, "soon", "'soon' is not a date and time"),
    (list[Layer], [{"size": 1}, 2], "1: 2 is not an object"),
]


@pytest.mark.parametrize(("kind", "value", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_a_wrong_value_is_told_with_its_path(kind: Any, value: Any, message: str) -> None:
    parameter, _ = planned(type=kind)
    with pytest.raises(ParameterError) as caught:
        parameter.check(value, "--p")
    assert message in caught.value.what
    assert caught.value.what.startswith("parameter 'p': ")
    assert caught.value.where == "--p"
    with pytest.raises(ParameterError, match="parameter 'p': "):
        planned(type=kind, default=value)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Layer, '{"size": 3}', {"size": 3, "dropout": 0.5}),
        (Colour, "red", "red"),
        (Size, "2", 2),
        (Literal["a", 1], "a", "a"),
        (Literal["a", 1], "1", 1),
        (click.Choice(["A", "b"], case_sensitive=False), "a", "A"),
        (date, "2026-11-25", "2026-11-25"),
        (datetime, "2026-11-25T06:00:00Z", "2026-11-25T06:00:00+00:00"),
        (datetime, "2026-11-25 06:00", "2026-11-25T06:00:00+00:00"),
        (Annotated[float, pydantic.Field(le=1)], "0.5", 0.5),
        (str | None, "3", "3"),
        (int | str, "3", 3),
        (int | str, "x", "x"),
        (Colour | None, "red", "red"),
    ],
)
def test_text_of_the_command_line_becomes_a_value(kind: Any, text: str, value: Any) -> None:
    parameter, plan = planned(type=kind, required=True)
    found = parameter.check(from_text(plan, text, "--p"), "--p")
    assert found == value
    assert type(found) is type(value)


def test_choices_and_bounds_count_where_only_the_plan_is_known() -> None:
    colour = planned(type=Colour, required=True)[1]
    with pytest.raises(ParameterError, match="'green' is not one of 'red', 'blue'"):
        checked("p", colour.type, "green", "conf", colour.schema)
    number = planned(type=Annotated[int, pydantic.Field(gt=0)], required=True)[1]
    with pytest.raises(ParameterError, match="-1 is not more than 0"):
        checked("p", number.type, -1, "conf", number.schema)
    assert checked("p", number.type, 1, "conf", number.schema) == 1


@pytest.mark.parametrize("kind", [complex, timedelta, dict[int, str], Callable, click.File(), 3])
def test_a_type_without_json_is_refused(kind: Any) -> None:
    with pytest.raises(ParameterError, match="is not one a parameter can have"):
        Parameter("p", type=kind)


def test_a_field_without_json_is_named() -> None:
    @dataclass
    class Holds:
        good: int
        bad: timedelta

    # The module's annotations are texts: given anew, because those of a local class cannot be found.
    Holds.__annotations__ = {"good": int, "bad": timedelta}
    with pytest.raises(ParameterError, match=r"its type cannot be read: bad: .*timedelta"):
        Parameter("p", type=Holds)


def test_pydantic_is_loaded_only_by_flows_that_use_it() -> None:
    program = """
import sys
from dataclasses import dataclass
from datetime import date
from enum import Enum
from airloom import Parameter
@dataclass
class Layer:
    size: int
Parameter("a", default=3), Parameter("b", type=Layer), Parameter("c", type=date)
assert not {"pydantic", "yaml", "airloom.flow.mutators", "airloom.flow.user_decorators"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
