"""A task is a process as good as any: random numbers, threads, pools, exit handlers, signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped] # it comes with Airflow
import pytest

if TYPE_CHECKING:
    from tests.runtime.conftest import Project

FOREACH = """
@step
def start(self):
    self.items = range(3)
    self.next(self.draw, foreach="items")

@step
def draw(self):
    self.drawn = (random.random(), float(numpy.random.random()), os.urandom(8))
    self.next(self.join)

@step
def join(self, inputs):
    self.drawn = [item.drawn for item in inputs]
    self.next(self.end)

@step
def end(self):
    pass
"""


def test_random_numbers_differ_between_tasks(project: Project) -> None:
    project.write(FOREACH, top="import random\nimport numpy")
    project.run()
    for column in zip(*project.value("join", "drawn"), strict=True):
        assert len(set(column)) == 3


def test_a_seed_at_the_top_of_the_file_holds_in_every_task(project: Project) -> None:
    project.write(FOREACH, top="import random\nimport numpy\nrandom.seed(7)\nnumpy.random.seed(7)")
    project.run()
    import random

    numbers, arrays, noise = zip(*project.value("join", "drawn"), strict=True)
    assert set(numbers) == {random.Random(7).random()}
    assert len(set(arrays)) == 1
    assert len(set(noise)) == 3


def doing(project: Project, body: str, *, top: str = "") -> None:
    lines = "\n    ".join(body.strip().splitlines())
    project.write(
        f"@step\ndef start(self):\n    {lines}\n    self.next(self.end)\n\n@step\ndef end(self):\n    pass\n",
        top=top,
    )


WORK = "def square(x):\n    return x * x, os.getpid()\n"


@pytest.mark.parametrize(
    "pool",
    [
        "with multiprocessing.get_context('fork').Pool(2) as pool:",
        "with multiprocessing.get_context('spawn').Pool(2) as pool:",
        "with multiprocessing.get_context('forkserver').Pool(2) as pool:",
        "with futures.ProcessPoolExecutor(2) as pool:",
        "pool = futures.ProcessPoolExecutor(2)\nif True:",
    ],
    ids=["fork", "spawn", "forkserver", "executor", "executor left open"],
)
def test_pools_of_processes_work(project: Project, pool: str) -> None:
    doing(
        project,
        f"{pool}\n    found = list(pool.map(square, [1, 2, 3]))\nself.found = [value for value, _ in found]\n"
        "assert os.getpid() not in [pid for _, pid in found]",
        top=f"import multiprocessing\nfrom concurrent import futures\n{WORK}",
    )
    project.run()
    assert project.value("start", "found") == [1, 4, 9]


@pytest.mark.parametrize(
    "body",
    [
        "pool = CONTEXT.Pool(2)\nfound = pool.map(square, range(9))",
        "pool = KEPT['pool'] = futures.ProcessPoolExecutor(2)\nfound = list(pool.map(square, range(9)))",
        "p = CONTEXT.Process(target=time.sleep, args=[300], daemon=True)\np.start()\nfound = [(0, p.pid)]",
    ],
    ids=["pool", "executor", "daemon"],
)
def test_what_a_step_left_open_ends_with_it(
    project: Project, body: str, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    doing(
        project,
        f"{body}\nself.pids = sorted({{pid for _, pid in found}})",
        top="import multiprocessing\nfrom concurrent import futures\n"
        f"KEPT, CONTEXT = {{}}, multiprocessing.get_context('fork')\n{WORK}",
    )
    project.run()
    pids = project.value("start", "pids")
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_threads_are_joined_and_those_of_idle_executors_end(project: Project) -> None:
    doing(
        project,
        """
KEPT["pool"] = futures.ThreadPoolExecutor(2)
KEPT["pool"].submit(print, "from the pool").result()
def late():
    time.sleep(0.2)
    print("from a thread")
threading.Thread(target=late).start()
threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
""",
        top="from concurrent import futures\nKEPT = {}",
    )
    project.run()
    assert project.latest["start"]["0"].stdout == "from the pool\nfrom a thread\n"


def test_exit_handlers_of_a_step_run_and_those_of_the_file_run_in_no_task(project: Project) -> None:
    doing(
        project,
        "atexit.register(print, 'good bye')",
        top="import atexit\nif __name__ != '__main__':\n    atexit.register(print, 'the file is left')",
    )
    project.run()
    assert project.latest["start"]["0"].stdout == "good bye\n"
    assert project.latest["end"]["0"].stdout == ""


def test_a_step_can_be_interrupted_by_its_own_code(project: Project) -> None:
    doing(
        project,
        """
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
except KeyboardInterrupt:
    self.caught = True
self.code = subprocess.run([sys.executable, "-c", "import os, time; os.kill(os.getpid(), 2); time.sleep(5)"],
                           stderr=subprocess.DEVNULL).returncode
""",
    )
    project.run()
    assert project.value("start", "caught") is True
    assert project.value("start", "code") == -2


def test_tasks_do_not_see_what_others_did_to_the_module(project: Project) -> None:
    doing(project, "COUNT.append(1)\nself.first = len(COUNT)\nos.chdir('/')", top="COUNT = []")
    text = project.file.read_text()
    project.file.write_text(
        text.replace(
            "    def end(self):\n        pass",
            "    def end(self):\n        self.count = len(COUNT)\n        self.cwd = os.getcwd()",
        )
    )
    project.run()
    assert project.value("start", "first") == 1
    assert project.value("end", "count") == 0
    assert project.value("end", "cwd") == str(project.folder)


def test_variables_of_a_step_hold_in_it_only(project: Project) -> None:
    doing(project, "self.here = os.environ.get('COLOUR')")
    text = project.file.read_text().replace(
        "    @step\n    def start", "    @environment(vars={'COLOUR': 3})\n    @step\n    def start"
    )
    project.file.write_text(
        text.replace(
            "    def end(self):\n        pass",
            "    def end(self):\n        self.there = os.environ.get('COLOUR')",
        )
    )
    project.run()
    assert project.value("start", "here") == "3"
    assert project.value("end", "there") is None


def test_the_interpreters_flags_hold_in_tasks(project: Project) -> None:
    doing(project, "self.flags = (sys.flags.optimize, sys.flags.dev_mode)")
    import subprocess
    import sys

    command = [
        sys.executable,
        "-O",
        "-X",
        "dev",
        "-W",
        "ignore",
        str(project.file),
        "--datastore-root",
        str(project.root),
        "run",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert project.value("start", "flags") == (1, True)
