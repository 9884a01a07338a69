"""Retry, catch and timeout in local runs, and processes that end without a word."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.runtime.conftest import Project


def one_step(decorators: str, body: str) -> str:
    """Body of a flow whose first step is decorated and does this."""
    lines = "\n    ".join(body.strip().splitlines())
    start = f"{decorators}\n@step\ndef start(self):\n    {lines}\n    self.next(self.end)\n"
    return f"{start}\n@step\ndef end(self):\n    pass\n"


def test_a_failed_task_is_tried_again_at_once_and_knows_its_retry_count(project: Project) -> None:
    body = """
self.count = current.retry_count
assert current.retry_count == 2, f"failing in try {current.retry_count}"
"""
    project.write(one_step("@retry(times=2, minutes_between_retries=60)", body))
    began = time.monotonic()
    done = project.run()
    assert time.monotonic() - began < 30
    assert project.value("start", "count") == 2
    assert "[start/0] started, retry 2" in done.stdout
    assert done.stderr.count("is tried again") == 2
    key = project.latest["start"]["0"]
    assert key.current_attempt == 2


def test_each_attempt_keeps_its_own_log_and_artifacts(project: Project) -> None:
    project.write(
        one_step("@retry(times=1)", "self.x = current.retry_count\nprint('try', self.x)\nassert self.x")
    )
    project.run()
    from airloom.client import Task

    spec = project.latest["start"]["0"].pathspec
    first, second = (Task(spec, attempt=number, datastore=str(project.root)) for number in (0, 1))
    assert (first.stdout, second.stdout) == ("try 0\n", "try 1\n")
    assert (first["x"].data, second["x"].data) == (0, 1)


def test_catch_acts_in_the_last_try_only_and_keeps_what_was_set(project: Project) -> None:
    body = "self.seen = current.retry_count\nraise OSError('disk on fire')"
    project.write(one_step("@catch(var='problem')\n@retry(times=1)", body))
    done = project.run()
    task = project.latest["start"]["0"]
    assert task.current_attempt == 1
    assert project.value("start", "seen") == 1
    assert project.value("start", "problem").exception == "disk on fire"
    assert project.value("end", "problem").type == "builtins.OSError"
    assert done.stderr.count("OSError: disk on fire") >= 2
    assert project.latest.successful


def test_catch_leaves_none_where_all_went_well(project: Project) -> None:
    project.write(one_step("@catch(var='problem')", "pass"))
    project.run()
    assert project.value("end", "problem") is None


def test_catch_can_be_silent(project: Project) -> None:
    project.write(one_step("@catch(print_exception=False)", "raise OSError('psst')"))
    assert "psst" not in project.run().stderr


def test_a_timeout_ends_a_sleeping_step(project: Project) -> None:
    project.write(one_step("@timeout(seconds=0.2)", "time.sleep(60)"))
    began = time.monotonic()
    done = project.run(code=1)
    assert time.monotonic() - began < 30
    assert "@timeout of 0.2 s" in done.stderr
    assert "time.sleep(60)" in done.stderr


def test_a_timeout_is_retried_and_caught(project: Project) -> None:
    project.write(
        one_step("@catch(var='late')\n@retry(times=1)\n@timeout(seconds=0.2)", "self.x = 1\ntime.sleep(60)")
    )
    project.run()
    assert project.latest["start"]["0"].current_attempt == 1
    assert "StepTimedOut" in project.value("end", "late").type
    assert project.value("end", "x") == 1


def test_a_timeout_that_is_not_reached_rings_never(project: Project) -> None:
    project.write(one_step("@timeout(seconds=0.3)", "import atexit\natexit.register(time.sleep, 0.5)"))
    project.run()


def test_a_killed_step_is_failed_and_retried_and_its_log_is_kept(project: Project) -> None:
    body = """
print("before the blow")
print("not even a whole line", end="", flush=True)
if current.retry_count == 0:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    project.write(one_step("@retry(times=1)", body))
    done = project.run()
    assert "was killed by signal 9 (SIGKILL), is tried again" in done.stderr
    task = project.latest["start"]["0"]
    key, failed = _first_attempt(project)
    assert project.datastore.log(key, 0).count(b"\n") == 2
    assert "signal 9" in failed.error.message
    assert failed.usage.peak_memory_mib > 10
    assert task.current_attempt == 1
    assert project.latest.successful


def _first_attempt(project: Project):  # type: ignore[no-untyped-def]
    from airloom.store.datastore import TaskKey

    key = TaskKey("MyFlow", project.latest.id, "start", "0")
    failed = project.datastore.failed(key, 0)
    assert failed is not None
    return key, failed


def test_a_step_that_is_killed_in_its_last_try_fails_the_run(project: Project) -> None:
    project.write(one_step("", "os.kill(os.getpid(), signal.SIGSEGV)"))
    done = project.run(code=1)
    assert "SIGSEGV" in done.stderr
    assert project.latest["start"]["0"].finished
    assert not project.latest["start"]["0"].successful


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by signal 9 (SIGKILL)"),
        ("os._exit(3)", "ended by itself with exit status 3"),
    ],
)
def test_catch_keeps_the_end_of_a_process_that_could_not_say_why(
    project: Project, way: str, told: str
) -> None:
    body = f"self.lost = 1\nprint('try', current.retry_count, flush=True)\n{way}"
    project.write(one_step("@catch(var='problem')\n@retry(times=1)", body))
    done = project.run()
    assert done.stdout.count("] try ") == 2  # what @catch does runs none of it
    assert f"failed: the task's process {told}; @catch keeps it" in done.stderr
    assert project.latest["start"]["0"].current_attempt == 2
    problem = project.value("end", "problem")
    assert problem.type == "airloom.errors.StepFailed"
    assert told in problem.exception
    assert "lost" not in {one.id for one in project.latest["start"]["0"].artifacts}
    assert project.latest.successful


@pytest.mark.parametrize(
    ("way", "told"),
    [("os._exit(0)", "exit status 0"), ("os._exit(7)", "exit status 7"), ("sys.exit('enough')", "enough")],
)
def test_a_step_that_leaves_the_process_is_failed(project: Project, way: str, told: str) -> None:
    project.write(one_step("", way))
    done = project.run(code=1)
    assert told in done.stderr
    _, failed = _first_attempt(project)
    assert failed.error.message


def test_what_fails_after_the_commit_does_not_undo_it(project: Project) -> None:
    project.write(one_step("", "self.x = 1\nimport atexit\natexit.register(os._exit, 3)"))
    project.run()
    assert project.value("end", "x") == 1
