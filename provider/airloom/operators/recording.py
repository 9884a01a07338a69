"""Tasks of DAGs that people wrote by hand, as attempts in the datastore; imported by running tasks only.

A run of the DAG is a run below the DAG's id, a task a step, a mapped task one with an index. What
an attempt is follows from who records it. A task of Airloom's begins one, runs, and commits all that
it leaves at once. Of any other task the XCom backend sees nothing but its pushes: each that goes to
the datastore becomes an attempt, which names also what the same try had pushed before.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

# Airflow 3.1 has these exceptions elsewhere; this module knows where.
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airloom.errors import AlreadyExists, NotFound
from airloom.failures import of_exception
from airloom.flow.caught import CaughtException
from airloom.operators import references
from airloom.operators.dagplan import plan_of, save_code
from airloom.operators.runs import airflow_settings
from airloom.runtime.logs import captured
from airloom.runtime.references import reference
from airloom.runtime.surroundings import variables
from airloom.runtime.task import now, platform_name
from airloom.runtime.usage import Meter, process_usage
from airloom.settings import variable
from airloom.sizing.catalogue import Size
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.pickles import keep_whole
from airloom.store.records import (
    BY_HAND,
    ArtifactRecord,
    BeginRecord,
    DoneRecord,
    ErrorRecord,
    FailedRecord,
    Outcome,
    RunRecord,
    Usage,
)
from airloom.version import __version__

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.codec import Json

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SETTLED = ("success", "skipped", "removed", "failed", "upstream_failed")
_BAD = ("failed", "upstream_failed")
_TRY = "AIRFLOW_CTX_TRY_NUMBER"
# Airflow imports a DAG file as a module whose name begins so and holds a hash of its path.
_DAG_FILES = "unusual_prefix_"


@dataclass(frozen=True, slots=True)
class TaskName:
    """What Airflow calls a task of a run; ``map_index`` is -1 for one that is not mapped."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @classmethod
    def of(cls, context: Context) -> TaskName:
        """Name the task that runs."""
        ti = context["ti"]
        index = -1 if ti.map_index is None else ti.map_index
        return cls(ti.dag_id, ti.run_id, ti.task_id, index)

    @property
    def key(self) -> TaskKey:
        """What the datastore calls it."""
        return TaskKey(self.dag_id, self.run_id, self.task_id, str(max(self.map_index, 0)))

    @property
    def parents(self) -> tuple[str, ...]:
        """The attempts that it has read."""
        return references.parents_of(self.dag_id, self.run_id, self.task_id, self.map_index)


@dataclass
class _Pushed:
    """What the tries of this process have pushed last."""

    try_number: int
    artifacts: dict[str, ArtifactRecord] = field(default_factory=dict)


_running: dict[TaskKey, tuple[int, dict[str, ArtifactRecord]]] = {}
_pushed: dict[TaskKey, _Pushed] = {}
_begun: dict[tuple[str, str, str], RunRecord] = {}
_kept_whole: set[str] = set()


# -- a task of Airloom's -------------------------------------------------------------------


