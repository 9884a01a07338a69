"""The plan: the hinge that the compiler writes and everything after it reads."""

from __future__ import annotations

import json
import types
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airloom.codec import Json
from airloom.digests import is_digest
from airloom.errors import GraphError, VersionSkew
from airloom.plan import PLAN_VERSION, Plan, StepPlan, Transition

texts = st.text(max_size=6)
finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


@cache
def of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of any type that a plan is made of, also of fields that are added to it later."""
    simple = {str: texts, int: st.integers(), float: finite, bool: st.booleans(), type(None): st.none()}
    if hint in simple:
        return simple[hint]
    if hint is Json:
        return values
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        build: Any = hint
        return st.builds(build, **{one.name: of(hints[one.name]) for one in fields(hint)})
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple:
        return st.lists(of(inner[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(texts, of(inner[1]), max_size=2)
    assert origin in (Union, types.UnionType), hint
    return st.one_of(*map(of, inner))


plans = of(Plan).map(lambda plan: replace(plan, plan_version=PLAN_VERSION))
HELLO = Plan(
    flow="Hello",
    module="hello",
    steps=(StepPlan("start", Transition("linear", ("end",))), StepPlan("end", Transition("end"), ("start",))),
    start="start",
    end="end",
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=50)
@given(plans)
def test_a_plan_comes_back_as_it_was(plan: Plan) -> None:
    again = Plan.from_bytes(plan.to_bytes())
    assert again == plan
    assert again.to_bytes() == plan.to_bytes()
    assert again.digest == plan.digest


def test_the_bytes_are_json_with_sorted_keys_at_every_level() -> None:
    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert names == sorted(names)
        return dict(pairs)

    value = json.loads(HELLO.to_bytes(), object_pairs_hook=check)
    assert value["plan_version"] == PLAN_VERSION
    assert b" " not in HELLO.to_bytes().replace(b'"doc":""', b"")


def test_the_digest_is_the_version() -> None:
    assert is_digest(HELLO.digest)
    assert replace(HELLO).digest == HELLO.digest
    assert replace(HELLO, doc="x").digest != HELLO.digest
    assert replace(HELLO, code="b3:1").digest != HELLO.digest


@pytest.mark.parametrize("version", [PLAN_VERSION + 1, PLAN_VERSION - 2, None, "1", 1.5])
def test_a_plan_of_another_version_is_refused_with_the_flow(version: object) -> None:
    value = {**json.loads(HELLO.to_bytes()), "plan_version": version}
    with pytest.raises(
        VersionSkew, match=f"this Airloom reads {PLAN_VERSION - 1} and {PLAN_VERSION}"
    ) as caught:
        Plan.from_bytes(json.dumps(value).encode())
    assert caught.value.where == "Hello"
    assert "deploy the flow again" in caught.value.mend


def test_the_version_before_is_read() -> None:
    value = {**json.loads(HELLO.to_bytes()), "plan_version": PLAN_VERSION - 1}
    assert Plan.from_bytes(json.dumps(value).encode()).steps == HELLO.steps


@pytest.mark.parametrize("data", [b"[]", b"null", b"7"])
def test_what_is_no_plan_is_a_skew_too(data: bytes) -> None:
    with pytest.raises(VersionSkew, match="the plan has version None"):
        Plan.from_bytes(data)


def test_an_unknown_field_is_refused() -> None:
    value = {**json.loads(HELLO.to_bytes()), "colour": "red"}
    with pytest.raises(VersionSkew, match=r"Plan has unknown fields \['colour'\]"):
        Plan.from_bytes(json.dumps(value).encode())


def test_steps_are_found_by_name_and_others_nearly() -> None:
    assert HELLO.step("end").parents == ("start",)
    with pytest.raises(GraphError, match="the flow Hello has no step 'strat'") as caught:
        HELLO.step("strat")
    assert caught.value.mend == "did you mean 'start'?"


def test_a_plan_is_frozen_and_holds_nothing_that_can_change() -> None:
    with pytest.raises(AttributeError):
        HELLO.flow = "Other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        HELLO.steps[0].name = "other"  # type: ignore[misc]


def test_a_step_is_as_deep_as_the_foreaches_around_it() -> None:
    assert StepPlan("a", Transition("end"), foreaches=("x", "y")).depth == 2
    assert StepPlan("a", Transition("end")).depth == 0
