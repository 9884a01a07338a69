"""RunFlowOperator: a run of a deployed flow as one task of a hand-written DAG.

Parsing a DAG file imports this module, so everything that only a running task needs is
imported where it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf
from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class FlowRunLink(BaseOperatorLink):
    """The DAG run of the flow, in Airflow's UI."""

    name = "Run of the flow"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """URL of the run that the task waits for, or has waited for."""
        from airflow.utils.helpers import build_airflow_dagrun_url

        if not operator.run_id:
            return ""
        return str(build_airflow_dagrun_url(dag_id=operator.flow, run_id=operator.run_id))


class RunFlowOperator(BaseOperator):
    """Start a run of a deployed flow, wait for its end, and return its pathspec.

    The run's id follows from the task's: a try after the death of a worker waits for the same run. A try
    after the flow has failed starts another one, and so does a task that was cleared.

    Parameters
    ----------
    flow
        Id of the flow's DAG: the flow's name, or ``project.branch.Flow``.
    parameters
        The flow's parameters; those that are not given, or None, have their defaults. They are checked
        against the deployed plan before anything starts.
    poll_interval
        Seconds between two looks at the run.
    deferrable
        Wait in the triggerer, and not in the worker. Not given: as ``[operators] default_deferrable`` says.
    airloom_conn_id
        Connection of the datastore; None for the one of Airflow's configuration.
    """

    template_fields: Sequence[str] = ("flow", "parameters")
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}
    operator_extra_links = (FlowRunLink(),)
    ui_color = "#cfe3d4"

    def __init__(
        self,
        *,
        flow: str,
        parameters: Mapping[str, Any] | None = None,
        poll_interval: float = 10.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        airloom_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.parameters = parameters
        self.poll_interval = poll_interval
        self.deferrable = deferrable
        self.airloom_conn_id = airloom_conn_id
        self.run_id: str | None = None

    def execute(self, context: Context) -> str:
        """Start the run, or find the one that was started; wait for its end.

        Returns
        -------
        str
            Its pathspec.

        Raises
        ------
        AirflowFailException
            When the parameters are refused, or Airflow has no such DAG.
        AirflowException
            When the run failed: its step and error are named.
        """
        import time

        from airloom.errors import AirloomError
        from airloom.operators.execution import translate
        from airloom.operators.flow_runs import FlowRuns

        try:
            runs = FlowRuns(self, context)
            self.run_id = runs.begin()
            while not runs.has_ended(self.run_id):
                if self.deferrable:
                    self._defer(self.run_id)
                time.sleep(self.poll_interval)
            return runs.result(self.run_id)
        except AirloomError as error:
            translate(error)

    def execute_complete(self, context: Context, event: Any = None, run_id: str = "") -> str:
        """Go on after the triggerer has seen the end of the run; see `execute`."""
        from airloom.errors import AirloomError
        from airloom.operators.execution import translate
        from airloom.operators.flow_runs import FlowRuns

        self.run_id = run_id
        try:
            runs = FlowRuns(self, context)
            if not runs.has_ended(run_id):  # it was cleared in between
                self._defer(run_id)
            return runs.result(run_id)
        except AirloomError as error:
            translate(error)

    def _defer(self, run_id: str) -> None:
        from airflow.providers.standard.triggers.external_task import DagStateTrigger

        states: Any = ["success", "failed"]
        self.defer(
            trigger=DagStateTrigger(self.flow, states, run_ids=[run_id], poll_interval=self.poll_interval),
            method_name="execute_complete",
            kwargs={"run_id": run_id},
            timeout=self.execution_timeout,
        )
