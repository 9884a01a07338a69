"""What a deploy does for steps that run as jobs: sizes checked, what containers need put into the store."""

from __future__ import annotations

from collections.abc import Sequence

from airloom.compiler.planner import Compiled
from airloom.errors import CheckFailed, FlowError, Place
from airloom.plan import StepPlan
from airloom.runtime.carried import ensure, root_inside
from airloom.runtime.places import unsaid
from airloom.settings import Settings, variable
from airloom.sizing.catalogue import problems
from airloom.store.datastore import Datastore


def prepare_jobs(compiled: Compiled, settings: Settings, datastore: Datastore) -> list[str]:
    """Get everything ready for the steps that run in containers, where the flow has such.

    Returns
    -------
    A sentence for each setting that has to be set for Airflow before the steps can run: here it is not.

    Raises
    ------
    CheckFailed
        When AWS does not offer a step's size where the settings send it.
    DeployError
        When a container would not see the store, or what it needs cannot be had.
    """
    steps = [step for step in compiled.plan.steps if step.target in ("batch", "ecs")]
    _check_sizes(compiled, steps, settings)
    for step in steps:
        root_inside(step, datastore.root)
    if steps:
        ensure(datastore, settings)
    return open_settings(steps, settings)


def _check_sizes(compiled: Compiled, steps: Sequence[StepPlan], settings: Settings) -> None:
    # The compiler has done it for what the flow says itself: here the settings are known, too.
    file, found = f"{compiled.plan.module}.py", list[FlowError]()
    for step in steps:
        platform = settings.ecs_launch_type if step.target == "ecs" else settings.batch_platform
        place = Place(file, step.line, step.name)
        found += problems(step, place, "FARGATE" if platform == "FARGATE" else "EC2")
    if found:
        raise CheckFailed(found, where=Place(file))


def open_settings(steps: Sequence[StepPlan], settings: Settings) -> list[str]:
    """Say which settings steps need that nobody here says: Airflow's own may."""
    wanting: dict[str, list[str]] = {}
    for step in steps:
        for name in unsaid(step, settings):
            wanting.setdefault(name, []).append(step.name)
    return [
        f"{', '.join(names)}: the setting {name} ({variable(name)}) must be set in Airflow, as neither the "
        "flow nor the settings here say it"
        for name, names in wanting.items()
    ]
