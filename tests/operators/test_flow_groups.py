"""Flows as task groups, as Airflow reads them: ids, edges, parameters, and where none can stand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = pytest.mark.airflow

from airflow.providers.standard.operators.empty import EmptyOperator  # noqa: E402 - after the skip
from airflow.sdk import DAG, TaskGroup, task, task_group  # noqa: E402

from airloom import settings  # noqa: E402
from airloom.compiler.dagfile import render_group  # noqa: E402
from airloom.compiler.planner import compile_flow  # noqa: E402
from airloom.errors import DeployError  # noqa: E402
from airloom.operators.flow_runs import names_of  # noqa: E402
from airloom.runtime.code import import_flow  # noqa: E402

FLOW = """
from airloom import FlowSpec, Parameter, step

class Fit(FlowSpec):
    rows = Parameter("rows", type=int, required=True)

    @step
    def start(self):
        self.items = [1, 2]
        self.next(self.each, foreach="items")

    @step
    def each(self):
        self.next(self.more)

    @step
    def more(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Fit()
"""


@pytest.fixture
def fit(tmp_path: Path, clean_imports: None) -> Iterator[Callable[..., Any]]:
    file = tmp_path / "fit_code.py"
    file.write_text(FLOW)
    module = ModuleType("fit_group")
    sys.modules["fit_group"] = module
    exec(render_group(compile_flow(import_flow(file), settings.load()).plan), module.__dict__)
    yield module.fit
    del sys.modules["fit_group"]


def test_a_group_stands_between_other_tasks(fit: Callable[..., Any]) -> None:
    with DAG("host") as dag:

        @task
        def count() -> int:
            return 3

        before, after = EmptyOperator(task_id="before"), EmptyOperator(task_id="after")
        group = fit(group_id="first", rows=count())
        before >> group >> after
    start = dag.get_task("first.start")
    assert start.upstream_task_ids == {"before", "count"}
    assert after.upstream_task_ids == {"first.end"}
    ids = {"first.start", "first.for_each_of_items.each", "first.for_each_of_items.more", "first.join"}
    assert set(dag.task_ids) == {"before", "after", "count", "first.end", *ids}
    for name in (*ids, "first.end"):
        operator: Any = dag.get_task(name)
        assert (operator.flow, operator.flow_group) == ("Fit", "first")
    assert start.flow_parameters.keys() == {"rows"}
    assert dag.get_task("first.join").flow_parameters is None


def test_two_groups_and_one_inside_of_another_are_told_apart(fit: Callable[..., Any]) -> None:
    with DAG("host") as dag:
        fit(rows=1)
        fit(group_id="second", rows="{{ ds }}")
        with TaskGroup("outer"):
            fit(rows=2, default_args={"pool": "small", "flow_group": "not this"})
    groups = {operator.flow_group for operator in dag.tasks}  # type: ignore[attr-defined]
    assert groups == {"fit", "second", "outer.fit"}
    assert dag.get_task("outer.fit.for_each_of_items.more").pool == "small"


def test_an_output_ties_the_reader_to_the_end_of_the_flow(fit: Callable[..., Any]) -> None:
    with DAG("host") as dag:

        @task
        def read(model: Any, again: Any) -> None: ...

        group = fit(rows=1)
        read(group.output("model"), group.output("model"))
    assert dag.get_task("read").upstream_task_ids == {"fit.end"}
    assert dag.get_task("fit.end").flow_outputs == ("model",)  # type: ignore[attr-defined]


def test_a_mapped_group_is_no_place_for_a_flow(fit: Callable[..., Any]) -> None:
    with DAG("host"):

        @task_group
        def each(rows: int) -> None:
            fit(rows=rows)

        with pytest.raises(DeployError, match="mapped task group"):
            each.expand(rows=[1, 2])


def test_the_names_of_a_run_follow_from_its_dag() -> None:
    assert names_of("Train", "7") == ("Train", "7")
    assert names_of("fraud.user.ada.Train", "7") == ("Train", "user.ada:7")
    assert names_of("fraud.prod.Train", "7") == ("Train", "prod:7")
