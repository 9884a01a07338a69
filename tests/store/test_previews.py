"""A few words about a value, whatever it is."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airloom.store.previews import LONGEST, preview, type_name


@dataclass
class Model:
    name: str
    weights: list[int]


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    @property
    def shape(self) -> int:
        raise RuntimeError("no shape")


class Endless(list[int]):
    def __repr__(self) -> str:
        raise AssertionError("nobody asks a foreign class to print itself")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (42, "42"),
        (1.5, "1.5"),
        ("text", "'text'"),
        ([1, 2], "list of 2: [1, 2]"),
        ({"a": (1, "b")}, "dict of 1: {'a': (1, 'b')}"),
        (list(range(1000)), "list of 1000: [0, 1, 2, 3, 4, 5, 6, 7, ...]"),
        (b"abc", "bytes of 3: b'abc'"),
        (OrderedDict(a=1), "collections.OrderedDict of 1: <collections.OrderedDict of 1>"),
        (np.zeros((2, 3)), "numpy.ndarray of float64 (2, 3)"),
        (np.float64(1.5), "1.5"),
        ([np.zeros(3)], "list of 1: [<numpy.ndarray of float64 (3,)>]"),
        (ValueError("wrong"), "ValueError('wrong')"),
        (dt.date(2026, 1, 2), "datetime.date(2026, 1, 2)"),
        (int, "class int"),
    ],
)
def test_a_preview_says_what_a_value_is(value: object, text: str) -> None:
    assert preview(value) == text


def test_a_frame_is_shown_by_its_columns() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    assert preview(frame).endswith("DataFrame of 2 x 2: a, b")


def test_a_dataclass_is_shown_by_its_fields() -> None:
    assert preview(Model("m", [1] * 100)).endswith("Model(name='m', weights=[1, 1, 1, 1, 1, 1, 1, 1, ...])")


@pytest.mark.parametrize(
    "value", [Hostile(), [Hostile()], Endless([1]), {"a": Endless([1])}, 10**6000, Path], ids=type_name
)
def test_a_foreign_class_is_not_asked_to_print_itself(value: object) -> None:
    assert 0 < len(preview(value)) <= LONGEST


@given(
    st.recursive(
        st.integers() | st.text() | st.binary() | st.floats(), lambda x: st.lists(x) | st.sets(st.text())
    )
)
def test_a_preview_is_short(value: object) -> None:
    assert 0 < len(preview(value)) <= LONGEST


def test_a_huge_value_is_not_printed_whole() -> None:
    assert len(preview("x" * 10**7)) == LONGEST
    assert len(preview({str(number): "x" * 1000 for number in range(1000)})) <= LONGEST


def test_a_type_s_name_has_its_module_unless_it_is_built_in() -> None:
    assert type_name(1) == "int"
    assert type_name(np.zeros(1)) == "numpy.ndarray"
    assert type_name(Hostile()).endswith(".Hostile")
