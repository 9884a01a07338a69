"""Step decorators of the user's own, around steps that run in processes of their own."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest

Project = Any

TOP = """
from airloom import FlowMutator, StepMutator, USER_SKIP_STEP, UserStepDecorator, parallel, user_step_decorator

@user_step_decorator
def skip(step_name, flow, inputs, attributes):
    for name, value in attributes.items():
        setattr(flow, name, value)
    yield USER_SKIP_STEP

@user_step_decorator
def telling(step_name, flow, inputs, attributes):
    print("before", attributes["n"])
    try:
        yield
    finally:
        print("after", attributes["n"])
"""
END = """
@step
def end(self):
    pass
"""


def printed(out: str) -> list[str]:
    return [line.split("] ", 1)[1] for line in out.splitlines() if "] before" in line or "] after" in line]


def test_the_outermost_begins_first_and_ends_last(project: Project) -> None:
    project.write("@telling(n=2)\n@telling(n=1)\n@step\ndef start(self):\n    pass\n", top=TOP)
    assert printed(project.run().stdout) == ["before 2", "before 1", "after 1", "after 2"]


def test_an_exception_passes_all_decorators_and_is_tried_again(project: Project) -> None:
    body = """
    @retry(times=1, minutes_between_retries=0)
    @telling(n=1)
    @step
    def start(self):
        if current.retry_count == 0:
            raise ValueError("first")
    """
    project.write(body, top=TOP)
    assert printed(project.run().stdout) == ["before 1", "after 1"] * 2


def test_catch_takes_what_a_decorator_lets_through(project: Project) -> None:
    top = TOP + (
        "@user_step_decorator\ndef fails(step_name, flow, inputs):\n    yield\n    raise KeyError('after')\n"
    )
    body = '@catch(var="failure")\n@fails\n@step\ndef start(self):\n    self.x = 1\n'
    project.write(body, top=top)
    project.run()
    assert project.value("start", "failure").type.endswith("KeyError")
    assert project.value("start", "x") == 1


def test_a_skipped_step_goes_where_its_switch_says(project: Project) -> None:
    body = """
    @skip(mode="b")
    @step
    def start(self):
        self.mode = "a"
        self.next({"a": self.a, "b": self.b}, condition="mode")

    @step
    def a(self):
        self.next(self.end)

    @step
    def b(self):
        self.next(self.end)
    """
    project.write(dedent(body) + END, top=TOP)
    project.run()
    assert {step.id for step in project.latest} == {"start", "b", "end"}


@pytest.mark.parametrize(("given", "size"), [("num_parallel=3", 3), ("num_parallel=self.n", 2)])
def test_a_skipped_step_starts_its_gang(project: Project, given: str, size: int) -> None:
    body = f"""
    @skip(n=2)
    @step
    def start(self):
        self.next(self.work, {given})

    @parallel
    @step
    def work(self):
        self.node = current.parallel.node_index
        self.next(self.join)

    @step
    def join(self, inputs):
        self.nodes = [one.node for one in inputs]
        self.next(self.end)
    """
    project.write(dedent(body) + END, top=TOP)
    project.run()
    assert project.value("join", "nodes") == list(range(size))


SWITCH = "self.next({1: self.a, 2: self.end}, condition='mode')"
WRONG: list[tuple[str, str, str]] = [
    ("yield\n    yield", "self.next(self.end)", "the decorator wrong yields more than once"),
    ("yield {'foreach': 'xs'}", "self.next(self.end)", "gives self.next of 'start' the argument 'foreach'"),
    (
        "yield {}",
        "self.next({1: self.a, 2: self.end}, condition='mode')",
        "depends on self.mode, which is not set",
    ),
    (
        "flow.mode = 3\n    yield {}",
        "self.next({1: self.a, 2: self.end}, condition='mode')",
        "has no case for 3",
    ),
    ("yield\n    return 3", "self.next(self.end)", "the decorator wrong gave 3 after the step 'start'"),
]


@pytest.mark.parametrize(("around", "after", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_a_wrong_decorator_is_told(project: Project, around: str, after: str, message: str) -> None:
    top = TOP + f"@user_step_decorator\ndef wrong(step_name, flow, inputs):\n    {around}\n"
    body = f"""
    @wrong
    @step
    def start(self):
        {after}

    @step
    def a(self):
        self.next(self.end)
    """
    if "self.a" not in after:
        body = body.rpartition("@step")[0]
    project.write(dedent(body) + END, top=top)
    done = project.run(code=1)
    assert message in done.stdout + done.stderr


def test_a_mutator_that_decides_by_the_machine_is_found_out(project: Project) -> None:
    top = TOP + (
        "class Odd(StepMutator):\n"
        "    def mutate(self, one):\n"
        "        if not (HERE / 'seen').exists():\n"
        "            one.add_decorator(telling, deco_kwargs={'n': 1})\n"
        "        (HERE / 'seen').touch()\n"
    )
    project.write("@Odd\n@step\ndef start(self):\n    pass\n", top=top)
    done = project.run(code=1)
    assert (
        "mutators put other decorators around 'start' than when the flow was compiled"
        in done.stdout + done.stderr
    )


def test_a_class_sees_the_inputs_of_a_join_and_changes_artifacts(project: Project) -> None:
    top = TOP + (
        "class Sums(UserStepDecorator):\n"
        "    def init(self, name):\n"
        "        self.name = name\n"
        "    def pre_step(self, step_name, flow, inputs=None):\n"
        "        self.sum = sum(one.x for one in inputs)\n"
        "    def post_step(self, step_name, flow, exception=None):\n"
        "        setattr(flow, self.name, self.sum)\n"
        "        del flow.gone\n"
        "        return None, None\n"
    )
    body = """
    @step
    def start(self):
        self.xs = [1, 2]
        self.next(self.each, foreach="xs")

    @step
    def each(self):
        self.x = self.input
        self.next(self.join)

    @Sums(name="total")
    @step
    def join(self, inputs):
        self.gone = 1
        raise ValueError("forgotten")
        self.next(self.end)
    """
    project.write(dedent(body) + END, top=top)
    project.run()
    assert project.value("end", "total") == 3
    assert "gone" not in [artifact.id for artifact in project.latest["join"].task]
