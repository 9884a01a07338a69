"""A DAG that knows nothing of Airloom.

With ``[core] xcom_backend = airloom.xcom.ArtifactXComBackend`` its larger XComs are artifacts with versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import dag, task

if TYPE_CHECKING:
    from airflow.sdk import TaskInstance


def _columns(ti: Any) -> dict[str, list[int]]:
    ti.xcom_push(key="rows", value=3)
    ti.xcom_push(key="raw text", value="1,2,3\n" * 2000)
    return {"x": list(range(3000)), "y": [n * n for n in range(3000)]}


@dag(schedule=None, tags=["airloom", "example"])
def xcom_backend() -> None:
    columns = PythonOperator(task_id="columns", python_callable=_columns)

    @task
    def parts(columns: dict[str, list[int]]) -> list[dict[str, Any]]:
        return [{"name": name, "values": values} for name, values in columns.items()]

    @task
    def total(part: dict[str, Any]) -> dict[str, Any]:
        return {"sum": sum(part["values"]), "values": part["values"]}

    @task
    def report(totals: list[dict[str, Any]], ti: TaskInstance | None = None) -> dict[str, Any]:
        assert ti is not None
        text = ti.xcom_pull(task_ids="columns", key="raw text")
        rows = ti.xcom_pull(task_ids="columns", key="rows")
        return {"sums": [one["sum"] for one in totals], "rows": rows, "text": text}

    report(total.expand(part=parts(columns.output)))


xcom_backend()
