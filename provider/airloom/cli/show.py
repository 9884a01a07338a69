"""A plan for people: as text, as a Mermaid or dot drawing, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from airloom.codec import Json
from airloom.plan import Plan, StepPlan
from airloom.sizing.catalogue import rounded

_SHAPES = {"foreach": "[[{}]]", "parallel": "[[{}]]", "switch": "{{{}}}"}


def render(plan: Plan, form: str) -> str:
    """Draw a plan; ``form`` is text, mermaid, dot or json."""
    if form == "json":
        return json.dumps(json.loads(plan.to_bytes()), indent=2, ensure_ascii=False)
    lines = {"text": _text, "mermaid": _mermaid, "dot": _dot}[form]
    return "\n".join(lines(plan))


def _text(plan: Plan) -> Iterator[str]:
    yield plan.flow + (f": {plan.doc.splitlines()[0]}" if plan.doc else "")
    for parameter in plan.parameters:
        default = "required" if parameter.required else f"default {parameter.default!r}"
        yield f"  parameter {parameter.name} ({parameter.type}, {default}) {parameter.help}".rstrip()
    for name, value in plan.configs.items():
        yield f"  config {name} = {_shortened(value)}"
    for text in plan.attached:
        yield f"  with {text}"
    yield from _deployment(plan)
    for text in rounded_sizes(plan):
        yield f"  size of {text}"
    for step in plan.steps:
        yield ""
        yield f"{'  ' * step.depth}{step.name}{_facts(step)}"
        if step.doc:
            yield f"{'  ' * step.depth}  {step.doc.splitlines()[0]}"
        if step.transition.targets:
            yield f"{'  ' * step.depth}  => {_arrow(step)}"


def _deployment(plan: Plan) -> Iterator[str]:
    if plan.project is not None:
        kind = "production" if plan.project.production else f"branch {plan.project.branch}"
        yield f"  project {plan.project.name}, {kind}: deployed as {plan.dag_id}"
    if plan.schedule is not None:
        yield f"  schedule {plan.schedule.cron} in {plan.schedule.timezone}"
    for event in plan.triggers:
        mapped = ", ".join(f"{name} from {key}" for name, key in event.parameters.items())
        kind = "a finished run of" if event.finished else "the event"
        yield f"  triggered by {kind} {event.name}" + (f" ({mapped})" if mapped else "")
    if plan.exit_hooks is not None:
        ends = (("success", plan.exit_hooks.on_success), ("failure", plan.exit_hooks.on_error))
        for end, names in ends:
            if names:
                yield f"  on {end} calls {', '.join(names)}"


def _shortened(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def _facts(step: StepPlan) -> str:
    facts = []
    if step.joins is not None:
        facts.append(f"joins {step.joins}")
    if step.retry.times:
        on = f" after {', '.join(name.rpartition('.')[2] for name in step.retry.on)}" if step.retry.on else ""
        facts.append(f"retries {step.retry.times}{on}")
    if step.catch is not None:
        facts.append("catches")
    if step.timeout_s is not None:
        facts.append(f"timeout {step.timeout_s:g} s")
    if step.variables:
        facts.append(f"sets {', '.join(step.variables)}")
    if step.secrets:
        facts.append(f"secrets {', '.join(step.secrets)}")
    if step.cards:
        facts.append("card" if len(step.cards) == 1 else f"{len(step.cards)} cards")
    if step.inlets:
        facts.append(f"reads {', '.join(step.inlets)}")
    if step.outlets:
        facts.append(f"writes {', '.join(step.outlets)}")
    if step.wrappers:
        facts.append(f"inside {', '.join(reversed(step.wrappers))}")
    if step.target != "worker":
        facts.append(f"on {step.target}")
    facts += _sizes(step)
    return f" ({', '.join(facts)})" if facts else ""


def _sizes(step: StepPlan) -> Iterator[str]:
    needs = step.resources
    sizes = (
        ("cpu", "vCPU", needs.cpu),
        ("memory", "MiB", needs.memory_mib),
        ("gpu", "GPU", needs.gpu),
    )
    for name, unit, size in sizes:
        if name in needs.computed:
            yield f"{unit} computed" + (f", at least {size:g}" if size else "")
        elif name in needs.learned:
            yield f"{unit} learned" + (f", {size:g} at first" if size else "")
        elif size:
            yield f"{size:g} {unit}"


def rounded_sizes(plan: Plan) -> Iterator[str]:
    """Say which steps get another size than they ask for, where the flow names the platform."""
    for step in plan.steps:
        change = rounded(step) if step.target in ("batch", "ecs") else None
        if change is not None:
            yield f"{step.name}: {change}"


def _arrow(step: StepPlan) -> str:
    transition = step.transition
    if transition.kind == "foreach":
        return f"{transition.targets[0]} for each of {transition.variable}"
    if transition.kind == "switch":
        cases = ", ".join(f"{case.value!r}: {case.target}" for case in transition.cases)
        return f"by {transition.variable}: {cases}"
    return ", ".join(transition.targets)


def _edges(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for step in plan.steps:
        transition = step.transition
        if transition.kind == "switch":
            yield from ((step.name, case.target, str(case.value)) for case in transition.cases)
        else:
            label = transition.variable or "" if transition.kind == "foreach" else ""
            yield from ((step.name, target, label) for target in transition.targets)


def _mermaid(plan: Plan) -> Iterator[str]:
    yield "flowchart TD"
    for step in plan.steps:
        # "end" is a word of Mermaid's own, so every id carries a letter in front.
        yield f"    s_{step.name}" + _SHAPES.get(step.transition.kind, "[{}]").format(step.name)
    for source, target, label in _edges(plan):
        yield f"    s_{source} -->" + (f"|{_mermaid_text(label)}|" if label else "") + f" s_{target}"


def _dot(plan: Plan) -> Iterator[str]:
    yield f'digraph "{plan.flow}" {{'
    yield "    node [shape=box]"
    for step in plan.steps:
        shape = {"foreach": "box3d", "switch": "diamond"}.get(step.transition.kind)
        yield f'    "{step.name}"' + (f" [shape={shape}]" if shape else "")
    for source, target, label in _edges(plan):
        yield f'    "{source}" -> "{target}"' + (f" [label={_dot_text(label)}]" if label else "")
    yield "}"


def _mermaid_text(text: str) -> str:
    """Text of an arrow; what could be taken for Mermaid's own signs is quoted."""
    if re.fullmatch(r"\w[\w .-]*", text, re.ASCII):
        return text
    return '"' + "".join(f"#{ord(sign)};" if sign in '#"|<>&\n\r' else sign for sign in text) + '"'


def _dot_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
