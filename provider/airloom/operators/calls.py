"""A try of `@task.artifacts` whose function runs as a job; imported by a running task only.

To what submits, finds and settles jobs it is a flow of one step: the plan is made of the task, and its run
is the one that the other tasks of the DAG record.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from airloom.flow.spec import FlowSpec
from airloom.names import indices_of
from airloom.operators import references
from airloom.operators.dagplan import save_code, step_of
from airloom.operators.history import Attempt, History
from airloom.operators.jobs import JobExecution
from airloom.operators.recording import TaskName, end_run_if_last, keep_dag_files_whole, record_run
from airloom.operators.submissions import Submission
from airloom.plan import Plan, Retry, StepPlan
from airloom.runtime.calls import PYTHON, Call, call_record, context_arguments, python_of_this
from airloom.runtime.references import fill, reference
from airloom.runtime.task import TaskRequest
from airloom.store.pickles import keep_whole
from airloom.version import __version__

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.names import Indices
    from airloom.operators.job import JobStep
    from airloom.store.records import Outcome

_INSTALLED = ("site-packages", "dist-packages")


class Called(Protocol):
    """What an operator says about its function."""

    python_callable: Any
    op_args: Any
    op_kwargs: Any
    outputs: Any
    multiple_outputs: bool
    own_retries: int | None
    execution_timeout: Any
    timeout: Any

    def declared(self) -> StepPlan:
        """Give target, sizes and budgets of the task."""

    def answer(self, context: Context, saved: dict[str, dict[str, Json]], value: Any) -> Any:
        """Give what the task returns to Airflow."""


class CallExecution(JobExecution):
    """One try of an Airflow task at a function that runs as a job."""

    def __init__(self, operator: JobStep, called: Called, context: Context) -> None:
        keep_dag_files_whole()
        self.called = called
        self.name = TaskName.of(context)
        datastore = references.datastore()
        code = save_code(datastore, getattr(_code_of(called.python_callable), "co_filename", None))
        record_run(datastore, self.name, context, code)
        plan = self._plan(context, code)
        datastore.save_plan(plan)
        operator.flow, operator.plan, operator.step = plan.flow, plan.digest, plan.start
        self._record: Any = None
        super().__init__(operator, context)

    def _plan(self, context: Context, code: str) -> Plan:
        said = self.called.declared()
        here = step_of(context["task"])
        timeout = self.called.timeout
        step = replace(
            said,
            name=self.name.task_id,
            transition=here.transition,
            foreaches=(self.name.task_id,) if self.name.map_index >= 0 else (),
            doc=here.doc,
            retry=Retry(self.called.own_retries or 0),
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
        return type(self.plan.flow, (FlowSpec,), {})

    def request(self, place: Indices) -> TaskRequest:
        """Say which task it is, with the function that is saved already."""
        made = super().request(place)
        return replace(made, origin={**made.origin, PYTHON: python_of_this()}, call=self._record)

    def prepare(self, due: Mapping[Indices, History]) -> tuple[Submission, list[Attempt]]:
        """Save the function and its arguments, then see `Submissions.prepare`."""
        called, function = self.called, self.called.python_callable
        module = sys.modules.get(function.__module__)
        file = getattr(module, "__file__", None) or ""
        if module is not None and not any(part in file for part in _INSTALLED):
            keep_whole(module)  # beside the DAG files: an image knows installed packages only
        kwargs = context_arguments(function, called.op_args, called.op_kwargs, dict(self._context))
        args = tuple(_listed(value) for value in called.op_args)
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
        made: Json = self.called.answer(self._context, saved, references.load)
        return made


def _code_of(function: Any) -> Any:
    import inspect

    return getattr(inspect.unwrap(function), "__code__", None)


def _listed(value: Any) -> Any:
    """Make a list of the references that a mapped task has pushed; other values stay as they are."""

    def listed(leaf: Any) -> Any:
        if type(leaf).__name__ != "LazyXComSequence":
            return leaf
        with references.unloaded():
            return list(leaf[:])

    return fill(value, lambda found, _: found, listed)
