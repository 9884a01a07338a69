"""HTML of all pages: the document, its styles and policy, and the few parts that pages are made of.

Whatever a flow, a run or an artifact says is text: it becomes markup by `escaped` alone.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airloom.cards.text import escaped, plain

_STYLE = """
:root{color-scheme:light dark;--ink:#1b2430;--soft:#5f6b7a;--line:#dde2e8;--back:#fff;--tint:#f5f7f9;
--blue:#1d5fd1;--red:#b42318;--green:#12703a;--amber:#8a5b00}
@media(prefers-color-scheme:dark){:root{--ink:#e3e7ec;--soft:#9aa6b4;--line:#333f4c;--back:#14191f;
--tint:#1d242c;--blue:#7fabff;--red:#ff8a80;--green:#5fd38d;--amber:#e3b341}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1.2rem 1.5rem 3rem;background:var(--back);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.3rem;margin:.3rem 0 .4rem;overflow-wrap:anywhere}
h2{font-size:1.02rem;margin:1.8rem 0 .5rem}
a{color:var(--blue);text-decoration:none}a:hover{text-decoration:underline}
nav{color:var(--soft);font-size:.9rem;overflow-wrap:anywhere}
nav a+a::before,nav a+span::before{content:"/";color:var(--soft);padding:0 .4rem;display:inline-block}
.state{display:inline-block;padding:0 .55rem;border:1px solid;border-radius:1rem;font-size:.83rem;
white-space:nowrap}
.done{color:var(--green)}.failed{color:var(--red)}.caught,.open{color:var(--amber)}
.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.15rem 1.2rem;margin:.8rem 0;
align-content:start}
.facts dt{color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:0 2.5rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;width:100%}
th,td{padding:.32rem .8rem .32rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{color:var(--soft);font-weight:600;white-space:nowrap}
td.number,th.number{text-align:right;padding-right:1.8rem;font-variant-numeric:tabular-nums;white-space:nowrap}
td.name{white-space:nowrap}td.long{overflow-wrap:anywhere;min-width:14rem}
code,pre{font:.85rem/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
code{overflow-wrap:anywhere}
pre{background:var(--tint);border-radius:6px;padding:.6rem .8rem;margin:.4rem 0;overflow:auto;
max-height:36rem;white-space:pre-wrap;overflow-wrap:anywhere}
pre i{font-style:normal;color:var(--soft)}pre b{font-weight:normal;color:var(--amber)}
.note{color:var(--soft);font-size:.87rem;margin:.4rem 0}
.problem{border-left:3px solid var(--red);padding:.2rem .8rem}.problem strong{overflow-wrap:anywhere}
.attempts a,.attempts strong{margin-right:.5rem}
.attempts strong{border-bottom:2px solid}
iframe{display:block;width:100%;height:34rem;border:1px solid var(--line);border-radius:6px;
background:var(--back);resize:vertical;overflow:auto}
summary{cursor:pointer;color:var(--soft)}
"""

_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-src 'self'; img-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
"""What a page may do: no script at all, no request but those for cards."""

CARD_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
"""The same for a card, a file of the store: ``sandbox`` makes it foreign to Airflow wherever it opens."""


@dataclass(frozen=True, slots=True)
class Html:
    """Text that is markup already."""

    text: str


Cell = object
"""`Html` as it is, None as nothing, everything else as text."""


def document(title: str, trail: Iterable[Html], body: str) -> str:
    """Give a whole page; ``trail`` leads from the flow to it."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escaped(title)} - Airloom</title>
<style>{_STYLE}</style>
</head>
<body>
<nav>{"".join(part.text for part in trail)}</nav>
{body}
</body>
</html>
"""


def link(url: str, text: object) -> Html:
    """Link to a page of ours or of Airflow's."""
    return Html(f'<a href="{escaped(url)}">{escaped(text)}</a>')


def state(word: str, kind: str) -> Html:
    """Give a word in the colour of its kind: done, failed, caught or open."""
    return Html(f'<span class="state {kind}">{escaped(word)}</span>')


def facts(rows: Mapping[str, Cell]) -> str:
    """List names and values; those without a value are left out."""
    given = ((name, value) for name, value in rows.items() if value not in (None, ""))
    inside = "".join(f"<dt>{escaped(name)}</dt><dd>{cell(value)}</dd>" for name, value in given)
    return f'<dl class="facts">{inside}</dl>'


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Cell]]) -> str:
    """Give a table.

    Parameters
    ----------
    columns
        Title and class of each: ``name``, ``number``, ``long`` or nothing.
    """
    head = "".join(f"<th{_class(kind)}>{escaped(title)}</th>" for title, kind in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{_class(kind)}>{cell(value)}</td>" for value, (_, kind) in zip(row, columns, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(value: Cell) -> str:
    """Markup of one value."""
    if isinstance(value, Html):
        return value.text
    return "" if value is None else escaped(plain(value))


def code(text: object) -> Html:
    """Give a text in letters of one width."""
    return Html(f"<code>{escaped(text)}</code>")


def section(title: str, *parts: str) -> str:
    """Give a titled part of a page; nothing when it is empty."""
    inside = "".join(parts)
    return f"<h2>{escaped(title)}</h2>{inside}" if inside else ""


def note(text: object) -> str:
    """Give a line that explains."""
    return f'<p class="note">{cell(text)}</p>'


def pages(url: str, number: int, shown: int, total: int | None, most: int) -> str:
    """Links to the page before and the one after.

    Parameters
    ----------
    url
        Address of the list, to which ``page=`` is added.
    number
        Number of this page, from 1.
    total
        How many there are; None where nobody has counted.
    """
    first = (number - 1) * most
    more = shown == most if total is None else first + shown < total
    if number == 1 and not more:
        return ""
    of = "" if total is None else f" of {total}"
    parts = [escaped(f"{first + 1} to {first + shown}{of}" if shown else f"none{of}")]
    sign = "&" if "?" in url else "?"
    if number > 1:
        parts.append(link(f"{url}{sign}page={number - 1}", "before").text)
    if more:
        parts.append(link(f"{url}{sign}page={number + 1}", "next").text)
    return f'<p class="note">{" &middot; ".join(parts)}</p>'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def size(count: float) -> str:
    """Give a number of bytes for people.

    >>> size(800), size(3 * 1024 * 1024)
    ('800 B', '3.0 MiB')
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def time(iso: str | None) -> str | None:
    """Give a time of a record, which is in UTC."""
    return None if not iso else f"{iso[:19].replace('T', ' ')} UTC"


def duration(seconds: float) -> str:
    """Give a duration for people.

    >>> duration(0.25), duration(75), duration(7300)
    ('0.25 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
