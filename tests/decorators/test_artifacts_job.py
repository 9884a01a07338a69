"""@task.artifacts whose function runs as a job, while a DAG file is read."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airloom.errors import AirloomError, FlowError, SizeError

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = pytest.mark.airflow

if TYPE_CHECKING:
    from airloom.client import DataArtifact
    from airloom.decorators.jobs import ArtifactsBatchOperator


def made(**said: Any) -> Any:
    """Give the DAG with a task, and the same task mapped."""
    from airflow.sdk import DAG, task

    with DAG("d", schedule=None, default_args={"retries": 2}) as dag:

        @task.artifacts(**said)
        def fit(x: int) -> None:
            pass

        fit(1)
        fit.override(task_id="many").expand(x=[1, 2])
    return dag


def operator(**said: Any) -> ArtifactsBatchOperator:
    found: ArtifactsBatchOperator = made(**said).get_task("fit")
    return found


def test_the_place_follows_from_what_is_said_about_it() -> None:
    from airloom.decorators.artifacts import ArtifactsOperator
    from airloom.decorators.jobs import ArtifactsBatchOperator, ArtifactsEcsOperator

    assert isinstance(operator(), ArtifactsOperator)
    assert isinstance(operator(target="worker", resources={"cpu": 1}), ArtifactsOperator)
    assert isinstance(operator(target="batch"), ArtifactsBatchOperator)
    assert isinstance(operator(batch={"queue": "jobs"}), ArtifactsBatchOperator)
    assert isinstance(operator(ecs={}), ArtifactsEcsOperator)
    assert isinstance(operator(target="ecs", ecs={"cluster": "c"}), ArtifactsEcsOperator)


def test_needs_are_those_of_the_decorators_of_steps() -> None:
    said = operator(
        resources={"memory": 512, "max_memory": 2048, "cpu": "auto"},
        batch={"queue": "jobs", "image": "i", "use_tmpfs": True},
    ).declared()
    assert (said.target, said.resources.memory_mib, said.resources.max_memory_mib) == ("batch", 512, 2048)
    assert said.resources.learned == ("cpu",)
    assert said.batch is not None
    assert (said.batch.queue, said.batch.image, said.batch.tmpfs is None) == ("jobs", "i", False)


def test_airflow_counts_the_tries_of_all_budgets_and_the_user_has_their_own() -> None:
    dag = made(target="batch", resources={"memory": 512, "max_memory": 2048})
    one, many = dag.get_task("fit"), dag.get_task("many")
    assert (one.own_retries, one.retries) == (2, 2 + 2 + 5 + 2)
    assert many.retries == one.retries
    assert many.partial_kwargs["own_retries"] == 2


def test_the_time_limit_is_the_containers() -> None:
    found = operator(target="batch", execution_timeout=timedelta(minutes=5))
    assert (found.execution_timeout, found.timeout) == (None, timedelta(minutes=5))


def test_a_dag_with_jobs_serializes_alike_each_time() -> None:
    from airflow.serialization import serialized_objects

    # SerializedDAG is its name in Airflow 3.1.
    serialization = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
    texts = [
        json.dumps(serialization.to_dict(made(target="ecs", resources={"memory": 512})), sort_keys=True)
        for _ in range(2)
    ]
    assert texts[0] == texts[1]
    assert '"needs": {"memory": 512}' in texts[0]


@pytest.mark.parametrize(
    ("said", "kind", "what"),
    [
        ({"target": "batch", "ecs": {}}, FlowError, "target='batch' and ecs= say two places"),
        ({"target": "worker", "batch": {}}, FlowError, "target='worker' and batch= say two places"),
        ({"batch": {"queu": "q"}}, FlowError, "@batch has no argument 'queu'"),
        ({"target": "ecs", "resources": {"memry": 1}}, FlowError, "@resources has no argument 'memry'"),
        ({"target": "ecs", "resources": {"memory": -1}}, SizeError, "memory"),
        ({"target": "ecs", "resources": {"memory": lambda flow: 5}}, FlowError, "memory is a function"),
        (
            {"ecs": {"launch_type": "FARGATE"}, "resources": {"memory": 1 << 20}},
            SizeError,
            "1048576 MiB",
        ),
    ],
)
def test_what_cannot_be_is_told_while_the_file_is_read(
    said: dict[str, Any], kind: type[AirloomError], what: str
) -> None:
    with pytest.raises(kind, match=what):
        operator(**said)


def test_an_artifact_that_is_not_loaded_cannot_travel() -> None:
    from airflow.sdk import task

    with pytest.raises(FlowError, match="'model' is a DataArtifact"):

        @task.artifacts(target="batch")
        def fit(model: DataArtifact) -> None:
            pass


def test_plain_values_of_the_context_travel_and_others_do_not() -> None:
    from airloom.runtime.calls import context_arguments

    def work(rows: int, ds: str, params: Any = None, *, logical_date: Any = None, other: int = 3) -> None:
        pass

    def greedy(ti: Any = None) -> None:
        pass

    day = datetime(2026, 11, 25, tzinfo=timezone.utc)
    context = {"ds": "2026-11-25", "params": {"a": 1}, "logical_date": day, "ti": object(), "run_id": "r"}
    found = context_arguments(work, [5], {}, context)
    assert found == {"ds": "2026-11-25", "params": {"a": 1}, "logical_date": day}
    assert context_arguments(work, [5, "mine"], {}, context)["params"] == {"a": 1}
    with pytest.raises(FlowError, match="wants 'ti' of Airflow's context"):
        context_arguments(greedy, [], {}, context)
