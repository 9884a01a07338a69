"""``run --debug``: in this process, with the terminal's input, so that a debugger works."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.runtime.conftest import Project

FLOW = """
@retry(times=1)
@step
def start(self):
    self.pid = os.getpid()
    self.answer = 6
    breakpoint()
    self.next(self.end)

@step
def end(self):
    self.same = self.pid == os.getpid()
    print("pid", self.answer, file=sys.stderr)
"""


def test_a_breakpoint_reads_from_the_terminal(project: Project) -> None:
    project.write(FLOW)
    done = project.run("--debug", input=b"p self.answer * 7\nself.answer = 43\ncontinue\n")
    assert "(Pdb) 42" in done.stdout
    assert project.value("end", "answer") == 43
    assert project.value("end", "same") is True


def test_without_debug_a_breakpoint_fails_the_step_at_once(project: Project) -> None:
    project.write(FLOW.replace("@retry(times=1)\n", ""))
    done = project.run(code=1, input=b"continue\n")
    assert "BdbQuit" in done.stderr


def test_output_is_kept_and_shown_once(project: Project) -> None:
    project.write(FLOW.replace("    breakpoint()\n", "    print('hello')\n"))
    done = project.run("--debug")
    assert done.stdout.count("hello") == 1
    assert project.latest["start"]["0"].stdout == "hello\n"
    assert project.latest["end"]["0"].stderr == "pid 6\n"


def test_failures_are_retried_and_end_the_run(project: Project) -> None:
    project.write(FLOW.replace("    breakpoint()\n", "    raise ValueError(current.retry_count)\n"))
    done = project.run("--debug", code=1)
    assert "[start/0] failed: ValueError: 0, is tried again" in done.stderr
    assert "[start/0] failed: ValueError: 1\n" in done.stderr
    assert not project.latest.successful


def test_a_timeout_does_not_ring_while_one_debugs(project: Project) -> None:
    project.write(
        FLOW.replace("@retry(times=1)", "@timeout(seconds=0.05)").replace("breakpoint()", "time.sleep(0.2)")
    )
    project.run("--debug")


def test_a_class_beside_the_flow_is_saved_by_its_own_name(project: Project) -> None:
    project.write(
        FLOW.replace("breakpoint()", "self.thing = Thing()").replace(
            "print(", "assert isinstance(self.thing, Thing)\n    print("
        ),
        top="class Thing:\n    pass\n",
    )
    project.run("--debug")
    types = {artifact.id: artifact.type for artifact in project.latest["start"]["0"].artifacts}
    assert types["thing"] == "my_flow.Thing"


def test_debug_and_forked_runs_leave_the_same(project: Project) -> None:
    project.write(FLOW.replace("    breakpoint()\n", "").replace("self.pid = os.getpid()", "self.pid = 1"))
    project.run("--debug")
    first = project.latest["start"]["0"]["answer"].sha
    project.run()
    assert project.latest["start"]["0"]["answer"].sha == first
