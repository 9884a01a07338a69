"""Simple Vega-Lite specs are drawn; of all others the JSON is shown."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from airloom.cards import VegaChart
from airloom.cards.charts import drawing

ROWS = [
    {"x": name, "y": number, "k": "even" if number % 2 == 0 else "odd"}
    for number, name in enumerate("abcd", 1)
]
X, Y = {"field": "x", "type": "nominal"}, {"field": "y", "type": "quantitative"}


def chart(mark: Any = "bar", rows: Any = ROWS, **encoding: Any) -> dict[str, Any]:
    return {"mark": mark, "data": {"values": deepcopy(rows)}, "encoding": {"x": X, "y": Y} | encoding}


def drawn(spec: dict[str, Any]) -> str:
    svg = drawing(spec)
    assert svg is not None
    return svg


@pytest.mark.parametrize(
    ("mark", "shape"),
    [
        ("bar", "<rect"),
        ("line", "<polyline"),
        ("area", "<polygon"),
        ("point", "<circle"),
        ({"type": "circle"}, "<circle"),
    ],
)
def test_common_marks_are_drawn(mark: Any, shape: str) -> None:
    assert shape in drawn(chart(mark))


def test_bars_stand_on_zero() -> None:
    svg = drawn(chart(rows=[{"x": "a", "y": -1}, {"x": "b", "y": 3}]))
    assert svg.count("<rect") == 2
    assert ">-1<" in svg
    assert ">3<" in svg


def test_bars_lie_where_x_is_the_number() -> None:
    svg = drawn(chart(x=Y, y=X))
    assert svg.index(">a<") < svg.index(">d<")


def test_colours_have_a_legend() -> None:
    svg = drawn(chart(color={"field": "k", "type": "nominal"}))
    assert ">even<" in svg
    assert ">odd<" in svg


def test_times_have_ticks_that_people_read() -> None:
    rows = [{"x": f"2026-11-{day:02}", "y": day} for day in range(1, 29)]
    assert ">2026-11-05<" in drawn(chart("line", rows, x={"field": "x", "type": "temporal"}))


def test_the_form_of_altair_is_drawn() -> None:
    spec = chart("point")
    spec |= {"data": {"name": "rows"}, "datasets": {"rows": ROWS}}
    assert drawn(spec).count("<circle") == 4


def test_one_value_alone_is_drawn() -> None:
    assert "<circle" in drawn(chart("point", [{"x": 5, "y": 5}], x={"field": "x", "type": "quantitative"}))


@pytest.mark.parametrize(
    "change",
    [
        {"mark": "geoshape"},
        {"transform": [{"filter": "datum.y > 1"}]},
        {"data": {"url": "https://example.org/data.json"}},
        {"data": {"values": []}},
        {"data": {"values": [{"x": "a"}]}},
        {"data": {"values": [{"x": "a", "y": float("nan")}]}},
        {"data": {"values": [{"x": "a", "y": 1}, {"x": "a", "y": 2}]}},
        {"encoding": {"x": X, "y": {"aggregate": "mean", **Y}}},
        {"encoding": {"x": X, "y": Y, "facet": X}},
        {"encoding": {"x": X, "y": {**Y, "scale": {"type": "log"}}}},
        {"encoding": {}},
        {"layer": [{}]},
    ],
)
def test_what_is_not_simple_is_shown_as_json(change: dict[str, Any]) -> None:
    spec = chart() | change
    assert drawing(spec) is None
    html = VegaChart(spec).render()
    assert "<svg" not in html
    assert "Vega-Lite spec" in html


def test_texts_of_a_chart_are_escaped(parse: Any) -> None:
    evil = "</svg><script>alert(1)</script>"
    spec = chart(rows=[{"x": evil, "y": 1, "k": evil}], color={"field": "k"}) | {"title": evil}
    spec["encoding"]["y"] = {**Y, "title": evil}
    page = parse(VegaChart(spec).render())
    assert "svg" in page.tags
    assert page.is_quiet


def test_a_chart_is_updated() -> None:
    shown = VegaChart(chart("line"))
    shown.update(chart("bar"))
    assert "<rect" in shown.render()


def test_what_is_no_chart_is_refused() -> None:
    with pytest.raises(ValueError, match="int is not a Vega-Lite spec"):
        VegaChart.from_altair_chart(5)
