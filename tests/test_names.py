"""Names: pathspecs, task ids, and the keys that are made of them."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airloom.errors import NotFound
from airloom.names import Pathspec, did_you_mean, escape, indices_of, task_id, unescape
from airloom.store.objects import check_key

names = st.text(min_size=1).filter(lambda text: not any(0xD800 <= ord(sign) < 0xE000 for sign in text))
flows = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
runs = st.from_regex(r"[A-Za-z0-9_.~:+-]{1,12}", fullmatch=True)
tasks = st.lists(st.integers(0, 10**6), min_size=1, max_size=4).map(lambda path: ".".join(map(str, path)))
artifacts = st.from_regex(r"[A-Za-z_]\w{0,8}", fullmatch=True)


@given(names)
@example("..")
@example(".")
@example("a/b\\c\0")
@example("manual__2026-11-24T10:00:00+00:00")
@example("%2E")
def test_escaping_gives_the_name_back(name: str) -> None:
    assert unescape(escape(name)) == name


@given(names)
def test_an_escaped_name_is_one_safe_segment_of_a_key(name: str) -> None:
    segment = escape(name)
    assert segment.isascii()
    assert not set(segment) & set("/\\\0 :*?<>|\"'")
    assert check_key(f"a/{segment}/b") == f"a/{segment}/b"


@given(names, names)
def test_two_names_never_share_a_segment(one: str, other: str) -> None:
    assume(one != other)
    assert escape(one) != escape(other)


@given(st.tuples(flows, runs, flows, tasks, artifacts), st.integers(1, 5))
def test_a_pathspec_is_read_as_it_is_written(parts: tuple[str, ...], depth: int) -> None:
    spec = Pathspec(*parts[:depth])
    assert Pathspec.parse(str(spec)) == spec
    assert spec.depth == depth


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "Flow/",
        "/run",
        "Flow//step",
        "Flow/run/step/task",
        "Flow/run/step/1.",
        "Flow/run/step/.1",
        "Flow/run/step/-1",
        "Flow/a b",
        "Flow/run/step/0/x/y",
        "a flow",
        "Flow\n",
        "Flow/run\n",
        "Flow/run/step/0/a\n",
        "../Flow",
    ],
)
def test_what_names_nothing_is_no_pathspec(text: str) -> None:
    with pytest.raises(NotFound, match="is not a pathspec"):
        Pathspec.parse(text)


@given(st.lists(st.integers(0, 10**9), max_size=5).map(tuple))
def test_a_task_id_gives_its_indices_back(indices: tuple[int, ...]) -> None:
    assert indices_of(task_id(indices), len(indices)) == indices


def test_task_ids_of_one_depth_differ() -> None:
    ids = [task_id((outer, inner)) for outer in range(12) for inner in range(12)]
    assert len(set(ids)) == len(ids)


def test_the_nearest_name_is_meant() -> None:
    assert did_you_mean("strat", ["end", "start"]) == "did you mean 'start'?"
    assert did_you_mean("zzz", ["end", "start"]) == "known are: end, start."
    assert did_you_mean("zzz", []) == "there are none."


@pytest.mark.parametrize(
    "text", ["7-daily.report_v2/r/group.load/0/return_value", "データ/r/größe/3/a-b c", "-x/r"]
)
def test_ids_of_dags_tasks_and_xcoms_name_something(text: str) -> None:
    assert str(Pathspec.parse(text)) == text
