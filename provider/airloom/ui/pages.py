"""The pages of a flow, a run, a step, and of what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta

from airloom.cards.text import escaped, markdown, plain
from airloom.client.base import moment
from airloom.client.facts import RunFacts
from airloom.codec import Json
from airloom.errors import AirloomError
from airloom.names import Pathspec
from airloom.plan import StepPlan
from airloom.store.records import (
    EndRecord,
    FailedRecord,
)
from airloom.ui.addresses import Addresses
from airloom.ui.markup import (
    Cell,
    Html,
    code,
    document,
    duration,
    facts,
    link,
    note,
    pages,
    section,
    state,
    table,
    time,
)
from airloom.ui.parts import attempt_state, run_state, trail, word_and_kind
from airloom.ui.reading import PAGE, Attempt, RunRow, StepRow


def flow_page(at: Addresses, flow: str, rows: Sequence[RunRow], number: int, looked_at: int) -> str:
    """The runs of a flow, the newest first."""
    shown = table(
        [
            ("run", "long"),
            ("state", ""),
            ("started by", ""),
            ("began", "name"),
            ("took", "number"),
            ("DAG", ""),
        ],
        [
            (
                link(at.of(Pathspec(flow, row.facts.run)), row.facts.run),
                run_state(row.facts.record, row.end),
                row.facts.record.user,
                time(row.facts.record.created_at),
                None if row.end is None else _between(row.facts.record.created_at, row.end.finished_at),
                row.dag_id,
            )
            for row in rows
        ],
    )
    spec = Pathspec(flow)
    body = f"<h1>{escaped(flow)}</h1>" + section(
        "Runs",
        shown if rows else note("There are none here."),
        pages(at.of(spec), number, looked_at, None, PAGE),
    )
    return document(flow, trail(at, spec), body)


def run_page(
    at: Addresses,
    run: RunFacts,
    end: EndRecord | None,
    dag_id: str,
    tags: Iterable[str],
    steps: Sequence[StepRow],
) -> str:
    """One run: who, when, with what, and its steps."""
    record, spec = run.record, Pathspec(run.flow, run.run)
    ran_as = record.origin.get("dag_run_id")
    left = facts(
        {
            "started by": record.user,
            "began": time(record.created_at),
            "ended": None if end is None else time(end.finished_at),
            "took": None if end is None else _between(record.created_at, end.finished_at),
            "in Airflow": link(at.airflow_run(dag_id, ran_as), f"{dag_id}, run {ran_as}")
            if isinstance(ran_as, str)
            else None,
            "resumes": link(at.of(Pathspec(run.flow, record.resumed_from)), record.resumed_from)
            if record.resumed_from
            else None,
            "tags": ", ".join(sorted(tags)),
        }
    )
    right = facts(
        {
            "code": code(run.plan.code) if run.plan.code else None,
            "plan": code(record.plan),
            "project": f"{record.project}, branch {record.branch}" if record.project else None,
            "Python": record.python,
            "Airloom": record.airloom,
        }
    )
    doc = markdown(run.plan.doc) if run.plan.doc else ""
    body = (
        f"<h1>{escaped(spec)}</h1>{run_state(record, end).text}{doc}"
        f'<div class="columns">{left}{right}</div>'
        + section("Steps", table(_STEP_COLUMNS, (_step_row(at, spec, row) for row in steps)))
        + section("Parameters", _parameters(run))
    )
    return document(str(spec), trail(at, spec), body)


_STEP_COLUMNS = [("step", "name"), ("tasks", "number"), ("states", ""), ("runs on", ""), ("next", "long")]


def _step_row(at: Addresses, run: Pathspec, row: StepRow) -> Sequence[Cell]:
    name = row.plan.name
    if row.count == 1 and row.looked_at and row.looked_at[0] is not None:
        to = at.task(row.looked_at[0].key)
    else:
        to = at.of(Pathspec(run.flow, run.run, name))
    return (
        link(to, name) if row.count else name,
        row.count,
        _states(row),
        row.plan.target,
        ", ".join(row.plan.transition.targets),
    )


def _states(row: StepRow) -> Html:
    found = [attempt for attempt in row.looked_at if attempt is not None]
    counted = Counter(word_and_kind(attempt) for attempt in found)
    single = row.count == 1
    parts = [
        state(word if single else f"{count} {word}", kind).text
        for (word, kind), count in counted.most_common()
    ]
    if len(row.looked_at) < row.count:
        parts.append(f'<span class="note">of the first {len(row.looked_at)}</span>')
    return Html(" ".join(parts))


def _parameters(run: RunFacts) -> str:
    given = run.record.parameters
    files = {item.name for item in run.plan.parameters if item.type == "file"}
    values: dict[str, Json] = {
        item.name: given.get(item.name, item.default) for item in run.plan.parameters
    } | given
    if not values:
        return ""
    rows = [
        (name, value["name"] if name in files and isinstance(value, dict) and "name" in value else value)
        for name, value in values.items()
    ]
    return table([("name", "name"), ("value", "long")], [(name, _value(value)) for name, value in rows])


def _value(value: Json) -> Cell:
    return code(plain(value))


def step_page(
    at: Addresses,
    spec: Pathspec,
    step: StepPlan,
    rows: Sequence[Attempt | None],
    number: int,
    total: int,
    indices: str | None,
) -> str:
    """The tasks of a step."""
    shown = table(
        [
            ("task", "name"),
            ("state", ""),
            ("failure", ""),
            ("attempt", "number"),
            ("began", "name"),
            ("wall time", "number"),
            ("peak memory", "number"),
            ("size", "name"),
        ],
        [_task_row(at, row) for row in rows if row is not None],
    )
    url = at.of(spec)
    if indices is not None:
        url = f"{url}?indices={indices}"
    why = (
        note(
            Html(
                f"Only those of one mapped task of Airflow. {link(at.of(spec), 'All tasks of the step').text}"
            )
        )
        if indices is not None
        else ""
    )
    doc = markdown(step.doc) if step.doc else ""
    body = f"<h1>{escaped(spec)}</h1>{doc}" + section(
        f"Tasks: {total}",
        why,
        shown if total else note("None has begun."),
        pages(url, number, len(rows), total, PAGE),
    )
    return document(str(spec), trail(at, spec), body)


def _task_row(at: Addresses, row: Attempt) -> Sequence[Cell]:
    usage, begun = row.usage, row.end
    return (
        link(at.task(row.key), row.key.task),
        attempt_state(row),
        begun.failure.replace("_", " ") if isinstance(begun, FailedRecord) else None,
        row.number,
        time(row.started_at),
        None if usage is None else duration(usage.wall_s),
        None if usage is None else f"{usage.peak_memory_mib:.0f} MiB",
        None if begun is None or begun.size is None else str(begun.size),
    )


def error_page(at: Addresses, error: AirloomError | str, title: str, more: Html | None = None) -> str:
    """Say what went wrong, where, and how to mend it."""
    if isinstance(error, AirloomError):
        what = f"<p>{escaped(error.what)}</p>{facts({'where': str(error.where), 'mend': error.mend})}"
    else:
        what = f"<p>{escaped(error)}</p>"
    body = f'<h1>{escaped(title)}</h1><div class="problem">{what}</div>{"" if more is None else note(more)}'
    return document(title, [Html(f"<span>{link(f'{at.airflow}/', 'Airflow').text}</span>")], body)


def _between(first: str, last: str) -> str:
    passed = moment(last) - moment(first)
    return duration(max(passed, timedelta()).total_seconds())
