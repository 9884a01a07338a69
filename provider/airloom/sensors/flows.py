"""Sensors for flows: a run that has succeeded, or an artifact that is there.

They read records of the datastore, never a value. Parsing a DAG file imports this module, so
everything that only a running task needs is imported where it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException, conf
from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airloom.errors import AirloomError, ParameterError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.triggers.runs import Wanted

_SINCE = "{{ data_interval_start | default('', true) }}"


class FlowRunSensor(BaseSensorOperator):
    """Wait for a successful run of a flow, and return its pathspec.

    Parameters
    ----------
    flow
        The flow's name.
    run_id
        One run to wait for; it fails the sensor when it has failed. None for the newest that fits.
    since
        Runs that began then or later count (ISO 8601, templated). Not given: since the begin of the DAG run's
        data interval, where it has one. None for all that there are.
    namespace
        Whose runs count: ``production:<Flow>``, ``user:<name>``; None for everybody's.
    tags
        Tags that the run must have, all of them.
    deferrable
        Wait in the triggerer, and not in the worker. Not given: as ``[operators] default_deferrable`` says.
    airloom_conn_id
        Connection of the datastore; None for the one of Airflow's configuration.
    kwargs
        Those of a sensor: ``poke_interval``, ``timeout``, ``soft_fail``, ``mode`` ...
    """

    template_fields: Sequence[str] = ("flow", "run_id", "since", "namespace", "tags")
    ui_color = "#e3e9cf"

    def __init__(
        self,
        *,
        flow: str,
        run_id: str | None = None,
        since: str | None = _SINCE,
        namespace: str | None = None,
        tags: Sequence[str] = (),
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        airloom_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.run_id = run_id
        self.since = since
        self.namespace = namespace
        self.tags = tags
        self.deferrable = deferrable
        self.airloom_conn_id = airloom_conn_id

    def execute(self, context: Context) -> Any:
        """Look, and wait as long as there is nothing; return the pathspec of what is there.

        Raises
        ------
        AirflowFailException, AirflowException
            When it will never be there, or the datastore cannot be read.
        AirflowSensorTimeout
            When it was not there in time.
        """
        if not self.deferrable:
            return super().execute(context)
        try:
            found = self.poke(context)
        except AirflowException as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise
        if not found.is_done:
            self._defer()
        return found.xcom_value

    def _defer(self) -> None:
        from datetime import timedelta

        from airloom.triggers.runs import FlowTrigger

        trigger = FlowTrigger(
            wanted=asdict(self._wanted()),
            poll_interval=self.poke_interval,
            airloom_conn_id=self.airloom_conn_id,
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:
        """Return what the triggerer has found.

        Raises
        ------
        AirflowException
            When it will never be there.
        """
        if "error" in event:
            raise AirflowException(event["error"])
        found: str = event["found"]
        self.log.info("found %s", found)
        return found

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        from airloom.hooks.datastore import DatastoreHook

        try:
            found = self._wanted().find(DatastoreHook(self.airloom_conn_id).get_conn())
        except AirloomError as error:
            _translate(error)
        return PokeReturnValue(found is not None, found)

    def _wanted(self) -> Wanted:
        from airloom.triggers.runs import Wanted

        tags = (*self.tags, *([self.namespace] if self.namespace else []))
        return Wanted(self.flow, self.run_id or None, self._moment(), tags)

    def _moment(self) -> str | None:
        from airloom.store.index import microseconds

        text = str(self.since or "")
        try:
            microseconds(text or "2026-01-01")
        except ValueError:
            raise ParameterError(
                f"{text!r} is no time",
                where=f"since, of the task {self.task_id!r}",
                mend="write it as 2026-11-24T06:00:00+00:00, or as a template that gives this.",
            ) from None
        return text or None


class ArtifactSensor(FlowRunSensor):
    """Wait for an artifact of a flow's run, also of one that still runs, and return its pathspec.

    What its record says can be asked for; its value is not loaded.

    Parameters
    ----------
    flow, run_id, since, namespace, tags, deferrable, airloom_conn_id
        As for `FlowRunSensor`. Without ``since`` and ``run_id`` the 100 newest runs are looked at.
    artifact
        The artifact's name.
    step, task
        Whose it is: the step, and its index path; ``0`` outside of a foreach.
    type
        Name of the value's type, as ``airloom artifacts`` shows it.
    min_bytes
        Least size of the stored value.
    other_than
        A digest: only another value than this counts.
    """

    template_fields: Sequence[str] = (
        *FlowRunSensor.template_fields,
        "artifact",
        "step",
        "task",
        "type",
        "min_bytes",
        "other_than",
    )

    def __init__(
        self,
        *,
        artifact: str,
        step: str = "end",
        task: str = "0",
        type: str | None = None,  # noqa: A002 - what the artifact's record calls it
        min_bytes: int = 0,
        other_than: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.artifact = artifact
        self.step = step
        self.task = task
        self.type = type
        self.min_bytes = min_bytes
        self.other_than = other_than

    def _wanted(self) -> Wanted:
        from dataclasses import replace

        return replace(
            super()._wanted(),
            artifact=self.artifact,
            step=self.step,
            task=self.task,
            type=self.type,
            min_bytes=int(self.min_bytes),
            other_than=self.other_than,
        )


def _translate(error: AirloomError) -> NoReturn:
    from airloom.operators.execution import translate

    translate(error)
