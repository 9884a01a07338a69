"""A small client of Airflow's REST API, version 2: what a deployment or a test asks for.

Notes
-----
Paths and bodies are those of apache-airflow-core 3.3.2, ``v2-rest-api-generated.yaml``; none
of them is newer than 3.1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from urllib.parse import quote

from airloom.airflow_api.http import AirflowHttp, ApiError, Json
from airloom.errors import DeployError

FINISHED = frozenset({"success", "failed"})
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class DagRun:
    """One run; ``raw`` holds all that Airflow says of it."""

    dag_id: str
    run_id: str
    state: str
    conf: Mapping[str, object]
    raw: Json = field(repr=False, compare=False)

    @property
    def finished(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state in FINISHED


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """One task instance: ``map_index`` is -1 where nothing is mapped, ``state`` "none" at first."""

    task_id: str
    map_index: int
    state: str
    try_number: int
    max_tries: int
    raw: Json = field(repr=False, compare=False)

    @property
    def pid(self) -> int | None:
        """Process that runs the user's code, on the host that runs it."""
        pid = self.raw.get("pid")
        return int(pid) if pid else None

    @property
    def duration_s(self) -> float | None:
        """How long the last attempt took."""
        duration = self.raw.get("duration")
        return None if duration is None else float(duration)


OnChange = Callable[[list[TaskInstance]], None]


