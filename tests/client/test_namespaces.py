from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from airloom import Metaflow
from airloom import default_namespace as face_default
from airloom.client import (
    Airloom,
    DataArtifact,
    Flow,
    Run,
    Step,
    Task,
    default_namespace,
    get_namespace,
    namespace,
)
from airloom.errors import NamespaceMismatch, NotFound
from airloom.flow.current import current
from airloom.store.datastore import Datastore
from airloom.store.objects import MemoryObjects
from airloom.store.records import RunRecord
from airloom.store.tags import namespace_of

if TYPE_CHECKING:
    from tests.client.conftest import Recorder


@pytest.fixture
def runs(recorder: Recorder, datastore: Datastore, monkeypatch: pytest.MonkeyPatch) -> Datastore:
    """Three runs, the newest first: 9 of bob, 8 of the schedule, 7 of ada, who looks at them."""
    monkeypatch.setenv("AIRLOOM_USER", "ada")
    recorder.whole("7")
    ada = datastore.run("Train", "7")
    scheduled = {"scheduler": "airflow", "run_type": "scheduled"}
    datastore.create_run(
        replace(ada, run="8", created_at=recorder.now(), user="airflow", origin=dict(scheduled))
    )
    datastore.create_run(replace(ada, run="9", created_at=recorder.now(), user="bob"))
    default_namespace()
    return datastore


def test_the_default_namespace_is_that_of_the_user(runs: Datastore) -> None:
    assert get_namespace() == "user:ada"
    assert namespace("user:bob") == "user:bob"
    assert get_namespace() == "user:bob"
    assert namespace(None) is None
    assert get_namespace() is None
    assert default_namespace() == "user:ada" == get_namespace()


def test_a_flow_shows_the_runs_of_the_namespace(runs: Datastore) -> None:
    assert [run.id for run in Flow("Train")] == ["7"]
    assert [run.id for run in Flow("Train").runs()] == ["7"]
    namespace("user:bob")
    assert [run.id for run in Flow("Train")] == ["9"]
    namespace("production:Train")
    assert [run.id for run in Flow("Train")] == ["8"]
    namespace(None)
    assert [run.id for run in Flow("Train")] == ["9", "8", "7"]


def test_the_latest_run_is_that_of_the_namespace(runs: Datastore) -> None:
    assert Flow("Train").latest_run == Run("Train/7")
    assert Flow("Train").latest_successful_run == Run("Train/7")
    namespace(None)
    latest = Flow("Train").latest_run
    assert latest is not None
    assert latest.id == "9"


def test_what_is_outside_is_refused_and_how_to_see_it_is_told(runs: Datastore) -> None:
    with pytest.raises(NamespaceMismatch, match="Train/9 is not in the namespace 'user:ada'") as caught:
        Run("Train/9")
    assert "namespace(None)" in caught.value.mend
    assert not isinstance(caught.value, NotFound)
    with pytest.raises(NamespaceMismatch):
        Flow("Train")["9"]
    assert "9" not in Flow("Train")
    assert "7" in Flow("Train")


def test_every_object_is_looked_at_through_its_run(runs: Datastore) -> None:
    namespace("user:bob")
    for make, spec in ((Step, "Train/7/fit"), (Task, "Train/7/fit/1"), (DataArtifact, "Train/7/fit/1/score")):
        with pytest.raises(NamespaceMismatch, match="is not in the namespace 'user:bob'"):
            make(spec)
        assert not make(spec, _namespace_check=False).is_in_namespace()
    namespace("user:ada")
    assert Task("Train/7/fit/1").is_in_namespace()


def test_without_a_check_all_is_shown(runs: Datastore) -> None:
    run = Run("Train/9", _namespace_check=False)
    assert not run.is_in_namespace()
    flow = Flow("Train", _namespace_check=False)
    assert [run.id for run in flow] == ["9", "8", "7"]
    assert flow["8"].id == "8"
    assert "9" in flow
    assert run.parent is not None
    assert len(list(run.parent)) == 3  # type: ignore[call-overload]


def test_what_does_not_exist_is_not_found_in_any_namespace(runs: Datastore) -> None:
    with pytest.raises(NotFound, match="no run '10'"):
        Run("Train/10")


def test_any_tag_is_a_namespace(runs: Datastore) -> None:
    Run("Train/9", _namespace_check=False).add_tag("team:shop")
    namespace("team:shop")
    assert [run.id for run in Flow("Train")] == ["9"]


def test_a_flow_without_a_run_in_the_namespace_is_outside(runs: Datastore) -> None:
    namespace("user:eve")
    with pytest.raises(NamespaceMismatch, match="Train is not in the namespace 'user:eve'"):
        Flow("Train")
    assert Airloom().flows == []
    assert list(Flow("Train", _namespace_check=False).runs("user:eve")) == []
    namespace(None)
    assert [flow.id for flow in Metaflow().flows] == ["Train"]


def test_a_flow_that_never_ran_is_in_every_namespace(recorder: Recorder) -> None:
    recorder.datastore.save_plan(recorder.plan)
    namespace("user:eve")
    assert Flow("Train").latest_run is None


def test_a_pickled_flow_shows_what_it_showed(runs: Datastore) -> None:
    checked, unchecked = pickle.loads(pickle.dumps([Flow("Train"), Flow("Train", _namespace_check=False)]))
    assert (len(list(checked)), len(list(unchecked))) == (1, 3)


def test_inside_of_a_task_the_namespace_is_that_of_the_run(runs: Datastore) -> None:
    current.enter({"namespace": "production:Train"})
    try:
        assert get_namespace() == "production:Train"
        assert [run.id for run in Flow("Train")] == ["8"]
    finally:
        current.leave()
    assert get_namespace() == "user:ada"


@pytest.mark.parametrize(
    ("scheduler", "kind", "expected"),
    [
        ("local", None, "user:ada"),
        ("airflow", "manual", "user:ada"),
        ("airflow", "backfill", "user:ada"),
        ("airflow", "scheduled", "production:Train"),
        ("airflow", "asset_triggered", "production:Train"),
    ],
)
def test_what_nobody_asked_for_is_production(scheduler: str, kind: str | None, expected: str) -> None:
    origin = {"scheduler": scheduler, "run_type": kind}
    record = RunRecord("Train", "7", "", "2026-11-24T10:00:00+00:00", "ada", {}, dict(origin))
    assert namespace_of(record) == expected


def test_the_face_has_the_functions(runs: Datastore) -> None:
    namespace(None)
    assert face_default() == "user:ada"


class CountingObjects(MemoryObjects):
    """Counts what is read of it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.reads = 0

    def get(self, key: str) -> bytes:
        self.reads += 1
        return super().get(key)


def test_the_latest_run_costs_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOOM_USER", "ada")
    default_namespace()
    objects = CountingObjects("latest")
    store = Datastore(objects)
    for number in range(100):
        store.create_run(
            RunRecord("Train", str(number), "", f"2026-11-24T10:{number // 60:02}:{number % 60:02}Z", "ada")
        )
    flow = Flow("Train", datastore=store)
    objects.reads = 0
    assert flow.latest_run == Run("Train/99", datastore=store)
    assert objects.reads == 2  # one for the flow's run, one for the run that it is compared with
