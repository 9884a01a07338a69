"""Whatever a text is, it stays text: no script, no attribute, no request comes out of it."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airloom.cards import (
    Artifact,
    Component,
    Error,
    Image,
    JSONViewer,
    Markdown,
    ProgressBar,
    PythonCode,
    Table,
    ValueBox,
    VegaChart,
)
from airloom.cards.page import error_page, page
from airloom.plan import CardPlan
from airloom.store.records import ArtifactRecord, DoneRecord, ErrorRecord, Outcome, Usage

ATTACKS = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "</style><script>alert(1)</script>",
    "</pre></details><iframe src=javascript:alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&#58;alert(1))",
    "![x](https://example.org/x.png)",
    "![x](data:text/html;base64,PHNjcmlwdD4=)",
    '<https://example.org/"onmouseover=alert(1)>',
    "]]><!--<script>",
    "\0<\0script>",
    "\ud800</title><script>",
    "&lt;script&gt;",
)
PIECES = st.one_of(st.sampled_from(ATTACKS), st.text(), st.text("<>&\"'`=/\\ ()[]!:#" + string.ascii_letters))
TEXTS = st.lists(PIECES, min_size=1, max_size=4).map("".join)


class Named:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def components(text: str) -> list[Component]:
    spec: Any = {
        "mark": "bar",
        "title": text,
        "data": {"values": [{"x": text, "y": 1, "k": text}]},
        "encoding": {
            "x": {"field": "x", "title": text},
            "y": {"field": "y", "type": "quantitative"},
            "color": {"field": "k"},
        },
    }
    return [
        Markdown(text),
        Artifact(text, text),
        Artifact(Named(text), text, compressed=False),
        Table([[text, Markdown(text), Named(text)]], headers=[text]),
        Image(text, text),
        Image(text.encode("utf-8", "replace"), text),
        ProgressBar(10, text, 3, text, text),
        ValueBox(text[:90], text[:90], text[:90], text[:50], text[:90]),
        Error(ValueError(text), text),
        Error(text),
        PythonCode(code_string=text),
        JSONViewer({text: text}, title=text),
        VegaChart(spec),
        VegaChart({text: text}),
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_texts_of_components_stay_texts(text: str, parse: Any) -> None:
    for component in components(text):
        html = component.render()
        assert parse(html).is_quiet, html
        html.encode()


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("kind", ["default", "blank"])
def test_texts_of_a_page_stay_texts(attack: str, kind: str, facts: Any, parse: Any) -> None:
    saved = ArtifactRecord("d", 1, attack, "pickle/1", preview=attack)
    end = DoneRecord(
        "2026-11-24T10:00:00",
        {attack: saved},
        Outcome((attack,)),
        Usage(1, 1, 1),
        (attack,),
        caught=ErrorRecord(attack, attack, attack),
    )
    task = facts(CardPlan(kind), doc=attack, pathspec=attack)
    task.run.parameters[attack] = attack
    for html in (
        page(CardPlan(kind), task, components(attack), end, "now" + attack),
        error_page(task, CardPlan(kind), attack, attack, attack),
    ):
        assert parse(html).is_quiet, html
        assert html.count("<script") == 0
        assert html.count("</body>") == 1
        html.encode()


def test_a_page_forbids_scripts_and_requests(facts: Any) -> None:
    html = page(CardPlan(), facts(CardPlan()), [], None, "2026-11-24T10:00:00")
    assert "default-src 'none'" in html
    assert html.index("Content-Security-Policy") < html.index("<title>")
    assert "http://" not in html
    assert "https://" not in html
