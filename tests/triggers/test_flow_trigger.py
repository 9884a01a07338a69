"""What sensors and their trigger find in a datastore: runs and artifacts, by their records alone."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = pytest.mark.airflow

from airloom import settings  # noqa: E402 - after the skip
from airloom.errors import StepFailed  # noqa: E402
from airloom.store.datastore import Datastore, TaskKey  # noqa: E402
from airloom.store.records import (  # noqa: E402
    ArtifactRecord,
    BeginRecord,
    DoneRecord,
    Outcome,
    RunRecord,
    TagRecord,
    Usage,
)
from airloom.triggers.runs import FlowTrigger, Wanted  # noqa: E402


@pytest.fixture
def datastore(tmp_path: Path) -> Datastore:
    return Datastore.open(settings.load({"datastore_root": str(tmp_path)}))


def moment(hour: int) -> str:
    return datetime(2026, 11, 24, hour, tzinfo=timezone.utc).isoformat(timespec="microseconds")


def begin(datastore: Datastore, run: str, hour: int, tags: tuple[str, ...] = (), **origin: Any) -> None:
    record = RunRecord("Train", run, "b3:0", moment(hour), "ada", origin=origin, tags=tags)
    assert datastore.create_run(record)


def leave(datastore: Datastore, run: str, step: str = "end", **artifacts: ArtifactRecord) -> None:
    key = TaskKey("Train", run, step, "0")
    attempt = datastore.claim(key, lambda _: BeginRecord(moment(1), "here", 1))
    datastore.commit(key, attempt, DoneRecord(moment(2), artifacts, Outcome(), Usage(0.0, 0.0, 0.0)))


def artifact(size: int = 10, type_: str = "list", digest: str = "b3:1") -> ArtifactRecord:
    return ArtifactRecord(digest, size, type_, "json/1")


def test_the_newest_successful_run_is_found(datastore: Datastore) -> None:
    wanted = Wanted("Train")
    assert wanted.find(datastore) is None
    for number in (1, 2, 3):
        begin(datastore, str(number), number)
    assert wanted.find(datastore) is None
    datastore.end_run("Train", "1", True)
    datastore.end_run("Train", "2", True)
    datastore.end_run("Train", "3", False)
    assert wanted.find(datastore) == "Train/2"
    datastore.reopen_run("Train", "2")
    assert wanted.find(datastore) == "Train/1", "a cleared run is no success until it ends again"


def test_runs_from_before_do_not_count(datastore: Datastore) -> None:
    begin(datastore, "1", 6)
    datastore.end_run("Train", "1", True)
    assert Wanted("Train", since=moment(7)).find(datastore) is None
    assert Wanted("Train", since="2026-11-24 06:00:00+00:00").find(datastore) == "Train/1"


def test_a_namespace_and_tags_choose_runs(datastore: Datastore) -> None:
    begin(datastore, "1", 1, scheduler="airflow", run_type="scheduled")
    begin(datastore, "2", 2, tags=("good",))
    for run in ("1", "2"):
        datastore.end_run("Train", run, True)
    assert Wanted("Train", tags=("production:Train",)).find(datastore) == "Train/1"
    assert Wanted("Train", tags=("good", "user:ada")).find(datastore) == "Train/2"
    datastore.tag_run("Train", "2", TagRecord(moment(3), "ada", removed=("good",)))
    assert Wanted("Train", tags=("good",)).find(datastore) is None


def test_one_run_that_has_failed_is_not_waited_for(datastore: Datastore) -> None:
    wanted = Wanted("Train", run_id="1")
    assert wanted.find(datastore) is None
    begin(datastore, "1", 1)
    assert wanted.find(datastore) is None
    datastore.end_run("Train", "1", False)
    with pytest.raises(StepFailed, match="Train/1 has failed"):
        wanted.find(datastore)
    datastore.end_run("Train", "1", True)
    assert wanted.find(datastore) == "Train/1"


def test_an_artifact_is_found_in_a_run_that_goes_on(datastore: Datastore) -> None:
    wanted = Wanted("Train", artifact="model", step="fit")
    begin(datastore, "1", 1)
    assert wanted.find(datastore) is None
    leave(datastore, "1", "fit", other=artifact())
    assert wanted.find(datastore) is None
    begin(datastore, "2", 2)
    leave(datastore, "2", "fit", model=artifact())
    begin(datastore, "3", 3)
    assert wanted.find(datastore) == "Train/2/fit/0/model"


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ({"type": "list"}, True),
        ({"type": "dict"}, False),
        ({"min_bytes": 10}, True),
        ({"min_bytes": 11}, False),
        ({"other_than": "b3:0"}, True),
        ({"other_than": "b3:1"}, False),
    ],
)
def test_the_record_of_an_artifact_is_asked(
    datastore: Datastore, condition: dict[str, Any], fits: bool
) -> None:
    begin(datastore, "1", 1)
    leave(datastore, "1", model=artifact())
    found = Wanted("Train", artifact="model", **condition).find(datastore)
    assert (found is not None) == fits


async def _event(trigger: FlowTrigger) -> Any:
    async for event in trigger.run():
        return event.payload
    return None


def test_the_trigger_survives_its_way_through_the_database(
    datastore: Datastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRLOOM_DATASTORE_ROOT", str(tmp_path))
    begin(datastore, "1", 1, tags=("good",))
    datastore.end_run("Train", "1", True)
    first = FlowTrigger(wanted=asdict(Wanted("Train", tags=("good",))), poll_interval=0.01)
    path, arguments = first.serialize()
    assert path == "airloom.triggers.runs.FlowTrigger"
    again = FlowTrigger(**arguments)
    assert again.wanted == first.wanted
    assert asyncio.run(_event(again)) == {"found": "Train/1"}


def test_the_trigger_tells_what_will_never_be(
    datastore: Datastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRLOOM_DATASTORE_ROOT", str(tmp_path))
    begin(datastore, "1", 1)
    datastore.end_run("Train", "1", False)
    event = asyncio.run(_event(FlowTrigger(wanted={"flow": "Train", "run_id": "1"}, poll_interval=0.01)))
    assert "Train/1 has failed" in event["error"]
