"""A card as one HTML file: styles inside, no script, and nothing that asks the network.

Even if a text slipped through unescaped, the page's own policy lets no script run and no request out.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airloom.cards.components import Component, failure, rendered
from airloom.cards.text import block, escaped, folded, markdown, plain
from airloom.plan import CardPlan, Plan, StepPlan
from airloom.store.records import ArtifactRecord, DoneRecord, ErrorRecord, FailedRecord, RunRecord, Usage

SHOWN = 500
"""Artifacts that a default card lists at most."""

_STYLE = """
:root{--ink:#1f2933;--soft:#616e7c;--line:#dfe3e8;--back:#fff;--tint:#f5f7fa;--blue:#2563eb;--red:#b42318;
--green:#157f3c;--amber:#9a6700}
@media(prefers-color-scheme:dark){:root{--ink:#e4e7eb;--soft:#9aa5b1;--line:#3b4754;--back:#161b22;
--tint:#1f2730;--blue:#7aa2ff;--red:#ff8a80;--green:#5fd38d;--amber:#e3b341}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.5rem;background:var(--back);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.3rem;margin:0 0 .2rem;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:1.8rem 0 .5rem}
.component{margin:1rem 0}.note,.type,figcaption{color:var(--soft);font-size:.87rem}
.state{display:inline-block;padding:0 .55rem;border:1px solid;border-radius:1rem;font-size:.85rem}
.state.done{color:var(--green)}.state.failed{color:var(--red)}.state.caught,.state.running{color:var(--amber)}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.8rem 0}
.facts dt{color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;min-width:40%}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;
overflow-wrap:break-word}
th{color:var(--soft);font-weight:600;white-space:nowrap}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
td.number{white-space:nowrap}
pre{background:var(--tint);border-radius:6px;padding:.6rem .8rem;margin:.4rem 0;overflow:auto;
max-height:40rem;font:.85rem/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;
overflow-wrap:anywhere}
pre.plain{background:none;padding:0;font:inherit}code{font-family:ui-monospace,Menlo,Consolas,monospace}
td code{white-space:pre-wrap}td code,td.type{overflow-wrap:anywhere}
img,svg{max-width:100%;height:auto}figure{margin:0}summary{cursor:pointer;color:var(--soft);font-size:.9rem}
a{color:var(--blue)}.markdown blockquote{margin:0;padding-left:1rem;border-left:3px solid var(--line)}
.problem{border-left:3px solid var(--red);padding:.2rem .8rem}
.progress>div{display:flex;justify-content:space-between;gap:1rem}progress{width:100%;height:.7rem}
.box{display:inline-block;min-width:12rem;padding:.8rem 1.1rem;border:1px solid var(--line);border-radius:8px;
background:var(--tint)}
.box .value{font-size:1.9rem;font-weight:600;line-height:1.2}.box .title{font-weight:600}
.box .subtitle,.box .change_indicator{font-size:.87rem;opacity:.85}
.box.success{border-color:var(--green)}.box.warning{border-color:var(--amber)}.box.danger{border-color:var(--red)}
.box.bg-gradient-indigo-purple{background:linear-gradient(120deg,#4f46e5,#9333ea);color:#fff}
.chart text{fill:var(--soft);stroke:none;font-size:11px}.chart .axis{font-size:12px;fill:var(--ink)}
.chart .grid{stroke:var(--line)}
footer{margin-top:2.5rem;color:var(--soft);font-size:.82rem;padding-top:.6rem;
border-top:1px solid var(--line)}
"""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What is known of a task before it ends."""

    pathspec: str
    attempt: int
    started_at: str
    plan: Plan
    step: StepPlan
    run: RunRecord
    flow: type


def page(
    card: CardPlan,
    facts: TaskFacts,
    components: Sequence[Component],
    end: DoneRecord | FailedRecord | None,
    at: str,
) -> str:
    """Render a card.

    Parameters
    ----------
    components
        What the step appended.
    end
        The record of the attempt's end; None while it runs.
    at
        When, in ISO 8601.
    """
    inside = rendered(components)
    error = _error(end)
    if card.type == "blank":
        # A blank card is the user's alone, and a failure still has to be seen.
        return _document(facts, inside + (_problem(error) if error else ""), at)
    parts = [_head(facts, end, at), inside, _problem(error) if error else ""]
    parts += [_parameters(facts), _artifacts(end), _usage(end), _source(facts)]
    return _document(facts, "".join(parts), at)


def error_page(facts: TaskFacts, card: CardPlan, problem: str, details: str, at: str) -> str:
    """Render what stands in the place of a card that could not be written."""
    name = repr(card.id) if card.id is not None else f"of type {card.type!r}"
    return _document(facts, failure(f"The card {name} could not be written: {problem}", details), at)


def _document(facts: TaskFacts, body: str, at: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escaped(facts.pathspec)}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
<footer>{escaped(facts.pathspec)}, attempt {facts.attempt}; \
written {escaped(_time(at))} UTC by Airloom</footer>
</body>
</html>
"""


def _error(end: DoneRecord | FailedRecord | None) -> ErrorRecord | None:
    if isinstance(end, FailedRecord):
        return end.error
    return None if end is None else end.caught


def _head(facts: TaskFacts, end: DoneRecord | FailedRecord | None, at: str) -> str:
    state = "running" if end is None else "failed" if isinstance(end, FailedRecord) else "done"
    if isinstance(end, DoneRecord) and end.caught is not None:
        state = "caught"
    said = {"running": f"running at {_time(at)} UTC", "caught": "failed, and caught"}.get(state, state)
    rows: dict[str, object] = {
        "began": f"{_time(facts.started_at)} UTC",
        "ended": None if end is None else f"{_time(end.finished_at)} UTC",
        "attempt": facts.attempt,
        "run by": facts.run.user,
        "read": None if end is None else ", ".join(end.parents),
        "next": None if not isinstance(end, DoneRecord) else ", ".join(end.outcome.targets),
        "source": f"{facts.plan.module}.py:{facts.step.line}",
    }
    doc = markdown(facts.step.doc) if facts.step.doc else ""
    label = f'<span class="state {state}">{escaped(said)}</span>'
    return f"<h1>{escaped(facts.pathspec)}</h1>{label}{doc}{_facts(rows)}"


def _facts(rows: Mapping[str, object]) -> str:
    given = ((name, value) for name, value in rows.items() if value not in (None, ""))
    inside = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(plain(value))}</dd>" for name, value in given)
    return f'<dl class="facts">{inside}</dl>'


def _problem(error: ErrorRecord) -> str:
    what = f"<strong>{escaped(error.type)}: {escaped(error.message)}</strong>"
    return f'<h2>Error</h2><div class="problem">{what}{block(error.traceback)}</div>'


def _parameters(facts: TaskFacts) -> str:
    values = facts.run.parameters
    if not values:
        return ""
    files = {parameter.name for parameter in facts.plan.parameters if parameter.type == "file"}
    rows: dict[str, object] = {}
    for name, value in values.items():
        rows[name] = value["name"] if name in files and isinstance(value, dict) else value
    shown = "".join(
        f"<tr><td>{escaped(name)}</td><td><code>{escaped(plain(value))}</code></td></tr>"
        for name, value in rows.items()
    )
    return f"<h2>Parameters</h2><table><tbody>{shown}</tbody></table>"


def _artifacts(end: DoneRecord | FailedRecord | None) -> str:
    if end is None:
        return ""
    public = {name: saved for name, saved in sorted(end.artifacts.items()) if not name.startswith("_")}
    if not public:
        return ""
    rows = "".join(_artifact(name, saved) for name, saved in list(public.items())[:SHOWN])
    more = f'<p class="note">and {len(public) - SHOWN} more</p>' if len(public) > SHOWN else ""
    head = '<thead><tr><th>name</th><th>value</th><th>type</th><th class="number">size</th></tr></thead>'
    return f'<h2>Artifacts</h2><div class="wide"><table>{head}<tbody>{rows}</tbody></table></div>{more}'


def _artifact(name: str, saved: ArtifactRecord) -> str:
    return (
        f"<tr><td>{escaped(name)}</td><td><code>{escaped(saved.preview)}</code></td>"
        f'<td class="type">{escaped(saved.type)}</td><td class="number">{_size(saved.size)}</td></tr>'
    )


def _usage(end: DoneRecord | FailedRecord | None) -> str:
    if end is None:
        return ""
    used: Usage = end.usage
    rows = {
        "wall time": f"{used.wall_s:.3g} s",
        "processor": f"{used.cpu_s:.3g} s",
        "peak memory": f"{used.peak_memory_mib:.0f} MiB",
    }
    return f"<h2>Usage</h2>{_facts(rows)}"


def _source(facts: TaskFacts) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(getattr(facts.flow, facts.step.name)))
    except (OSError, TypeError, AttributeError):  # the file is gone, or the class was never in one
        return ""
    return f"<h2>Source</h2>{folded(f'{facts.plan.module}.py:{facts.step.line}', block(text, 'code'))}"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _time(iso: str) -> str:
    return iso[:19].replace("T", " ")