class Recording:
    """One attempt at a task of a DAG: begun when the object is made.

    Parameters
    ----------
    context
        Airflow's context of the task.
    file
        The file that its code stands in.
    size
        What the task asks for; it is noted.

    Raises
    ------
    AlreadyExists
        When the datastore has a flow of the DAG's name.
    """

    def __init__(self, context: Context, file: str | None = None, size: Size | None = None) -> None:
        keep_dag_files_whole()
        self.datastore = references.datastore()
        self.name = TaskName.of(context)
        self.key = self.name.key
        self.code = save_code(self.datastore, file)
        self.size = size
        self._context = context
        references.forget_parents(self.name.dag_id, self.name.run_id, self.name.task_id, self.name.map_index)
        record_run(self.datastore, self.name, context, self.code)
        ti = context["ti"]
        self.generation = max(int(ti.max_tries) - int(context["task"].retries or 0), 0)
        if self.generation:
            self.datastore.reopen_run(self.key.flow, self.key.run)
        retry_count = max(ti.try_number - 1 - self.generation, 0)
        self.attempt = self.datastore.claim(
            self.key,
            lambda _: BeginRecord(
                now(),
                socket.gethostname(),
                os.getpid(),
                retry_count,
                self.generation,
                origin=_origin(self.name, ti.try_number, str(ti.id)),
                size=size,
            ),
        )

    def run(
        self, work: Callable[[], T], outputs: Callable[[T], Mapping[str, object]]
    ) -> tuple[T, dict[str, dict[str, Json]]]:
        """Do the work and commit what it leaves; what it raises is recorded, and comes through.

        Parameters
        ----------
        outputs
            Gives the artifacts by name that follow from what the work returned.

        Returns
        -------
        tuple
            What the work returned, and the references to the artifacts.

        Raises
        ------
        AirloomError
            When an artifact cannot be saved, or the datastore does not answer.
        """
        meter = Meter()
        pushed: dict[str, ArtifactRecord] = {}
        _running[self.key] = self.attempt, pushed
        try:
            with captured() as log, variables({variable("datastore_root"): self.datastore.root}):
                try:
                    value = work()
                finally:
                    log.close()
                    if kept := log.to_bytes():
                        self.datastore.write_log(self.key, self.attempt, kept)
            saved = self.datastore.save_artifacts(outputs(value))
        except BaseException as error:
            # Whatever ends a task, Airflow's signals among it, is how this attempt ended.
            self._fail(error, meter.read(), pushed)
            raise
        finally:
            del _running[self.key]
        self._commit(pushed | saved, meter.read())
        made = {name: reference(self.key, self.attempt, name, one) for name, one in saved.items()}
        return value, made

    def _commit(self, artifacts: dict[str, ArtifactRecord], usage: Usage) -> None:
        after = tuple(sorted(self._context["task"].downstream_task_ids))
        done = _done(self.name, artifacts, usage, after, self.code, self.size)
        self.datastore.commit(self.key, self.attempt, done)
        names = ", ".join(artifacts) or "nothing"
        logger.info("saved %s of %s@%d", names, self.key.pathspec, self.attempt)
        if not after:
            end_run_if_last(self.datastore, self.name)

    def _fail(self, error: BaseException, usage: Usage, pushed: dict[str, ArtifactRecord]) -> None:
        caught = CaughtException.of(error)
        ti = self._context["ti"]
        last = ti.try_number > ti.max_tries or isinstance(error, AirflowFailException)
        self.datastore.fail(
            self.key,
            self.attempt,
            FailedRecord(
                now(),
                ErrorRecord(caught.type, caught.exception, caught.stacktrace),
                usage,
                pushed,
                self.name.parents,
                self.code,
                failure=of_exception(error).kind.value,
                size=self.size,
            ),
        )
        if last and not isinstance(error, AirflowSkipException):
            self.datastore.end_run(self.key.flow, self.key.run, False)


# -- a push of any task --------------------------------------------------------------------


def push(name: TaskName, artifact: str, value: object) -> dict[str, Json]:
    """Save what a task pushes; return the reference that stands for it.

    Raises
    ------
    AlreadyExists
        When the datastore has a flow of the DAG's name: its steps are no tasks of a DAG by hand.
    ArtifactError
        When the value cannot be saved.
    """
    keep_dag_files_whole()
    datastore, key = references.datastore(), name.key
    context = _context()
    record_run(datastore, name, context)
    saved = datastore.save_artifacts({artifact: value})
    if key in _running:
        attempt, artifacts = _running[key]
        artifacts.update(saved)
        return reference(key, attempt, artifact, saved[artifact])
    try_number = int(os.environ.get(_TRY) or 0) if context is None else int(context["ti"].try_number)
    former = _pushed.get(key)
    if former is None or former.try_number != try_number:
        former = _pushed[key] = _Pushed(try_number, _earlier(datastore, key, try_number))
        if try_number > 1:
            datastore.reopen_run(key.flow, key.run)
    former.artifacts.update(saved)
    attempt = datastore.claim(
        key,
        lambda _: BeginRecord(now(), socket.gethostname(), os.getpid(), origin=_origin(name, try_number, "")),
    )
    datastore.commit(key, attempt, _done(name, dict(former.artifacts), process_usage()))
    return reference(key, attempt, artifact, saved[artifact])


def _earlier(datastore: Datastore, key: TaskKey, try_number: int) -> dict[str, ArtifactRecord]:
    """Give what the same try has pushed in another process, before it was deferred."""
    found = datastore.done_attempt(key)
    if found is None or datastore.begin(key, found[0]).origin.get("try_number") != try_number:
        return {}
    return dict(found[1].artifacts)


