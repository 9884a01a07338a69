"""The XCom backend by itself: what stays in the table, what goes to the datastore, and comes back."""

from __future__ import annotations

import json
import sys
import threading
from datetime import date, datetime, timezone
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from airloom.client import Flow, Run, Task
from airloom.errors import ArtifactError
from airloom.store.datastore import Datastore
from airloom.store.records import RunRecord

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = pytest.mark.airflow

BIG = "x" * 10_000


def push(
    value: object, key: str = "a", *, task: str = "t", run: str = "r", dag: str = "d", index: int = -1
) -> Any:
    """What Airflow puts into its table."""
    from airloom.xcom import ArtifactXComBackend

    found = ArtifactXComBackend.serialize_value(
        value, key=key, task_id=task, dag_id=dag, run_id=run, map_index=index
    )
    assert json.loads(json.dumps(found)) == found
    return found


def pull(found: object) -> Any:
    """What a task gets of it."""
    from airloom.xcom import ArtifactXComBackend

    return ArtifactXComBackend.deserialize_value(SimpleNamespace(value=found))


def new_process(try_number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from airloom.operators import recording

    recording._pushed.clear()
    recording._begun.clear()
    monkeypatch.setenv("AIRFLOW_CTX_TRY_NUMBER", str(try_number))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -5,
        10**30,
        1.5,
        "text",
        [],
        {},
        (1, "a", None),
        {"a": [1, {"b": (2.5, False)}]},
        date(2026, 11, 25),
        datetime(2026, 11, 25, 3, tzinfo=timezone.utc),
        "x" * 4000,
    ],
    ids=repr,
)
def test_small_plain_values_stay_in_the_table(value: object, store: Datastore) -> None:
    from airflow.sdk.bases.xcom import BaseXCom

    assert push(value) == BaseXCom.serialize_value(value)
    assert pull(push(value)) == value
    assert store.flows() == []


@pytest.mark.parametrize(
    "value",
    [
        BIG,
        list(range(5000)),
        {"a": {1, 2}},
        {1: "a key that is no text"},
        b"bytes",
        float("inf"),
        {"__x__": 1},
    ],
    ids=lambda value: repr(value)[:20],
)
def test_other_values_are_artifacts(value: object, store: Datastore) -> None:
    found = push(value)
    assert found["pathspec"] == "d/r/t/0/a"
    assert len(json.dumps(found)) < 1000
    assert pull(found) == value
    assert Run("d/r", datastore=store, _namespace_check=False)["t"].task["a"].data == value


def test_the_table_says_type_size_and_preview(store: Datastore) -> None:
    found = push(list(range(5000)))
    assert list(found)[:6] == ["airloom_artifact", "pathspec", "attempt", "type", "size", "preview"]
    assert (found["type"], found["attempt"]) == ("list", 0)
    assert found["preview"].startswith("list of 5000: [0, 1, 2")
    assert found["digest"].startswith("b3:")


def test_a_limit_of_0_keeps_everything(store: Datastore, monkeypatch: pytest.MonkeyPatch) -> None:
    from airloom import xcom

    xcom._inline_bytes.cache_clear()
    monkeypatch.setenv("AIRLOOM_XCOM_INLINE_BYTES", "0")
    try:
        assert pull(push(3)) == 3
        assert Task("d/r/t/0", datastore=store, _namespace_check=False).data.a == 3
    finally:
        xcom._inline_bytes.cache_clear()


def test_all_pushes_of_a_try_are_seen_together(store: Datastore) -> None:
    push(BIG, "first")
    push([BIG], "second")
    task = Task("d/r/t/0", datastore=store, _namespace_check=False)
    assert (task.data.first, task.data.second) == (BIG, [BIG])
    assert task.attempts == [0, 1]


def test_a_deferred_task_goes_on_where_it_was(store: Datastore, monkeypatch: pytest.MonkeyPatch) -> None:
    push(BIG, "before")
    new_process(1, monkeypatch)
    push(BIG, "after")
    assert set(Task("d/r/t/0", datastore=store, _namespace_check=False).artifacts._fields) == {
        "before",
        "after",
    }


