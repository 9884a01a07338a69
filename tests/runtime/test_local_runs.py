"""Local runs: what runs at once, what a failure stops, what is written at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.runtime.conftest import Project

MEETING = """
@step
def start(self):
    self.next(self.a, self.b)

@step
def a(self):
    meet("a", "b")
    self.next(self.join)

@step
def b(self):
    meet("b", "a")
    self.next(self.join)

@step
def join(self, inputs):
    self.next(self.end)

@step
def end(self):
    pass
"""
MEET = """
def meet(me, other):
    (HERE / me).touch()
    deadline = time.monotonic() + float(os.environ.get("MEET_S", "20"))
    while not (HERE / other).exists():
        assert time.monotonic() < deadline, f"{other} never came"
        time.sleep(0.01)
"""
CROWD = """
@step
def start(self):
    self.items = range(6)
    self.next(self.work, foreach="items")

@step
def work(self):
    mine = HERE / f"at-work-{self.index}"
    mine.touch()
    time.sleep(0.05)
    self.seen = len(list(HERE.glob("at-work-*")))
    mine.unlink()
    self.next(self.join)

@step
def join(self, inputs):
    self.most = max(item.seen for item in inputs)
    self.order = [item.index for item in inputs]
    self.next(self.end)

@step
def end(self):
    pass
"""


def test_parallel_branches_overlap(project: Project) -> None:
    project.write(MEETING, top=MEET)
    project.run("--max-workers", "2")
    assert project.latest.successful


def test_one_worker_runs_branches_one_after_another(project: Project) -> None:
    project.write(MEETING, top=MEET)
    done = project.run("--max-workers", "1", code=1, env={"MEET_S": "0.2"})
    assert "b never came" in done.stderr


@pytest.mark.parametrize(
    ("options", "variables", "most"),
    [(["--max-workers", "1"], {}, 1), ([], {"AIRLOOM_MAX_WORKERS": "3"}, 3), (["--max-workers", "2"], {}, 2)],
)
def test_no_more_tasks_run_at_once_than_there_are_workers(
    project: Project, options: list[str], variables: dict[str, str], most: int
) -> None:
    project.write(CROWD)
    project.run(*options, env=variables)
    assert 1 <= project.value("join", "most") <= most
    assert project.value("join", "order") == list(range(6))


def test_the_option_counts_more_than_the_variable(project: Project) -> None:
    project.write(CROWD)
    project.run("--max-workers", "1", env={"AIRLOOM_MAX_WORKERS": "6"})
    assert project.value("join", "most") == 1


FAILING = """
@step
def start(self):
    self.items = [0, 1, 2, 3]
    self.next(self.work, foreach="items")

@step
def work(self):
    if self.input == 0:
        raise ValueError("no luck today")
    time.sleep(0.3)
    self.next(self.join)

@step
def join(self, inputs):
    self.next(self.end)

@step
def end(self):
    pass
"""


def test_a_failing_task_lets_running_ones_finish_and_starts_no_others(project: Project) -> None:
    project.write(FAILING)
    done = project.run("--max-workers", "2", code=1)
    run = project.latest
    tasks = {task.id: task.successful for task in run["work"]}
    assert tasks == {"0": False, "1": True}
    assert [step.id for step in run] == ["start", "work"]
    assert "[work/0] failed: ValueError: no luck today" in done.stderr
    assert "failed after" in done.stderr


def test_a_failed_run_ends_unsuccessful_with_the_users_traceback(project: Project) -> None:
    project.write(FAILING)
    done = project.run("--max-workers", "1", code=1)
    ends = project.datastore.ends("MyFlow", project.latest.id)
    assert [end.successful for end in ends] == [False]
    assert project.latest.finished
    assert not project.latest.successful
    assert done.stderr.count("raise ValueError") == 1
    assert 'my_flow.py", line' in done.stderr
    assert "task.py" not in done.stderr, "frames of ours say nothing to the user"
    task = project.latest["work"]["0"]
    assert "raise ValueError" in task.stderr
    assert task.exception is not None
    assert task.exception.exception == "no luck today"


def test_nothing_printed_is_ours_when_quiet(project: Project) -> None:
    project.write(
        """
        @step
        def start(self):
            self.next(self.end)

        @step
        def end(self):
            print("said to nobody")
        """
    )
    with project.start("--quiet", "run") as process:
        assert process.communicate(timeout=60) == (b"", b"")
    assert project.latest["end"]["0"].stdout == "said to nobody\n"


def test_two_runs_at_once_share_a_store(project: Project) -> None:
    project.write(FAILING.replace("raise ValueError", "time.sleep(0.1); str"))
    both = [project.start("run", "--max-workers", "2") for _ in range(2)]
    for process in both:
        with process:
            assert process.communicate(timeout=60)[1] == b""
    datastore = project.datastore
    runs = list(datastore.runs("MyFlow"))
    assert len(set(runs)) == 2
    assert all(datastore.ends("MyFlow", run)[-1].successful for run in runs)
