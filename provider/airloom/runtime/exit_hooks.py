"""@exit_hook: functions of the flow's module, called when a run has ended."""

from __future__ import annotations

import inspect
import logging
import sys

from airloom.errors import StepFailed
from airloom.flow.spec import FlowSpec
from airloom.plan import Plan

logger = logging.getLogger(__name__)


def call_exit_hooks(flow: type[FlowSpec], plan: Plan, run: object, *, successful: bool) -> None:
    """Call the functions for a run that has succeeded or failed.

    Parameters
    ----------
    run
        The client's Run, for functions with a parameter ``run``.

    Raises
    ------
    StepFailed
        When one of them raised; the others were called all the same.
    """
    hooks = plan.exit_hooks
    if hooks is None:
        return
    module = sys.modules[flow.__module__]
    failed: list[str] = []
    for name in hooks.on_success if successful else hooks.on_error:
        function = getattr(module, name)
        try:
            if "run" in inspect.signature(function).parameters:
                function(run=run)
            else:
                function()
        except Exception:
            logger.exception("the exit hook %s failed", name)
            failed.append(name)
    if failed:
        raise StepFailed(
            f"the exit hooks {', '.join(failed)} failed",
            where=f"{plan.module}.py",
            mend="see the traceback above; the run itself is as it was.",
        )
