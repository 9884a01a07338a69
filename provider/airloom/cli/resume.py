"""``resume``: what is taken over from the older run, and what is told about it."""

from __future__ import annotations

from collections.abc import Mapping

import click

from airloom.cli.run import Prepare, Start
from airloom.compiler.planner import Compiled
from airloom.errors import ParameterError
from airloom.flow.parameters import parameters_of
from airloom.flow.spec import FlowSpec
from airloom.names import Indices
from airloom.runtime import resume
from airloom.runtime.start import new_run, run_parameters
from airloom.settings import Settings
from airloom.store.datastore import Datastore
from airloom.store.records import Outcome, RunRecord
from airloom.store.tags import checked


def resumed(
    named: str | None, step: str | None, settings: Settings, tags: tuple[str, ...], *, quiet: bool
) -> Prepare:
    """Prepare a run that takes over what another one has finished.

    Raises
    ------
    ResumeError
        When there is no such run, or nothing would be left to run.
    GraphError
        When the flow has no such step.
    ParameterError
        When the flow has a parameter now that the other run has no value for.
    """

    def prepare(compiled: Compiled, datastore: Datastore) -> Start:
        plan = compiled.plan
        if step is not None:
            plan.step(step)
        origin = resume.origin_of(datastore, plan.flow, named, settings.user_name)
        spec = f"{origin.flow}/{origin.run}"
        given = resume.parameters_of(plan, origin)
        parameters = run_parameters(plan, given, datastore, where=f"the parameters of {spec}")
        finished = resume.finished_tasks(datastore, plan, origin, step)
        record = new_run(
            plan,
            parameters,
            settings.user_name,
            {"scheduler": "local", "resumed_at": step},
            tags=checked(tags, plan.flow),
            resumed_from=origin.run,
        )

        def take_over(record: RunRecord) -> Mapping[tuple[str, Indices], Outcome]:
            outcomes = resume.take_over(datastore, record, finished)
            if not quiet:
                tasks = "1 task is" if len(outcomes) == 1 else f"{len(outcomes)} tasks are"
                click.echo(f"{plan.flow}/{record.run} resumes {spec}: {tasks} taken over")
            return outcomes

        return Start(record, take_over)

    return prepare


def refuse_parameters(flow: type[FlowSpec], values: Mapping[str, str | None]) -> None:
    """Refuse parameters on the command line of a resume.

    Raises
    ------
    ParameterError
        When there is one.
    """
    for parameter in parameters_of(flow).values():
        if values.get(f"parameter_{parameter.attribute}") is not None:
            raise ParameterError(
                f"the parameter {parameter.name!r} cannot be given: a resumed run has those of its origin",
                where=f"--{parameter.name}",
                mend="leave it out, or start a new run with it.",
            )
