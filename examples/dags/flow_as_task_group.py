"""A flow as a task group: a parameter from the task before it, artifacts for the task after it.

``airloom deploy word_count_flow.py --as-task-group --dags-folder ...`` makes ``word_count_flow_group``.
"""

from __future__ import annotations

from airflow.sdk import dag, task
from word_count_flow_group import word_count_flow


@dag(schedule=None, params={"text": "a flow in a DAG"}, tags=["airloom", "example"])
def flow_as_task_group() -> None:
    @task
    def fetch(params: dict) -> str:
        return f"{params['text']} {params['text']}"

    @task
    def report(counts: dict[str, int], longest: str, longest_before: str) -> str:
        return f"{sum(counts.values())} words, the longest is {longest}, and was {longest_before}"

    # Two groups of one flow are two runs of it.
    now = word_count_flow(group_id="now", text=fetch())
    before = word_count_flow(group_id="before", text="{{ dag.dag_id }} has words", least=4)
    report(now.output("counts"), now.output("longest"), before.output("longest"))


flow_as_task_group()
