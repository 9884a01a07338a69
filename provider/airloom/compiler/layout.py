"""How a plan's steps stand in its DAG file: the units at the top level, and the edges between them.

Airflow refuses to map inside a mapped group, so the steps of a foreach's body are cut at every
barrier into *segments*, each of them one mapped task or one mapped task group over the index
paths of its foreach.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from airloom.codec import Json
from airloom.compiler.literals import python
from airloom.flow.flow_decorators import FINISHED
from airloom.plan import ParameterPlan, Plan, StepPlan
from airloom.sizing.recovery import retries

_TAKEN = {"dag", "DAG", "Param", "StepOperator", "IndicesOperator", "datetime", "timedelta", "task_group"}
_TAKEN |= {"Asset", "ExitHookOperator", "ZoneInfo", "index", "PLAN"}
_OF_BOTH = ("AssetOrTimeSchedule", "CronTriggerTimetable")
_TAKEN |= {*_OF_BOTH}
_TAKEN |= {"BatchStepOperator", "EcsStepOperator"}
_OF_GROUP = {"FlowTaskGroup", "group", "group_id", "default_args", "parameters"}
_STEPS = "airloom.operators.step"
_JOBS = {"BatchStepOperator": "airloom.operators.batch", "EcsStepOperator": "airloom.operators.ecs"}
_OF_TARGET = {"batch": "BatchStepOperator", "ecs": "EcsStepOperator"}
_SOON_S = 5.0
"""So long after an attempt that was lost, or too small, comes the next one, where @retry says nothing."""
_TIMETABLES = "airloom.operators.timetables"


@dataclass(frozen=True)
class Call:
    """One operator call: its variable, its task id and its arguments as Python text.

    ``notes`` are comments of arguments, by name; those of the task id stand alone in the line above it.
    """

    variable: str
    operator: str
    task_id: str
    arguments: tuple[tuple[str, str], ...]
    notes: dict[str, str] = field(default_factory=dict)


@dataclass
class Unit:
    """What stands at the DAG's top level: a task, a mapped task, or a mapped group of tasks.

    ``over`` is the Python text of the index paths that a mapped unit expands over.
    """

    variable: str
    calls: list[Call]
    function: str = ""
    over: str | None = None
    title: str = ""
    ending: str = ""
    edges: list[str] = field(default_factory=list)

    @property
    def is_group(self) -> bool:
        """Whether several tasks are mapped together, depth first."""
        return self.over is not None and bool(self.function)


@dataclass(frozen=True)
class Layout:
    """All that the templates print, besides the plan itself."""

    units: list[Unit]
    edges: list[str]
    imports: list[str]
    arguments: list[tuple[str, ParameterPlan]] = field(default_factory=list)


def lay_out(plan: Plan, *, group: bool = False) -> Layout:
    """Cut a plan into the units of its DAG, or with ``group`` of a task group.

    ``arguments`` are those of a task group's function: the name that Python allows, and the parameter.
    """
    names = _Names(plan, _OF_GROUP if group else set())
    arguments = [(names.fresh(parameter.attribute), parameter) for parameter in plan.parameters if group]
    segments = _segments(plan)
    units: list[Unit] = []
    unit_of: dict[str, str] = {}
    flattened: dict[str, str] = {}
    for (region, _), steps in segments.items():
        if not region:
            (step,) = steps
            unit = Unit(names.step[step.name], [_call(plan, step, names)])
        else:
            over = _over(plan, region, names, flattened, units)
            unit = _mapped(plan, region, steps, names, over)
        units.append(unit)
        unit_of |= {step.name: unit.variable for step in steps}
    edges = _edges(plan, segments, names, unit_of, flattened)
    if plan.exit_hooks is not None:
        name = names.group("exit_hook")
        # A teardown: it runs whatever happened before, and does not make a failed run a success.
        units.append(Unit(name, [Call(name, "ExitHookOperator", name, ())], ending=".as_teardown()"))
        edges.append((unit_of[plan.end], [name]))
    if arguments:
        (first,) = units[0].calls
        given = ("flow_parameters", "parameters")
        units[0].calls = [replace(first, arguments=(given, *first.arguments))]
    imports = _imports_of_group(units) if group else _imports(plan, units)
    return Layout(units, _chains(edges), imports, arguments)


Region = tuple[str, ...]


def _segments(plan: Plan) -> dict[tuple[Region, int | str], list[StepPlan]]:
    """Steps by the foreaches around them and the barriers before them, in topological order.

    Outside of every foreach each step is a segment of its own.
    """
    number: dict[str, int] = {}
    found: dict[tuple[Region, int | str], list[StepPlan]] = {}
    for step in plan.steps:
        region = _region(plan, step)
        same = [number[p] for p in step.parents if p in number and _region(plan, plan.step(p)) == region]
        after = [number[step.joins] + 1] if step.joins and _is_foreach(plan, step.joins) else []
        number[step.name] = max([0, *same, *after])
        place: int | str = number[step.name] if region else step.name
        found.setdefault((region, place), []).append(step)
    return found


def _region(plan: Plan, step: StepPlan) -> Region:
    """Foreaches around a step that Airflow maps over; a gang of @parallel tasks is one Airflow task."""
    return tuple(name for name in step.foreaches if _is_foreach(plan, name))


def _is_foreach(plan: Plan, name: str) -> bool:
    return plan.step(name).transition.kind == "foreach"


class _Names:
    """Python names for steps and groups: those of the flow wherever Python allows it."""

    def __init__(self, plan: Plan, taken: set[str]) -> None:
        self._used = _TAKEN | taken
        self.step = {step.name: self.fresh(step.name) for step in plan.steps}
        self.ids = {step.name for step in plan.steps}

    def fresh(self, wanted: str) -> str:
        name = wanted + "_" if keyword.iskeyword(wanted) or wanted in self._used else wanted
        while name in self._used:
            name += "_"
        self._used.add(name)
        return name

    def group(self, wanted: str) -> str:
        while wanted in self.ids:
            wanted += "_group"
        self.ids.add(wanted)
        return self.fresh(wanted)


def _over(plan: Plan, region: Region, names: _Names, flattened: dict[str, str], units: list[Unit]) -> str:
    split = region[-1]
    if len(region) == 1:
        return f"{names.step[split]}.output"
    if split not in flattened:
        task_id = names.group(f"indices_of_{split}")
        arguments = (("split", python(split)), ("trigger_rule", '"none_failed"'))
        flattened[split] = task_id
        units.append(Unit(task_id, [Call(task_id, "IndicesOperator", task_id, arguments)]))
    return f"{flattened[split]}.output"


def _mapped(plan: Plan, region: Region, steps: list[StepPlan], names: _Names, over: str) -> Unit:
    if len(steps) == 1:
        return Unit(names.step[steps[0].name], [_call(plan, steps[0], names)], over=over)
    variable = plan.step(region[-1]).transition.variable or region[-1]
    function = names.group(f"for_each_of_{variable}")
    group = names.fresh(f"each_of_{variable}")
    inside = {step.name for step in steps}
    edges = [
        (names.step[step.name], [names.step[t] for t in _followers(step) if t in inside]) for step in steps
    ]
    calls = [_call(plan, step, names, mapped_in_group=True) for step in steps]
    title = f"{steps[0].name} to {steps[-1].name}, for each of {variable}"
    return Unit(group, calls, function, over, title, edges=_chains(edges))


def _followers(step: StepPlan) -> list[str]:
    # A step that leads back to itself runs all its rounds in one Airflow task.
    return [name for name in dict.fromkeys(step.transition.targets) if name != step.name]


def _edges(
    plan: Plan,
    segments: dict[tuple[Region, int | str], list[StepPlan]],
    names: _Names,
    unit_of: dict[str, str],
    flattened: dict[str, str],
) -> list[tuple[str, list[str]]]:
    """Edges between units; those that ``.expand`` draws by itself are left out."""
    found: dict[str, list[str]] = {}
    region_of = {step.name: _region(plan, step) for step in plan.steps}
    expanded = {
        (unit_of[region[-1]], unit_of[steps[0].name])
        for (region, _), steps in segments.items()
        if len(region) == 1
    }
    for steps in segments.values():
        for step in steps:
            source = unit_of[step.name]
            for target in _followers(step):
                end = unit_of[target]
                if len(region_of[target]) > len(region_of[step.name]) and step.name in flattened:
                    end = flattened[step.name]
                if source != end and (source, end) not in expanded:
                    found.setdefault(source, []).append(end)
    return [(source, list(dict.fromkeys(ends))) for source, ends in found.items()]


def _chains(edges: list[tuple[str, list[str]]]) -> list[str]:
    """Lines like ``a >> b >> [c, d]``: every edge once, in as few lines as read well."""
    together: dict[tuple[str, ...], list[str]] = {}
    for source, ends in edges:
        if ends:
            together.setdefault(tuple(ends), []).append(source)
    follows = {sources[0]: ends for ends, sources in together.items() if len(sources) == 1}
    lines: list[str] = []
    used: set[tuple[str, ...]] = set()
    for first, sources in together.items():
        if first in used:
            continue
        if len(sources) > 1 and len(first) > 1:  # as of two switches with the same arms: no list >> list
            used.add(first)
            lines += [f"{source} >> {_side(first)}" for source in sources]
            continue
        line, tail = [_side(sources)], first
        while tail not in used:
            used.add(tail)
            line.append(_side(tail))
            tail = follows.get(tail[0], tail) if len(tail) == 1 else tail
        lines.append(" >> ".join(line))
    return lines


def _side(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"


def _call(plan: Plan, step: StepPlan, names: _Names, *, mapped_in_group: bool = False) -> Call:
    arguments: list[tuple[str, str]] = []
    if mapped_in_group:
        arguments.append(("index", "index"))
    if step.target in _OF_TARGET:
        arguments += [(name, python(value)) for name, value in _place(step).items() if value is not None]
    else:
        size = {name: value for name, value in _size(step).items() if value is not None}
        if size:
            arguments.append(("size", python(size)))
    tries = retries(step) + (step.target not in _OF_TARGET and step.catch is not None)
    notes = _sizes_to_come(step)
    if tries:
        if step.target in _OF_TARGET:
            notes["retries"] = _budgets(step, tries)
        delay = step.retry.delay_s if step.retry.times else _SOON_S
        arguments += [("retries", str(tries)), ("retry_delay", _timedelta(delay))]
    if step.timeout_s is not None:
        arguments.append(("timeout", _timedelta(step.timeout_s)))
    rule = _trigger_rule(plan, step)
    if rule is not None:
        arguments.append(("trigger_rule", python(rule)))
    outlets = (*step.outlets, *((FINISHED + plan.dag_id,) if step.name == plan.end else ()))
    for direction, found in (("inlets", step.inlets), ("outlets", outlets)):
        if found:
            arguments.append((direction, f"[{', '.join(f'Asset({python(one)})' for one in found)}]"))
    if step.doc:
        arguments.append(("doc_md", python(step.doc, 8)))
    operator = _OF_TARGET.get(step.target, "StepOperator")
    return Call(names.step[step.name], operator, step.name, tuple(arguments), notes)


def _sizes_to_come(step: StepPlan) -> dict[str, str]:
    """Note which sizes stand in no argument, since each task finds them when it begins."""
    needs = step.resources
    bounds = {
        "memory": _bounds(needs.min_memory_mib, needs.max_memory_mib, " MiB"),
        "cpu": _bounds(None, needs.max_cpu),
    }
    said = [f"{name}: computed by the flow{bounds.get(name, '')}" for name in needs.computed]
    said += [f"{name}: learned from earlier runs{bounds[name]}" for name in needs.learned]
    return {"task_id": "; ".join(said)} if said else {}


def _bounds(least: float | None, most: float | None, unit: str = "") -> str:
    told = [f"{words} {value:g}{unit}" for words, value in (("at least", least), ("at most", most)) if value]
    return "".join(f", {text}" for text in told)


def _budgets(step: StepPlan, tries: int) -> str:
    """Note of what a job's retries are the sum."""
    lost = step.recovery.reclaims + step.recovery.losses
    parts = {
        "of @retry": step.retry.times,
        "for more memory": tries - step.retry.times - lost,
        "for reclaimed spot instances": step.recovery.reclaims,
        "for lost hosts": step.recovery.losses,
    }
    return ", ".join(f"{count} {words}" for words, count in parts.items() if count)


