"""Records of runs as the runtime writes them, and somebody who asks for the pages of the user interface."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException, Request

from airloom.plan import Plan, StepPlan, Transition
from airloom.sizing.catalogue import Size
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import (
    ArtifactRecord,
    BeginRecord,
    CardName,
    DoneRecord,
    ErrorRecord,
    FailedRecord,
    Outcome,
    RunRecord,
    Usage,
)

END = "2026-11-25T04:00:03+00:00"
RUN = "manual__2026-11-25T04:00:00+00:00"


def plan(flow: str = "Train") -> Plan:
    return Plan(
        flow=flow,
        module="train",
        steps=(
            StepPlan("start", Transition("foreach", ("fit",), variable="rates"), doc="Lists the rates."),
            StepPlan("fit", Transition("linear", ("end",)), ("start",), None, ("start",), ("start",)),
            StepPlan("end", Transition("end"), ("fit",), joins="start"),
        ),
        start="start",
        end="end",
        code="b3:c0de",
    )


class Recorder:
    """Writes runs as the runtime does."""

    def __init__(self, datastore: Datastore) -> None:
        self.datastore = datastore

    def run(self, flow: str = "Train", run: str = RUN, **more: Any) -> None:
        digest = self.datastore.save_plan(more.pop("plan", None) or plan(flow))
        record = RunRecord(flow, run, digest, "2026-11-25T04:00:00+00:00", "ada", **more)
        self.datastore.create_run(record)

    def begin(self, step: str, task: str = "0", flow: str = "Train", run: str = RUN) -> tuple[TaskKey, int]:
        key = TaskKey(flow, run, step, task)
        begun = BeginRecord("2026-11-25T04:00:01+00:00", "host-7", 41, size=Size(2, 4096, why="declared"))
        return key, self.datastore.claim(key, lambda _: begun)

    def done(
        self, step: str, task: str = "0", artifacts: dict[str, ArtifactRecord] | None = None, **more: Any
    ) -> tuple[TaskKey, int]:
        key, number = self.begin(
            step, task, **{name: more.pop(name) for name in ("flow", "run") if name in more}
        )
        record = DoneRecord(
            "2026-11-25T04:00:03+00:00",
            artifacts or {},
            Outcome(),
            Usage(1234.0, 1.5, 2.0),
            code="b3:c0de",
            **more,
        )
        self.datastore.commit(key, number, record)
        return key, number

    def failed(
        self, step: str, task: str, error: ErrorRecord, kind: str = "user_code"
    ) -> tuple[TaskKey, int]:
        key, number = self.begin(step, task)
        record = FailedRecord(END, error, Usage(99.0, 1.0, 1.0), failure=kind)
        self.datastore.fail(key, number, record)
        return key, number

    def card(self, key: TaskKey, number: int, html: str) -> None:
        self.datastore.save_card(key, number, CardName(0, "default"), html.encode())


def artifact(preview: str = "1", kind: str = "int") -> ArtifactRecord:
    return ArtifactRecord("b3:" + "ab" * 32, 2048, kind, "json/1", preview=preview)


class Somebody:
    """Stands for Airflow's login: whom it let in, what they may read, and what it keeps of tasks."""

    def __init__(self) -> None:
        self.known = True
        self.allowed: dict[str, set[str]] = {}
        self.fields: dict[tuple[str, str, str, int], dict[str, Any]] = {}

    def admit(self, request: Request) -> Somebody:
        if not self.known:
            raise HTTPException(401, "Not authenticated")
        return self

    def may(self, dag_id: str, entity: str) -> bool:
        return entity in self.allowed.get(dag_id, set())

    def rendered_fields(self, *key: Any) -> dict[str, Any]:
        return self.fields.get(key, {})


ALL = {"RUN", "TASK_INSTANCE", "TASK_LOGS", "XCOM"}


class Browser:
    """Asks an application for pages, mounted as Airflow mounts it, below the path /base."""

    def __init__(self, pages: FastAPI) -> None:
        self._airflow = FastAPI(root_path="/base")
        self._airflow.mount("/airloom", pages)

    def get(
        self, path: str, headers: dict[str, str] | None = None, params: dict[str, str] | None = None
    ) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._airflow)
            async with httpx.AsyncClient(transport=transport, base_url="http://airflow.test") as client:
                return await client.get(path, headers=headers or {"accept": "text/html"}, params=params)

        return asyncio.run(ask())
