"""The page of a task: one attempt at it, and all that it left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airloom.cards.text import block, escaped, markdown
from airloom.client.facts import RunFacts
from airloom.names import Pathspec
from airloom.plan import StepPlan
from airloom.runtime.logs import Line
from airloom.store.datastore import TaskKey
from airloom.store.records import BeginRecord, CardName, DoneRecord, ErrorRecord, FailedRecord, JobRecord
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
    size,
    table,
    time,
)
from airloom.ui.parts import attempt_state, trail, word_and_kind
from airloom.ui.reading import LINES, PAGE, Attempt

_MOST_PARENTS = 100


@dataclass(frozen=True, slots=True)
class TaskView:
    """What the page of a task shows: one attempt at it, and what whoever looks may see of it.

    ``owner`` is the attempt that really ran, whose cards and log are shown: another one where a
    resumed run took the task over. ``log`` is None where the store has none.
    """

    run: RunFacts
    step: StepPlan
    shown: Attempt
    begin: BeginRecord
    job: JobRecord | None
    attempts: Sequence[Attempt]
    owner: tuple[TaskKey, int]
    page: int
    sees_artifacts: bool
    sees_log: bool
    cards: Sequence[CardName] = ()
    log: tuple[list[Line], bool] | None = None


def task_page(at: Addresses, view: TaskView) -> str:
    """One attempt at a task: all that it left."""
    shown = view.shown
    spec = Pathspec(shown.key.flow, shown.key.run, shown.key.step, shown.key.task)
    doc = markdown(view.step.doc) if view.step.doc else ""
    body = (
        f"<h1>{escaped(spec)}</h1>{attempt_state(shown).text}{_attempts(at, view)}{doc}"
        f'<div class="columns">{facts(_begin_facts(at, view))}{facts(_end_facts(at, view))}</div>'
        + _error(shown.end)
        + _artifacts(at, view)
        + _cards(at, view)
        + _log(view)
    )
    return document(str(spec), trail(at, spec), body)


def _attempts(at: Addresses, view: TaskView) -> str:
    if len(view.attempts) < 2:
        return ""
    parts = [
        f"<strong>{escaped(text)}</strong>"
        if one.number == view.shown.number
        else link(at.task(one.key, one.number), text).text
        for one in view.attempts
        for text in [f"{one.number}: {word_and_kind(one)[0]}"]
    ]
    return f'<p class="attempts note">Attempts: {"".join(parts)}</p>'


def _begin_facts(at: Addresses, view: TaskView) -> dict[str, Cell]:
    begin, job = view.begin, view.job
    end = view.shown.end
    asked = begin.size or (None if end is None else end.size)
    key, number = view.owner
    ran_elsewhere = view.owner != (view.shown.key, view.shown.number)
    found: dict[str, Cell] = {
        "began": time(begin.started_at),
        "attempt": f"{view.shown.number}{f', retry {begin.retry_count}' if begin.retry_count else ''}",
        "round": begin.iteration or None,
        "size": None if asked is None else f"{asked}: {asked.why}",
        "runs on": view.step.target,
        "host": f"{begin.host}, process {begin.pid}",
        "job": None if job is None else code(job.id),
        "queue or cluster": None if job is None else job.place,
        "taken over from": link(at.task(key, number), f"{key.pathspec}@{number}") if ran_elsewhere else None,
    }
    origin = begin.origin
    if origin.get("scheduler") == "airflow":
        mapped = origin.get("map_index")
        index = f", map index {mapped}" if isinstance(mapped, int) and mapped >= 0 else ""
        words = f"try {origin.get('try_number')}{index}"
        dag_id, dag_run = (view.run.record.origin.get(name) for name in ("dag_id", "dag_run_id"))
        both = isinstance(dag_id, str) and isinstance(dag_run, str)
        found["in Airflow"] = link(at.airflow_run(str(dag_id), str(dag_run)), words) if both else words
    return found


def _end_facts(at: Addresses, view: TaskView) -> dict[str, Cell]:
    end = view.shown.end
    kept = (end.code if end else "") or view.run.plan.code
    found: dict[str, Cell] = {}
    if end is None:
        return {"code": code(kept) if kept else None}
    usage = end.usage
    asked = None if end.size is None else end.size.memory_mib
    found |= {
        "ended": time(end.finished_at),
        "wall time": duration(usage.wall_s),
        "processor": duration(usage.cpu_s),
        "peak memory": f"{usage.peak_memory_mib:.0f} MiB{'' if asked is None else f' of {asked} MiB'}",
        "input": size(usage.input_bytes) if usage.input_bytes else None,
    }
    if isinstance(end, DoneRecord):
        outcome = end.outcome
        found |= {
            "next": ", ".join(outcome.targets),
            "width": outcome.cardinality,
            "choice": outcome.choice,
            "Python": f"{end.python} on {end.platform}" if end.python else None,
        }
    found["image"] = end.image if isinstance(end, (DoneRecord, FailedRecord)) and end.image else None
    found["code"] = code(kept) if kept else None
    found["read"] = _parents(at, end.parents) if end.parents else None
    return found


def _parents(at: Addresses, parents: Sequence[str]) -> Html:
    links = []
    for parent in parents[:_MOST_PARENTS]:
        name, _, attempt = parent.partition("@")
        parts = name.split("/")
        if len(parts) == 4 and attempt.isdecimal():
            links.append(link(at.task(TaskKey(*parts), int(attempt)), "/".join(parts[2:])).text)
        else:
            links.append(escaped(parent))
    more = f" and {len(parents) - _MOST_PARENTS} more" if len(parents) > _MOST_PARENTS else ""
    return Html(f"{', '.join(links)}{more}")


def _error(end: DoneRecord | FailedRecord | None) -> str:
    error: ErrorRecord | None
    if isinstance(end, FailedRecord):
        error = end.error
        title = f"Failure: {end.failure.replace('_', ' ')}" if end.failure else "Failure"
    else:
        error = None if end is None else end.caught
        title = "Failure that @catch caught"
    if error is None:
        return ""
    what = f"<strong>{escaped(error.type)}: {escaped(error.message)}</strong>"
    trace = block(error.traceback) if error.traceback else ""
    return section(title, f'<div class="problem">{what}{trace}</div>')


_ARTIFACT_COLUMNS = [
    ("name", "name"),
    ("value", "long"),
    ("type", ""),
    ("size", "number"),
    ("digest", "name"),
    ("kept as", "name"),
]


def _artifacts(at: Addresses, view: TaskView) -> str:
    end = view.shown.end
    if not view.sees_artifacts:
        return section("Artifacts", note("You may not read the XComs of this DAG, nor its artifacts."))
    public = [item for item in sorted(end.artifacts.items()) if not item[0].startswith("_")] if end else []
    if not public:
        return section(
            "Artifacts", note("It has saved none." if end else "None yet: they are saved when it ends.")
        )
    rows = [
        (
            name,
            code(saved.preview),
            saved.type,
            size(saved.size),
            Html(f'<code title="{escaped(saved.digest)}">{escaped(saved.digest[:15])}</code>'),
            saved.serializer,
        )
        for name, saved in public[(view.page - 1) * PAGE : view.page * PAGE]
    ]
    url = at.task(view.shown.key, view.shown.number)
    return section(
        "Artifacts", table(_ARTIFACT_COLUMNS, rows), pages(url, view.page, len(rows), len(public), PAGE)
    )


def _cards(at: Addresses, view: TaskView) -> str:
    parts = []
    for name in view.cards:
        url = at.card(*view.owner, name)
        title = f"{name.type} card{f' {name.id}' if name.id else ''}"
        # No permission at all: a card is a file of the store, and may be anybody's HTML.
        parts.append(
            f'<p class="note">{link(url, title).text}</p>'
            f'<iframe sandbox="" src="{escaped(url)}" title="{escaped(title)}" loading="lazy"></iframe>'
        )
    return section("Cards", *parts)


def _log(view: TaskView) -> str:
    if not view.sees_log:
        return section("Log", note("You may not read the logs of this DAG."))
    if view.log is None:
        return section("Log", note("The store has none of this attempt: it is kept when the attempt ends."))
    lines, whole = view.log
    key, number = view.owner
    less = (
        ""
        if whole
        else note(
            f"The last {min(LINES, len(lines))} lines. All: airloom logs {key.pathspec} --attempt {number}"
        )
    )
    text = "\n".join(_line(line) for line in lines)
    return section("Log", less, f"<pre>{text}</pre>" if lines else note("It has printed nothing."))


def _line(line: Line) -> str:
    text = escaped(line.text)
    return f"<i>{escaped(line.time[11:19])}</i> {f'<b>{text}</b>' if line.stream == 'e' else text}"
