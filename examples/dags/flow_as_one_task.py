"""A deployed flow as one task, a DAG that waits for a run of it, and one that is scheduled on it."""

from __future__ import annotations

from airflow.sdk import Asset, dag, task

from airloom.operators.run_flow import RunFlowOperator
from airloom.sensors.flows import ArtifactSensor, FlowRunSensor

FINISHED = Asset("x-airloom://flow/WordCountFlow")


@dag(schedule=None, tags=["airloom", "example"])
def flow_as_one_task() -> None:
    @task
    def fetch() -> str:
        return "to be or not to be"

    @task
    def report(pathspec: str) -> dict[str, int]:
        from airloom.hooks.datastore import DatastoreHook

        return DatastoreHook().get_run(pathspec).data.counts

    run = RunFlowOperator(
        task_id="run",
        flow="WordCountFlow",
        parameters={"text": fetch(), "least": "{{ 1 + 1 }}"},
        poll_interval=1,
    )
    report(run.output)


@dag(schedule=None, tags=["airloom", "example"])
def waits_for_a_flow() -> None:
    run = FlowRunSensor(
        task_id="run", flow="WordCountFlow", namespace="production:WordCountFlow", deferrable=True
    )
    counts = ArtifactSensor(
        task_id="counts",
        flow="WordCountFlow",
        run_id="{{ ti.xcom_pull('run').split('/')[1] }}",
        artifact="counts",
    )
    run >> counts


@dag(schedule=[FINISHED], tags=["airloom", "example"])
def runs_after_a_flow() -> None:
    @task
    def which(triggering_asset_events: dict) -> list[str]:
        return [event.extra["run"] for event in triggering_asset_events[FINISHED]]

    which()


flow_as_one_task()
waits_for_a_flow()
runs_after_a_flow()