def test_another_try_begins_with_nothing_and_leaves_the_version_before(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = push("old" + BIG)
    push(BIG, "only then")
    new_process(2, monkeypatch)
    new = push("new" + BIG)
    task = Task("d/r/t/0", datastore=store, _namespace_check=False)
    assert task.artifacts._fields == ("a",)
    assert pull(old) == "old" + BIG
    assert pull(new) == task.data.a == "new" + BIG
    assert task.metadata_dict["origin.try_number"] == 2


def test_mapped_tasks_are_tasks_by_index(store: Datastore) -> None:
    for index in range(3):
        push(f"{index}{BIG}", index=index)
    run = Run("d/r", datastore=store, _namespace_check=False)
    assert [task.data.a[0] for task in run["t"]] == ["0", "1", "2"]
    assert [task.index for task in run["t"]] == [0, 1, 2]


def test_a_client_finds_the_runs_of_a_dag(store: Datastore) -> None:
    push(BIG, run="manual__1", task="one")
    push(BIG, run="scheduled__2", task="group.two")
    flow = Flow("d", datastore=store, _namespace_check=False)
    assert [run.id for run in flow] == ["scheduled__2", "manual__1"]
    assert [step.id for run in flow for step in run] == ["group.two", "one"]
    assert "production:d" in flow["scheduled__2"].tags
    assert "user:ada" in flow["manual__1"].tags
    assert (flow["manual__1"].data, flow["manual__1"].finished) == (None, False)


@pytest.mark.parametrize("dag", ["7-daily.report", "größe_データ", "..x", "a" * 200])
def test_any_dag_id_and_key_can_be_kept(dag: str, store: Datastore) -> None:
    found = push(BIG, "a key/with signs.of-all kinds", dag=dag, run="manual__2026-11-25T03:40:38+00:00")
    assert pull(found) == BIG
    (run,) = Flow(dag, datastore=store, _namespace_check=False)
    assert run["t"].task["a key/with signs.of-all kinds"].data == BIG


def test_a_class_of_the_dag_file_comes_back_elsewhere(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("unusual_prefix_0123456789_my_dag")
    exec("class Model:\n    weight = 7", vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    found = push(module.Model())
    monkeypatch.delitem(sys.modules, module.__name__)
    assert pull(found).weight == 7


def test_references_go_through_as_they_are(store: Datastore) -> None:
    found = push(BIG)
    assert push(found, "again") == found
    assert push([found] * 50, "many") == [found] * 50
    assert pull({"one": found}) == {"one": BIG}
    assert Task("d/r/t/0", datastore=store, _namespace_check=False).artifacts._fields == ("a",)


def test_items_of_a_list_become_the_list_which_is_loaded_once(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airloom.operators import references

    found = references.items(push([f"{n}{BIG}" for n in range(3)]), [1, 2, 3])
    loads: list[str] = []
    value_of = references._value

    def counted(reference: dict[str, Any], pathspec: str) -> Any:
        loads.append(pathspec)
        return value_of(reference, pathspec)

    monkeypatch.setattr(references, "_value", counted)
    assert [text[0] for text in pull(found)] == ["0", "1", "2"]
    assert loads == ["d/r/t/0/a"]
    assert pull(found[1])[0] == "1"


def test_values_of_a_mapped_task_are_loaded_when_they_are_asked_for(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airloom.operators import references

    pushed = [push(f"{n}{BIG}", index=n) for n in range(3)]
    lazy = references.LazyValues(pushed)
    with monkeypatch.context() as patched:
        patched.setattr(references, "load", lambda *_: pytest.fail("it was loaded"))
        assert len(lazy) == 3
        iter(lazy)
    assert lazy[1][0] == "1"
    assert [text[0] for text in lazy] == ["0", "1", "2"]
    assert lazy[:2] == [f"0{BIG}", f"1{BIG}"]


def test_steps_of_a_flow_with_the_same_id_stay_in_the_table(
    store: Datastore, caplog: pytest.LogCaptureFixture
) -> None:
    store.create_run(RunRecord("d", "r", "b3:0", "2026-11-25T03:00:00+00:00", "ada"))
    assert push(BIG) == BIG
    assert "the datastore has a flow 'd'" in caplog.text
    assert store.steps("d", "r") == []


def test_what_nobody_can_save_is_told_by_its_place(store: Datastore) -> None:
    with pytest.raises(ArtifactError, match="lock"):
        push({"inner": threading.Lock()})
    assert pull(push(BIG, "still works")) == BIG


def test_a_store_of_such_runs_is_whole(store: Datastore) -> None:
    from airloom.store.verify import verify

    push(BIG)
    push(BIG, task="u", index=2)
    assert verify(store._objects, []).findings == []


@pytest.mark.parametrize(
    ("states", "end"),
    [
        (["success", "running"], True),
        (["success", "running", "failed"], False),
        (["success", "running", None], None),
    ],
)
def test_the_last_task_of_a_run_records_its_end(
    states: list[str | None], end: bool | None, store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow_says(states, monkeypatch)
    push(BIG, "return_value")
    record = store.last_end("d", "r")
    assert (None if record is None else record.successful) == end


def test_only_a_task_that_may_be_last_asks_how_its_run_stands(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airloom.operators import references

    asked = airflow_says(["running"], monkeypatch)
    monkeypatch.setitem(references._is_leaf, ("d", "middle", "t", -1), False)
    monkeypatch.setitem(references._is_leaf, ("d", "mapped leaf", "t", 3), True)
    push(BIG, "other key", run="no result")
    push(BIG, "return_value", run="unknown")
    push(BIG, "return_value", run="mapped", index=3)
    push(BIG, "return_value", run="middle")
    push(BIG, "return_value", run="mapped leaf", index=3)
    assert asked == ["unknown", "mapped leaf"]


def airflow_says(states: list[str | None], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answer for Airflow's API when a task asks how its run stands; gives the runs that were asked for."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    asked: list[str] = []

    def answer(dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str | None]]:
        asked.extend(run_ids)
        return {run: {f"{dag_id}{n}": state for n, state in enumerate(states)} for run in run_ids}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(answer))
    return asked
