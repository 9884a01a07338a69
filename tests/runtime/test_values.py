"""What comes from one task to the next, and what is saved of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom.client import Task

if TYPE_CHECKING:
    from tests.runtime.conftest import Project


def chain(project: Project, *bodies: str, top: str = "") -> None:
    """Write a flow of steps one after another: start, s1, s2, ... end."""
    names = ["start", *(f"s{number}" for number in range(1, len(bodies) - 1)), "end"]
    steps = []
    for name, body, following in zip(names, bodies, [*names[1:], None], strict=True):
        lines = "\n    ".join(body.strip().splitlines())
        after = f"    self.next(self.{following})\n" if following else ""
        steps.append(f"@step\ndef {name}(self):\n    {lines}\n{after}")
    project.write("\n".join(steps), top=top)


def digest(project: Project, step: str, name: str) -> str:
    return project.latest[step]["0"][name].sha


def blobs(project: Project) -> set[Path]:
    return {file for file in (project.root / "blobs").rglob("*") if file.is_file()}


TYPES = """
import numpy
from dataclasses import dataclass
from enum import Enum

@dataclass
class Point:
    x: int

class Colour(Enum):
    RED = 1
"""


def test_a_class_beside_the_flow_is_the_same_in_every_step(project: Project) -> None:
    chain(
        project,
        "self.point, self.colour = Point(3), Colour.RED",
        "assert isinstance(self.point, Point) and self.point == Point(3)\nassert self.colour is Colour.RED",
        "assert type(self.point).__module__ == 'my_flow'\nassert self.point.x == 3",
        top=TYPES,
    )
    project.run()
    records = project.latest["start"]["0"].artifacts
    assert {artifact.id: artifact.type for artifact in records}["point"] == "my_flow.Point"


def test_a_class_beside_the_flow_is_saved_by_reference_to_its_module(project: Project) -> None:
    chain(project, "self.point = Point(3)", "pass", top=TYPES)
    project.run()
    saved = b"".join(file.read_bytes() for file in blobs(project))
    assert b"my_flow" in saved
    assert b"__main__" not in saved.replace(project.file.read_bytes(), b"")


def test_functions_and_lambdas_are_saved(project: Project) -> None:
    chain(
        project,
        "factor = 3\nself.double, self.triple, self.shout = double, lambda x: factor * x, str.upper",
        "self.results = (self.double(2), self.triple(2), self.shout('a'))",
        top="def double(x):\n    return 2 * x\n",
    )
    project.run()
    assert project.value("end", "results") == (4, 6, "A")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("self.lock = threading.Lock()", ("self.lock of type _thread.lock",)),
        ("self.deep = {'a': [1, threading.Lock()]}", ("self.deep['a'][1] of type _thread.lock",)),
        ("self.socket = __import__('socket').socket()", ("self.socket of type socket.socket",)),
        ("self.numbers = (n for n in [1])", ("self.numbers of type generator",)),
    ],
)
def test_what_cannot_be_saved_is_named_with_its_type(
    project: Project, body: str, named: tuple[str, ...]
) -> None:
    chain(project, body, "pass")
    done = project.run(code=1)
    for part in named:
        assert part in done.stderr
    assert "mend:" in done.stderr
    assert "Traceback" not in done.stderr
    task = project.latest["start"]["0"]
    assert task.exception is not None
    assert not task.successful


def test_what_was_only_read_is_not_saved_again(project: Project) -> None:
    chain(
        project,
        "self.table = numpy.arange(100_000)\nself.words = ['a', {'b': 1}] * 9\nself.point = Point(3)",
        "self.total = int(self.table.sum()) + len(self.words) + self.point.x",
        "assert self.words",
        top=TYPES,
    )
    project.run()
    for name in ("table", "words", "point"):
        records = [
            project.datastore.done(_key(project, step)).artifacts[name] for step in ("start", "s1", "end")
        ]
        assert records[0] == records[1] == records[2]


def _key(project: Project, step: str):  # type: ignore[no-untyped-def]
    from airloom.store.datastore import TaskKey

    return TaskKey("MyFlow", project.latest.id, step, "0")


def test_what_was_changed_in_place_is_saved_again(project: Project) -> None:
    chain(
        project,
        "self.table, self.words = numpy.zeros(9**5), ['a']\nself.point, self.nested = Point(3), {'a': [1]}",
        "self.table[7] = 1\nself.words.append('b')\nself.point.x = 4\nself.nested['a'].append(2)",
        "self.seen = (float(self.table.sum()), self.words, self.point.x, self.nested)",
        top=TYPES,
    )
    project.run()
    assert project.value("end", "seen") == (1.0, ["a", "b"], 4, {"a": [1, 2]})
    for name in ("table", "words", "point", "nested"):
        assert digest(project, "start", name) != digest(project, "s1", name)
        assert digest(project, "s1", name) == digest(project, "end", name)
    assert project.value("start", "words") == ["a"]


def test_what_is_deleted_is_gone_from_then_on(project: Project) -> None:
    chain(
        project,
        "self.x, self.y, self.z = 1, 2, 3",
        "del self.x\nself.y\ndel self.y\nself.z = 4\ndel self.z",
        "self.left = [name for name in 'xyz' if hasattr(self, name)]",
    )
    project.run()
    assert project.value("end", "left") == []
    assert {artifact.id for artifact in project.latest["s1"]["0"].artifacts} & {"x", "y", "z"} == set()
    assert project.value("start", "x") == 1


def test_an_artifact_that_is_passed_on_costs_no_memory_and_no_bytes(project: Project) -> None:
    chain(
        project,
        "self.big = numpy.random.bytes(200_000_000)",
        "pass",
        "self.peak = _peak()",
        top=PEAK,
    )
    project.run()
    assert project.value("end", "peak") < 120
    assert sum(file.stat().st_size for file in blobs(project)) < 210_000_000


PEAK = """
import numpy