class AirflowApi(AirflowHttp):
    """What Airflow knows and does, as one user sees it; made like `AirflowHttp`."""

    def health(self) -> Json:
        """State of the scheduler, the DAG processor and the database.

        Raises
        ------
        ApiError
            When Airflow does not answer.
        """
        return self.send("GET", "/api/v2/monitor/health", None)

    def wait_for_dag(
        self, dag_id: str, timeout_s: float = 60.0, *, parsed_after: datetime | None = None
    ) -> Json:
        """Wait until Airflow knows a DAG.

        Parameters
        ----------
        parsed_after
            Wait for a parse that ended after this moment, e.g. when the file was rewritten.

        Raises
        ------
        DeployError
            When it does not within ``timeout_s``; with the import errors that Airflow saw.
        """
        for _ in _until(timeout_s):
            dag = self._dag(dag_id)
            if dag is not None and not dag.get("has_import_errors"):
                parsed = dag.get("last_parsed_time")
                if parsed_after is None or (parsed and _moment(parsed) > parsed_after):
                    return dag
        errors = self.import_errors()
        seen = "".join(f"\n{name}:\n{trace}" for name, trace in errors.items())
        raise DeployError(
            f"Airflow did not find the DAG {dag_id!r} within {timeout_s:.0f} s{seen}",
            where=self.url,
            mend="mend the import error." if errors else "look whether its file lies in the DAGs folder.",
        )

    def _dag(self, dag_id: str) -> Json | None:
        try:
            return self.request("GET", _path("dags", dag_id))
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    def import_errors(self) -> dict[str, str]:
        """DAG files that do not load, each with its traceback."""
        errors = self.pages("/importErrors", "import_errors")
        return {str(error["filename"]): str(error["stack_trace"]) for error in errors}

    def dag_versions(self, dag_id: str) -> list[Json]:
        """Versions that Airflow keeps of a DAG."""
        return list(self.pages(_path("dags", dag_id, "dagVersions"), "dag_versions"))

    def trigger(
        self, dag_id: str, conf: Mapping[str, object] | None = None, run_id: str | None = None
    ) -> str:
        """Start a run and return its id.

        Parameters
        ----------
        conf
            Values of the DAG's params.

        Raises
        ------
        ApiError
            404 no such DAG; 400 a value is not of its param's form; 409 the run id is taken.
        """
        body: dict[str, object] = {"logical_date": None, "conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        return str(self.request("POST", _path("dags", dag_id, "dagRuns"), body=body)["dag_run_id"])

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """Read one run.

        Raises
        ------
        ApiError
            404 when there is none.
        """
        raw = self.request("GET", _path("dags", dag_id, "dagRuns", run_id))
        return DagRun(dag_id, run_id, raw["state"], raw.get("conf") or {}, raw)

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a run ``success`` or ``failed``; its running tasks are ended."""
        self.request("PATCH", _path("dags", dag_id, "dagRuns", run_id), body={"state": state})

    def pause(self, dag_id: str, *, paused: bool = True) -> None:
        """Keep a DAG's runs from starting, or let them start again."""
        self.request("PATCH", _path("dags", dag_id), body={"is_paused": paused})

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """All task instances of a run, by task id and map index."""
        found = self.pages(_path("dags", dag_id, "dagRuns", run_id, "taskInstances"), "task_instances")
        return sorted(
            (
                TaskInstance(
                    raw["task_id"],
                    raw["map_index"],
                    raw["state"] or "none",
                    raw["try_number"],
                    raw["max_tries"],
                    raw,
                )
                for raw in found
            ),
            key=lambda task: (task.task_id, task.map_index),
        )

    def wait_for_run(
        self, dag_id: str, run_id: str, timeout_s: float = 120.0, *, on_change: OnChange | None = None
    ) -> DagRun:
        """Wait until a run has succeeded or failed.

        Parameters
        ----------
        on_change
            Called with all task instances whenever one has a new state or attempt.

        Raises
        ------
        DeployError
            When it has not within ``timeout_s``.
        """
        before: list[TaskInstance] = []
        for _ in _until(timeout_s):
            run = self.dag_run(dag_id, run_id)  # before its tasks, so that the last call shows them finished
            if on_change is not None:
                now = self.task_instances(dag_id, run_id)
                if now != before:
                    before = now
                    on_change(now)
            if run.finished:
                return run
        states = ", ".join(
            f"{task.task_id}[{task.map_index}] {task.state}"
            for task in self.task_instances(dag_id, run_id)
            if task.state != "success"
        )
        raise DeployError(
            f"the run {dag_id}/{run_id} has not finished within {timeout_s:.0f} s: {states}",
            where=f"{self.url}/dags/{quote(dag_id)}/runs/{quote(run_id)}",
            mend="look at the logs of these tasks.",
        )

    def clear(
        self,
        dag_id: str,
        run_id: str,
        task_ids: Iterable[str] | None = None,
        *,
        map_index: int | None = None,
        downstream: bool = False,
        only_failed: bool = False,
        latest_version: bool | None = None,
    ) -> list[str]:
        """Have tasks run again; returns the ids of those that will.

        Parameters
        ----------
        task_ids
            None: all tasks of the run.
        map_index
            Only this instance of each of ``task_ids``.
        downstream
            Also all that depends on them.
        only_failed
            Leave out tasks that succeeded.
        latest_version
            True: with the newest code of the DAG; None: as Airflow is configured.
        """
        body: dict[str, object] = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": only_failed,
            "include_downstream": downstream,
            "reset_dag_runs": True,
        }
        if task_ids is not None:
            body["task_ids"] = [task if map_index is None else [task, map_index] for task in task_ids]
        if latest_version is not None:
            body["run_on_latest_version"] = latest_version
        answer = self.request("POST", _path("dags", dag_id, "clearTaskInstances"), body=body)
        return [str(task["task_id"]) for task in answer["task_instances"]]

    def set_task_state(
        self, dag_id: str, run_id: str, task_id: str, state: str, *, map_index: int = -1
    ) -> None:
        """Mark a task ``success``, ``failed`` or ``skipped``; a running one is ended."""
        parts = ["dags", dag_id, "dagRuns", run_id, "taskInstances", task_id]
        if map_index >= 0:
            parts.append(str(map_index))
        self.request("PATCH", _path(*parts), body={"new_state": state})

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, *, map_index: int = -1
    ) -> str:
        """Log of one attempt, one line an event; an exception as ``Type: message``."""
        path = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "logs", str(try_number))
        answer = self.request("GET", path, query={"map_index": map_index, "full_content": "true"})
        return "\n".join(_log_line(event) for event in answer["content"])

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", *, map_index: int = -1
    ) -> object:
        """Value of one XCom.

        Raises
        ------
        ApiError
            404 when there is none.
        """
        path = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "xcomEntries", key)
        return self.request("GET", path, query={"map_index": map_index})["value"]


def _path(*parts: str) -> str:
    return "".join("/" + quote(part, safe="") for part in parts)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 does not read the Z


def _until(timeout_s: float) -> Iterator[None]:
    end = time.monotonic() + timeout_s
    yield
    while time.monotonic() < end:
        time.sleep(_POLL_S)
        yield


def _log_line(event: Json | str) -> str:
    if isinstance(event, str):
        return event
    details: Sequence[Json] = event.get("error_detail") or ()
    causes = [f"{detail.get('exc_type')}: {detail.get('exc_value')}" for detail in details]
    return "\n".join([str(event.get("event", "")), *causes])
