"""Resumed runs of every shape: foreach, branches, switches, rounds, gangs; and interrupted ones."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airloom.client import Task

if TYPE_CHECKING:
    from tests.runtime.conftest import Project

Eventually = Callable[[Callable[[], Any]], Any]


SPREAD = """
@step
def start(self):
    ran("start")
    self.items = list(range(4))
    self.next(self.work, foreach="items")

@step
def work(self):
    ran(f"work{{self.index}}")
    {before}
    self.square = self.input ** 2
    self.next(self.after)

@step
def after(self):
    ran(f"after{{self.index}}")
    self.next(self.join)

@step
def join(self, inputs):
    ran("join")
    self.squares = [i.square for i in inputs]
    self.next(self.end)

@step
def end(self):
    pass
"""


def test_of_a_foreach_only_missing_items_run(project: Project) -> None:
    project.write_traced(SPREAD.format(before="if self.index == 2: raise ValueError"))
    project.run("--max-workers", "1", code=1)
    first = project.ran()
    project.write_traced(SPREAD.format(before="pass"))
    project.resume()
    second = project.ran()
    assert project.value("join", "squares") == [0, 1, 4, 9]
    assert "start" not in second
    assert "work2" in second
    assert sorted({*first, *second}) == sorted(
        ["start", *(f"{s}{i}" for s in ("work", "after") for i in range(4)), "join"]
    )
    assert {name for name in first if name != "work2"}.isdisjoint(second)


def test_what_did_not_fail_behind_the_step_is_not_taken_over(project: Project) -> None:
    project.write_traced(SPREAD.format(before="pass"))
    project.run()
    project.ran()
    project.resume("after")
    assert project.ran() == ["after0", "after1", "after2", "after3", "join"]


NESTED = """
@step
def start(self):
    self.rows = [0, 1]
    self.next(self.row, foreach="rows")

@step
def row(self):
    ran(f"row{{self.index}}")
    self.cells = [0, 1, 2]
    self.next(self.cell, foreach="cells")

@step
def cell(self):
    place = ".".join(str(frame.index) for frame in self.foreach_stack())
    ran(f"cell{{place}}")
    if place in {broken}: raise ValueError
    self.place = place
    self.next(self.join_cells)

@step
def join_cells(self, inputs):
    ran(f"cells{{self.index}}")
    self.places = [i.place for i in inputs]
    self.next(self.join_rows)

@step
def join_rows(self, inputs):
    self.places = [i.places for i in inputs]
    self.next(self.end)

@step
def end(self):
    pass
