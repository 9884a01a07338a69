"""The shapes that a flow can have, and where each step then stands among splits and joins."""

from __future__ import annotations

import functools
import linecache
import re
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from airloom.compiler.checks import check
from airloom.compiler.graph import Graph, Placement, build, placements
from airloom.errors import CheckFailed, GraphError
from airloom.flow.decorators import step
from airloom.flow.spec import FlowSpec
from airloom.plan import Case, Transition

HEAD = "from airloom.flow.decorators import step\nfrom airloom.flow.spec import FlowSpec\n\n\n"


def load(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"flow_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


def source(steps: dict[str, str], name: str = "Flow", base: str = "FlowSpec") -> str:
    """Flow of steps by name, a join marked by '+'; the value is what stands in self.next()."""
    lines = [f"class {name}({base}):"]
    for step_name, call in steps.items():
        arguments = "self, inputs" if step_name.endswith("+") else "self"
        variables = re.findall(r"(?:foreach|condition)='(\w+)'", call)
        body = "".join(f"self.{variable} = None; " for variable in variables) + (
            f"self.next({call})" if call else "pass"
        )
        lines += ["    @step", f"    def {step_name.rstrip('+')}({arguments}):", f"        {body}", ""]
    return "\n".join(lines) + "\n"


@pytest.fixture
def graph_of(tmp_path: Path) -> Callable[[dict[str, str]], Graph]:
    def make(steps: dict[str, str]) -> Graph:
        path = tmp_path / "flow.py"
        path.write_text(HEAD + source(steps))
        graph = build(load(path).Flow)
        check(graph)
        return graph

    return make


Make = Callable[[dict[str, str]], Graph]


def test_linear_flow(graph_of: Make) -> None:
    graph = graph_of({"start": "self.middle", "middle": "self.end", "end": ""})
    assert (graph.flow, graph.start, graph.end) == ("Flow", "start", "end")
    assert [node.kind for node in graph.nodes.values()] == ["linear", "linear", "end"]
    assert placements(graph) == {
        "start": Placement(),
        "middle": Placement(("start",)),
        "end": Placement(("middle",)),
    }


def test_branches_meet_in_the_order_of_the_split(graph_of: Make) -> None:
    graph = graph_of(
        {"start": "self.b, self.a", "a": "self.join", "b": "self.join", "join+": "self.end", "end": ""}
    )
    assert graph.nodes["start"].transition == Transition("split", ("b", "a"))
    placed = placements(graph)
    assert placed["a"] == Placement(("start",), splits=("start",))
    assert placed["join"] == Placement(("b", "a"), joins="start")
    assert placed["end"] == Placement(("join",))


def test_nested_branches_and_long_branches(graph_of: Make) -> None:
    graph = graph_of(
        {
            "start": "self.a, self.b",
            "a": "self.c, self.d",
            "c": "self.e",
            "e": "self.inner",
            "d": "self.inner",
            "inner+": "self.join",
            "b": "self.join",
            "join+": "self.end",
            "end": "",
        }
    )
    placed = placements(graph)
    assert placed["e"] == Placement(("c",), splits=("start", "a"))
    assert placed["inner"] == Placement(("e", "d"), "a", ("start",))
    assert placed["join"] == Placement(("inner", "b"), "start")


def test_foreach_in_foreach(graph_of: Make) -> None:
    graph = graph_of(
        {
            "start": "self.outer, foreach='xs'",
            "outer": "self.body, foreach='ys', allow_empty=True",
            "body": "self.inner_join",
            "inner_join+": "self.join",
            "join+": "self.end",
            "end": "",
        }
    )
    assert graph.nodes["start"].transition == Transition("foreach", ("outer",), "xs")
    assert graph.nodes["outer"].transition == Transition("foreach", ("body",), "ys", allow_empty=True)
    placed = placements(graph)
    assert placed["body"] == Placement(("outer",), None, ("start", "outer"), ("start", "outer"))
    assert placed["inner_join"] == Placement(("body",), "outer", ("start",), ("start",))
    assert placed["join"] == Placement(("inner_join",), "start")


def test_branch_in_foreach_and_foreach_in_branch(graph_of: Make) -> None:
    graph = graph_of(
        {
            "start": "self.a, self.b",
            "a": "self.each, foreach='xs'",
            "each": "self.c, self.d",
            "c": "self.both",
            "d": "self.both",
            "both+": "self.collect",
            "collect+": "self.join",
            "b": "self.join",
            "join+": "self.end",
            "end": "",
        }
    )
    placed = placements(graph)
    assert placed["c"] == Placement(("each",), None, ("start", "a", "each"), ("a",))
    assert placed["both"] == Placement(("c", "d"), "each", ("start", "a"), ("a",))
    assert placed["collect"] == Placement(("both",), "a", ("start",))


def test_parents_of_a_merge_stand_in_the_order_of_the_cases(graph_of: Make) -> None:
    graph = graph_of(
        {
            "start": "{'x': self.b, 2: self.merge, -1.5: self.a, True: self.b}, condition='mode'",
            "a": "self.merge",
            "b": "self.merge",
            "merge": "self.end",
            "end": "",
        }
    )
    cases = (Case("x", "b"), Case(2, "merge"), Case(-1.5, "a"), Case(True, "b"))
    assert graph.nodes["start"].transition == Transition("switch", ("b", "merge", "a"), "mode", cases)
    placed = placements(graph)
    assert placed["b"] == Placement(("start",))
    assert placed["merge"] == Placement(("b", "start", "a"))


def test_arms_of_a_switch_in_a_branch_lead_to_the_join(graph_of: Make) -> None:
    graph = graph_of(
        {
            "start": "self.a, self.b",
            "a": "{1: self.c, 2: self.d}, condition='x'",
            "c": "self.join",
            "d": "self.join",
            "b": "self.join",
            "join+": "self.end",
            "end": "",
        }
    )
    placed = placements(graph)
    assert placed["c"] == Placement(("a",), splits=("start",))
    assert placed["join"] == Placement(("c", "d", "b"), "start")


def test_switch_in_a_foreach_merges_before_the_join(graph_of: Make) -> None:
    graph = graph_of(
        {
            "start": "self.body, foreach='xs'",
            "body": "{1: self.c, 2: self.d}, condition='x'",
            "d": "self.merge",
            "c": "self.merge",
            "merge": "self.join",
            "join+": "self.end",
            "end": "",
        }
    )
    placed = placements(graph)
    assert placed["merge"] == Placement(("c", "d"), None, ("start",), ("start",))
    assert placed["join"] == Placement(("merge",), "start")


def test_step_that_repeats_itself_is_not_its_own_parent(graph_of: Make) -> None:
    graph = graph_of(
        {"start": "self.loop", "loop": "{'more': self.loop, 'done': self.end}, condition='x'", "end": ""}
    )
    assert graph.nodes["loop"].recurs
    assert list(graph.nodes) == ["start", "loop", "end"]
    assert placements(graph)["loop"] == Placement(("start",))


def test_join_may_branch_and_iterate(graph_of: Make) -> None:
    graph = graph_of(
        {
            "start": "self.a, self.b",
            "a": "self.first",
            "b": "self.first",
            "first+": "self.each, foreach='xs'",
            "each": "self.second",
            "second+": "self.c, self.d",
            "c": "self.third",
            "d": "self.third",
            "third+": "{1: self.f, 2: self.end}, condition='x'",
            "f": "self.end",
            "end": "",
        }
    )
    placed = placements(graph)
    assert placed["first"] == Placement(("a", "b"), "start")
    assert placed["each"] == Placement(("first",), None, ("first",), ("first",))
    assert placed["second"] == Placement(("each",), "first")
    assert placed["third"] == Placement(("c", "d"), "second")
    assert placed["end"] == Placement(("f", "third"))


@pytest.mark.parametrize(
    ("size", "count", "variable"), [("4", 4, None), ("self.n", None, "n"), ("n()", None, None)]
)
def test_size_of_a_parallel_step(size: str, count: int | None, variable: str | None, tmp_path: Path) -> None:
    path = tmp_path / "flow.py"
    steps = {
        "start": f"self.train, num_parallel={size}",
        "train": "self.join",
        "join+": "self.end",
        "end": "",
    }
    path.write_text(HEAD + source(steps))
    graph = build(load(path).Flow)
    assert graph.nodes["start"].transition == Transition("parallel", ("train",), variable, count=count)
    assert placements(graph)["train"] == Placement(("start",), None, ("start",), ("start",))


def test_first_and_last_step_by_mark() -> None:
    class Marked(FlowSpec):
        @step(end=True)
        def finish(self) -> None:
            """Say goodbye."""

        @step(start=True)
        def begin(self) -> None:
            self.next(self.finish)

    graph = build(Marked)
    check(graph)
    assert (graph.start, graph.end, list(graph.nodes)) == ("begin", "finish", ["begin", "finish"])
    assert graph.nodes["finish"].doc == "Say goodbye."


def test_only_step_is_first_and_last(graph_of: Make) -> None:
    graph = graph_of({"work": ""})
    assert graph.start == graph.end == "work"
    assert graph.nodes["work"].transition == Transition("end")


def test_steps_of_one_rank_stand_in_the_order_of_declaration(graph_of: Make) -> None:
    graph = graph_of(
        {
            "end": "",
            "join+": "self.end",
            "b": "self.join",
            "a": "self.join",
            "start": "self.a, self.b",
        }
    )
    assert list(graph.nodes) == ["start", "b", "a", "join", "end"]


def test_inherited_steps_keep_the_file_and_line_of_their_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    base = HEAD + source({"start": "self.work", "work": "self.end", "end": ""}, name="Base")
    (tmp_path / "inherited_base.py").write_text(base)
    path = tmp_path / "derived.py"
    own = source({"work": "self.more", "more": "self.end"}, name="Flow", base="Base")
    path.write_text(f"{HEAD}from inherited_base import Base\n\n\n{own}")
    graph = build(load(path).Flow)
    check(graph)
    assert list(graph.nodes) == ["start", "work", "more", "end"]
    assert Path(graph.file) == path
    places = {name: (Path(node.file).name, node.line) for name, node in graph.nodes.items()}
    assert places["start"] == ("inherited_base.py", base.split("\n").index("    def start(self):") + 1)
    lines = path.read_text().split("\n")
    assert places["work"] == ("derived.py", lines.index("    def work(self):") + 1)
    assert lines[(graph.line or 0) - 1] == "class Flow(Base):"


def loud(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


def test_step_under_a_decorator_of_the_users_is_read_from_its_own_source() -> None:
    class Wrapped(FlowSpec):
        @loud
        @step
        def start(self) -> None:
            self.next(self.end)

        @step
        @loud
        def end(self) -> None:
            pass

    graph = build(Wrapped)
    check(graph)
    assert graph.nodes["start"].arguments == 1
    assert graph.nodes["start"].transition == Transition("linear", ("end",))


def test_building_runs_neither_steps_nor_properties() -> None:
    class Loaded(FlowSpec):
        @property
        def trap(self) -> int:
            raise AssertionError

        @step
        def start(self) -> None:
            raise AssertionError
            self.next(self.end)

        @step
        def end(self) -> None:
            raise AssertionError

    check(build(Loaded))


def test_other_name_than_self_is_understood() -> None:
    class Named(FlowSpec):
        @step
        def start(this) -> None:
            this.next(this.end)

        @step
        def end(this) -> None:
            pass

    check(build(Named))


def test_flow_of_a_notebook_is_read_from_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEAD + source({"start": "self.end", "end": ""})
    monkeypatch.setitem(linecache.cache, "<cell 1>", (len(text), None, text.splitlines(True), "<cell 1>"))
    names: dict[str, Any] = {"__name__": "cell"}
    exec(compile(text, "<cell 1>", "exec"), names)
    graph = build(names["Flow"])
    check(graph)
    assert (graph.file, graph.nodes["start"].line) == ("<cell 1>", 7)


def test_step_without_source_is_refused() -> None:
    names: dict[str, Any] = {"__name__": "nowhere"}
    exec(HEAD + source({"start": "self.end", "end": ""}), names)
    with pytest.raises(CheckFailed, match="the source of the step 'start' cannot be found"):
        check(build(names["Flow"]))


def test_class_that_is_no_flow_is_refused() -> None:
    with pytest.raises(GraphError, match="int is not a flow"):
        build(int)


def test_long_flow_needs_no_deep_recursion(graph_of: Make) -> None:
    steps = {f"s{i}": f"self.s{i + 1}" for i in range(1, 2000)}
    graph = graph_of({"start": "self.s1", **steps, "s2000": "self.end", "end": ""})
    assert len(graph.nodes) == 2002
