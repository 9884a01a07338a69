"""Writers that are killed at random moments, and a reader that looks at what they leave.

``python tests/reliability/killed_writers.py STORE KILLS [SEED]`` forks writers that begin runs,
save artifacts, commit, fail, tag and end without a pause. Each is killed with SIGKILL at a random
moment, at the latest when it could have written two runs. Beside them a reader goes through the
store all the time, and once more at the end. It prints what it has seen as JSON, and ends with 1
when anything was wrong.

A value says where it belongs: so a reader knows which bytes it must find.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
import zlib
from collections import Counter
from typing import Any

from airloom.errors import NotFound
from airloom.plan import Plan, StepPlan, Transition
from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import (
    BeginRecord,
    DoneRecord,
    ErrorRecord,
    FailedRecord,
    Outcome,
    RunRecord,
    TagRecord,
    Usage,
)
from airloom.store.verify import verify

FLOW = "Killed"
SIDE_BY_SIDE = 4
PLAN = Plan(
    FLOW,
    "killed",
    (StepPlan("start", Transition("linear", ("end",))), StepPlan("end", Transition("end"), ("start",))),
    "start",
    "end",
)
NOW = "2026-11-25T10:00:00+00:00"
USAGE = Usage(1.0, 1.0, 1.0)
SIZES = (10, 5_000, 270_000, 1_100_000)
NOISE = random.Random(1).randbytes(max(SIZES))
# Loaded by everybody before it is needed: a writer that was killed while it imports proves nothing.
LAZY = ("blake3", "zstandard", "cloudpickle", "concurrent.futures.thread", "json", "numpy")


def payload(name: str, size: int) -> bytes:
    return f"{name} {size}".encode() + NOISE[:size]


def values(name: str) -> dict[str, object]:
    return {
        "name": name,
        "numbers": list(range(50)),
        # Fewer of the large ones, for the disk's sake.
        **{f"data_{size}": payload(name, size) for size in SIZES[: 2 + zlib.crc32(name.encode()) % 3]},
        "same": payload("shared by all", 400_000),
    }


# -- writers -----------------------------------------------------------------------------


def write(root: str, seed: str, tell: int | None = None) -> None:
    """Write runs until somebody ends it; tell with a sign in a pipe when two are written."""
    chance = random.Random(seed)
    store = Datastore.open(Settings(datastore_root=root))
    plan = store.save_plan(PLAN)
    number = 0
    while True:
        number += 1
        # Some runs are everybody's: their writers race for attempts.
        name = "shared" if chance.random() < 0.3 else f"{seed}.{number}"
        store.create_run(RunRecord(FLOW, name, plan, NOW, "ada", tags=("started",)))
        for step in ("start", "end"):
            write_task(store, chance, TaskKey(FLOW, name, step, "0"))
        store.tag_run(FLOW, name, TagRecord(NOW, "ada", (f"by {seed}",)))
        store.end_run(FLOW, name, chance.random() < 0.5)
        if tell is not None and number == 2:
            os.write(tell, b"2")


def write_task(store: Datastore, chance: random.Random, key: TaskKey) -> None:
    attempt = store.claim(key, lambda found: BeginRecord(NOW, "host", os.getpid(), found))
    name = f"{key.pathspec}@{attempt}"
    saved = store.save_artifacts(values(name))
    if chance.random() < 0.8:
        store.commit(key, attempt, DoneRecord(NOW, saved, Outcome(("end",)), USAGE))
    else:
        error = ErrorRecord("ValueError", name, "Traceback")
        store.fail(key, attempt, FailedRecord(NOW, error, USAGE, saved))
    store.write_log(key, attempt, f"log of {name}\n".encode() * 100)


def kill_writers(root: str, kills: int, seed: int) -> None:
    """Fork writers and kill them; this process itself never touches the store."""
    for name in LAZY:
        importlib.import_module(name)
    chance = random.Random(seed)
    longest_s = time_of_two_runs(root, f"{seed}")
    ends: dict[int, float] = {}
    started = killed = 0
    while killed < kills:
        while len(ends) < SIDE_BY_SIDE and started < kills:
            pid = fork_writer(root, f"{seed}-{started}")
            ends[pid] = time.monotonic() + chance.uniform(0, longest_s)
            started += 1
        pid = min(ends, key=ends.__getitem__)
        time.sleep(max(0.0, ends.pop(pid) - time.monotonic()))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), f"a writer ended by itself: {status}"
        killed += 1


def time_of_two_runs(root: str, seed: str) -> float:
    """How long a writer takes for two runs here and now, in seconds."""
    told, tell = os.pipe()
    began = time.monotonic()
    pid = fork_writer(root, seed, tell)
    os.close(tell)
    assert os.read(told, 1) == b"2", "the first writer ended by itself"
    took = time.monotonic() - began
    os.close(told)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return took


def fork_writer(root: str, seed: str, tell: int | None = None) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            write(root, seed, tell)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)  # a writer has no end of its own
    return pid


# -- the reader --------------------------------------------------------------------------


class Reader:
    """Looks at everything in the store; what is wrong is kept in ``wrong``."""

    def __init__(self, root: str) -> None:
        self.store = Datastore.open(Settings(datastore_root=root, verify="always"))
        self.wrong: list[str] = []
        self.seen: Counter[str] = Counter()

    def look(self, newest: int | None = None) -> None:
        """Read the newest runs, or all."""
        self.seen = Counter()
        listed = list(self.store.runs(FLOW))
        for name in listed[:newest]:
            try:
                self.read_run(name)
            except Exception as error:
                self.wrong.append(f"{name}: {type(error).__name__}: {error}")
        if newest is None:
            self.check_listings(listed)

    def read_run(self, name: str) -> None:
        self.store.run(FLOW, name)
        self.seen["runs"] += 1
        self.seen["ends"] += len(self.store.ends(FLOW, name))
        self.seen["tags"] += len(self.store.tag_changes(FLOW, name))
        for step in self.store.steps(FLOW, name):
            for task in self.store.tasks(FLOW, name, step):
                key = TaskKey(FLOW, name, step, task)
                for attempt in self.store.attempts(key):
                    self.read_attempt(key, attempt)

    def read_attempt(self, key: TaskKey, attempt: int) -> None:
        self.store.begin(key, attempt)
        failed = self.store.failed(key, attempt)
        try:
            done = self.store.done(key, attempt)
        except NotFound:
            done = None
        assert failed is None or done is None, f"{key.pathspec}@{attempt} has two ends"
        self.seen["done" if done else "failed" if failed else "open"] += 1
        ended = done or failed
        if ended is not None:
            name = f"{key.pathspec}@{attempt}"
            found = {
                artifact: self.store.load_artifact(record, f"{name}/{artifact}").value
                for artifact, record in ended.artifacts.items()
            }
            assert found == values(name), f"{name} has other values"
        try:
            self.store.log(key, attempt)
            self.seen["logs"] += 1
        except NotFound:
            pass

    def check_listings(self, listed: list[str]) -> None:
        """A run that did anything is found by the listings."""
        if len(set(listed)) != len(listed):
            self.wrong.append("a run is listed twice")
        objects: Any = self.store._objects
        for name in objects.children(f"flows/{FLOW}/runs"):
            tasks = objects.children(f"flows/{FLOW}/runs/{name}/tasks")
            if name not in listed:
                self.seen["killed before they were listed"] += 1
                if tasks:
                    self.wrong.append(f"{name} has tasks and is not listed")
        good = set(self.store.runs(FLOW, None, "successful"))
        for name in listed:
            end = self.store.last_end(FLOW, name)
            if end is not None and end.successful and name not in good:
                self.wrong.append(f"{name} has succeeded and is not listed so")

    def verify(self) -> None:
        """Ask the store's own check, as `airloom verify` does."""
        found = verify(self.store._objects, [])
        self.seen["verified blobs"] = found.blobs
        self.wrong += [f"{one.key}: {one.what}" for one in found.findings if one.kind != "unlisted"]


def read(root: str) -> int:
    """Look again and again until standard input ends, then at all there is."""
    reader = Reader(root)
    looks = 0
    os.set_blocking(0, False)
    while os.read(0, 1) if _has_ended() else True:
        reader.look(newest=20)
        looks += 1
    reader.look()
    reader.verify()
    print(json.dumps({"looks": looks, **reader.seen, "wrong": reader.wrong[:20]}))
    return bool(reader.wrong)


def _has_ended() -> bool:
    import select

    return bool(select.select([0], [], [], 0)[0])


def main(root: str, kills: int, seed: int) -> int:
    reader = subprocess.Popen(
        [sys.executable, __file__, "--read", root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        kill_writers(root, kills, seed)
    finally:
        found, _ = reader.communicate()
    print(json.dumps({"kills": kills, "seed": seed, **json.loads(found)}, indent=1))
    return reader.returncode


if __name__ == "__main__":
    if sys.argv[1] == "--read":
        sys.exit(read(sys.argv[2]))
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1))
