"""Charts: a Vega-Lite spec, drawn as SVG where it is a simple one, and always there to be read.

No JavaScript is shipped and none is asked for. Drawn are bars, lines, areas and points whose data
stand in the spec, on an x and a y axis, coloured by one field;
bars of several colours stand side by side. What a spec asks
beyond that (layers, aggregates, interaction) is not drawn: its JSON is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from airloom.cards.components import Component
from airloom.cards.text import as_json, block, escaped, folded
from airloom.store.previews import type_name

WIDTH, HEIGHT = 640, 280
"""Pixels of the plot itself, without its axes; it shrinks with the window."""
POINTS = 5_000
"""A chart of more rows than this is not drawn."""

_LEFT, _TOP, _RIGHT, _BOTTOM = 62, 14, 14, 46
_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#eeca3b", "#9d755d")
_DAY = 86_400
_TIMES = (
    1,
    5,
    15,
    60,
    300,
    900,
    3_600,
    10_800,
    21_600,
    43_200,
    *(n * _DAY for n in (1, 2, 7, 14, 30, 91, 365)),
)
"""Seconds between two ticks of a time axis."""
_MARKS = {
    "bar": "bar",
    "line": "line",
    "area": "area",
    "point": "point",
    "circle": "point",
    "square": "point",
}


class VegaChart(Component):
    """A Vega-Lite chart.

    Parameters
    ----------
    spec
        The spec, with its data in it.
    show_controls
        Accepted as in Metaflow.
    """

    def __init__(self, spec: dict[str, Any], show_controls: bool = False) -> None:
        self._spec = _spec_of(spec)

    @classmethod
    def from_altair_chart(cls, altair_chart: Any) -> VegaChart:
        """Make one of an Altair chart."""
        return cls(_spec_of(altair_chart))

    def update(self, spec: Any = None) -> None:
        """Show another spec or Altair chart."""
        if spec is not None:
            self._spec = _spec_of(spec)

    def html(self) -> str:
        drawn = drawing(self._spec)
        return (drawn or "") + folded("Vega-Lite spec", block(as_json(self._spec), "code"))


def _spec_of(chart: Any) -> dict[str, Any]:
    if isinstance(chart, dict):
        return chart
    if type(chart).__module__.partition(".")[0] != "altair":
        raise ValueError(f"{type_name(chart)} is not a Vega-Lite spec and not an Altair chart")
    spec: dict[str, Any] = chart.to_dict()
    return spec


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis: where a value lies on it, from 0 to 1, and what is written along it."""

    place: Callable[[Any], float]
    ticks: tuple[tuple[float, str], ...]
    title: str
    bands: int = 0
    zero: float = 0.0


class _Undrawn(Exception):
    """The spec asks for more than is drawn here."""


