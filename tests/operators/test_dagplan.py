"""The plan of a DAG that people wrote: its tasks as steps, in an order that does not change."""

from __future__ import annotations

from pathlib import Path

import pytest

from airloom.plan import Plan

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = pytest.mark.airflow


def test_tasks_are_steps_with_parents_children_and_indices() -> None:
    from airflow.sdk import DAG, task, task_group

    from airloom.operators.dagplan import plan_of

    with DAG("etl.v2", schedule=None, doc_md="What it does.") as dag:

        @task
        def first() -> list[int]:
            """Begin."""
            return [1]

        @task
        def each(x: int) -> int:
            return x

        @task_group
        def body(x: int) -> None:
            each.override(task_id="inner")(x)

        @task
        def last(xs: list[int]) -> None:
            pass

        numbers = first()
        last(each.expand(x=numbers))
        body.expand(x=numbers)

    plan = plan_of("etl.v2", dag, "b3:code")
    assert Plan.from_bytes(plan.to_bytes()) == plan
    assert plan.digest == plan_of("etl.v2", dag, "b3:code").digest
    assert (plan.flow, plan.module, plan.doc) == ("etl.v2", Path(__file__).stem, "What it does.")
    assert (plan.start, plan.step("first").doc) == ("first", "Begin.")
    assert plan.step("first").transition.targets == ("body.inner", "each")
    assert (plan.step("last").parents, plan.step("last").transition.kind) == (("each",), "end")
    assert {step.name: step.depth for step in plan.steps} == {
        "first": 0,
        "each": 1,
        "body.inner": 1,
        "last": 0,
    }


def test_without_the_dag_it_names_no_steps() -> None:
    from airloom.operators.dagplan import plan_of

    plan = plan_of("etl", None)
    assert (plan.steps, plan.start, plan.end) == ((), "", "")
    assert Plan.from_bytes(plan.to_bytes()) == plan


def test_the_code_of_a_task_is_the_file_that_it_stands_in(tmp_path: Path) -> None:
    from airloom.client.code import Code
    from airloom.client.facts import RunFacts
    from airloom.operators.dagplan import save_code
    from airloom.store.datastore import Datastore
    from airloom.store.objects import MemoryObjects

    store = Datastore(MemoryObjects("memory"))
    file = tmp_path / "my_dag.py"
    file.write_text("x = 1\n")
    (tmp_path / "other.py").write_text("")
    code = Code(RunFacts(store, "d", "r"), save_code(store, str(file)))
    assert code.files == {"my_dag.py": 6}
    assert code.read("my_dag.py") == "x = 1\n"
    assert save_code(store, str(tmp_path / "none.py")) == save_code(store, None) == ""
