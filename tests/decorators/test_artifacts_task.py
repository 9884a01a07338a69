"""@task.artifacts while a DAG file is read, and how returned values become artifacts by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airloom.errors import FlowError

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = pytest.mark.airflow

if TYPE_CHECKING:
    from airloom.decorators.artifacts import ArtifactsOperator


def operator(**said: Any) -> ArtifactsOperator:
    from airflow.sdk import DAG, task

    with DAG("d", schedule=None):

        @task.artifacts(**said)
        def work() -> None:
            pass

        found: ArtifactsOperator = work().operator  # type: ignore[attr-defined]
    return found


def test_it_is_found_as_a_decorator_of_tasks() -> None:
    from airflow.sdk import DAG, task

    from airloom.decorators.artifacts import ArtifactsOperator, ArtifactsXComArg

    with DAG("d", schedule=None) as dag:

        @task.artifacts
        def bare(x: int = 1) -> int:
            return x

        @task.artifacts(retries=3, pool="gpus")
        def called(x: int) -> dict[str, int]:
            return {"y": x}

        first = bare()
        second = called(first)
        many = bare.expand(x=[1, 2])
        again = bare.override(task_id="other", retries=2).partial().expand(x=first)

    found = dag.get_task("called")
    assert isinstance(found, ArtifactsOperator)
    assert (found.retries, found.pool, found.multiple_outputs) == (3, "gpus", True)
    assert all(isinstance(one, ArtifactsXComArg) for one in (first, second, second["y"], many, again))
    assert found.upstream_task_ids == {"bare"}
    assert dag.get_task("other").upstream_task_ids == {"bare"}
    assert dag.get_task("other").operator_class is ArtifactsOperator


def test_a_dag_with_it_serializes_alike_each_time() -> None:
    from airflow.sdk import DAG, task
    from airflow.serialization import serialized_objects

    # SerializedDAG is its name in Airflow 3.1.
    serialization = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG

    def made() -> Any:
        with DAG("d", schedule=None) as dag:

            @task.artifacts(outputs=("model", "score"), resources={"cpu": 2})
            def fit(n: int) -> tuple[int, int]:
                return n, n

            @task
            def plain(x: int) -> None:
                pass

            plain(fit.expand(n=[1, 2])["model"])
        return json.dumps(serialization.to_dict(dag), sort_keys=True)

    assert made() == made()
    assert "airloom.decorators.artifacts" in made()


def test_another_place_than_worker_and_jobs_is_refused() -> None:
    with pytest.raises(FlowError, match="cannot run on 'moon'") as caught:
        operator(target="moon")
    assert caught.value.mend == "write one of worker, batch, ecs."


def test_an_unknown_resource_is_refused() -> None:
    with pytest.raises(FlowError, match="no resource 'memry'") as caught:
        operator(resources={"memry": 5})
    assert caught.value.mend == "did you mean 'memory'?"


@pytest.mark.parametrize("outputs", ["model", (), ("a", "a")])
def test_outputs_that_name_nothing_are_refused(outputs: object) -> None:
    with pytest.raises(FlowError, match="does not name several values"):
        operator(outputs=outputs)


def test_resources_become_the_size_of_an_attempt() -> None:
    assert operator(resources={"cpu": 2, "memory": 512}).size == {"cpu": 2, "memory_mib": 512}


@pytest.mark.parametrize(
    ("said", "value", "artifacts"),
    [
        ({}, 5, {"return_value": 5}),
        ({}, None, {}),
        ({}, {"a": 1}, {"return_value": {"a": 1}}),
        ({"multiple_outputs": True}, {"a": 1, "b": None}, {"a": 1, "b": None}),
        ({"outputs": ("a", "b")}, (1, 2), {"a": 1, "b": 2}),
        ({"outputs": ("a", "b")}, [1, 2], {"a": 1, "b": 2}),
        ({"outputs": ("a", "b")}, {"b": 2, "a": 1}, {"a": 1, "b": 2}),
        ({"outputs": ["a"]}, ({"x": 1},), {"a": {"x": 1}}),
    ],
)
def test_returned_values_have_names(
    said: dict[str, Any], value: object, artifacts: dict[str, object]
) -> None:
    found = operator(**said).named(value)
    assert list(found.items()) == list(artifacts.items())


@pytest.mark.parametrize(
    ("said", "value", "what"),
    [
        ({"multiple_outputs": True}, 5, "it returned int, and says that it returns several values by name"),
        ({"outputs": ("a", "b")}, (1, 2, 3), "it returned 3 values, and says that it returns a, b"),
        ({"outputs": ("a", "b")}, {"a": 1}, "it returned values of the names a, and says"),
        ({"outputs": ("a", "b")}, 5, "it returned one int, and says"),
        ({"outputs": ("a", "b")}, "ab", "it returned one str, and says"),
    ],
)
def test_values_that_do_not_fit_their_names_are_refused(
    said: dict[str, Any], value: object, what: str
) -> None:
    with pytest.raises(FlowError, match=what) as caught:
        operator(**said).named(value)
    assert caught.value.where == "the task 'work' of the DAG 'd'"