def _peak():
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
"""


def test_an_array_that_is_read_and_not_changed_is_not_held_twice(project: Project) -> None:
    chain(
        project,
        "self.array = numpy.random.random(25_000_000)",
        "self.before = _peak()\nself.sum = float(self.array[:10].sum())\nself.after = _peak()",
        "pass",
        top=PEAK,
    )
    project.run()
    assert project.value("s1", "after") - project.value("s1", "before") < 50
    usage = project.datastore.done(_key(project, "s1")).usage
    assert usage.peak_memory_mib < 330  # the array has 191 MiB: one copy at most


def test_a_private_name_is_passed_on_and_a_dunder_is_not_special(project: Project) -> None:
    chain(project, "self._hidden = 1", "self.seen = self._hidden")
    project.run()
    assert project.value("end", "seen") == 1
    assert project.latest["start"]["0"].private_artifacts == ["_hidden"]


def test_a_run_reads_what_it_wrote_and_nothing_of_others(project: Project) -> None:
    chain(project, "self.when = time.time_ns()", "self.same = self.when")
    project.run()
    first = project.latest
    project.run()
    second = project.latest
    assert first.id != second.id
    for run in (first, second):
        assert run["start"]["0"]["when"].data == run["end"]["0"]["same"].data
    assert first["start"]["0"]["when"].data != second["start"]["0"]["when"].data


def test_records_name_the_attempts_that_were_read(project: Project) -> None:
    body = "self.x = current.retry_count\nassert self.x == 1"
    chain(project, body, "pass")
    project.file.write_text(
        project.file.read_text().replace(
            "    @step\n    def start", "    @retry(times=1)\n    @step\n    def start"
        )
    )
    project.run()
    run = project.latest
    assert project.datastore.done(_key(project, "end")).parents == (f"MyFlow/{run.id}/start/0@1",)
    assert Task(f"MyFlow/{run.id}/start/0@1", datastore=str(project.root))["x"].data == 1


def test_a_corrupted_blob_stops_the_run_with_the_artifacts_name(project: Project) -> None:
    chain(
        project,
        "self.text = 'x' * 100_000 + str(time.time_ns())",
        "for file in (HERE / 'store' / 'blobs').rglob('*'):\n"
        "    if file.is_file() and not file.read_bytes().startswith(b'PK'):\n"
        "        file.chmod(0o644)\n        file.write_bytes(file.read_bytes()[:-1] + b'!')",
        "print(self.text)",
    )
    done = project.run(code=1)
    assert "CorruptBlob" in done.stderr
    assert "/s1/0/text" in done.stderr or "/start/0/text" in done.stderr
    task = project.latest["end"]["0"]
    assert not task.successful
    assert not list(project.root.rglob("end/0/0/done.json"))
