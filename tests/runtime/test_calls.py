"""A function of a DAG file as an attempt: what a container does with it."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airloom.client import Flow, Run
from airloom.errors import ArtifactError, FlowError, StepFailed, VersionSkew
from airloom.plan import Plan, Retry, StepPlan, Transition
from airloom.runtime.__main__ import run as run_command
from airloom.runtime.calls import PYTHON, Call, CallTask, call_record, python_of_this
from airloom.runtime.command import Command, parse, text_of
from airloom.runtime.references import reference
from airloom.runtime.task import TaskRequest, now
from airloom.settings import Settings
from airloom.store.blobs import blob_key
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.gc import Collection
from airloom.store.objects import open_objects
from airloom.store.records import BY_HAND, RunRecord
from airloom.store.retention import Rules
from airloom.store.verify import verify

RUN = "manual__1"
PLAN = Plan(
    flow="by-hand.1",
    module="",
    steps=(StepPlan("group.fit", Transition("linear", ("show",)), target="batch", retry=Retry(1)),),
    start="group.fit",
    end="group.fit",
)


@pytest.fixture
def datastore(tmp_path: Path) -> Datastore:
    found = Datastore.open(Settings(datastore_root=str(tmp_path / "store")))
    found.save_plan(PLAN)
    found.create_run(RunRecord(PLAN.flow, RUN, PLAN.digest, now(), "ann", {}, {BY_HAND: True}))
    return found


def task_of(datastore: Datastore, call: Call, python: str = "") -> CallTask:
    return CallTask(datastore, PLAN, request_of(datastore, call, python))


def request_of(datastore: Datastore, call: Call, python: str = "") -> TaskRequest:
    record = call_record(datastore, call)
    origin: dict[str, Any] = {PYTHON: python or python_of_this()}
    return TaskRequest(RUN, "group.fit", "0", call=record, origin=origin)


def refer(datastore: Datastore, name: str, value: object) -> dict[str, Any]:
    key = TaskKey("other", "r", "load", "0")
    return dict(reference(key, 2, name, datastore.save_artifacts({name: value})[name]))


def add(rows: list[int], *, more: int = 0) -> int:
    print("adding")
    return sum(rows) + more


def test_a_function_is_called_with_what_its_references_stand_for(datastore: Datastore) -> None:
    call = Call(add, (refer(datastore, "rows", [1, 2]),), {"more": refer(datastore, "more", 4)})
    task_of(datastore, call).run()
    found = Run(f"{PLAN.flow}/{RUN}", datastore=datastore, _namespace_check=False)["group.fit"].task
    assert found.data.return_value == 7
    done = datastore.done(found_key := TaskKey(PLAN.flow, RUN, "group.fit", "0"), 0)
    assert done.parents == ("other/r/load/0@2",)
    assert done.outcome.targets == ("show",)
    assert done.usage.input_bytes > 0
    assert datastore.begin(found_key, 0).call is not None


def test_of_the_items_of_a_list_the_list_is_loaded_once(datastore: Datastore) -> None:
    whole = refer(datastore, "rows", [[1], [2, 3]])
    items = [{**whole, "item": number} for number in range(2)]
    task_of(datastore, Call(lambda parts: [len(part) for part in parts], (items,))).run()
    key = TaskKey(PLAN.flow, RUN, "group.fit", "0")
    record = datastore.done(key, 0).artifacts["return_value"]
    assert datastore.load_artifact(record, "here").value == [1, 2]


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (Call(lambda: None), []),
        (Call(lambda: (1, 2), outputs=("input", "next"), several=True), ["input", "next"]),
        (Call(lambda: {"a": 1}, several=True), ["a"]),
    ],
)
def test_results_are_artifacts_by_their_names(datastore: Datastore, call: Call, names: list[str]) -> None:
    task_of(datastore, call).run()
    assert sorted(datastore.done(TaskKey(PLAN.flow, RUN, "group.fit", "0"), 0).artifacts) == names


def failing(kind: type[Exception], call: Call, datastore: Datastore, python: str = "") -> Any:
    task = task_of(datastore, call, python)
    with pytest.raises(kind):
        task.run()
    return datastore.failed(task.key, task.attempt)


def test_how_it_failed_is_recorded(datastore: Datastore) -> None:
    def divide() -> float:
        return 1 / 0

    found = failing(StepFailed, Call(divide), datastore)
    assert (found.failure, found.error.message) == ("user_code", "division by zero")


def test_results_of_another_form_than_said_are_told(datastore: Datastore) -> None:
    found = failing(FlowError, Call(lambda: 5, outputs=("a", "b"), several=True), datastore)
    assert "it returned one int, and says that it returns a, b" in found.error.message


def test_another_python_is_told_before_anything_is_loaded(datastore: Datastore) -> None:
    found = failing(VersionSkew, Call(add, ([1],)), datastore, python="3.9")
    assert found.failure == "version_skew"
    assert f"comes from Python 3.9, and the image has Python {python_of_this()}" in found.error.message


def test_what_the_image_lacks_is_told(
    datastore: Datastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lost_module.py").write_text("def work(): return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import lost_module  # type: ignore[import-not-found]

    request = request_of(datastore, Call(lost_module.work))
    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "lost_module")
    task = CallTask(datastore, PLAN, request)
    with pytest.raises(ArtifactError, match="No module named 'lost_module'"):
        task.run()


def test_the_command_of_a_container_runs_it(
    datastore: Datastore, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRLOOM_DATASTORE_ROOT", datastore.root)
    text = text_of(Command(PLAN.flow, PLAN.digest, (request_of(datastore, Call(add, ([1, 2],))),)))
    assert run_command(parse([text])) == 0
    assert "adding" in capfd.readouterr().out
    assert datastore.is_done(TaskKey(PLAN.flow, RUN, "group.fit", "0"), 0)


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The endpoint that tells a container on ECS what it is; the dict is its answer."""
    told: dict[str, str] = {}

    class Endpoint(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", f"http://127.0.0.1:{server.server_port}/v4/x")
        yield told
        server.shutdown()


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"Image": "repo/train:7", "ImageID": "sha256:5a"}, "repo/train:7@sha256:5a"),
        ({"Image": "repo/train@sha256:5a", "ImageID": "sha256:5a"}, "repo/train@sha256:5a"),
        ({"Image": "repo/train:7"}, "repo/train:7"),
        ({}, ""),
    ],
)
def test_an_attempt_in_a_container_names_its_image(
    datastore: Datastore, metadata: dict[str, str], told: dict[str, str], name: str
) -> None:
    metadata |= told
    task_of(datastore, Call(add, ([1],))).run()
    assert datastore.done(TaskKey(PLAN.flow, RUN, "group.fit", "0"), 0).image == name
    with pytest.raises(StepFailed):
        task_of(datastore, Call(add, ("x",))).run()
    failed = datastore.failed(TaskKey(PLAN.flow, RUN, "group.fit", "0"), 1)
    assert failed is not None
    assert failed.image == name
    (run,) = Flow(PLAN.flow, datastore=datastore, _namespace_check=False).runs()
    assert run["group.fit"].task.metadata_dict.get("image", "") == name


def test_an_endpoint_that_does_not_answer_costs_no_attempt(
    datastore: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", "http://127.0.0.1:9/v4/x")
    task_of(datastore, Call(add, ([1],))).run()
    assert datastore.done(TaskKey(PLAN.flow, RUN, "group.fit", "0"), 0).image == ""


def test_the_function_is_kept_with_its_run_and_missed_when_it_is_gone(datastore: Datastore) -> None:
    task_of(datastore, Call(add, ([1],), {"more": 2})).run()
    record = datastore.begin(TaskKey(PLAN.flow, RUN, "group.fit", "0"), 0).call
    assert record is not None
    objects = open_objects(datastore.root, Settings())
    collection = Collection(objects, Rules(grace_s=0))
    collection.look()
    collection.delete()
    assert isinstance(datastore.load_artifact(record, "here").value, Call)
    assert not verify(objects, []).findings
    objects.delete(blob_key(record.pack or record.digest))
    (found,) = verify(objects, []).findings
    assert found.kind == "missing"
