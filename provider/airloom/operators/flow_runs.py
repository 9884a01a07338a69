"""Runs of deployed flows that a task of another DAG starts and waits for; imported by a running task only."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import TriggerDagRun

from airloom.digests import digest_of
from airloom.errors import DeployError, ParameterError, StepFailed
from airloom.operators.references import resolve
from airloom.operators.runs import airflow_settings, plain, typed
from airloom.runtime.start import run_parameters
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.deployments import Deployments

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.plan import Plan

logger = logging.getLogger(__name__)

_ENDS = ("success", "failed")
_LONGEST = 160
"""Signs of the readable part of a run's id; Airflow keeps 250 of the whole."""

_SHOWN = 3


class Operator(Protocol):
    """What the task says."""

    flow: str
    parameters: Mapping[str, Any] | None
    retries: int | None
    airloom_conn_id: str | None


class FlowRuns:
    """The runs of one flow that one task starts."""

    def __init__(self, operator: Operator, context: Context) -> None:
        self._dag_id = operator.flow
        self._operator = operator
        self._ti: Any = context["ti"]
        self._host_run = str(context["dag_run"].run_id)
        self._settings = airflow_settings(operator.airloom_conn_id)
        self._datastore = Datastore.open(self._settings)

    def begin(self) -> str:
        """Give the id of the run to wait for: one that a try before this one has started, or a new one.

        Raises
        ------
        ParameterError
            When the flow does not take such parameters.
        DeployError
            When Airflow has no such DAG, or refuses to start it.
        """
        retries = self._operator.retries or 0
        generation = max(int(self._ti.max_tries) - retries, 0)
        tries = max(int(self._ti.try_number) - generation, 1)
        # A try starts one run at most: so many there can be since the task was cleared last.
        for number in range(1, tries + 1):
            run_id = self._run_id(generation, number)
            state = self._state(run_id)
            if state is None:
                self._trigger(run_id)
                return run_id
            if state != "failed" or number == tries:
                logger.info("%s goes on with the run %s, which is %s", self._dag_id, run_id, state)
                return run_id
        raise AssertionError

    def has_ended(self, run_id: str) -> bool:
        """Say whether the run has succeeded or failed."""
        return self._state(run_id) in _ENDS

    def result(self, run_id: str) -> str:
        """Give the pathspec of a run that has ended.

        Raises
        ------
        StepFailed
            When it failed.
        """
        flow, run = names_of(self._dag_id, run_id)
        if self._state(run_id) == "failed":
            raise StepFailed(
                f"the run of the flow {flow} failed: {self._failed(flow, run, run_id)}",
                where=f"{flow}/{run}",
                mend="look at the logs of its tasks; another try of this task starts another run.",
            )
        return f"{flow}/{run}"

    def _state(self, run_id: str) -> str | None:
        if not self._ti.get_dr_count(dag_id=self._dag_id, run_ids=[run_id]):
            return None
        state = self._ti.get_dagrun_state(dag_id=self._dag_id, run_id=run_id)
        return str(getattr(state, "value", state))

    def _run_id(self, generation: int, number: int) -> str:
        ti = self._ti
        place = [ti.dag_id, ti.task_id, ti.map_index, self._host_run, generation, number]
        readable = f"{ti.dag_id}.{ti.task_id}__{self._host_run}"[:_LONGEST]
        return f"flow__{readable}__{digest_of([json.dumps(place).encode()]).partition(':')[2][:12]}"

    def _trigger(self, run_id: str) -> None:
        parameters = self._parameters()
        # Airflow has no public call for this: its own operator raises an exception that its task runner
        # answers so, and that leaves no room to say which step failed (Task SDK of 3.1 to 3.3).
        asked = TriggerDagRun(dag_id=self._dag_id, run_id=run_id, conf=parameters)
        try:
            task_runner.SUPERVISOR_COMMS.send(asked)
        except AirflowRuntimeError as error:
            raise DeployError(
                f"Airflow starts no run of the DAG {self._dag_id!r}: {error}",
                where=f"the task {self._ti.task_id!r} of {self._ti.dag_id}",
                mend="see that the flow is deployed and called so, and its DAG file has no import error.",
            ) from error
        logger.info("started %s: the DAG run %s", "/".join(names_of(self._dag_id, run_id)), run_id)

    def _parameters(self) -> dict[str, Json]:
        where = f"the task {self._ti.task_id!r} of {self._ti.dag_id}"
        values = {name: plain(resolve(value)) for name, value in (self._operator.parameters or {}).items()}
        given = {name: value for name, value in values.items() if value is not None}
        plan = self._plan()
        if plan is not None:
            known = {parameter.name: parameter for parameter in plan.parameters}
            given = {name: typed(known.get(name), value, where) for name, value in given.items()}
            run_parameters(plan, given, self._datastore, where=where)
        try:
            json.dumps(given)
        except TypeError as error:
            raise ParameterError(
                f"a parameter is no JSON value: {error}",
                where=where,
                mend="pass numbers, texts, lists and dicts; of data pass the pathspec of an artifact.",
            ) from error
        return given

    def _plan(self) -> Plan | None:
        """Plan that is deployed, as far as the datastore knows; else the run's first task checks."""
        deployments = Deployments.open(self._settings)
        stored = deployments.current().of_dag(self._dag_id)
        if stored is not None:
            return self._datastore.plan(stored.flow, stored.plan)
        notes = sorted(deployments.folders(self._dag_id), key=lambda note: note.deployed_at)
        return self._datastore.plan(notes[-1].flow, notes[-1].plan) if notes else None

    def _failed(self, flow: str, run: str, run_id: str) -> str:
        """Name the steps that failed, with their errors."""
        found = self._ti.get_task_states(dag_id=self._dag_id, run_ids=[run_id]).get(run_id, {})
        failed = sorted(task for task, state in found.items() if str(state) == "failed")
        begun = self._datastore.steps(flow, run)
        # A mapped task is called by its map index as well, which says nothing about its index path.
        steps = dict.fromkeys(task if task in begun else re.sub(r"_\d+\Z", "", task) for task in failed)
        told = [self._error(flow, run, step) for step in list(steps)[:_SHOWN]]
        more = f"; and {len(steps) - _SHOWN} more" if len(steps) > _SHOWN else ""
        return "; ".join(told) + more if told else "none of its tasks has failed; somebody marked it"

    def _error(self, flow: str, run: str, step: str) -> str:
        for task in self._datastore.tasks(flow, run, step):
            key = TaskKey(flow, run, step, task)
            number, done = self._datastore.last_attempt(key)
            record = None if done is not None or number < 0 else self._datastore.failed(key, number)
            if record is not None:
                kind = record.error.type.removeprefix("builtins.")
                said = record.error.message.splitlines() or [""]
                return f"step {step!r} ({step}/{task}): {kind}: {said[0]}"
        return f"step {step!r}"


def names_of(dag_id: str, run_id: str) -> tuple[str, str]:
    """Flow and run of a DAG run: of ``project.branch.Flow`` the branch stands before the run's id.

    >>> names_of("Train", "7"), names_of("fraud.user.ada.Train", "7")
    (('Train', '7'), ('Train', 'user.ada:7'))
    """
    _, _, deployed = dag_id.partition(".")
    branch, _, flow = deployed.rpartition(".")
    return (flow, f"{branch}:{run_id}") if branch else (dag_id, run_id)
