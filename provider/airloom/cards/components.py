"""What a card is made of: components with Metaflow's names and arguments, each rendered as HTML.

A component holds what it was given until the card is written: `update` changes it in place.
"""

from __future__ import annotations

import base64
import inspect
import io
import re
import textwrap
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from airloom.cards.text import as_json, block, escaped, folded, markdown, plain
from airloom.errors import StepTimedOut
from airloom.store.previews import preview, type_name

ROWS, COLUMNS = 100, 50
"""How much of a data frame a card shows unless it is told to show all."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
)
_DATA_URL = re.compile(r"data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/\s]+={0,2}\s*\Z")


class Component(ABC):
    """Part of a card.

    ``component_id`` is the id that it was appended with, None when it has none.
    """

    component_id: str | None = None

    @abstractmethod
    def html(self) -> str:
        """Render it; everything in it that is not markup of its own is escaped."""

    def render(self) -> str:
        """Render it, or say why that did not work: one component cannot spoil a card."""
        try:
            return self.html()
        except StepTimedOut:
            raise
        except Exception:  # values of a flow answer for themselves, and may answer anything
            return failure(f"{type(self).__name__} could not be shown", traceback.format_exc())


def failure(what: str, details: str = "") -> str:
    """Give markup that says what went wrong in a card."""
    more = folded("traceback", block(details)) if details else ""
    return f'<div class="problem"><strong>{escaped(what)}</strong>{more}</div>'


class Markdown(Component):
    """Text in Markdown; raw HTML in it is shown as text."""

    def __init__(self, text: str | None = None) -> None:
        self._text = text

    def update(self, text: str | None = None) -> None:
        """Replace the text."""
        self._text = text

    def html(self) -> str:
        return markdown("" if self._text is None else str(self._text))


class Artifact(Component):
    """A value with its name and type, as the client shows it.

    Parameters
    ----------
    artifact
        Any value.
    name
        What to call it.
    compressed
        False to show all that the value prints of itself instead of a preview.
    """

    def __init__(self, artifact: object, name: str | None = None, compressed: bool = True) -> None:
        self._name = name
        self._compressed = compressed
        self.update(artifact)

    def update(self, artifact: object) -> None:
        """Show another value under the same name."""
        self._artifact = artifact

    def html(self) -> str:
        value = self._artifact
        text = preview(value) if self._compressed else repr(value)
        name = "" if self._name is None else f"<strong>{escaped(self._name)}</strong> "
        title = f'<div>{name}<span class="type">{escaped(type_name(value))}</span></div>'
        return f'<div class="artifact">{title}{block(text)}</div>'


class Table(Component):
    """Rows of texts, numbers and other components.

    Parameters
    ----------
    data
        One list a row.
    headers
        Names of the columns.
    disable_updates
        Accepted as in Metaflow; a card that is written shows what there is.
    """

    def __init__(
        self,
        data: Iterable[Iterable[object]] | None = None,
        headers: Iterable[object] | None = None,
        disable_updates: bool = False,
    ) -> None:
        self._rows = [list(row) for row in data or ()]
        self._headers = list(headers or ())
        self._note = ""

    @classmethod
    def from_dataframe(cls, dataframe: Any = None, truncate: bool = True) -> Table:
        """Make a table of a data frame of pandas or polars.

        Parameters
        ----------
        truncate
            Show the first 100 rows and 50 columns; False shows all.
        """
        frame = dataframe
        if not hasattr(frame, "columns") or not hasattr(frame, "head"):
            return cls(headers=[f"{type_name(frame)} is not a data frame"])
        columns, length = list(frame.columns), len(frame)
        if truncate:
            frame = frame.head(ROWS)
        if hasattr(frame, "iter_rows"):
            rows, index = [list(row) for row in frame.iter_rows()], []
        else:
            # An index that only counts the rows says nothing.
            index = [] if type(frame.index).__name__ == "RangeIndex" else [frame.index.name or ""]
            rows = [list(row) for row in frame.itertuples(index=bool(index), name=None)]
        shown = len(index) + (COLUMNS if truncate else len(columns))
        table = cls([row[:shown] for row in rows], [*index, *columns][:shown])
        if len(rows) < length or shown < len(index) + len(columns):
            table._note = (
                f"{len(rows)} of {length} rows, {min(shown, len(columns))} of {len(columns)} columns"
            )
        return table

    def html(self) -> str:
        first = self._rows[0] if self._rows else []
        kinds = [_number_class(value) for value in first] + [""] * len(self._headers)
        head = "".join(
            f"<th{kind}>{escaped(plain(name))}</th>" for name, kind in zip(self._headers, kinds, strict=False)
        )
        rows = "".join(f"<tr>{''.join(map(self._cell, row))}</tr>" for row in self._rows)
        note = f'<p class="note">{escaped(self._note)}</p>' if self._note else ""
        top = f"<thead><tr>{head}</tr></thead>" if head else ""
        return f'<div class="wide"><table>{top}<tbody>{rows}</tbody></table></div>{note}'

    @staticmethod
    def _cell(value: object) -> str:
        if isinstance(value, Component):
            return f"<td>{value.render()}</td>"
        return f"<td{_number_class(value)}>{escaped(plain(value))}</td>"


def _number_class(value: object) -> str:
    return ' class="number"' if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


class Image(Component):
    """A picture: PNG, JPEG, GIF, WebP, BMP or SVG.

    Parameters
    ----------
    src
        Its bytes, or a ``data:image/...;base64,`` URL. No other URL: a card needs no network.
    label
        Text below it.
    """

    def __init__(
        self, src: bytes | str | None = None, label: str | None = None, disable_updates: bool = True
    ) -> None:
        self._source = src
        self._label = label

    @classmethod
    def from_matplotlib(cls, plot: Any, label: str | None = None, disable_updates: bool = False) -> Image:
        """Make a picture of a figure, or of the figure that an axis or another artist is on."""
        return cls(_figure(plot), label)

    @classmethod
    def from_pil_image(cls, pilimage: Any, label: str | None = None, disable_updates: bool = False) -> Image:
        """Make a picture of a Pillow image, as PNG."""
        return cls(_pillow(pilimage), label)

    def update(self, image: Any, label: str | None = None) -> None:
        """Show another picture: bytes, a matplotlib figure or a Pillow image."""
        if isinstance(image, (bytes, bytearray, str)):
            self._source = bytes(image) if isinstance(image, bytearray) else image
        elif hasattr(image, "savefig") or hasattr(image, "get_figure"):
            self._source = _figure(image)
        else:
            self._source = _pillow(image)
        if label is not None:
            self._label = label

    def html(self) -> str:
        label = "" if self._label is None else str(self._label)
        source = self._source
        if isinstance(source, (bytes, bytearray)):
            kind = _picture_kind(bytes(source))
            if kind is None:
                return failure(f"{len(source)} bytes are not a picture of a known kind")
            url = f"data:image/{kind};base64,{base64.b64encode(source).decode()}"
        elif isinstance(source, str) and _DATA_URL.match(source):
            url = source  # no sign of it can end the attribute
        else:
            return failure(f"a picture must be bytes, not {type_name(source)}")
        below = f"<figcaption>{escaped(label)}</figcaption>" if label else ""
        return f'<figure><img src="{url}" alt="{escaped(label)}">{below}</figure>'


def _picture_kind(data: bytes) -> str | None:
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    # In an <img> an SVG runs no script and loads nothing.
    return "svg+xml" if b"<svg" in data[:1000] and data.lstrip()[:1] == b"<" else None


def _figure(plot: Any) -> bytes:
    figure = plot if hasattr(plot, "savefig") else plot.get_figure()
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _pillow(image: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


class ProgressBar(Component):
    """How far something has come.

    Parameters
    ----------
    max
        The value at the end, above 0.
    label
        What it is that goes on.
    value
        Where it stands.
    unit
        What is counted.
    metadata
        A text behind it, that `update` replaces.
    """

    def __init__(
        self,
        max: float = 100,  # noqa: A002 - Metaflow's name
        label: str | None = None,
        value: float = 0,
        unit: str | None = None,
        metadata: str | None = None,
    ) -> None:
        self._max = max
        self._label = label
        self._value = value
        self._unit = unit
        self._metadata = metadata

    def update(self, new_value: float, metadata: str | None = None) -> None:
        """Move it to a value; a text replaces the one behind it."""
        self._value = new_value
        if metadata is not None:
            self._metadata = metadata

    def html(self) -> str:
        value, end = float(self._value), float(self._max)
        unit = f" {escaped(self._unit)}" if self._unit else ""
        label = f"<span>{escaped(self._label)}</span>" if self._label else ""
        more = f' <span class="note">{escaped(self._metadata)}</span>' if self._metadata else ""
        said = f"{escaped(plain(self._value))} / {escaped(plain(self._max))}{unit}{more}"
        bar = f'<progress max="{end}" value="{min(max(value, 0.0), end)}"></progress>'
        return f'<div class="progress"><div>{label}<span>{said}</span></div>{bar}</div>'


class ValueBox(Component):
    """One value in large letters.

    Parameters
    ----------
    title
        What it is, at most 200 signs.
    value
        A text of at most 100 signs, or a number.
    subtitle
        At most 300 signs.
    theme
        ``default``, ``success``, ``warning``, ``danger`` or ``bg-gradient-indigo-purple``.
    change_indicator
        How it has changed, at most 200 signs.
    """

    THEMES = ("default", "success", "warning", "danger", "bg-gradient-indigo-purple")
    _LIMITS = (("title", 200), ("value", 100), ("subtitle", 300), ("theme", 60), ("change_indicator", 200))

    def __init__(
        self,
        title: str | None = None,
        value: str | float = "",
        subtitle: str | None = None,
        theme: str | None = None,
        change_indicator: str | None = None,
    ) -> None:
        self._shown: dict[str, str | float | None] = {}
        self.update(title, value, subtitle, theme, change_indicator)

    def update(
        self,
        title: str | None = None,
        value: str | float | None = None,
        subtitle: str | None = None,
        theme: str | None = None,
        change_indicator: str | None = None,
    ) -> None:
        """Replace what is given.

        Raises
        ------
        TypeError, ValueError
            When a text is none, or too long.
        """
        given = (title, value, subtitle, theme, change_indicator)
        for (name, limit), part in zip(self._LIMITS, given, strict=True):
            if part is None:
                continue
            if not isinstance(part, str) and (name != "value" or not isinstance(part, (int, float))):
                raise TypeError(f"{name} of a ValueBox must be text, not {type_name(part)}")
            if isinstance(part, str) and len(part) > limit:
                raise ValueError(f"{name} of a ValueBox has {len(part)} signs; at most {limit} are shown")
            self._shown[name] = part

    def html(self) -> str:
        theme = self._shown.get("theme")
        name = theme if theme in self.THEMES else "default"
        parts = "".join(
            f'<div class="{part}">{escaped(plain(self._shown[part]))}</div>'
            for part in ("title", "value", "subtitle", "change_indicator")
            if self._shown.get(part) not in (None, "")
        )
        return f'<div class="box {name}">{parts}</div>'


class Error(Component):
    """An exception, with its traceback where it was raised."""

    def __init__(self, exception: object, title: str | None = None) -> None:
        self._exception = exception
        self._title = title

    def html(self) -> str:
        error = self._exception
        title = "" if self._title is None else f"<strong>{escaped(self._title)}</strong>"
        if isinstance(error, BaseException):
            text = "".join(traceback.format_exception(error))
        else:
            text = error if isinstance(error, str) else preview(error)
        return f'<div class="problem">{title}{block(text)}</div>'


class PythonCode(Component):
    """Source of a function, or code as text."""

    def __init__(
        self, code_func: Callable[..., object] | None = None, code_string: str | None = None
    ) -> None:
        self._function = code_func
        self._code = code_string

    def html(self) -> str:
        if self._code is not None:
            return block(self._code, "code")
        if self._function is None:
            return failure("PythonCode needs code_func or code_string")
        return block(textwrap.dedent(inspect.getsource(self._function)), "code")


class JSONViewer(Component):
    """A value as JSON, behind a title when ``collapsible``; other arguments are accepted as in Metaflow."""

    def __init__(
        self,
        data: object,
        collapsible: bool = True,
        max_height: str | None = None,
        show_copy_button: bool = True,
        title: str | None = None,
    ) -> None:
        self._collapsible = collapsible
        self._title = title
        self.update(data)

    def update(self, data: object) -> None:
        """Show another value."""
        self._data = data

    def html(self) -> str:
        text = block(as_json(self._data), "code")
        title = self._title or "JSON"
        return folded(title, text) if self._collapsible else f"<strong>{escaped(title)}</strong>{text}"


def rendered(components: Sequence[Component]) -> str:
    """Render components, one below the other."""
    return "".join(f'<div class="component">{component.render()}</div>\n' for component in components)
