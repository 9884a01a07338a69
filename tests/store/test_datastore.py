"""The shelves: what is put on them is found again, by name and in order."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airloom.codec import loads
from airloom.errors import AlreadyExists, CorruptBlob, NotFound, SettingsError
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
    Usage,
)

NOW = "2026-11-24T10:00:00+00:00"
KEY = TaskKey("Train", "7", "fit", "3.1")
USAGE = Usage(100.0, 1.5, 2.0)
RUN_IN_AIRFLOW = "manual__2026-11-24T10:00:00+00:00"

SCRIPT_CLAIM = """
from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import BeginRecord
store = Datastore.open(Settings(datastore_root=root))
key = TaskKey("Train", "7", "fit", "0")
wait()
def make(attempt):
    return BeginRecord("2026-11-24T10:00:00+00:00", "host", os.getpid(), attempt)
for _ in range(20):
    print(store.claim(key, make))
"""


def plan(doc: str = "") -> Plan:
    return Plan("Train", "train", (StepPlan("start", Transition("end")),), "start", "start", doc=doc)


def run(name: str = "7", created_at: str = NOW) -> RunRecord:
    return RunRecord("Train", name, "b3:" + "0" * 64, created_at, "user")


def begin(attempt: int = 0) -> BeginRecord:
    return BeginRecord(NOW, "host", 1, attempt)


def done(datastore: Datastore, **values: object) -> DoneRecord:
    return DoneRecord(NOW, datastore.save_artifacts(values), Outcome(("end",)), USAGE)


FAILED = FailedRecord(NOW, ErrorRecord("ValueError", "wrong", "Traceback ..."), USAGE)


class TestPlansAndCode:
    def test_a_plan_is_read_by_its_digest(self, datastore: Datastore, root: Path) -> None:
        digest = datastore.save_plan(plan())
        assert datastore.save_plan(plan()) == digest
        assert Datastore.open(Settings(datastore_root=str(root))).plan("Train", digest) == plan()

    def test_a_plan_is_read_once(self, datastore: Datastore) -> None:
        digest = datastore.save_plan(plan())
        assert datastore.plan("Train", digest) is datastore.plan("Train", digest)

    def test_a_missing_plan_says_to_deploy(self, datastore: Datastore) -> None:
        with pytest.raises(NotFound, match="no plan b3:") as caught:
            datastore.plan("Train", plan().digest)
        assert "deploy the flow" in caught.value.mend

    def test_a_changed_plan_is_refused(self, datastore: Datastore, root: Path) -> None:
        digest = datastore.save_plan(plan())
        (path,) = (root / "flows/Train/plans").iterdir()
        path.write_bytes(plan(doc="other").to_bytes())
        with pytest.raises(CorruptBlob, match="other bytes"):
            datastore.plan("Train", digest)

    def test_code_is_read_by_its_digest(self, datastore: Datastore) -> None:
        assert datastore.code(datastore.save_code(b"archive")) == b"archive"

    def test_missing_code_says_to_deploy(self, datastore: Datastore) -> None:
        with pytest.raises(NotFound, match="no code package") as caught:
            datastore.code("b3:" + "0" * 64)
        assert "deploy the flow" in caught.value.mend


class TestRuns:
    def test_a_run_is_created_once(self, datastore: Datastore) -> None:
        assert datastore.create_run(run())
        assert not datastore.create_run(run(created_at="2027-01-01T00:00:00+00:00"))
        assert datastore.run("Train", "7") == run()

    def test_a_missing_run_is_named(self, datastore: Datastore) -> None:
        with pytest.raises(NotFound, match="flow Train has no run '8'"):
            datastore.run("Train", "8")

    def test_runs_are_listed_from_the_newest(self, datastore: Datastore) -> None:
        times = {
            "b": "2026-01-01T00:00:00Z",
            "c": "1999-12-31T23:59:59+00:00",
            "a": "2026-01-01T00:00:00.000001+00:00",
        }
        for name, time in times.items():
            datastore.create_run(run(name, time))
        assert list(datastore.runs("Train")) == ["a", "b", "c"]
        assert datastore.latest_run("Train") == "a"

    def test_times_of_any_zone_are_compared(self, datastore: Datastore) -> None:
        datastore.create_run(run("early", "2026-01-01T10:00:00+09:00"))
        datastore.create_run(run("late", "2026-01-01T09:00:00+01:00"))
        assert datastore.latest_run("Train") == "late"

    def test_a_flow_without_runs_has_no_latest(self, datastore: Datastore) -> None:
        assert datastore.latest_run("Train") is None
        assert list(datastore.runs("Train")) == []

    def test_a_run_of_airflow_keeps_its_name(self, datastore: Datastore) -> None:
        datastore.create_run(run(RUN_IN_AIRFLOW))
        assert datastore.latest_run("Train") == RUN_IN_AIRFLOW
        assert datastore.run("Train", RUN_IN_AIRFLOW).run == RUN_IN_AIRFLOW

    def test_a_run_whose_creator_was_killed_is_listed_at_the_next_try(
        self, datastore: Datastore, root: Path
    ) -> None:
        datastore.create_run(run())
        next((root / "flows/Train/newest").iterdir()).unlink()
        datastore.create_run(run(created_at="2027-01-01T00:00:00+00:00"))
        assert list(datastore.runs("Train")) == ["7"]

    def test_flows_are_listed(self, datastore: Datastore) -> None:
        assert datastore.flows() == []
        datastore.create_run(run())
        datastore.create_run(RunRecord("my.Flow", "1", "", NOW, "user"))
        assert datastore.flows() == ["Train", "my.Flow"]

    def test_ends_stand_in_their_order(self, datastore: Datastore) -> None:
        assert datastore.ends("Train", "7") == []
        for successful in (False, True, False):
            datastore.end_run("Train", "7", successful)
        assert [end.successful for end in datastore.ends("Train", "7")] == [False, True, False]

    def test_a_record_that_is_no_json_is_named(self, datastore: Datastore, root: Path) -> None:
        datastore.create_run(run())
        for text in (b"", b"{", b"[]", b"\xff", b'{"flow": 1}'):
            (root / "flows/Train/runs/7/run.json").write_bytes(text)
            with pytest.raises(CorruptBlob, match=r"runs/7/run\.json"):
                datastore.run("Train", "7")


class TestTasks:
    def test_a_task_has_a_pathspec(self) -> None:
        assert KEY.pathspec == "Train/7/fit/3.1"

    def test_tasks_are_listed_in_the_order_of_their_indices(self, datastore: Datastore) -> None:
        for task in ("10", "2", "0"):
            datastore.claim(TaskKey("Train", "7", "fit", task), begin)
        for task in ("1.10", "1.2", "0.30"):
            datastore.claim(TaskKey("Train", "7", "score", task), begin)
        assert datastore.steps("Train", "7") == ["fit", "score"]
        assert datastore.tasks("Train", "7", "fit") == ["0", "2", "10"]
        assert datastore.tasks("Train", "7", "score") == ["0.30", "1.2", "1.10"]
        assert datastore.tasks("Train", "7", "other") == []

    def test_attempts_are_numbered_from_zero(self, datastore: Datastore) -> None:
        assert datastore.attempts(KEY) == []
        assert [datastore.claim(KEY, begin) for _ in range(12)] == list(range(12))
        assert datastore.attempts(KEY) == list(range(12))
        assert datastore.begin(KEY, 11) == begin(11)

    def test_of_racing_claims_all_get_their_own_attempt(
        self, race: Callable[[str], list[str]], datastore: Datastore
    ) -> None:
        claimed = [int(line) for answer in race(SCRIPT_CLAIM) for line in answer.split()]
        assert sorted(claimed) == list(range(160))
        assert datastore.begin(TaskKey("Train", "7", "fit", "0"), 159).retry_count == 159

    def test_an_attempt_that_nobody_began_does_not_count(self, datastore: Datastore, root: Path) -> None:
        (root / "flows/Train/runs/7/tasks/fit/3.1/4").mkdir(parents=True)
        assert datastore.attempts(KEY) == []
        assert datastore.claim(KEY, begin) == 5

    def test_an_uncommitted_task_is_not_done(self, datastore: Datastore) -> None:
        datastore.claim(KEY, begin)
        assert datastore.done_attempt(KEY) is None
        with pytest.raises(NotFound, match=r"Train/7/fit/3\.1 is not done"):
            datastore.done(KEY)
        with pytest.raises(NotFound):
            datastore.done(KEY, 0)

    def test_the_highest_committed_attempt_counts(self, datastore: Datastore) -> None:
        for _ in range(4):
            datastore.claim(KEY, begin)
        datastore.commit(KEY, 2, second := done(datastore, x=2))
        datastore.commit(KEY, 1, first := done(datastore, x=1))
        datastore.fail(KEY, 3, FAILED)
        assert datastore.done(KEY) == second
        assert datastore.done_attempt(KEY) == (2, second)
        assert datastore.done(KEY, 1) == first
        assert datastore.failed(KEY, 3) == FAILED
        assert datastore.failed(KEY, 2) is None

    @pytest.mark.parametrize("first", ["commit", "fail"])
    @pytest.mark.parametrize("second", ["commit", "fail"])
    def test_an_attempt_ends_once(self, datastore: Datastore, first: str, second: str) -> None:
        records = {"commit": done(datastore), "fail": FAILED}
        datastore.claim(KEY, begin)
        getattr(datastore, first)(KEY, 0, records[first])
        with pytest.raises(AlreadyExists, match=r"attempt 0 of Train/7/fit/3\.1 has ended"):
            getattr(datastore, second)(KEY, 0, records[second])

    def test_artifacts_of_a_task_are_loaded(self, datastore: Datastore) -> None:
        datastore.commit(KEY, datastore.claim(KEY, begin), done(datastore, x=[1, 2], y="z"))
        records = datastore.done(KEY).artifacts
        assert datastore.load_artifact(records["x"], "Train/7/fit/3.1/x").value == [1, 2]
        assert datastore.load_artifact(records["y"], "Train/7/fit/3.1/y").value == "z"

    def test_a_log_is_kept_and_replaced(self, datastore: Datastore) -> None:
        for text in (b"", b"one line\n", b"many lines\n" * 10_000):
            datastore.write_log(KEY, 0, text)
            assert datastore.log(KEY, 0) == text

    def test_a_missing_log_is_not_found(self, datastore: Datastore) -> None:
        with pytest.raises(NotFound):
            datastore.log(KEY, 0)

    def test_a_cut_off_log_is_told(self, datastore: Datastore, root: Path) -> None:
        datastore.write_log(KEY, 0, b"many lines\n" * 10_000)
        path = root / "flows/Train/runs/7/tasks/fit/3.1/0/log"
        path.write_bytes(path.read_bytes()[:-10])
        with pytest.raises(CorruptBlob):
            datastore.log(KEY, 0)


class TestLayout:
    def test_keys_are_the_ones_that_are_drawn(self, datastore: Datastore, root: Path) -> None:
        digest = datastore.save_plan(plan())
        datastore.create_run(run(RUN_IN_AIRFLOW))
        key = TaskKey("Train", RUN_IN_AIRFLOW, "fit", "0")
        datastore.commit(key, datastore.claim(key, begin), done(datastore))
        datastore.write_log(key, 0, b"text")
        end = datastore.end_run("Train", RUN_IN_AIRFLOW, True)
        assert end.successful
        escaped = "manual__2026-11-24T10%3A00%3A00%2B00%3A00"
        found = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
        assert found[0] == f"flows/Train/newest/98204485599999999-{escaped}"
        assert found[1] == f"flows/Train/plans/{digest.replace(':', '%3A')}.json"
        assert found[2].startswith(f"flows/Train/runs/{escaped}/ends/0")
        assert [name.removeprefix(f"flows/Train/runs/{escaped}/") for name in found[3:7]] == [
            "run.json",
            "tasks/fit/0/0/begin.json",
            "tasks/fit/0/0/done.json",
            "tasks/fit/0/0/log",
        ]
        assert found[7:] == [
            f"flows/Train/{folder}/98204485599999999-{escaped}"
            for folder in ("successful", "tagged/user%3Auser/newest", "tagged/user%3Auser/successful")
        ]
        assert loads(RunRecord, (root / found[3]).read_bytes()) == run(RUN_IN_AIRFLOW)

    def test_the_root_is_told(self, datastore: Datastore, root: Path) -> None:
        assert datastore.root == str(root)

    def test_opening_makes_nothing(self, datastore: Datastore, root: Path) -> None:
        assert datastore.flows() == []
        assert not root.exists()

    def test_a_store_of_an_unknown_kind_is_refused(self) -> None:
        with pytest.raises(SettingsError):
            Datastore.open(Settings(datastore_root="ftp://host"))


def test_importing_the_datastore_is_light() -> None:
    script = (
        "import sys, airloom.store.datastore\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'cloudpickle', 'zstandard', 'blake3', 'airflow', 'ctypes'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    out = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert out == "[]\n"
