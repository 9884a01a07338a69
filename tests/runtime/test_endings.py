"""However a run ends, no process of it stays behind, and nothing claims a success that was none."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped] # it comes with Airflow
import pytest

if TYPE_CHECKING:
    from tests.runtime.conftest import Project

SLEEPERS = """
@step
def start(self):
    self.items = [0, 1]
    self.next(self.work, foreach="items")

@step
def work(self):
    print("at work", flush=True)
    {before}
    child = subprocess.Popen(["sleep", "300"])
    (HERE / f"pids-{{self.index}}.part").write_text(f"{{os.getpid()}} {{child.pid}}")
    (HERE / f"pids-{{self.index}}.part").rename(HERE / f"pids-{{self.index}}")
    while True:
        time.sleep(1)
    self.next(self.join)

@step
def join(self, inputs):
    self.next(self.end)

@step
def end(self):
    pass
"""
Eventually = Callable[[Callable[[], Any]], Any]


def begun(
    project: Project, eventually: Eventually, before: str = "pass"
) -> tuple[subprocess.Popen[bytes], set[int]]:
    """Start two tasks that sleep; give the run's process, and all that it started."""
    project.write(SLEEPERS.format(before=before))
    process = project.start("run", "--max-workers", "2")
    eventually(lambda: len(list(project.folder.glob("pids-?"))) == 2)
    pids = {int(pid) for file in project.folder.glob("pids-?") for pid in file.read_text().split()}
    pids |= {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
    return process, pids


def gone(pids: set[int]) -> bool:
    """Say whether none of the processes runs any more."""
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            continue
    return True


def test_ctrl_c_ends_all_and_claims_no_success(project: Project, eventually: Eventually) -> None:
    process, pids = begun(project, eventually)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.decode().endswith("stopped.\n")
    assert "Traceback" not in err.decode()
    eventually(lambda: gone(pids))
    run = project.latest
    assert not run.finished
    assert not run.successful
    assert run["work"]["0"].stdout == "at work\n"


def test_ctrl_c_ends_a_step_that_does_not_listen(project: Project, eventually: Eventually) -> None:
    process, pids = begun(project, eventually, before="signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    eventually(lambda: gone(pids))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_killed_run_leaves_no_process_behind(
    project: Project, eventually: Eventually, how: signal.Signals
) -> None:
    process, pids = begun(project, eventually)
    os.kill(process.pid, how)
    process.communicate(timeout=20)
    eventually(lambda: gone(pids))
    assert not project.latest.finished


def test_when_the_process_that_forks_tasks_dies_the_run_says_so(
    project: Project, eventually: Eventually
) -> None:
    process, pids = begun(project, eventually)
    (nursery,) = psutil.Process(process.pid).children()
    nursery.kill()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "the process that runs the tasks was killed by signal 9 (SIGKILL)" in err.decode()
    eventually(lambda: gone(pids))
    assert not project.latest.finished


def test_ctrl_c_while_the_flow_is_loaded_ends_at_once(project: Project, eventually: Eventually) -> None:
    project.write(
        "@step\ndef start(self):\n    pass\n",
        top="if __name__ != '__main__':\n    (HERE / 'importing').touch()\n    time.sleep(300)",
    )
    process = project.start("run")
    eventually(lambda: (project.folder / "importing").exists())
    pids = {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130
    eventually(lambda: gone(pids))


def test_a_reader_that_goes_away_ends_the_run(project: Project, eventually: Eventually) -> None:
    project.write(
        "@step\ndef start(self):\n    while True:\n        print('again')\n        time.sleep(0.01)\n"
    )
    process = project.start("run")
    assert process.stdout is not None
    process.stdout.readline()
    pids = {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
    process.stdout.close()
    process.stdout = None
    process.communicate(timeout=20)
    assert process.returncode == 1
    eventually(lambda: gone(pids))


def test_a_background_process_of_a_step_does_not_hold_the_run(
    project: Project, eventually: Eventually
) -> None:
    project.write(
        """
        @step
        def start(self):
            self.pid = subprocess.Popen(["sleep", "300"]).pid
            self.next(self.end)

        @step
        def end(self):
            print("past it")
        """
    )
    try:
        assert "past it" in project.run().stdout
    finally:
        os.kill(project.value("start", "pid"), signal.SIGKILL)
