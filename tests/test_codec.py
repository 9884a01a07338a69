"""Dataclasses to JSON and back: strictly, and always the same bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airloom import codec
from airloom.codec import Json


@dataclass(frozen=True)
class Inner:
    name: str
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outer:
    count: int
    share: float
    kind: Literal["a", "b"]
    inner: Inner
    maybe: Inner | None = None
    many: tuple[Inner, ...] = ()
    table: dict[str, Inner] = field(default_factory=dict)
    anything: Json = None
    later: tuple[str, ...] = field(default=(), metadata=codec.LEFT_OUT_EMPTY)


texts = st.text(max_size=8)
inners = st.builds(Inner, texts, st.lists(st.integers(), max_size=3).map(tuple))
finite = st.floats(allow_nan=False, allow_infinity=False)
values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
outers = st.builds(
    Outer,
    count=st.integers(),
    share=finite,
    kind=st.sampled_from(["a", "b"]),
    inner=inners,
    maybe=st.none() | inners,
    many=st.lists(inners, max_size=3).map(tuple),
    table=st.dictionaries(texts, inners, max_size=3),
    anything=values,
    later=st.lists(texts, max_size=2).map(tuple),
)


@given(outers)
def test_a_value_comes_back_as_it_was(value: Outer) -> None:
    assert codec.loads(Outer, codec.dumps(value)) == value


@given(outers)
def test_the_bytes_are_canonical(value: Outer) -> None:
    data = codec.dumps(value)
    assert codec.dumps(codec.loads(Outer, data)) == data
    keys = list(json.loads(data))
    assert keys == sorted(keys)
    assert codec.dumps(dict(reversed(list(codec.to_json(value).items())))) == data  # type: ignore[union-attr]


def test_canonical_bytes_have_no_spaces_and_keep_their_letters() -> None:
    value = Outer(1, 2, "a", Inner("grün", (1, 2)))
    assert (
        codec.dumps(value)
        == (
            '{"anything":null,"count":1,"inner":{"name":"grün","sizes":[1,2]},"kind":"a",'
            '"many":[],"maybe":null,"share":2,"table":{}}'
        ).encode()
    )


GOOD: dict[str, Json] = {"count": 1, "share": 0.5, "kind": "a", "inner": {"name": "x"}}


def test_fields_with_defaults_may_be_missing() -> None:
    assert codec.from_json(Outer, dict(GOOD)) == Outer(1, 0.5, "a", Inner("x"))


def test_a_later_field_changes_no_bytes_while_it_is_empty() -> None:
    value = Outer(1, 0.5, "a", Inner("x"))
    assert b"later" not in codec.dumps(value)
    assert b'"many":[]' in codec.dumps(value)
    assert b'"later":["b"]' in codec.dumps(replace(value, later=("b",)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, r"Outer has unknown fields \['extra'\]"),
        ({"inner": {"name": "x", "extra": 1}}, r"Outer\.inner has unknown fields \['extra'\]"),
        ({"inner": {}}, r"Outer\.inner\.name is missing"),
        ({"inner": None}, r"Outer\.inner is None, not dict"),
        ({"count": "1"}, r"Outer\.count is '1', not int"),
        ({"count": True}, r"Outer\.count is True, not int"),
        ({"count": 1.0}, r"Outer\.count is 1\.0, not int"),
        ({"share": True}, r"Outer\.share is True, not float"),
        ({"kind": "c"}, r"Outer\.kind is 'c', not one of"),
        ({"many": [{"name": "x"}, {"name": 1}]}, r"Outer\.many\[1\]\.name is 1, not str"),
        ({"many": {}}, r"Outer\.many is \{\}, not list"),
        ({"table": {"k": {"name": "x", "sizes": ["1"]}}}, r"Outer\.table\.k\.sizes\[0\] is '1', not int"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(change: dict[str, Json], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        codec.from_json(Outer, {**GOOD, **change})


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValueError, match=r"Outer\.count is missing"):
        codec.from_json(Outer, {name: value for name, value in GOOD.items() if name != "count"})


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b"1"])
def test_bytes_that_are_no_object_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        codec.loads(Outer, data)


def test_a_whole_number_serves_as_a_float() -> None:
    found = codec.from_json(Outer, {**GOOD, "share": 2})
    assert type(found.share) is float


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", Outer])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="has no JSON form"):
        codec.dumps(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_has_not_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        codec.dumps([value])