# -- the run -------------------------------------------------------------------------------


def record_run(datastore: Datastore, name: TaskName, context: Context | None, code: str = "") -> RunRecord:
    """Write the run's record unless it is there.

    Raises
    ------
    AlreadyExists
        When the run is one of a flow.
    """
    known = (datastore.root, name.dag_id, name.run_id)
    if known in _begun:
        return _begun[known]
    try:
        found = datastore.run(name.dag_id, name.run_id)
    except NotFound:
        found = _create(datastore, name, context, code)
    else:
        if context is not None and context["ti"].try_number > 1:
            # The try that created it may have been killed before others could find it.
            datastore.list_run(found)
    if not found.origin.get(BY_HAND):
        raise AlreadyExists(
            f"the datastore has a flow {name.dag_id!r}, and a run {name.run_id!r} of it",
            where=f"{name.dag_id}/{name.run_id}",
            mend="give the DAG another id than the flow has, or another datastore.",
        )
    _begun[known] = found
    return found


def _create(datastore: Datastore, name: TaskName, context: Context | None, code: str) -> RunRecord:
    dag = None if context is None else context["dag"]
    plan = plan_of(name.dag_id, dag, code or save_code(datastore, getattr(dag, "fileloc", None)))
    datastore.save_plan(plan)
    dag_run = None if context is None else context["dag_run"]
    run_type = getattr(dag_run, "run_type", None) or name.run_id.partition("__")[0]
    origin: dict[str, Json] = {
        BY_HAND: True,
        "scheduler": "airflow",
        "dag_id": name.dag_id,
        "dag_run_id": name.run_id,
        "run_type": str(getattr(run_type, "value", run_type)),
    }
    if dag_run is not None and dag_run.logical_date is not None:
        origin["logical_date"] = dag_run.logical_date.isoformat()
    user = getattr(dag_run, "triggering_user_name", None) or airflow_settings().user_name
    record = RunRecord(
        name.dag_id,
        name.run_id,
        plan.digest,
        now(),
        str(user),
        {} if context is None else _plain(dict(context["params"])),
        origin,
        python=platform.python_version(),
        airloom=__version__,
    )
    # Another task may have been first, with the same plan or with less of it.
    return record if datastore.create_run(record) else datastore.run(name.dag_id, name.run_id)


def end_run_if_last(datastore: Datastore, name: TaskName) -> None:
    """Record the end of a run when every other task of it has ended.

    It asks Airflow for all states: not to be called for each of many tasks that others come after.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    found = RuntimeTaskInstance.get_task_states(dag_id=name.dag_id, run_ids=[name.run_id])
    states = [str(state) for state in found.get(name.run_id, {}).values()]
    if sum(state not in _SETTLED for state in states) <= 1:  # this task itself
        datastore.end_run(name.dag_id, name.run_id, not any(state in _BAD for state in states))


# -- what both have in common --------------------------------------------------------------


def _done(
    name: TaskName,
    artifacts: dict[str, ArtifactRecord],
    usage: Usage,
    after: tuple[str, ...] = (),
    code: str = "",
    size: Size | None = None,
) -> DoneRecord:
    return DoneRecord(
        now(),
        artifacts,
        Outcome(after),
        usage,
        name.parents,
        code,
        platform.python_version(),
        platform_name(),
        size=size,
    )


def _origin(name: TaskName, try_number: int, task_instance: str) -> dict[str, Json]:
    return {
        "scheduler": "airflow",
        "task_instance": task_instance,
        "map_index": name.map_index,
        "try_number": try_number,
    }


def _context() -> Context | None:
    # A task's return value is pushed when Airflow has left its context already.
    from airflow.sdk import get_current_context

    try:
        return get_current_context()
    except RuntimeError:
        return None


def _plain(params: dict[str, Any]) -> dict[str, Json]:
    import json

    try:
        found: dict[str, Json] = json.loads(json.dumps(params))
    except (TypeError, ValueError):
        return {}
    return found


def keep_dag_files_whole() -> None:
    """Let classes and functions of DAG files travel with the values of them, see `store.pickles`."""
    for name in [name for name in sys.modules if name.startswith(_DAG_FILES)]:
        if name not in _kept_whole:
            _kept_whole.add(name)
            keep_whole(sys.modules[name])
