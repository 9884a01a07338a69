"""Parameters: their type, their default, their text on the command line, their JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airloom import FlowSpec, JSONType, Parameter
from airloom.errors import ParameterError, Place
from airloom.flow.parameters import ParameterContext, checked, from_text, parameters_of
from airloom.plan import ParameterPlan

CONTEXT = ParameterContext("MyFlow", "p", "ada")


def planned(*arguments: Any, **options: Any) -> ParameterPlan:
    return Parameter("p", *arguments, **options).to_plan(CONTEXT, Path())


KINDS: list[tuple[dict[str, Any], str, Any]] = [
    ({}, "str", None),
    ({"default": "x"}, "str", "x"),
    ({"default": 3}, "int", 3),
    ({"default": 3.0}, "float", 3.0),
    ({"default": True}, "bool", True),
    ({"default": {"a": 1}}, "json", {"a": 1}),
    ({"default": [1]}, "json", [1]),
    ({"type": int}, "int", None),
    ({"type": float, "default": 1}, "float", 1.0),
    ({"type": str, "default": 1}, "str", "1"),
    ({"type": JSONType, "default": '{"a": 1}'}, "json", {"a": 1}),
    ({"type": JSONType, "default": {"a": 1}}, "json", {"a": 1}),
    ({"separator": ",", "default": "a,b"}, "list", ["a", "b"]),
    ({"separator": ",", "default": ["a", "b"]}, "list", ["a", "b"]),
    ({"default": lambda context: f"{context.flow_name} {context.user_name}"}, "str", "MyFlow ada"),
    ({"type": int, "default": lambda context: len(context.parameter_name)}, "int", 1),
    ({"type": float, "default": lambda context: 2}, "float", 2.0),
]


@pytest.mark.parametrize(
    ("options", "kind", "default"),
    KINDS,
    ids=[f"{number}-{kind}" for number, (_, kind, _) in enumerate(KINDS)],
)
def test_type_and_default(options: dict[str, Any], kind: str, default: Any) -> None:
    plan = planned(**options)
    assert (plan.type, plan.default) == (kind, default)
    assert type(plan.default) is type(default)
    if plan.default is not None:
        jsonschema.validate(plan.default, plan.schema)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"type": int, "default": "three"}, "'three' is not a whole number"),
    ({"type": int, "default": 1.5}, "1.5 is not a whole number"),
    ({"type": int, "default": True}, "True is not a whole number"),
    ({"type": float, "default": "much"}, "'much' is not a number"),
    ({"type": bool, "default": "True"}, "'True' is not true or false"),
    ({"type": JSONType, "default": "{"}, "its default is not JSON"),
    ({"type": JSONType, "default": {1, 2}}, "is not JSON"),
    ({"default": lambda context: 1 / 0}, "its default raised ZeroDivisionError"),
    ({"type": int, "default": lambda context: "x"}, "'x' is not a whole number"),
    ({"separator": ",", "default": [1]}, "is not a list of texts"),
]


@pytest.mark.parametrize(("options", "what"), WRONG, ids=[what for _, what in WRONG])
def test_a_default_of_another_type_is_refused_with_its_line(options: dict[str, Any], what: str) -> None:
    parameter = Parameter("p", **options)
    with pytest.raises(ParameterError, match="parameter 'p'") as caught:
        parameter.to_plan(CONTEXT, Path())
    assert what in caught.value.what
    assert isinstance(caught.value.where, Place)
    assert caught.value.where.file == __file__


def test_a_type_that_is_none_is_refused_where_it_stands() -> None:
    with pytest.raises(ParameterError, match="the type 'complex' is not one") as caught:
        Parameter("p", type=complex)
    assert isinstance(caught.value.where, Place)
    assert caught.value.where.file == __file__


def test_a_callable_default_is_called_at_compile_time_only() -> None:
    calls: list[ParameterContext] = []

    def default(context: ParameterContext) -> str:
        calls.append(context)
        return "x"

    parameter = Parameter("p", default=default)
    assert calls == []
    parameter.to_plan(CONTEXT, Path())
    assert [(call.flow_name, call.parameter_name, call.user_name, call.ds_type) for call in calls] == [
        ("MyFlow", "p", "ada", "local")
    ]


def test_the_schema_takes_null_where_nothing_need_be_given() -> None:
    jsonschema.validate(None, planned(type=int).schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(None, planned(type=int, required=True).schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate("x", planned(type=int).schema)


TEXTS: list[tuple[dict[str, Any], str, Any]] = [
    ({"type": int}, "-3", -3),
    ({"type": float}, "1e3", 1000.0),
    ({"type": str}, " as it is ", " as it is "),
    ({"type": str}, "", ""),
    *[({"type": bool}, text, True) for text in ("true", "True", "1", "yes", "ON", "t", "y")],
    *[({"type": bool}, text, False) for text in ("false", "False", "0", "no", "off", "f", "n")],
    ({"type": JSONType}, '[1, {"a": null}]', [1, {"a": None}]),
    ({"separator": ","}, "a,,b", ["a", "", "b"]),
    ({"separator": "::"}, "a::b", ["a", "b"]),
    ({"separator": ","}, "", []),
]


@pytest.mark.parametrize(("options", "text", "value"), TEXTS, ids=[f"{o} {t}" for o, t, _ in TEXTS])
def test_text_becomes_a_value_of_the_type(options: dict[str, Any], text: str, value: Any) -> None:
    plan = planned(**options)
    found = from_text(plan, text, "--p")
    assert found == value
    assert type(found) is type(value)
    jsonschema.validate(found, plan.schema)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"type": int}, "3.0"),
        ({"type": int}, ""),
        ({"type": float}, "much"),
        ({"type": bool}, "perhaps"),
        ({"type": bool}, ""),
        ({"type": JSONType}, "{'a': 1}"),
    ],
)
def test_text_of_another_type_is_refused_with_an_example(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ParameterError, match="parameter 'p'") as caught:
        from_text(planned(**options), text, "--p")
    assert caught.value.where == "--p"
    assert caught.value.mend.startswith(("write for instance", "give"))


@pytest.mark.parametrize(
    ("options", "value"),
    [({"type": float}, float("nan")), ({"type": float}, float("-inf")), ({"type": JSONType}, [float("nan")])],
)
def test_what_no_json_holds_is_refused(options: dict[str, Any], value: Any) -> None:
    plan = planned(**options)
    with pytest.raises(ParameterError, match="parameter 'p'"):
        checked(plan.name, plan.type, value, "--p")


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_text_of_a_value_gives_the_value_back(whole: int, number: float, text: str) -> None:
    assert from_text(planned(type=int), str(whole), "") == whole
    assert from_text(planned(type=float), repr(number), "") == number
    assert from_text(planned(type=str), text, "") == text


def test_parameters_are_listed_with_those_of_bases_first() -> None:
    class Base(FlowSpec):
        first = Parameter("first", default=1)
        second = Parameter("second-name", default=2)

    class Derived(Base):
        third = Parameter("third", default=3)
        first = Parameter("first", default="changed")

    found = parameters_of(Derived)
    assert list(found) == ["first", "second", "third"]
    assert found["second"].name == "second-name"
    assert found["second"].attribute == "second"
    assert found["first"].kind == "str"


def test_a_parameter_knows_the_line_that_declares_it() -> None:
    make: Callable[[], Parameter] = lambda: Parameter("p")  # noqa: E731 - one line, so that its number is known
    assert make().place == Place(__file__, make.__code__.co_firstlineno)
