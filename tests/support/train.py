"""Runs of a small flow, written into a store as its tasks would write them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from airloom.plan import Plan, StepPlan, Transition
from airloom.runtime import resume
from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.gc import Collection, Report
from airloom.store.objects import Objects, open_objects
from airloom.store.records import BeginRecord, CardName, DoneRecord, Outcome, RunRecord, TagRecord, Usage
from airloom.store.retention import Rules
from airloom.store.verify import verify

LARGE = 300 << 10

KINDS = ("local", "memory", pytest.param("s3", marks=pytest.mark.store))
"""Kinds of stores: all speak one protocol, which has tests of its own for each of them."""


def opened(request: pytest.FixtureRequest, folder: Path) -> Objects:
    """Open an empty store of the kind that a fixture's parameter names."""
    roots = {"local": str(folder / "store"), "memory": f"memory://{uuid4()}"}
    root = roots.get(request.param) or request.getfixturevalue(request.param)
    return open_objects(root, Settings())


def noise(seed: int) -> bytes:
    """Give bytes that nobody makes smaller, for a blob of their own."""
    return random.Random(seed).randbytes(LARGE)


class Store:
    """Runs of the flow Train, written as tasks would."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.datastore = Datastore(objects)

    def plan(self, doc: str = "") -> Plan:
        code = self.datastore.save_code(f"code {doc}".encode())
        steps = (StepPlan("start", Transition("linear", ("end",))), StepPlan("end", Transition("end")))
        plan = Plan("Train", "train", steps, "start", "end", code=code, doc=doc)
        self.datastore.save_plan(plan)
        return plan

    def begin(self, run: str, days: float = 0, doc: str = "", **more: Any) -> RunRecord:
        created = datetime.now(timezone.utc) - timedelta(days=days)
        record = RunRecord("Train", run, self.plan(doc).digest, created.isoformat(), "ada", **more)
        assert self.datastore.create_run(record)
        return record

    def task(self, run: str, step: str = "start", parents: tuple[str, ...] = (), **values: object) -> int:
        key = TaskKey("Train", run, step, "0")
        begin = BeginRecord("2026-11-24T10:00:00+00:00", "host", 1)
        attempt = self.datastore.claim(key, lambda _: begin)
        artifacts = self.datastore.save_artifacts(values)
        targets = ("end",) if step == "start" else ()
        done = DoneRecord(begin.started_at, artifacts, Outcome(targets), Usage(1, 1, 1), parents)
        self.datastore.commit(key, attempt, done)
        self.datastore.write_log(key, attempt, b"2026-11-24T10:00:00+00:00 o hello\n")
        self.datastore.save_card(key, attempt, CardName(0, "default"), b"<p>hello</p>")
        return attempt

    def whole(self, run: str, days: float = 0, *, successful: bool = True, **values: object) -> None:
        self.begin(run, days)
        self.task(run, **values)
        self.task(run, "end", (f"Train/{run}/start/0@0",), **values)
        end = self.datastore.end_run("Train", run, successful)
        if days:  # it ended when it began
            (key,) = self.objects.list(f"flows/Train/runs/{run}/ends")
            at = (datetime.fromisoformat(end.finished_at) - timedelta(days=days)).isoformat()
            self.objects.put(key, [json.dumps({"finished_at": at, "successful": successful}).encode()])

    def tag(self, run: str, *tags: str) -> None:
        self.datastore.tag_run("Train", run, TagRecord("2026-11-24T10:00:00+00:00", "ada", tags))

    def collect(self, rules: Rules) -> Report:
        collection = Collection(self.objects, rules)
        collection.look()
        return collection.delete()

    def runs(self) -> list[str]:
        return sorted(self.datastore.runs("Train"))

    def assert_whole(self) -> None:
        assert verify(self.objects, []).findings == []


def take_over(store: Store, old: str, new: str) -> None:
    """Resume a run as the command line does."""
    origin = store.datastore.run("Train", old)
    plan = store.datastore.plan("Train", origin.plan)
    finished = resume.finished_tasks(store.datastore, plan, origin, "end")
    assert finished
    record = store.begin(new, resumed_from=old)
    resume.take_over(store.datastore, record, finished)


def start(script: str, store: Store, *arguments: object) -> subprocess.Popen[str]:
    """Run a script in a process of its own; the store is open there as ``objects``."""
    head = (
        "import sys, time, os\nfrom pathlib import Path\nfrom airloom.settings import Settings\n"
        "from airloom.store.objects import open_objects\n"
        "objects = open_objects(sys.argv[1], Settings())\n"
    )
    command = [sys.executable, "-c", head + script, store.objects.root, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
