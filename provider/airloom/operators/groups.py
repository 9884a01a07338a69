"""FlowTaskGroup: a deployed flow as a task group of a hand-written DAG.

`airloom deploy --as-task-group` renders the function that fills one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup

from airloom.errors import DeployError
from airloom.operators.xcom_args import ArtifactsXComArg

if TYPE_CHECKING:
    from airflow.sdk import XComArg


class FlowTaskGroup(TaskGroup):
    """The steps of a flow in another DAG: a task group with outputs.

    Parameters
    ----------
    group_id
        Id of the group; with the ids of the groups around it, it names the flow's run.
    flow, plan
        As for `StepOperator`.
    end
        Name of the flow's last step.
    default_args
        Arguments of all its tasks, such as ``pool`` or ``on_failure_callback``.
    tooltip
        What Airflow says about the group.

    Raises
    ------
    DeployError
        When it stands in a mapped task group: all mapped instances would be one run.
    """

    def __init__(
        self,
        *,
        group_id: str,
        flow: str,
        plan: str,
        end: str,
        default_args: Mapping[str, Any] | None = None,
        tooltip: str = "",
    ) -> None:
        arguments: Any = dict(default_args or {})
        super().__init__(group_id=group_id, default_args=arguments, tooltip=tooltip)
        if next(self.iter_mapped_task_groups(), None) is not None:
            raise DeployError(
                f"the flow {flow} stands in a mapped task group, where all its instances would be one run",
                where=f"the task group {self.group_id!r} of the DAG {self.dag.dag_id!r}",
                mend="map RunFlowOperator over the parameters: each instance is a run of its own then.",
            )
        self.default_args |= {"flow": flow, "plan": plan, "flow_group": self.group_id}
        self._end = end

    def output(self, artifact: str) -> XComArg:
        """Give an artifact of the last step to downstream tasks, which then run after the flow.

        A task that takes it as an argument gets the value; ``ti.xcom_pull`` and templates give a
        reference, whose ``pathspec`` `DatastoreHook.get_artifact` reads.
        """
        end: Any = self.children[f"{self.group_id}.{self._end}"]
        outputs = end.flow_outputs or ()
        if artifact not in outputs:
            end.flow_outputs = (*outputs, artifact)
        return ArtifactsXComArg(operator=end, key=artifact)