def drawing(spec: Mapping[str, Any]) -> str | None:
    """Draw a spec as SVG; None when it is not one of the simple ones."""
    try:
        return _draw(spec)
    except (_Undrawn, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _draw(spec: Mapping[str, Any]) -> str:
    mark = spec["mark"]
    kind = _MARKS.get(mark["type"] if isinstance(mark, Mapping) else mark)
    encoding = spec["encoding"]
    x, y, colour = encoding["x"], encoding["y"], encoding.get("color", {})
    extras = set(encoding) - {"x", "y", "color", "tooltip", "opacity", "size", "order"}
    if kind is None or extras or spec.get("transform") or spec.get("layer"):
        raise _Undrawn
    if any(
        channel.get(key) for channel in (x, y, colour) for key in ("aggregate", "bin", "timeUnit", "stack")
    ):
        raise _Undrawn
    rows = _rows(spec)
    lying = kind == "bar" and x.get("type") == "quantitative" and y.get("type") != "quantitative"
    xs = _axis(x, rows, banded=kind == "bar" and not lying, down=False)
    ys = _axis(y, rows, banded=lying, down=True)
    if kind == "bar" and bool(xs.bands) == bool(ys.bands):
        raise _Undrawn
    series = _series(rows, colour)
    if kind == "area" and len(series) > 1:
        raise _Undrawn
    names = list(series)
    tints = [_COLOURS[number % len(_COLOURS)] for number in range(len(names))]
    body = [_frame(xs, ys)]
    for number, (name, members) in enumerate(series.items()):
        points = [(xs.place(row[x["field"]]), ys.place(row[y["field"]])) for row in members]
        if kind != "point" and len(points) != len({point[lying] for point in points}):
            raise _Undrawn  # Vega would stack them, or draw a line back and forth
        shape = _SHAPES[kind](points, xs, ys, number, len(names))
        body.append(f'<g fill="{tints[number]}" stroke="{tints[number]}">{shape}</g>')
        if name is not None:
            body.append(_legend(number, str(name), tints[number]))
    depth = _TOP + HEIGHT + _BOTTOM + (18 * len(names) if names != [None] else 0)
    title = spec.get("title")
    caption = f"<figcaption>{escaped(title)}</figcaption>" if isinstance(title, str) else ""
    more = _room(ys)
    return (
        f'<figure class="chart">{caption}'
        f'<svg viewBox="{-more} 0 {more + _LEFT + WIDTH + _RIGHT} {depth}" role="img">'
        f"{''.join(body)}</svg></figure>"
    )


def _rows(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    data = spec["data"]
    # Altair keeps the rows beside the spec, under a name.
    values = data["values"] if "values" in data else spec["datasets"][data["name"]]
    if not isinstance(values, list) or not 0 < len(values) <= POINTS:
        raise _Undrawn
    return values


def _axis(
    channel: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], *, banded: bool, down: bool
) -> _Axis:
    field, kind = channel["field"], channel.get("type", "nominal")
    said = channel.get("title", (channel.get("axis") or {}).get("title", field))
    title = str(field if said is None else said)
    values = [row[field] for row in rows]
    scale = channel.get("scale") or {}
    if scale.get("type", "linear") not in ("linear", "time", "utc", "band", "point"):
        raise _Undrawn
    if kind == "quantitative" and not banded:
        return _linear([float(value) for value in values], title, zero=scale.get("zero", True))
    if kind == "temporal" and not banded:
        return _times([_moment(value) for value in values], title)
    names = _ordered(list(dict.fromkeys(values)), channel.get("sort", "ascending"))
    places = {name: (number + 0.5) / len(names) for number, name in enumerate(names)}
    if down:
        places = {name: 1 - place for name, place in places.items()}
    every = math.ceil(len(names) / 14)
    ticks = tuple((place, str(name)[:18]) for name, place in list(places.items())[::every])
    return _Axis(places.__getitem__, ticks, title, bands=len(names))


def _ordered(names: list[Any], sort: Any) -> list[Any]:
    if sort is None:
        return names
    if isinstance(sort, list):
        return [*(name for name in sort if name in names), *(name for name in names if name not in sort)]
    if sort not in ("ascending", "descending"):
        raise _Undrawn
    return sorted(names, reverse=sort == "descending")


def _linear(values: list[float], title: str, *, zero: bool) -> _Axis:
    low, high = _ends([*values, 0.0] if zero else values)
    step = _step((high - low) / 5)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    count = round((high - low) / step)
    ticks = tuple((number / count, _number(low + number * step)) for number in range(count + 1))
    start = min(max((0.0 - low) / (high - low), 0.0), 1.0)
    return _Axis(lambda value: (float(value) - low) / (high - low), ticks, title, zero=start)


def _times(values: list[float], title: str) -> _Axis:
    low, high = _ends(values)
    step = next(
        (step for step in _TIMES if step * 6 >= high - low), _TIMES[-1] * _step((high - low) / _TIMES[-1] / 5)
    )
    first = math.ceil(low / step)
    times = [number * step for number in range(first, math.floor(high / step) + 1)]
    ticks = tuple(((time - low) / (high - low), _day(time)) for time in times)
    return _Axis(lambda value: (_moment(value) - low) / (high - low), ticks, title)


def _ends(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _Undrawn
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _step(rough: float) -> float:
    """Round the distance of two ticks to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _number(value: float) -> str:
    return f"{value:.6g}" if abs(value) > 1e-12 else "0"


def _moment(value: Any) -> float:
    if isinstance(value, (int, float)):
        return float(value) / 1000  # Vega counts milliseconds
    time = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()


def _day(value: float) -> str:
    text = datetime.fromtimestamp(value, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    return text.removesuffix(":00").removesuffix(" 00:00")


def _series(
    rows: Sequence[Mapping[str, Any]], colour: Mapping[str, Any]
) -> dict[Any, list[Mapping[str, Any]]]:
    field = colour.get("field")
    if field is not None and colour.get("type") in ("quantitative", "temporal"):
        raise _Undrawn
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(None if field is None else row[field], []).append(row)
    if len(found) > len(_COLOURS):
        raise _Undrawn
    return found


def _at(point: tuple[float, float]) -> tuple[float, float]:
    return round(_LEFT + point[0] * WIDTH, 1), round(_TOP + (1 - point[1]) * HEIGHT, 1)


def _room(ys: _Axis) -> int:
    """Pixels that long texts at the y axis need beyond its usual place."""
    return max(0, 6 * max(len(text) for _, text in ys.ticks) + 34 - _LEFT)


def _frame(xs: _Axis, ys: _Axis) -> str:
    parts = []
    for place, text in ys.ticks:
        left, top = _at((0, place))
        parts.append(f'<line class="grid" x1="{left}" x2="{left + WIDTH}" y1="{top}" y2="{top}"/>')
        parts.append(f'<text x="{left - 6}" y="{top + 4}" text-anchor="end">{escaped(text)}</text>')
    for place, text in xs.ticks:
        left, top = _at((place, 0))
        parts.append(f'<line class="grid" x1="{left}" x2="{left}" y1="{top}" y2="{top + 4}"/>')
        parts.append(f'<text x="{left}" y="{top + 17}" text-anchor="middle">{escaped(text)}</text>')
    middle, bottom = _LEFT + WIDTH / 2, _TOP + HEIGHT + 37
    parts.append(
        f'<text class="axis" x="{middle}" y="{bottom}" text-anchor="middle">{escaped(xs.title)}</text>'
    )
    left, height = 13 - _room(ys), _TOP + HEIGHT / 2
    parts.append(
        f'<text class="axis" transform="translate({left} {height}) rotate(-90)" text-anchor="middle">'
        f"{escaped(ys.title)}</text>"
    )
    return "".join(parts)


def _legend(number: int, name: str, tint: str) -> str:
    top = _TOP + HEIGHT + _BOTTOM + 18 * number
    return (
        f'<rect x="{_LEFT}" y="{top}" width="11" height="11" fill="{tint}"/>'
        f'<text x="{_LEFT + 17}" y="{top + 10}">{escaped(name[:80])}</text>'
    )


Points = Sequence[tuple[float, float]]


def _bars(points: Points, xs: _Axis, ys: _Axis, number: int, count: int) -> str:
    lying = bool(ys.bands)
    width = 0.8 / (ys.bands or xs.bands) / count
    shift = (number - (count - 1) / 2) * width
    parts = []
    for x, y in points:
        if lying:
            corners = (xs.zero, y - width / 2 - shift), (x, y + width / 2 - shift)
        else:
            corners = (x - width / 2 + shift, ys.zero), (x + width / 2 + shift, y)
        (left, low), (right, high) = map(_at, corners)
        parts.append(
            f'<rect stroke="none" x="{min(left, right)}" y="{min(low, high)}" '
            f'width="{abs(right - left):.1f}" height="{abs(high - low):.1f}"/>'
        )
    return "".join(parts)


def _path(points: Points) -> str:
    return " ".join(f"{left},{top}" for left, top in map(_at, points))


def _line(points: Points, _xs: _Axis, _ys: _Axis, _number: int, _count: int) -> str:
    return f'<polyline fill="none" stroke-width="2" points="{_path(sorted(points, key=_first))}"/>'


def _area(points: Points, _xs: _Axis, ys: _Axis, _number: int, _count: int) -> str:
    line = sorted(points, key=_first)
    closed = [(line[0][0], ys.zero), *line, (line[-1][0], ys.zero)]
    return f'<polygon fill-opacity="0.6" points="{_path(closed)}"/>'


def _first(point: tuple[float, float]) -> float:
    return point[0]


def _dots(points: Points, _xs: _Axis, _ys: _Axis, _number: int, _count: int) -> str:
    return "".join(
        f'<circle fill-opacity="0.7" stroke="none" cx="{left}" cy="{top}" r="3.5"/>'
        for left, top in map(_at, points)
    )


_SHAPES: dict[str, Callable[[Points, _Axis, _Axis, int, int], str]] = {
    "bar": _bars,
    "line": _line,
    "area": _area,
    "point": _dots,
}
