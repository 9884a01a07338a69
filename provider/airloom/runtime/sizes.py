"""Which size an attempt gets: what the flow says, what former runs show, what former attempts needed.

Whoever gives a task its place asks these before each attempt; `runtime.task.first_size` does
for the first one what needs the task's inputs::

    following = after(step, former)                     # sizing.recovery; the attempts since the last clear
    if not following.again:
        raise AirflowFailException(following.sentence)
    size = resized(last_size, following) if former else first_size(datastore, plan, request, load)
    request = replace(request, size=size, retry_count=following.retry_count,
                      last_try=following.last_try, last_size=is_last(step, former, size))

Requests to the store are bounded: a step with neither a memory limit nor ``"auto"`` costs none, any
other one for each task, and the first task of a run those for at most `TASKS` tasks of `RUNS` runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airloom.errors import SizeError
from airloom.failures import FailureKind
from airloom.flow.declarations import step_declaration
from airloom.plan import SizeName, StepPlan
from airloom.sizing.catalogue import Size, fit, platform_of
from airloom.sizing.learning import Learned, Observation, first, learn
from airloom.sizing.recovery import Former, after
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import DoneRecord

if TYPE_CHECKING:
    from airloom.flow.spec import FlowSpec, Inputs

RUNS, TASKS_A_RUN, TASKS = 20, 12, 60
"""How far back is looked: runs, tasks of a step in one run (spread over its indices), tasks in all."""


def done_records(
    datastore: Datastore, flow: str, step: str, *, without: str = ""
) -> list[tuple[TaskKey, DoneRecord]]:
    """Read what the last tasks of a step committed, the newest run first.

    Parameters
    ----------
    without
        A run that is left out: the one that asks.
    """
    found: list[tuple[TaskKey, DoneRecord]] = []
    looked = 0
    for run in datastore.runs(flow):
        if run == without:
            continue
        if looked == RUNS or len(found) >= TASKS:
            break
        looked += 1
        tasks = datastore.tasks(flow, run, step)
        apart = max(1, -(-len(tasks) // TASKS_A_RUN))
        for task in tasks[::apart][: TASKS - len(found)]:
            key = TaskKey(flow, run, step, task)
            done = datastore.done_attempt(key)
            if done is not None:
                found.append((key, done[1]))
    return found


def observed(record: DoneRecord) -> Observation:
    """What an attempt that was committed shows."""
    usage, size = record.usage, record.size
    cpu = None if size is None else size.cpu
    return Observation(usage.peak_memory_mib, usage.cpu_s, usage.wall_s, usage.input_bytes, cpu)


def learned_before(datastore: Datastore, flow: str, run: str, step: StepPlan) -> Learned:
    """What the tasks of a step begin with in a run; found out once and noted."""
    noted = datastore.learned(flow, run, step.name)
    if noted is not None:
        return noted
    found = look_back(datastore, flow, step, without=run)
    return datastore.note_learned(flow, run, step.name, found)


def look_back(datastore: Datastore, flow: str, step: StepPlan, *, without: str = "") -> Learned:
    """Learn from former runs.

    Of growths counts the largest that the present declaration has led to among the last ones:
    a step that is declared anew begins anew.
    """
    needs = step.resources
    asked = first(needs, step.target)
    # A job began with what the flow declares, or with the next size that is offered.
    began = {asked.memory_mib, fit(asked, step.target, platform_of(step), where=step.name).memory_mib}
    growths = [one for one in datastore.growths(flow, step.name) if one.run != without]
    same = [one for one in growths if "memory" in needs.computed or one.declared_mib in began]
    grown = max(same, key=lambda one: one.worked_mib, default=None)
    if grown is not None and asked.memory_mib is not None and "memory" not in needs.computed:
        grown = replace(grown, declared_mib=asked.memory_mib)
    records = done_records(datastore, flow, step.name, without=without) if needs.learned else []
    runs = len({key.run for key, _ in records})
    return learn([observed(record) for _, record in records], runs=runs, needs=needs, grown=grown)


def first_size(
    datastore: Datastore,
    key: TaskKey,
    step: StepPlan,
    *,
    limited: bool,
    input_bytes: int,
    computed: Mapping[SizeName, float],
    apply: bool = True,
) -> Size | None:
    """Size of the first attempt at a task; None when nobody says anything about it.

    Parameters
    ----------
    limited
        Whether something holds the task to its size: only then former runs are looked at.
    computed
        What `computed_sizes` gave.
    """
    needs = step.resources
    sized = needs.memory_mib is not None or step.target in ("batch", "ecs") or needs.computed
    learned = None
    if limited and (sized or needs.learned):
        learned = learned_before(datastore, key.flow, key.run, step)
    size = first(needs, step.target, learned=learned, input_bytes=input_bytes, computed=computed, apply=apply)
    return None if size == Size() else size


def is_last(step: StepPlan, former: Sequence[Former], size: Size | None) -> bool:
    """Say whether an attempt of this size that runs out of memory is the last one."""
    memory = None if size is None else size.memory_mib
    return not after(step, [*former, Former(FailureKind.OUT_OF_MEMORY, memory)]).again


def former(failure: str, memory_mib: int | None, *, final: bool = False) -> Former:
    """Read the kind of failure that a record names; one without a name is the user's code."""
    try:
        kind = FailureKind(failure)
    except ValueError:
        kind = FailureKind.USER_CODE
    return Former(kind, memory_mib, again=not final)


def computed_sizes(
    flow: type[FlowSpec], step: StepPlan, instance: FlowSpec, inputs: Inputs | None = None
) -> dict[SizeName, float]:
    """Call the functions that give sizes of a step, where its artifacts can be read.

    Raises
    ------
    SizeError
        When one gives no number of 0 or more, or fails.
    """
    said = step_declaration(getattr(flow, step.name))
    found: dict[SizeName, float] = {}
    for name, function in said.size_functions if said is not None else ():
        where = f"the {name} of step {step.name!r}"
        try:
            both = inputs is not None and len(inspect.signature(function).parameters) > 1
            value: Any = function(instance, inputs) if both else function(instance)
        except Exception as error:
            raise SizeError(
                f"the function that gives a size raised {type(error).__name__}: {error}",
                where=where,
                mend="it can read parameters and inherited artifacts; in a join: lambda flow, inputs: ...",
            ) from error
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            raise SizeError(
                f"the function gave {value!r}, which is no size",
                where=where,
                mend="let it give a number above 0: vCPU for cpu, MiB for memory.",
            )
        found[name] = max(value, found.get(name, 0))
    return found
