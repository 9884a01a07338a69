"""StepOperator: one step of a deployed flow, run in the Airflow worker.

Parsing a DAG file imports this module, so everything that only a running task needs is
imported where it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.operators.openlineage import Told


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
        Index path in the foreaches around the step, or a range of them; None outside of any.
    size
        What the step asks for: cpu in vCPU, sizes in MiB. The worker itself does not enforce it.
    timeout
        What the plan allows one attempt at one index. Not ``execution_timeout``: that would count
        for all indices of a range together.
    flow_group
        Id of the task group that the flow is in another DAG; its run is named by it.
    flow_parameters
        The flow's parameters in such a DAG, of its first step: templates, and values of upstream tasks.
    flow_outputs
        Artifacts of the end step whose pathspecs go into XCom, each under its name.
    """

    template_fields: Sequence[str] = (
        "flow",
        "plan",
        "step",
        "index",
        "size",
        "flow_group",
        "flow_parameters",
        "flow_outputs",
    )
    ui_color = "#dbe8f4"
    told: Told | None = None

    def __init__(
        self,
        *,
        flow: str,
        plan: str,
        step: str | None = None,
        index: str | None = None,
        size: Mapping[str, float] | None = None,
        timeout: timedelta | None = None,
        flow_group: str | None = None,
        flow_parameters: Mapping[str, Json] | None = None,
        flow_outputs: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.plan = plan
        self.step = step
        self.index = index
        self.size = size
        self.timeout = timeout
        self.flow_group = flow_group
        self.flow_parameters = flow_parameters
        self.flow_outputs = flow_outputs

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
        from airloom.operators.execution import Execution, translate

        execution = None
        try:
            execution = Execution(self, context)
            return execution.execute(self.index or "")
        except AirloomError as error:
            if execution is not None:
                execution.record_failure(error)
            translate(error)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Tell OpenLineage which attempt this was, what it read and what it left."""
        from airloom.operators.openlineage import lineage

        return lineage(self.told)


class IndicesOperator(BaseOperator):
    """Index paths of all tasks of a foreach that lies inside of another one.

    Airflow does not map inside of a mapped group: this small task between two levels lists
    the inner index paths, which the next group is mapped over.

    Parameters
    ----------
    flow, plan, flow_group
        As for `StepOperator`.
    split
        The step that the inner foreach begins at.
    """

    template_fields: Sequence[str] = ("flow", "plan", "split", "flow_group")
    ui_color = "#eeeeee"

    def __init__(
        self, *, flow: str, plan: str, split: str, flow_group: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.plan = plan
        self.split = split
        self.flow_group = flow_group

    def execute(self, context: Context) -> Json:
        """List the index paths.

        Raises
        ------
        AirflowException, AirflowFailException
            When the store cannot be read.
        """
        from airloom.errors import AirloomError
        from airloom.operators.execution import list_indices, translate

        try:
            return list_indices(self.flow, self.plan, self.split, context, self.flow_group)
        except AirloomError as error:
            translate(error)


class ExitHookOperator(BaseOperator):
    """Call the functions that @exit_hook names, after everything else, whatever came of it.

    Parameters
    ----------
    flow, plan, flow_group
        As for `StepOperator`.
    """

    template_fields: Sequence[str] = ("flow", "plan", "flow_group")
    ui_color = "#f4e8db"

    def __init__(self, *, flow: str, plan: str, flow_group: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.plan = plan
        self.flow_group = flow_group

    def execute(self, context: Context) -> None:
        """Call them.

        Raises
        ------
        AirflowException
            When one of them raised.
        """
        from airloom.errors import AirloomError
        from airloom.operators.execution import run_exit_hooks, translate

        try:
            run_exit_hooks(self.flow, self.plan, context, self.flow_group)
        except AirloomError as error:
            translate(error)
