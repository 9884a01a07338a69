"""StepOperator: one step of a deployed flow, run in the Airflow worker.

Parsing a DAG file imports this module, so everything that only a running task needs is
imported where it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.errors import AirloomError
    from airloom.plan import Plan, StepPlan
    from airloom.runtime.task import TaskRequest
    from airloom.settings import Settings
    from airloom.store.datastore import Datastore
    from airloom.store.records import RunRecord


class StepOperator(BaseOperator):
    """Run one step of a flow and save what it leaves on ``self`` as artifacts.

    Parameters
    ----------
    flow
        Name of the flow.
    plan
        Digest of the plan that was deployed.
    step
        Name of the step; the task id when not given.
    index
        Index path in the foreaches around the step, for mapped tasks; empty outside of any.
    size
        What the step asks for: cpu in vCPU, sizes in MiB. The worker itself does not enforce it.
    """

    template_fields: Sequence[str] = ("flow", "plan", "step", "index", "size")
    ui_color = "#dbe8f4"

    def __init__(
        self,
        *,
        flow: str,
        plan: str,
        step: str | None = None,
        index: str = "",
        size: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.plan = plan
        self.step = step
        self.index = index
        self.size = size

    def execute(self, context: Context) -> Json:
        """Run the step; return the task's pathspec, or for a foreach the index paths of its tasks.

        Raises
        ------
        AirflowFailException
            When another try cannot help.
        AirflowException
            When the step failed and may be tried again.
        """
        from airloom.errors import AirloomError

        try:
            return self._run(context)
        except AirloomError as error:
            _translate(error)

    def _run(self, context: Context) -> Json:
        from airloom.names import indices_of, task_id
        from airloom.runtime.code import load_flow
        from airloom.runtime.logs import captured
        from airloom.runtime.task import Task, claim

        settings, datastore, plan = _open(self.flow, self.plan)
        step = plan.step(self.step or self.task_id)
        _begin_run(datastore, plan, settings, context)
        indices = indices_of(self.index or "0", step.depth)
        _skip_unless_chosen(datastore, plan, context["dag_run"].run_id, step, indices)
        request = _request(context, step, task_id(indices), self.retries or 0)
        flow = load_flow(plan, datastore, settings.cache_folder)
        attempt = claim(datastore, plan, request)
        task = Task(datastore, plan, flow, request, attempt, _timeouts())
        with captured() as log:
            try:
                result = task.run()
            finally:
                kept = log.to_bytes()
                if kept:
                    datastore.write_log(task.key, attempt, kept)
        self.log.info(
            "saved %d artifacts of %s, attempt %d", len(result.artifacts), result.pathspec, result.attempt
        )
        if step.transition.kind == "foreach":
            return [task_id((*indices, number)) for number in range(result.outcome.cardinality or 0)]
        return result.pathspec


class IndicesOperator(BaseOperator):
    """Index paths of all tasks of a foreach that lies inside of another one.

    Airflow does not map inside of a mapped group: this small task between two levels lists
    the inner index paths, which the next group is mapped over.

    Parameters
    ----------
    flow, plan
        As for `StepOperator`.
    split
        The step that the inner foreach begins at.
    """

    template_fields: Sequence[str] = ("flow", "plan", "split")
    ui_color = "#eeeeee"

    def __init__(self, *, flow: str, plan: str, split: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.plan = plan
        self.split = split

    def execute(self, context: Context) -> Json:
        """List the index paths.

        Raises
        ------
        AirflowException, AirflowFailException
            When the store cannot be read.
        """
        from airloom.errors import AirloomError
        from airloom.names import task_id
        from airloom.runtime.lineage import Lineage

        try:
            _, datastore, plan = _open(self.flow, self.plan)
            lineage = Lineage(datastore, plan, context["dag_run"].run_id)
            return [task_id(indices) for indices in lineage.indices(plan.step(self.split))]
        except AirloomError as error:
            _translate(error)


def _open(flow: str, digest: str) -> tuple[Settings, Datastore, Plan]:
    from airloom.operators.configuration import airflow_settings
    from airloom.store.datastore import Datastore

    settings = airflow_settings()
    datastore = Datastore.open(settings)
    return settings, datastore, datastore.plan(flow, digest)


def _begin_run(datastore: Datastore, plan: Plan, settings: Settings, context: Context) -> RunRecord:
    """Write the run's record if this is its first task; check what the run was triggered with."""
    from airloom.errors import NotFound
    from airloom.runtime.start import begin, run_parameters
    from airloom.runtime.task import now
    from airloom.store.records import RunRecord

    dag_run = context["dag_run"]
    try:
        found = datastore.run(plan.flow, dag_run.run_id)
    except NotFound:
        pass
    else:
        if found.origin.get("dag_run_started") == _moment(dag_run.start_date):
            return found
    where = f"the DAG run {dag_run.run_id}"
    given: dict[str, Json] = {**(dag_run.conf or {})}
    run_parameters(plan, given, datastore, where=where)  # also refuses names that Airflow lets pass
    given |= {name: context["params"].get(name) for name in (p.name for p in plan.parameters)}
    parameters = run_parameters(plan, given, datastore, where=where)
    origin: dict[str, Json] = {
        "scheduler": "airflow",
        "dag_id": dag_run.dag_id,
        "run_type": str(getattr(dag_run.run_type, "value", dag_run.run_type)),
        "logical_date": _moment(dag_run.logical_date),
        "dag_run_started": _moment(dag_run.start_date),
    }
    user = getattr(dag_run, "triggering_user_name", None) or settings.user_name
    record = RunRecord(plan.flow, dag_run.run_id, plan.digest, now(), str(user), parameters, origin)
    return begin(datastore, record)


