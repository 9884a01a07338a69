"""What is collected, what is kept, and what happens when others write."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airloom.client import Run
from airloom.runtime import resume
from airloom.settings import Settings
from airloom.store.blobs import Blobs, blob_key
from airloom.store.datastore import TaskKey
from airloom.store.gc import Collection
from airloom.store.objects import MemoryObjects, open_objects
from airloom.store.records import BeginRecord, RunRecord
from airloom.store.retention import DAY_S, Rules
from airloom.store.sweeping import put_to_stay, sweep
from airloom.store.verify import verify
from support.train import KINDS, LARGE, Store, noise, opened, start, take_over

GRACE_S = 0.6
EVERYTHING = Rules(older_than_s=0, grace_s=0)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(opened(request, tmp_path))


@pytest.fixture
def local(root: Path) -> Store:
    return Store(open_objects(str(root), Settings()))


class TestRules:
    def test_looking_changes_nothing(self, store: Store) -> None:
        store.whole("1", days=40, x=noise(1))
        before = list(store.objects.list())
        report = Collection(store.objects, EVERYTHING).look()
        assert report.dropped == ["Train/1"]
        assert list(store.objects.list()) == before

    def test_what_people_keep_with_a_run_goes_with_it(self, store: Store) -> None:
        store.whole("1", days=40, x=noise(1))
        store.whole("2", x=noise(2))
        for run in ("1", "2"):
            store.objects.put(f"data/runs/Train/{run}/model/weights", [noise(3)])
        store.objects.put("data/shared/1", [b"x"])
        collection = Collection(store.objects, Rules(older_than_s=DAY_S, grace_s=0))
        said = collection.look()
        assert collection.delete().flows == said.flows
        assert sorted(store.objects.list("data")) == [
            "data/runs/Train/2/model/weights",
            "data/shared/1",
        ]

    def test_what_is_said_beforehand_is_what_goes(self, store: Store) -> None:
        store.whole("1", days=40, x=noise(1))
        store.whole("2", x=noise(2))
        sizes = {entry.key: entry.size for entry in store.objects.entries()}
        collection = Collection(store.objects, Rules(older_than_s=DAY_S, grace_s=0))
        said = collection.look()
        done = collection.delete()
        assert (said.flows, said.dropped) == (done.flows, done.dropped)
        gone = {key: size for key, size in sizes.items() if key not in set(store.objects.list())}
        assert sum(freed.size for freed in done.flows.values()) == sum(gone.values()) > LARGE
        store.assert_whole()

    def test_nothing_is_left_of_a_store_when_all_goes(self, store: Store) -> None:
        store.whole("1", days=40, x=noise(1), y=1)
        store.tag("1", "good")
        store.collect(Rules(older_than_s=0, grace_s=0, plans_older_than_s=0))
        assert list(store.objects.list()) == []

    def test_without_a_rule_for_runs_no_run_goes(self, store: Store) -> None:
        store.whole("1", days=400)
        assert store.collect(Rules(flows=("Train",), keep_tags=("x",), grace_s=0)).dropped == []

    def test_runs_go_by_age(self, store: Store) -> None:
        for run, days in (("1", 40), ("2", 31), ("3", 29)):
            store.whole(run, days)
        assert store.collect(Rules(older_than_s=30 * DAY_S, grace_s=0)).dropped == ["Train/1", "Train/2"]
        assert store.runs() == ["3"]

    def test_the_latest_and_the_latest_good_ones_stay(self, store: Store) -> None:
        for number, successful in enumerate([True, True, False, False]):
            store.whole(str(number), days=10 - number, successful=successful)
        store.collect(Rules(keep_latest=1, grace_s=0))
        assert store.runs() == ["1", "3"]

    def test_the_latest_are_counted_by_namespace(self, store: Store) -> None:
        scheduled = {"scheduler": "airflow", "run_type": "scheduled"}
        for run, origin in (("1", {}), ("2", scheduled), ("3", {}), ("4", scheduled)):
            store.begin(run, days=9 - int(run), origin=origin)
            store.datastore.end_run("Train", run, True)
        store.collect(Rules(keep_latest=1, grace_s=0))
        assert store.runs() == ["3", "4"]

    def test_tags_and_namespaces_keep_runs(self, store: Store) -> None:
        for run in ("1", "2", "3"):
            store.whole(run, days=40)
        store.tag("2", "good")
        assert store.collect(Rules(older_than_s=0, keep_namespaces=("user:ada",), grace_s=0)).dropped == []
        store.collect(Rules(older_than_s=0, keep_tags=("good", "other"), grace_s=0))
        assert store.runs() == ["2"]

    @pytest.mark.parametrize(("ended", "left"), [("failed", ["1"]), ("successful", ["2"])])
    def test_runs_go_by_how_they_ended(self, store: Store, ended: Any, left: list[str]) -> None:
        store.whole("1")
        store.whole("2", successful=False)
        store.collect(Rules(ended=ended, grace_s=0))
        assert store.runs() == left

    def test_other_flows_stay(self, store: Store) -> None:
        store.whole("1")
        assert store.collect(Rules(flows=("Other",), older_than_s=0, grace_s=0)).dropped == []

    def test_a_run_that_has_not_ended_stays_until_it_is_silent(self, store: Store) -> None:
        store.begin("1", days=40)
        store.task("1", x=noise(1))
        report = store.collect(EVERYTHING)
        assert (report.dropped, store.runs()) == ([], ["1"])
        store.assert_whole()
        store.collect(Rules(older_than_s=0, grace_s=0, unfinished_s=0))
        assert store.runs() == []

    def test_a_run_that_goes_on_after_its_end_stays(self, store: Store) -> None:
        store.whole("1", days=40)
        store.datastore.reopen_run("Train", "1")
        assert store.collect(EVERYTHING).dropped == []

    def test_the_grace_period_keeps_what_was_written_just_now(self, store: Store) -> None:
        store.whole("1", x=noise(1))
        store.datastore.save_code(b"of no record")
        report = store.collect(Rules(older_than_s=0, grace_s=DAY_S))
        assert (report.dropped, store.runs()) == ([], ["1"])
        assert report.flows == {}

    def test_a_run_that_this_version_cannot_read_stays_with_its_blobs(self, store: Store) -> None:
        store.whole("1", days=40, x=noise(1))
        key = "flows/Train/runs/1/run.json"
        store.objects.put(key, [store.objects.get(key).replace(b'"user"', b'"a newer field":1,"user"')])
        before = list(store.objects.list())
        store.collect(EVERYTHING)
        assert list(store.objects.list()) == before


class TestReach:
    def test_a_blob_stays_as_long_as_a_kept_run_names_it(self, store: Store) -> None:
        store.whole("1", days=40, x=noise(9))
        store.whole("2", x=noise(9))
        report = store.collect(Rules(older_than_s=DAY_S, grace_s=0))
        assert report.dropped == ["Train/1"]
        store.assert_whole()
        assert Run("Train/2", datastore=store.datastore, _namespace_check=False).data.x == noise(9)

    def test_what_a_resumed_run_took_over_stays(self, store: Store) -> None:
        store.whole("1", days=40, successful=False, x=noise(1))
        take_over(store, "1", "2")
        store.datastore.end_run("Train", "2", True)
        assert store.collect(Rules(older_than_s=DAY_S, grace_s=0)).dropped == ["Train/1"]
        store.assert_whole()
        assert Run("Train/2", datastore=store.datastore, _namespace_check=False)["start"].task.data.x

    def test_the_origin_of_a_run_that_is_being_resumed_stays(self, store: Store) -> None:
        store.whole("1", days=40)
        store.begin("2", resumed_from="1")
        assert store.collect(EVERYTHING).dropped == []

    def test_plans_stay_until_they_are_asked_for(self, store: Store) -> None:
        store.plan("deployed and not run yet")
        store.whole("1", days=40)
        store.collect(EVERYTHING)
        assert len(list(store.objects.list("flows/Train/plans"))) == 2
        store.assert_whole()
        report = store.collect(Rules(grace_s=0, plans_older_than_s=0))
        assert report.flows["Train"].plans == report.flows["Train"].blobs == 2
        assert list(store.objects.list()) == []

    def test_the_plan_of_a_kept_run_stays(self, store: Store) -> None:
        store.whole("1")
        store.collect(Rules(grace_s=0, plans_older_than_s=0))
        store.assert_whole()
        assert Run("Train/1", datastore=store.datastore, _namespace_check=False).code.digest

    def test_records_outside_of_runs_keep_their_blobs(self, store: Store) -> None:
        digest = store.datastore.save_code(b"a lock of packages")
        for key in ("environments/a.json", "flows/Train/other/a.json"):
            store.objects.put(key, [json.dumps({"lock": digest}).encode()])
            store.collect(EVERYTHING)
            assert store.objects.exists(blob_key(digest))
            store.objects.delete(key)
        store.collect(EVERYTHING)
        assert not store.objects.exists(blob_key(digest))


class TestSupersededAttempts:
    def test_they_go_only_when_they_are_asked_for(self, store: Store) -> None:
        self._cleared(store)
        store.collect(Rules(grace_s=0))
        assert store.datastore.attempts(TaskKey("Train", "1", "start", "0")) == [0, 1]
        report = store.collect(Rules(grace_s=0, superseded=True))
        assert report.flows["Train"].attempts == 2
        assert store.datastore.attempts(TaskKey("Train", "1", "start", "0")) == [1]
        assert store.datastore.attempts(TaskKey("Train", "1", "end", "0")) == [1]
        assert store.objects.exists(blob_key(self._digest(store, 1)))
        store.assert_whole()

    def test_an_attempt_that_counts_keeps_the_one_it_has_read(self, store: Store) -> None:
        store.begin("1")
        for number in range(3):  # rounds of one step, each behind the one before
            store.task("1", parents=(f"Train/1/start/0@{number - 1}",) if number else (), x=number)
        store.datastore.end_run("Train", "1", True)
        assert store.collect(Rules(grace_s=0, superseded=True)).flows == {}

    def test_attempts_of_a_task_that_never_succeeded_leave_the_newest(self, store: Store) -> None:
        store.begin("1")
        key = TaskKey("Train", "1", "start", "0")
        for _ in range(3):
            store.datastore.claim(key, lambda _: BeginRecord("2026-11-24T10:00:00+00:00", "host", 1))
        store.datastore.end_run("Train", "1", False)
        store.collect(Rules(grace_s=0, superseded=True))
        assert store.datastore.attempts(key) == [2]

    def _cleared(self, store: Store) -> None:
        store.begin("1")
        for number in range(2):
            store.task("1", x=noise(number))
            store.task("1", "end", (f"Train/1/start/0@{number}",))
        store.datastore.end_run("Train", "1", True)

    def _digest(self, store: Store, attempt: int) -> str:
        return store.datastore.done(TaskKey("Train", "1", "start", "0"), attempt).artifacts["x"].digest


class TestBesideOthers:
    def test_a_run_that_is_written_to_meanwhile_stays(self, store: Store) -> None:
        store.whole("1", days=40, x=noise(1))
        collection = Collection(store.objects, EVERYTHING)
        collection.look()
        store.datastore.reopen_run("Train", "1")
        report = collection.delete()
        assert (report.dropped, report.returned) == ([], ["Train/1"])
        store.assert_whole()

    def test_a_run_that_is_resumed_meanwhile_stays(self, store: Store) -> None:
        store.whole("1", days=40, successful=False, x=noise(1))
        collection = Collection(store.objects, EVERYTHING)
        collection.look()
        take_over(store, "1", "2")
        report = collection.delete()
        assert (report.dropped, report.returned) == ([], ["Train/1"])
        assert store.runs() == ["1", "2"]
        store.assert_whole()

    def test_a_resume_stops_when_the_older_run_is_gone(self, store: Store) -> None:
        store.whole("1", days=40, successful=False)
        record = store.begin("2", resumed_from="1")
        store.objects.delete("flows/Train/runs/1/run.json")
        with pytest.raises(Exception, match="has no run '1'"):
            resume.take_over(store.datastore, record, [])

    def test_a_blob_that_is_saved_again_meanwhile_stays(self, local: Store) -> None:
        local.whole("1", days=40, x=noise(1))
        wait_until_old(local, 0.05)
        collection = Collection(local.objects, Rules(older_than_s=0, grace_s=0.05))
        assert collection.look().flows["Train"].blobs == 1
        local.whole("2", x=noise(1))
        assert collection.delete().flows["Train"].blobs == 0
        assert local.runs() == ["2"]
        local.assert_whole()

    def test_a_run_of_an_old_plan_that_begins_meanwhile_keeps_it(self, store: Store) -> None:
        store.whole("1", days=40)
        collection = Collection(store.objects, Rules(older_than_s=0, grace_s=0, plans_older_than_s=0))
        collection.look()
        plan = store.datastore.run("Train", "1").plan
        record = RunRecord("Train", "2", plan, "2026-11-24T10:00:00+00:00", "ada")
        store.datastore.create_run(record)
        collection.delete()
        assert store.runs() == ["2"]
        store.assert_whole()

    def test_a_run_that_is_not_listed_is_listed_again(self, store: Store) -> None:
        store.whole("1")
        store.objects.delete_many(list(store.objects.list("flows/Train/newest")))
        assert store.runs() == []
        assert store.collect(Rules()).relisted == 1
        assert store.runs() == ["1"]

    def test_two_collections_at_once_are_told(self, store: Store) -> None:
        store.objects.put("a/b", [b"x"])
        first = sweep(store.objects, "a", lambda _: True)
        next(first)
        with pytest.raises(Exception, match="another process sweeps this folder: process"):
            list(sweep(store.objects, "a", lambda _: True))
        first.close()
        assert list(store.objects.list()) == []

    @pytest.mark.slow
    def test_writers_and_a_collection_lose_nothing(self, local: Store) -> None:
        """Processes commit a few values in turn, over and over, while all that is old is collected."""
        rules = Rules(older_than_s=GRACE_S, grace_s=GRACE_S, unfinished_s=GRACE_S)
        writers = [start(WRITER, local, number, GRACE_S) for number in range(3)]
        try:
            while any(writer.poll() is None for writer in writers):
                local.collect(rules)
        finally:
            for writer in writers:
                writer.kill()
            late = {run for writer in writers for run in writer.communicate()[0].split()}
        # Each writer has looked whether what it committed is there, before its run was to go.
        assert [writer.returncode for writer in writers] == [0] * 3
        assert len(late) < 300
        lost = verify(local.objects, []).findings
        named = {who.split("/")[1]: one for one in lost for who in one.needed_by or [one.key]}
        assert {run: one for run, one in named.items() if run not in late} == {}


class TestFlags:
    def test_a_writer_waits_for_the_flag_and_puts_again_what_is_gone(self, local: Store) -> None:
        blobs = Blobs(local.objects)
        digest = blobs.put([b"old"])
        gone = sweep(local.objects, blob_key(digest).rpartition("/")[0], lambda entry: True)
        with start(SAVER, local) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "saving\n"
            next(gone)  # deletes it, and keeps the flag up
            assert writer.stdout.readline() == "saw the flag\n"
            while not local.objects.exists(blob_key(digest)):  # it is put at once, and may be deleted again
                assert writer.poll() is None
            local.objects.delete(blob_key(digest))
            assert list(gone) == []
            assert writer.communicate(timeout=60)[0] == f"{digest}\n"
        assert local.objects.get(blob_key(digest)) == b"old"

    def test_what_is_deleted_right_behind_a_refresh_is_put_again(self) -> None:
        """The whole deletion lies between making the object new and looking for the flag."""

        class Between(MemoryObjects):
            deletions = 3

            def put_named(self, parts: Any, name: Callable[[], str]) -> bool:
                created = super().put_named(parts, name)
                if self.deletions:
                    self.deletions -= 1
                    list(sweep(self, "a", lambda entry: True))
                return created

        objects = Between("between")
        try:
            objects.put("a/b", [b"x"])
            assert put_to_stay(objects, [b"x"], lambda: "a/b") == "a/b"
            assert objects.get("a/b") == b"x"
            assert objects.deletions <= 2
        finally:
            objects.forget()

    def test_a_flag_that_a_killed_process_left_is_passed_over(self, local: Store, root: Path) -> None:
        blobs = Blobs(local.objects)
        digest = blobs.put([b"old"])
        folder = blob_key(digest).rpartition("/")[0]
        next(sweep(local.objects, folder, lambda entry: False), None)
        flag = root / "sweeping" / folder.replace("/", "%2F")
        flag.parent.mkdir(exist_ok=True)
        flag.write_text("process 1 of nowhere")
        long_ago = time.time() - 3600
        os.utime(flag, (long_ago, long_ago))
        assert blobs.put([b"old"]) == digest
        assert [entry.size for entry in sweep(local.objects, folder, lambda entry: True)] == [3]
        assert not flag.exists()


def wait_until_old(store: Store, seconds: float) -> None:
    newest = max(entry.written_at for entry in store.objects.entries())
    while time.time() - newest < seconds:
        pass


SAVER = """
from airloom.store.blobs import Blobs
print("saving", flush=True)
while not list(objects.list("sweeping")): pass
print("saw the flag", flush=True)
print(Blobs(objects).put([b"old"]))
"""

WRITER = """
import random
from datetime import datetime, timezone
from airloom.errors import StoreError
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.blobs import blob_key
from airloom.store.records import BeginRecord, DoneRecord, Outcome, RunRecord, Usage
from airloom.plan import Plan, StepPlan, Transition
datastore = Datastore(objects)
plan = Plan("Train", "train", (StepPlan("start", Transition("end")),), "start", "start")
digest = datastore.save_plan(plan)
grace_s = float(sys.argv[3])
def write(number, run):
    now = datetime.now(timezone.utc).isoformat()
    datastore.create_run(RunRecord("Train", run, digest, now, "ada"))
    key = TaskKey("Train", run, "start", "0")
    attempt = datastore.claim(key, lambda _: BeginRecord(now, "host", 1))
    # Each value is saved a few times, and again a second or two later.
    seed = (number // 2 + random.randrange(2)) % 20
    values = {"v": random.Random(seed).randbytes(300 << 10)}
    began = time.monotonic()
    artifacts = datastore.save_artifacts(values)
    datastore.commit(key, attempt, DoneRecord(now, artifacts, Outcome(), Usage(1, 1, 1)))
    if time.monotonic() - began < grace_s:
        time.sleep(0.02)
        there = objects.exists(blob_key(artifacts["v"].digest))
        assert there or not objects.exists(f"flows/Train/runs/{run}/run.json")
    datastore.end_run("Train", run, True)

# A run that is silent for longer than the grace period counts as dead, and what it saved is not kept
# for it. A busy machine may halt a process anywhere for longer: such runs are told.
for number in range(100):
    run, began = f"{sys.argv[2]}-{number}", time.monotonic()
    try:
        write(number, run)
    except StoreError:
        if time.monotonic() - began < grace_s:
            raise
    if time.monotonic() - began >= grace_s:
        print(run, flush=True)
"""
