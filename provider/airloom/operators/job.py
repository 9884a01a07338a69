"""What the operators of AWS Batch and ECS have in common: one step of a flow as a job elsewhere.

Parsing a DAG file imports this module, so everything that only a running task needs is
imported where it runs.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airloom.failures import ENDED_BY_AIRFLOW

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.failures import Failure
    from airloom.operators.jobs import JobExecution
    from airloom.operators.openlineage import Told
    from airloom.operators.submissions import Submission
    from airloom.plan import StepPlan
    from airloom.settings import Settings

_GOES_ON = ("running", "queued", "scheduled", "up_for_retry")
"""States in which a task has, or will have, a try that goes on with its job."""

_PATIENCE_S = 3.0
_PAUSES_S = (0.5, 1, 2, 4, 8)

BACK_OFF = {"retries": {"mode": "adaptive", "max_attempts": 10}}
"""How the client of AWS meets a service that is asked too often, unless the DAG file says otherwise."""

OF_FLOW = ("flow", "plan", "step", "index", "flow_group", "flow_parameters", "flow_outputs")
FIELDS: tuple[str, ...] = (*OF_FLOW, "image", "cpu", "memory_mib", "gpu")
"""Template fields of both: what a task's page in Airflow shows."""


class JobStep:
    """One step as a job: what `airloom.operators.jobs` asks an operator for, and the entries of Airflow.

    An operator's own part is how its service submits, describes and stops a job.
    """

    flow: str
    plan: str
    step: str | None
    index: str | None
    image: str | None
    cpu: float | None
    memory_mib: int | None
    gpu: int | None
    flow_group: str | None
    flow_parameters: Mapping[str, Json] | None
    flow_outputs: Sequence[str] | None
    retries: int | None
    told: Told | None = None
    deferrable: bool
    poll_interval: int
    _context: Context

    @property
    def current_job(self) -> str | None:
        """Id of the job that this try waits for."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Run the step as a job; return what `StepOperator` returns.

        A job of this attempt that runs already, or has ended meanwhile, is gone on with.

        Raises
        ------
        AirflowFailException
            When another try cannot help: the budget of this kind of failure is used up.
        AirflowException
            When the step failed and may be tried again.
        """
        from airloom.operators.jobs import run

        self._context = context
        return run(self, context, resumed=False)

    def begin(self, context: Context) -> JobExecution:
        """Begin a try."""
        from airloom.operators.jobs import JobExecution

        return JobExecution(self, context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Go on after the triggerer has seen the end of the job, or the end of its time."""
        from airloom.operators.jobs import run

        self._context = context
        return run(self, context, resumed=True, seen=int((event or {}).get("told", 0)))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Tell OpenLineage which attempt this was, what it read and what it left."""
        from airloom.operators.openlineage import lineage

        return lineage(self.told)

    def on_kill(self) -> None:
        """Stop the job, unless it is this worker that ends: then the next try goes on with the job.

        Notes
        -----
        Airflow calls it when somebody marks or clears the task, at ``execution_timeout``, and also when a
        worker is shut down or was believed dead (Task SDK, execution_time/task_runner.py, ``_on_term``).
        """
        job = self.current_job
        if job and not self._goes_on():
            self.stop(job, ENDED_BY_AIRFLOW)

    def _goes_on(self) -> bool:
        """Ask Airflow whether the task is to run on; False when it does not say so in time."""
        if "AirflowTaskTimeout" in {kind.__name__ for kind in type(sys.exc_info()[1]).__mro__}:
            return False
        found: list[str] = []

        def ask() -> None:
            ti, dag_run = self._context["ti"], self._context["dag_run"]
            where: dict[str, Any] = {"dag_id": dag_run.dag_id, "run_ids": [dag_run.run_id]}
            if ti.map_index is not None and ti.map_index >= 0:
                where["map_index"] = ti.map_index
            states = ti.get_task_states(task_ids=[ti.task_id], **where)
            found.extend(str(state) for state in states.get(dag_run.run_id, {}).values())

        # In a thread: the signal may have come in the middle of a request, whose lock is held then.
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(_PATIENCE_S)
        return bool(found) and all(state in _GOES_ON for state in found)

    def changed(self, step: StepPlan, settings: Settings) -> StepPlan:
        """Fill in what the DAG file and the settings say about the step."""
        raise NotImplementedError

    def submit(self, submission: Submission, context: Context) -> str:
        """Start a job; return its id.

        Raises
        ------
        Refused
            When the service will have none of it.
        """
        raise NotImplementedError

    def find(self, name: str) -> str | None:
        """Id of a job by its name: one whose submission was not recorded."""
        raise NotImplementedError

    def describe(self, job: str) -> Mapping[str, Any] | None:
        """What the service says about a job; None when it knows no such job.

        One that was just submitted may not be known everywhere: it is asked for several times.
        """
        for pause_s in _PAUSES_S:
            found = self.look(job)
            if found is not None:
                return found
            time.sleep(pause_s)
        return self.look(job)

    def look(self, job: str) -> Mapping[str, Any] | None:
        """Ask the service once about a job."""
        raise NotImplementedError

    def state(self, described: Mapping[str, Any]) -> str:
        """Say ``waiting``, ``running`` or ``over``."""
        raise NotImplementedError

    def times(self, described: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
        """When it was submitted, when it started, when it stopped: seconds since 1970."""
        raise NotImplementedError

    def failure(self, described: Mapping[str, Any]) -> Failure | None:
        """Why a job that is over failed; None when it did not."""
        raise NotImplementedError

    def blocked(self, described: Mapping[str, Any]) -> str:
        """Why a job waits, in the words of the service; empty when it does not say."""
        raise NotImplementedError

    def wait(self, context: Context, job: str, start_by: float | None, end_by_s: float | None) -> None:
        """Wait for a job's end, or defer until then.

        Parameters
        ----------
        start_by
            When it should have started (seconds since 1970); the wait ends then as well.
        end_by_s
            How many seconds it may run after its start.
        """
        raise NotImplementedError

    def stop(self, job: str, reason: str) -> None:
        """Stop a job."""
        raise NotImplementedError

    def lines(self, described: Mapping[str, Any]) -> Sequence[str]:
        """What a job has printed, as far as its log still has it."""
        raise NotImplementedError


class FunctionJob(JobStep):
    """A function of a DAG file as a job: what `airloom.operators.calls` asks an operator for besides.

    ``own_retries`` are for the user's own failures; ``retries`` is the sum of all budgets.
    """

    python_callable: Callable[..., Any]
    op_args: Collection[Any]
    op_kwargs: Mapping[str, Any]
    outputs: Sequence[str] | None
    multiple_outputs: bool
    own_retries: int | None
    timeout: timedelta | None

    def begin(self, context: Context) -> JobExecution:
        """Begin a try."""
        from airloom.operators.calls import CallExecution

        return CallExecution(self, context)

    def declared(self) -> StepPlan:
        """Give target, sizes and budgets of the task."""
        raise NotImplementedError