def _place(step: StepPlan) -> dict[str, Json]:
    """Where a job goes and what it gets, as far as the flow says it; the settings say the rest."""
    size = {name: _whole(_size(step)[name]) for name in ("cpu", "memory_mib", "gpu")}
    if step.batch is not None:
        said = step.batch
        place: dict[str, Json] = {"job_queue": said.queue, "spot_queue": said.spot_queue}
        return {**place, "image": said.image, "platform": said.platform, **size}
    assert step.ecs is not None  # noqa: S101 - the planner puts it beside the target
    where: dict[str, Json] = {
        "cluster": step.ecs.cluster,
        "launch_type": step.ecs.launch_type,
        "capacity_provider": step.ecs.capacity_provider,
        "spot_capacity_provider": step.ecs.spot_capacity_provider,
    }
    return {**where, "image": step.ecs.image, **size}


def _whole(number: Json) -> Json:
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _size(step: StepPlan) -> dict[str, Json]:
    needs = step.resources
    return {
        "cpu": needs.cpu,
        "memory_mib": needs.memory_mib,
        "gpu": needs.gpu,
        "disk_mib": needs.disk_mib,
        "shared_memory_mib": needs.shared_memory_mib,
    }


def _trigger_rule(plan: Plan, step: StepPlan) -> str | None:
    """Rule that is not ``all_success``: where arms of a switch meet, and where a foreach may be empty.

    These tasks find out by themselves whether a switch has chosen them (see the operator).
    """
    if step.joins is None:
        arms = [parent for parent in step.parents if parent != step.name]
        return "none_failed_min_one_success" if len(arms) > 1 else None
    split = plan.step(step.joins)
    foreach = _is_foreach(plan, step.joins)
    branches = 1 if foreach else len(split.transition.targets)
    barrier = foreach and bool(_region(plan, step))
    arms_arrive = len(step.parents) > branches
    return "none_failed" if split.transition.allow_empty or barrier or arms_arrive else None