"""


def test_of_nested_foreaches_only_missing_items_run(project: Project) -> None:
    project.write_traced(NESTED.format(broken=["1.1"]))
    project.run("--max-workers", "1", code=1)
    first = project.ran()
    project.write_traced(NESTED.format(broken=[]))
    project.resume()
    second = project.ran()
    assert project.value("join_rows", "places") == [["0.0", "0.1", "0.2"], ["1.0", "1.1", "1.2"]]
    assert set(first) & set(second) == {"cell1.1"}


def test_a_join_that_was_done_is_taken_over_with_its_branches(project: Project) -> None:
    text = """
    @step
    def start(self):
        self.next(self.a, self.b)

    @step
    def a(self):
        ran("a")
        self.x = 1
        self.next(self.join)

    @step
    def b(self):
        ran("b")
        self.x = 2
        self.next(self.join)

    @step
    def join(self, inputs):
        ran("join")
        self.xs = [i.x for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        {end}
    """
    project.write_traced(text.format(end="raise ValueError"))
    project.run(code=1)
    project.ran()
    project.write_traced(text.format(end="self.sum = sum(self.xs)"))
    project.resume()
    assert project.ran() == []
    assert project.value("end", "sum") == 3
    project.resume("b")
    assert project.ran() == ["b", "join"]
    assert project.value("join", "xs") == [1, 2]


SWITCH = """
@step
def start(self):
    self.kind = "{kind}"
    self.next({{"a": self.a, "b": self.b}}, condition="kind")

@step
def a(self):
    ran("a")
    self.next(self.meet)

@step
def b(self):
    ran("b")
    self.next(self.meet)

@step
def meet(self):
    ran("meet")
    self.next(self.end)

@step
def end(self):
    {end}
"""


def test_the_arm_that_was_chosen_is_taken_over(project: Project) -> None:
    project.write_traced(SWITCH.format(kind="a", end="raise ValueError"))
    project.run(code=1)
    project.ran()
    project.write_traced(SWITCH.format(kind="b", end="pass"))
    project.resume()
    assert project.ran() == []
    assert "b" not in project.latest
    project.resume("start")
    assert project.ran() == ["b", "meet"]


def test_a_step_that_was_not_chosen_leaves_nothing_to_run(project: Project) -> None:
    project.write_traced(SWITCH.format(kind="a", end="pass"))
    project.run()
    assert "did not run 'b', and has succeeded" in project.resume("b", code=7).stderr


ROUNDS = """
@step
def start(self):
    self.count = 0
    self.next(self.loop)

@step
def loop(self):
    ran(f"loop{{self.count}}")
    if self.count == {broken}: raise ValueError
    self.count += 1
    self.more = self.count < 4
    self.next({{True: self.loop, False: self.end}}, condition="more")

@step
def end(self):
    {end}
"""


def test_rounds_that_came_to_their_end_are_taken_over(project: Project) -> None:
    project.write_traced(ROUNDS.format(broken=-1, end="raise ValueError"))
    project.run(code=1)
    project.ran()
    project.write_traced(ROUNDS.format(broken=-1, end="pass"))
    project.resume()
    assert project.ran() == []
    loop = project.latest["loop"].task
    assert loop.attempts == [0, 1, 2, 3]
    assert [Task(f"{loop.pathspec}@{n}", datastore=str(project.root)).data.count for n in range(4)] == [
        1,
        2,
        3,
        4,
    ]
    assert loop.parent_pathspecs == (f"{loop.pathspec}@2",)
    assert project.value("end", "count") == 4


def test_rounds_that_broke_off_all_run_again(project: Project) -> None:
    project.write_traced(ROUNDS.format(broken=2, end="pass"))
    project.run(code=1)
    project.ran()
    project.write_traced(ROUNDS.format(broken=-1, end="pass"))
    project.resume()
    assert project.ran() == ["loop0", "loop1", "loop2", "loop3"]


def test_tasks_of_a_parallel_step_all_run_again(project: Project) -> None:
    text = """
    @step
    def start(self):
        self.next(self.train, num_parallel=2)

    @parallel
    @step
    def train(self):
        ran(f"node{{current.parallel.node_index}}")
        {train}
        self.next(self.join)

    @step
    def join(self, inputs):
        ran("join")
        {join}
        self.next(self.end)

    @step
    def end(self):
        pass
    """

    def both(train: str, join: str) -> None:
        project.write_traced(text.format(train=train, join=join), top="from airloom import parallel")

    both("if current.parallel.node_index == 1: raise ValueError", "pass")
    project.run(code=1)
    project.ran()
    both("pass", "raise ValueError")
    project.resume(code=1)
    assert project.ran() == ["join", "node0", "node1"]
    both("pass", "pass")
    project.resume()
    assert project.ran() == ["join"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_resumed(project: Project, eventually: Eventually, how: signal.Signals) -> None:
    project.write_traced(SPREAD.format(before="while self.index == 3: time.sleep(1)"))
    process = project.start("run", "--max-workers", "2")

    # Two workers take the indices in any order: all three others must have begun, and then ended.
    def others_ended() -> bool:
        traces = project.folder / "ran"
        begun = traces.read_text() if traces.exists() else ""
        if not all(f"after{number}" in begun for number in range(3)):
            return False
        return all(project.latest["after"][str(number)].successful for number in range(3))

    eventually(others_ended)
    os.kill(process.pid, how)
    process.communicate(timeout=20)
    assert not project.latest.finished
    project.ran()
    project.write_traced(SPREAD.format(before="pass"))
    project.resume()
    assert project.ran() == ["after3", "join", "work3"]
    assert project.value("join", "squares") == [0, 1, 4, 9]


def test_hundreds_of_tasks_are_taken_over_at_once(project: Project) -> None:
    project.write_traced(
        SPREAD.format(before="pass").replace("range(4)", "range(250)") + "    raise ValueError\n"
    )
    project.run("--max-workers", "4", code=1)
    project.ran()
    project.write_traced(SPREAD.format(before="pass"))
    told = project.resume("end").stdout
    assert "502 tasks are taken over" in told
    assert project.ran() == []
