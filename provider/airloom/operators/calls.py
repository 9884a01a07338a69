"""A try of `@task.artifacts` whose function runs as a job; imported by a running task only.

To what submits, finds and settles jobs it is a flow of one step: the plan is made of the task, and its run
is the one that the other tasks of the DAG record.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airloom.names import indices_of
from airloom.operators import references
from airloom.operators.dagplan import file_of, save_code, step_of
from airloom.operators.history import Attempt, History
from airloom.operators.jobs import JobExecution
from airloom.operators.recording import TaskName, end_run_if_last, keep_dag_files_whole, record_run
from airloom.operators.submissions import Submission
from airloom.plan import Plan, Retry
from airloom.runtime.calls import (
    PYTHON,
    Call,
    call_record,
    context_arguments,
    flow_without_steps,
    python_of_this,
)
from airloom.runtime.code import is_installed
from airloom.runtime.references import fill, reference
from airloom.runtime.task import TaskRequest
from airloom.store.pickles import keep_whole
from airloom.version import __version__

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.flow.spec import FlowSpec
    from airloom.names import Indices
    from airloom.operators.job import FunctionJob
    from airloom.store.records import ArtifactRecord, Outcome


class CallExecution(JobExecution):
    """One try of an Airflow task at a function that runs as a job."""

    operator: FunctionJob

    def __init__(self, operator: FunctionJob, context: Context) -> None:
        keep_dag_files_whole()
        self.name = TaskName.of(context)
        datastore = references.datastore()
        code = save_code(datastore, file_of(operator.python_callable))
        record_run(datastore, self.name, context, code)
        plan = self._plan(operator, context, code)
        datastore.save_plan(plan)
        operator.flow, operator.plan, operator.step = plan.flow, plan.digest, plan.start
        self._record: ArtifactRecord | None = None
        super().__init__(operator, context)

    def _plan(self, operator: FunctionJob, context: Context, code: str) -> Plan:
        here, timeout = step_of(context["task"]), operator.timeout
        step = replace(
            operator.declared(),
            name=self.name.task_id,
            transition=here.transition,
            foreaches=(self.name.task_id,) if self.name.map_index >= 0 else (),
            doc=here.doc,
            retry=Retry(operator.own_retries or 0),
            timeout_s=None if timeout is None else timeout.total_seconds(),
        )
        return Plan(
            flow=self.name.dag_id,
            module="",
            steps=(step,),
            start=step.name,
            end=step.name,
            code=code,
            airloom_version=__version__,
        )

    def places(self, index: str) -> list[Indices]:
        """Give the one index that the task is."""
        if self.generation:
            self.datastore.reopen_run(self.plan.flow, self.run)
        return [indices_of(self.name.key.task, self.step.depth)]

    def flow(self) -> type[FlowSpec]:
        """Give a flow without code: learned sizes ask for nothing of it."""
        return flow_without_steps(self.plan)

    def request(self, place: Indices) -> TaskRequest:
        """Say which task it is, with the function that is saved already."""
        made = super().request(place)
        return replace(made, origin={**made.origin, PYTHON: python_of_this()}, call=self._record)

    def prepare(self, due: Mapping[Indices, History]) -> tuple[Submission, list[Attempt]]:
        """Save the function and its arguments, then see `Submissions.prepare`."""
        called, function = self.operator, self.operator.python_callable
        module = sys.modules.get(function.__module__)
        if module is not None and not is_installed(getattr(module, "__file__", None) or ""):
            keep_whole(module)  # beside the DAG files: an image knows installed packages only
        args = tuple(_listed(value) for value in called.op_args)
        kwargs = context_arguments(function, args, called.op_kwargs, dict(self._context))
        kwargs = {name: _listed(value) for name, value in kwargs.items()}
        outputs = None if called.outputs is None else tuple(called.outputs)
        self._record = call_record(
            self.datastore, Call(function, args, kwargs, outputs, called.multiple_outputs)
        )
        return super().prepare(due)

    def ended(self, places: list[Indices], outcomes: list[Outcome]) -> Json:
        """Give the references to what the function has left."""
        key = self.key(places[0])
        found = self.datastore.done_attempt(key)
        assert found is not None  # noqa: S101 - the attempt has just been seen as committed
        number, done = found
        saved = {name: reference(key, number, name, one) for name, one in done.artifacts.items()}
        if not self._context["task"].downstream_task_ids:
            end_run_if_last(self.datastore, self.name)
        made: Json = references.returned(self.operator, self._context, saved, references.load)
        return made


def _listed(value: Any) -> Any:
    """Make a list of the references that a mapped task has pushed; other values stay as they are."""

    def listed(leaf: Any) -> Any:
        if type(leaf).__name__ != "LazyXComSequence":
            return leaf
        with references.unloaded():
            return list(leaf[:])

    return fill(value, lambda found, _: found, listed)