def _timedelta(seconds: float) -> str:
    for unit, factor in (("hours", 3600), ("minutes", 60)):
        if seconds and seconds % factor == 0:
            return f"timedelta({unit}={seconds / factor:g})"
    return f"timedelta(seconds={seconds:g})"


def _imports(plan: Plan, units: Iterable[Unit]) -> list[str]:
    calls = [call for unit in units for call in unit.calls]
    standard = []
    if plan.schedule is not None:
        standard.append("from datetime import datetime" + (", timedelta" if _uses_timedelta(calls) else ""))
        standard.append("from zoneinfo import ZoneInfo")
    elif _uses_timedelta(calls):
        standard.append("from datetime import timedelta")
    sdk = ["DAG", "Asset", *(["Param"] if plan.parameters else [])]
    sdk += ["task_group"] if any(unit.is_group for unit in units) else []
    operators = {call.operator for call in calls}
    here = sorted(operators - {*_JOBS})
    return [
        *standard,
        *([""] if standard else []),
        f"from airflow.sdk import {', '.join(sdk)}",
        "",
        *(f"from {_JOBS[name]} import {name}" for name in sorted(operators & {*_JOBS})),
        *([f"from {_STEPS} import {', '.join(here)}"] if here else []),
        *([f"from {_TIMETABLES} import {', '.join(_OF_BOTH)}"] if plan.schedule and plan.triggers else []),
    ]


def _imports_of_group(units: Iterable[Unit]) -> list[str]:
    calls = [call for unit in units for call in unit.calls]
    operators = {call.operator for call in calls}
    sdk = ["Asset", *(["task_group"] if any(unit.is_group for unit in units) else [])]
    here = sorted(operators - {*_JOBS})
    return [
        *(["from datetime import timedelta", ""] if _uses_timedelta(calls) else []),
        f"from airflow.sdk import {', '.join(sdk)}",
        "",
        *(f"from {_JOBS[name]} import {name}" for name in sorted(operators & {*_JOBS})),
        "from airloom.operators.groups import FlowTaskGroup",
        *([f"from {_STEPS} import {', '.join(here)}"] if here else []),
    ]


def _uses_timedelta(calls: Iterable[Call]) -> bool:
    return any("timedelta(" in text for call in calls for _, text in call.arguments)
