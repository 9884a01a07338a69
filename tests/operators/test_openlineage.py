"""What OpenLineage is told about a step; with its own classes, where its provider is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed")
provider = pytest.importorskip(
    "airflow.providers.openlineage.extractors", reason="Airflow's OpenLineage provider is not installed"
)
pytestmark = pytest.mark.airflow

from airloom import settings  # noqa: E402 - after the skips
from airloom.operators.openlineage import collect, lineage  # noqa: E402
from airloom.operators.step import StepOperator  # noqa: E402
from airloom.store.datastore import Datastore, TaskKey  # noqa: E402

FLOW = """
from airloom import FlowSpec, step

class Told(FlowSpec):
    @step
    def start(self):
        self.kept, self.secret_of_us, self.rows = "same", None, [1, 2]
        self.next(self.end)

    @step
    def end(self):
        self.total = sum(self.rows)

if __name__ == "__main__":
    Told()
"""


@pytest.fixture
def datastore(command_line: Callable[..., object], tmp_path: Path) -> Datastore:
    (tmp_path / "told_flow.py").write_text(FLOW)
    command_line(tmp_path / "told_flow.py", "run", root=tmp_path / "store")
    return Datastore.open(settings.load({"datastore_root": str(tmp_path / "store")}))


def test_artifacts_are_datasets_and_the_attempt_a_facet(
    datastore: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", '{"type": "console"}')
    (run,) = datastore.runs("Told")
    plan = datastore.plan("Told", datastore.run("Told", run).plan)
    operator = StepOperator(task_id="end", flow="Told", plan=plan.digest)
    operator.told = collect(datastore, plan, run, [TaskKey("Told", run, "end", "0")])
    found = operator.get_openlineage_facets_on_complete(None)
    assert [(one.namespace, one.name) for one in found.outputs] == [
        (f"file://{datastore.root}", "Told/end/total")
    ]
    (total,) = found.outputs
    record = datastore.done(TaskKey("Told", run, "end", "0")).artifacts["total"]
    assert total.facets["version"].datasetVersion == record.digest
    assert total.outputFacets["outputStatistics"].size == record.size
    assert total.facets["schema"].fields[0].type == "int"
    assert {one.name for one in found.inputs} >= {"Told/start/rows", "Told/start/kept"}
    facet = found.run_facets["airloom"]
    assert facet.run == f"Told/{run}"
    assert (facet.plan, facet.code, facet.attempts) == (plan.digest, plan.code, [f"Told/{run}/end/0@0"])


def test_nothing_is_read_where_nobody_listens(datastore: Datastore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__DISABLED", "true")
    (run,) = datastore.runs("Told")
    plan = datastore.plan("Told", datastore.run("Told", run).plan)
    assert collect(datastore, plan, run, [TaskKey("Told", run, "end", "0")]) is None
    assert lineage(None).outputs == []
