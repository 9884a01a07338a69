"""The run of a task group: its name, its parameters, and what becomes of them after a clear."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = pytest.mark.airflow

from airflow.sdk.execution_time.comms import AssetEventDagRunReferenceResult  # noqa: E402 - after the skip
from airflow.sdk.execution_time.context import TriggeringAssetEventsAccessor  # noqa: E402

from airloom import settings  # noqa: E402
from airloom.compiler.planner import compile_flow  # noqa: E402
from airloom.deploy import save  # noqa: E402
from airloom.errors import NotFound, ParameterError  # noqa: E402
from airloom.operators.runs import Placed, begin_run, run_of  # noqa: E402
from airloom.runtime.code import import_flow  # noqa: E402
from airloom.store.datastore import Datastore  # noqa: E402

FLOW = """
from airloom import FlowSpec, Parameter, step

class Placed(FlowSpec):
    rows = Parameter("rows", type=int, required=True)
    words = Parameter("words", separator=",", default="a,b")

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Placed()
"""


class Group:
    """A task group `g` of the DAG `host.a`, in one run."""

    def __init__(self, root: Path, run_id: str) -> None:
        self.settings = settings.load({"datastore_root": str(root / "store"), "user": "ada"})
        self.datastore = Datastore.open(self.settings)
        file = root / "placed_code.py"
        file.write_text(FLOW)
        compiled = compile_flow(import_flow(file), self.settings)
        save(compiled, self.datastore)
        self.plan = compiled.plan
        dag_run = SimpleNamespace(
            dag_id="host.a",
            run_id=run_id,
            run_type="scheduled",
            logical_date=None,
            start_date=datetime(2026, 11, 24, tzinfo=timezone.utc),
            conf={"no parameter of the flow": 1},
            triggering_user_name=None,
        )
        self.context: Any = {"dag_run": dag_run, "ti": SimpleNamespace(try_number=1), "params": {"rows": 99}}

    def begin(self, **parameters: Any) -> str:
        return self._begin(parameters)

    def go_on(self) -> str:
        return self._begin(None)

    def _begin(self, parameters: dict[str, Any] | None) -> str:
        placed = Placed("g", parameters)
        return begin_run(self.datastore, self.plan, self.settings, self.context, placed).run

    @property
    def run(self) -> str:
        return run_of(self.datastore, self.plan, self.context, "g")


@pytest.fixture
def group(tmp_path: Path, clean_imports: None) -> Callable[[str], Group]:
    return lambda run_id: Group(tmp_path, run_id)


@pytest.mark.parametrize("run_id", ["manual__1", "backfill~7"])
def test_other_parameters_are_another_run(group: Callable[[str], Group], run_id: str) -> None:
    one = group(run_id)
    first = f"host.a:g:{run_id}"
    assert one.begin(rows="3") == first
    assert one.begin(rows=3) == first, "a cleared group with the same parameters is the same run"
    assert one.begin(rows=4) == f"{first}~2"
    assert one.go_on() == f"{first}~2"
    assert one.begin(rows=5, words=["x"]) == f"{first}~3"
    assert one.run == f"{first}~3"
    found = one.datastore.run("Placed", f"{first}~3")
    assert found.parameters == {"rows": 5, "words": ["x"]}
    assert found.origin["task_group"] == "g"
    assert one.datastore.run("Placed", first).parameters == {"rows": 3, "words": ["a", "b"]}


def test_a_run_knows_the_events_that_started_its_dag(group: Callable[[str], Group]) -> None:
    def event(name: str, minute: int, alias: str | None = None) -> Any:
        return AssetEventDagRunReferenceResult(
            asset={"name": name, "uri": f"s3://lake/{name}", "extra": {}},
            extra={"task": f"Made/1/{name}/0"},
            source_task_id=name,
            source_dag_id="made",
            source_run_id="1",
            source_map_index=-1,
            source_aliases=[] if alias is None else [{"name": alias}],
            timestamp=datetime(2026, 11, 25, 9, minute, tzinfo=timezone.utc),
        )

    one = group("asset_triggered__1")
    raised = [event("late", 2, alias="any"), event("early", 1)]
    one.context["triggering_asset_events"] = TriggeringAssetEventsAccessor.build(raised)
    events = one.datastore.run("Placed", one.begin(rows=3)).origin["events"]
    assert [found["name"] for found in events] == ["early", "late"]
    assert events[0] == {
        "name": "early",
        "uri": "s3://lake/early",
        "timestamp": "2026-11-25T09:01:00+00:00",
        "extra": {"task": "Made/1/early/0"},
        "source_dag_id": "made",
        "source_run_id": "1",
    }


def test_what_a_group_is_given_is_checked(group: Callable[[str], Group]) -> None:
    one = group("manual__1")
    for wrong in ({"rows": "many"}, {"rows": 1, "word": "x"}, {}, {"rows": None}):
        with pytest.raises(ParameterError, match=r"row|word"):
            one.begin(**wrong)
    assert list(one.datastore.runs("Placed")) == []


def test_a_later_step_does_not_begin_a_run(group: Callable[[str], Group]) -> None:
    with pytest.raises(NotFound, match="has not begun in the task group 'g'"):
        group("manual__1").go_on()
