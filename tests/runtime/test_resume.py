"""A resumed run takes over what was finished, and runs the rest with the code as it is now."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airloom.client import Run, Task
from airloom.store.datastore import TaskKey

if TYPE_CHECKING:
    from tests.runtime.conftest import Project

TOP = """
def ran(name):
    with (HERE / "ran").open("a") as file:
        file.write(f"{name}\\n")
"""
Eventually = Callable[[Callable[[], Any]], Any]


def write(project: Project, body: str) -> None:
    project.write(body, top=TOP)


def ran(project: Project) -> list[str]:
    """Give the names of what ran since this was asked last, sorted."""
    file = project.folder / "ran"
    names = sorted(file.read_text().split()) if file.exists() else []
    file.unlink(missing_ok=True)
    return names


LINEAR = """
rate = Parameter("rate", default=1)

@step
def start(self):
    ran("start")
    self.big = bytes(400_000)
    self.next(self.fit)

@step
def fit(self):
    ran("fit")
    print("fitting")
    self.model = self.rate * 2
    self.next(self.{next})
{more}
@step
def end(self):
    ran("end")
    {end}
    self.origin = current.origin_run_id
"""


def linear(project: Project, end: str = "pass", goes_to: str = "end", more: str = "") -> None:
    write(project, LINEAR.format(end=end, next=goes_to, more=more))


def test_only_what_failed_runs_again_with_the_new_code(project: Project) -> None:
    linear(project, "raise ValueError('bug')")
    project.run("--rate", "7", code=1)
    failed = project.latest
    assert ran(project) == ["end", "fit", "start"]
    linear(project, "self.answer = self.model + 1")
    told = project.resume().stdout
    run = project.latest
    assert ran(project) == ["end"]
    assert run.successful
    assert f"{run.pathspec} resumes {failed.pathspec}: 2 tasks are taken over" in told
    assert run.data is not None
    assert (run.data.answer, run.data.origin) == (15, failed.id)
    assert run.origin_pathspec == failed.pathspec
    assert run.plan.digest != failed.plan.digest


def test_what_is_taken_over_points_at_the_same_blobs(project: Project) -> None:
    linear(project, "raise ValueError('bug')")
    project.run(code=1)
    before = {path.name for path in (project.root / "blobs").rglob("*") if path.is_file()}
    project.resume(code=1)
    after = {path.name for path in (project.root / "blobs").rglob("*") if path.is_file()}
    assert before == after
    assert (
        project.latest["start"].task["big"].sha
        == Task(f"{project.latest.origin_pathspec}/start/0", datastore=str(project.root))["big"].sha
    )


def test_a_clone_says_which_task_really_ran(project: Project) -> None:
    linear(project, "raise ValueError('bug')")
    project.run(code=1)
    first = project.latest
    project.resume(code=1)
    project.resume(code=1)
    run = project.latest
    fit = run["fit"].task
    assert fit.origin_pathspec == f"{first.pathspec}/fit/0"
    assert fit["model"].origin_pathspec == f"{first.pathspec}/fit/0/model"
    assert fit.stdout == "fitting\n"
    assert fit.parent_pathspecs == (f"{run.pathspec}/start/0@0",)
    assert [task.pathspec for task in fit.parent_tasks] == [f"{run.pathspec}/start/0"]
    assert fit.usage == Task(fit.origin_pathspec or "", datastore=str(project.root)).usage
    assert run["end"].task.origin_pathspec is None


def test_a_clone_is_of_the_code_that_made_it(project: Project) -> None:
    linear(project, "raise ValueError('bug')")
    project.run(code=1)
    first = project.latest
    linear(project)
    project.resume()
    assert "raise ValueError('bug')" in project.latest["fit"].task.code.flowspec
    assert project.latest["fit"].task.code == first.code
    assert project.latest["end"].task.code == project.latest.code != first.code


def test_from_a_step_on_all_runs_again(project: Project) -> None:
    linear(project)
    project.run()
    ran(project)
    project.resume("fit")
    assert ran(project) == ["end", "fit"]
    assert project.latest.origin["resumed_at"] == "fit"


def test_a_run_that_succeeded_has_nothing_to_resume(project: Project) -> None:
    linear(project)
    project.run()
    told = project.resume(code=7).stderr
    assert "has succeeded: there is nothing left to run" in told
    assert "`resume end`" in told
    assert project.latest.origin_pathspec is None


def test_the_parameters_are_those_of_the_origin(project: Project) -> None:
    linear(project)
    project.run("--rate", "7")
    told = project.resume("fit", "--rate", "8", code=2).stderr
    assert "'rate' cannot be given: a resumed run has those of its origin" in told
    project.resume("fit", env={"AIRLOOM_RUN_RATE": "9"})
    assert project.value("fit", "model") == 14


def test_a_new_parameter_has_its_default(project: Project) -> None:
    linear(project)
    project.run()
    write(
        project,
        'extra = Parameter("extra", default=5)\n'
        + LINEAR.format(end="self.x = self.extra", next="end", more=""),
    )
    project.resume("end")
    assert project.value("end", "x") == 5


def test_a_new_parameter_without_value_is_refused(project: Project) -> None:
    linear(project)
    project.run()
    text = LINEAR.format(end="self.x = self.extra", next="end", more="")
    write(project, f'extra = Parameter("extra", type=int, required=True)\n{text}')
    told = project.resume("end", code=2).stderr
    assert "'extra' is required and has no value" in told


def test_a_step_put_in_between_runs_and_all_after_it(project: Project) -> None:
    linear(project)
    project.run()
    ran(project)
    linear(
        project,
        "self.seen = self.middle",
        "between",
        "\n@step\ndef between(self):\n    self.middle = 3\n    self.next(self.end)\n",
    )
    project.resume()
    assert ran(project) == ["end"]
    assert project.value("end", "seen") == 3


def test_errors_name_the_run_and_the_step(project: Project) -> None:
    linear(project)
    assert "root has no run" in project.resume(code=7, env={"AIRLOOM_USER": "root"}).stderr
    project.run()
    assert "no run '123'" in project.resume("--origin-run-id", "123", code=5).stderr
    assert "did you mean 'fit'?" in project.resume("fti", code=2).stderr
    other = f"Other/{project.latest.id}"
    assert "is a run of the flow Other" in project.resume("--origin-run-id", other, code=7).stderr


def test_a_run_of_another_flow_is_named_as_such(project: Project) -> None:
    linear(project)
    project.run()
    run = project.latest.id
    project.file.write_text(project.file.read_text().replace("MyFlow", "Renamed"))
    assert "is one of the flow MyFlow" in project.resume("--origin-run-id", run, code=7).stderr


def test_the_newest_run_of_the_user_is_resumed(project: Project) -> None:
    linear(project, "raise ValueError('bug')")
    project.run(code=1, env={"AIRLOOM_USER": "ada"})
    hers = project.latest
    project.run(code=1, env={"AIRLOOM_USER": "bob"})
    project.resume(code=1, env={"AIRLOOM_USER": "ada"})
    assert project.latest.origin_pathspec == hers.pathspec
    assert project.latest.user == "ada"


def test_a_run_id_file_and_tags_are_for_the_new_run(project: Project) -> None:
    linear(project)
    project.run("--tag", "old")
    file = project.folder / "id"
    project.resume("end", "--tag", "new", "--run-id-file", str(file))
    run = Run(f"MyFlow/{file.read_text()}", datastore=str(project.root))
    assert run == project.latest
    assert run.user_tags == {"new"}


def test_a_single_step_is_resumed(project: Project) -> None:
    write(project, "@step\ndef start(self):\n    ran('start')\n    raise ValueError\n")
    project.run(code=1)
    write(project, "@step\ndef start(self):\n    ran('start')\n")
    told = project.resume().stdout
    assert "0 tasks are taken over" in told
    assert project.latest.successful


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
    write(project, SPREAD.format(before="if self.index == 2: raise ValueError"))
    project.run("--max-workers", "1", code=1)
    first = ran(project)
    write(project, SPREAD.format(before="pass"))
    project.resume()
    second = ran(project)
    assert project.value("join", "squares") == [0, 1, 4, 9]
    assert "start" not in second
    assert "work2" in second
    assert sorted({*first, *second}) == sorted(
        ["start", *(f"{s}{i}" for s in ("work", "after") for i in range(4)), "join"]
    )
    assert {name for name in first if name != "work2"}.isdisjoint(second)


def test_what_did_not_fail_behind_the_step_is_not_taken_over(project: Project) -> None:
    write(project, SPREAD.format(before="pass"))
    project.run()
    ran(project)
    project.resume("after")
    assert ran(project) == ["after0", "after1", "after2", "after3", "join"]


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
    write(project, NESTED.format(broken=["1.1"]))
    project.run("--max-workers", "1", code=1)
    first = ran(project)
    write(project, NESTED.format(broken=[]))
    project.resume()
    second = ran(project)
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
    write(project, text.format(end="raise ValueError"))
    project.run(code=1)
    ran(project)
    write(project, text.format(end="self.sum = sum(self.xs)"))
    project.resume()
    assert ran(project) == []
    assert project.value("end", "sum") == 3
    project.resume("b")
    assert ran(project) == ["b", "join"]
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
    write(project, SWITCH.format(kind="a", end="raise ValueError"))
    project.run(code=1)
    ran(project)
    write(project, SWITCH.format(kind="b", end="pass"))
    project.resume()
    assert ran(project) == []
    assert "b" not in project.latest
    project.resume("start")
    assert ran(project) == ["b", "meet"]


def test_a_step_that_was_not_chosen_leaves_nothing_to_run(project: Project) -> None:
    write(project, SWITCH.format(kind="a", end="pass"))
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
    write(project, ROUNDS.format(broken=-1, end="raise ValueError"))
    project.run(code=1)
    ran(project)
    write(project, ROUNDS.format(broken=-1, end="pass"))
    project.resume()
    assert ran(project) == []
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
    write(project, ROUNDS.format(broken=2, end="pass"))
    project.run(code=1)
    ran(project)
    write(project, ROUNDS.format(broken=-1, end="pass"))
    project.resume()
    assert ran(project) == ["loop0", "loop1", "loop2", "loop3"]


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
        project.write(text.format(train=train, join=join), top=f"from airloom import parallel\n{TOP}")

    both("if current.parallel.node_index == 1: raise ValueError", "pass")
    project.run(code=1)
    ran(project)
    both("pass", "raise ValueError")
    project.resume(code=1)
    assert ran(project) == ["join", "node0", "node1"]
    both("pass", "pass")
    project.resume()
    assert ran(project) == ["join"]


def test_what_was_not_run_again_after_its_parent_is_not_taken_over(project: Project) -> None:
    linear(project, "raise ValueError")
    project.run(code=1)
    ran(project)
    key = TaskKey("MyFlow", project.latest.id, "start", "0")
    store = project.datastore
    # As a cleared task in Airflow leaves it: a newer attempt that nothing has read.
    attempt = store.claim(key, lambda _: replace(store.begin(key, 0), generation=1))
    store.commit(key, attempt, store.done(key, 0))
    linear(project)
    project.resume()
    assert ran(project) == ["end", "fit"]
    assert project.latest["start"].task.origin_pathspec == key.pathspec


def test_a_caught_failure_is_taken_over_as_such(project: Project) -> None:
    text = """
    @catch(var="problem")
    @step
    def start(self):
        ran("start")
        raise KeyError("nothing")
        self.next(self.end)

    @step
    def end(self):
        {end}
    """
    write(project, text.format(end="raise ValueError"))
    project.run(code=1)
    ran(project)
    write(project, text.format(end="self.kind = self.problem.type"))
    project.resume()
    assert ran(project) == []
    assert project.value("end", "kind") == "KeyError"
    assert project.latest["start"].task.exception is not None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_resumed(project: Project, eventually: Eventually, how: signal.Signals) -> None:
    write(project, SPREAD.format(before="while self.index == 3: time.sleep(1)"))
    process = project.start("run", "--max-workers", "2")
    eventually(
        lambda: (
            "after2" in (project.folder / "ran").read_text() if (project.folder / "ran").exists() else False
        )
    )
    eventually(lambda: project.latest["after"]["2"].successful)
    os.kill(process.pid, how)
    process.communicate(timeout=20)
    assert not project.latest.finished
    ran(project)
    write(project, SPREAD.format(before="pass"))
    project.resume()
    assert ran(project) == ["after3", "join", "work3"]
    assert project.value("join", "squares") == [0, 1, 4, 9]


def test_a_resume_for_the_debugger_runs_in_one_process(project: Project) -> None:
    linear(project, "raise ValueError('bug')")
    project.run(code=1)
    linear(project)
    project.resume("--debug")
    assert project.latest.successful


def test_hundreds_of_tasks_are_taken_over_in_a_moment(project: Project) -> None:
    import time

    write(project, SPREAD.format(before="pass").replace("range(4)", "range(250)") + "    raise ValueError\n")
    project.run("--max-workers", "4", code=1)
    ran(project)
    write(project, SPREAD.format(before="pass"))
    began = time.monotonic()
    told = project.resume("end").stdout
    took = time.monotonic() - began
    assert "502 tasks are taken over" in told
    assert ran(project) == []
    assert took < 6  # 1.5 s on an idle machine of two cores