def _moment(value: Any) -> str | None:
    return None if value is None else value.isoformat()


def _request(context: Context, step: StepPlan, task: str, retries: int) -> TaskRequest:
    from airloom.runtime.task import TaskRequest

    ti = context["ti"]
    # A clear raises max_tries and keeps counting: what counts are the tries since then.
    max_tries: int = ti.max_tries
    tries_before = max(max_tries - retries, 0)
    origin: dict[str, Json] = {
        "scheduler": "airflow",
        "task_instance": str(ti.id),
        "map_index": ti.map_index,
        "try_number": ti.try_number,
    }
    return TaskRequest(
        run=context["dag_run"].run_id,
        step=step.name,
        task=task,
        retry_count=max(ti.try_number - 1 - tries_before, 0),
        last_try=ti.try_number > max_tries,
        alarm=False,  # Airflow keeps execution_timeout
        origin=origin,
    )


def _timeouts() -> tuple[type[BaseException], ...]:
    from airflow.sdk.exceptions import AirflowTaskTimeout

    return (AirflowTaskTimeout,)


def _skip_unless_chosen(
    datastore: Datastore, plan: Plan, run: str, step: StepPlan, indices: tuple[int, ...]
) -> None:
    """End as skipped where a switch has chosen another arm.

    Airflow's own branching runs unselected arms inside of mapped groups (apache/airflow#67265),
    so each task of a flow with a switch asks the store instead.
    """
    if not any(other.transition.kind == "switch" for other in plan.steps):
        return
    from airflow.sdk.exceptions import AirflowSkipException

    from airloom.runtime.lineage import Lineage

    if not Lineage(datastore, plan, run).chosen(step, indices):
        raise AirflowSkipException(f"no switch has chosen {step.name!r} here")


def _translate(error: AirloomError) -> NoReturn:
    """Airflow's exception for one of ours: the one place where it is decided if another try can help."""
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    kind = AirflowException if error.retriable else AirflowFailException
    raise kind(str(error)) from (error.__cause__ or error)
