"""Each component is rendered as what it holds, and spoils nothing when it cannot be."""

from __future__ import annotations

import datetime as dt
import struct
import sys
import zlib
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pytest

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
)
from airloom.cards import text as texts
from airloom.errors import StepTimedOut


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


class Pixels:
    """What matplotlib and Pillow have in common: it saves itself into a file."""

    def savefig(self, file: Any, format: str) -> None:  # noqa: A002 - matplotlib's and Pillow's name
        file.write(png())

    def save(self, file: Any, format: str) -> None:  # noqa: A002 - matplotlib's and Pillow's name
        file.write(png())


class Axis:
    def get_figure(self) -> Pixels:
        return Pixels()


class Liar:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_markdown_is_formatted(parse: Any) -> None:
    page = parse(Markdown("# Title\n\n* `one`\n\n| a |\n|---|\n| b |").render())
    assert {"h1", "li", "code", "td"} <= page.tags


def test_html_in_markdown_is_text(parse: Any) -> None:
    page = parse(Markdown("<b onclick='x()'>bold</b>\n\n<script>alert(1)</script>").render())
    assert not page.tags & {"b", "script"}
    assert "<script>alert(1)</script>" in page.text


def test_links_of_markdown_run_nothing(parse: Any) -> None:
    page = parse(
        Markdown("[a](javascript:alert(1)) [b](https://example.org 't\"') <https://example.org>").render()
    )
    assert [value for _, name, value in page.attributes if name == "href"] == ["https://example.org"] * 2
    assert page.is_quiet


def test_a_picture_elsewhere_becomes_a_link(parse: Any) -> None:
    page = parse(Markdown("![here](https://example.org/a.png)").render())
    assert page.tags == {"div", "p", "a"}
    assert page.text.strip() == "here"


def test_a_picture_inside_of_markdown_is_shown(parse: Any) -> None:
    assert "img" in parse(Markdown("![x](data:image/png;base64,AAAA)").render()).tags


def test_markdown_is_plain_text_where_nothing_renders_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    texts._renderer.cache_clear()
    try:
        assert Markdown("# <b>").render() == '<pre class="plain"># &lt;b&gt;</pre>'
    finally:
        texts._renderer.cache_clear()


def test_a_table_shows_values_and_components(parse: Any) -> None:
    rows = [["a", 1, 2.5, None, True], [Markdown("**b**"), [1, 2], dt.date(2026, 11, 24), {"k": 1}, 0]]
    page = parse(Table(rows, headers=["name", "n"]).render())
    assert "strong" in page.tags
    for text in ("name", "2.5", "None", "True", "list of 2: [1, 2]", "2026-11-24"):
        assert text in page.texts


def test_an_empty_table_is_one(parse: Any) -> None:
    assert "table" in parse(Table().render()).tags


def test_a_long_data_frame_is_cut_and_says_so(parse: Any) -> None:
    frame = pd.DataFrame({"n": range(5_000), "when": pd.Timestamp("2026-11-24")})
    page = parse(Table.from_dataframe(frame).render())
    assert "100 of 5000 rows, 2 of 2 columns" in page.text
    assert "2026-11-24 00:00:00" in page.text
    assert "4999" in parse(Table.from_dataframe(frame, truncate=False).render()).text


def test_an_index_that_says_something_is_shown(parse: Any) -> None:
    frame = pd.DataFrame({"n": [1]}, index=pd.Index(["first"], name="row"))
    assert {"row", "first"} <= set(parse(Table.from_dataframe(frame).render()).texts)


def test_what_is_no_data_frame_is_named(parse: Any) -> None:
    assert "list is not a data frame" in parse(Table.from_dataframe([1]).render()).text


@pytest.mark.parametrize(
    "image",
    [
        Image(png(), label="a <dot>"),
        Image.from_matplotlib(Axis(), label="a <dot>"),
        Image.from_matplotlib(Pixels(), label="a <dot>"),
        Image.from_pil_image(Pixels(), label="a <dot>"),
    ],
)
def test_an_image_holds_its_bytes(image: Image, parse: Any) -> None:
    page = parse(image.render())
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert sources[0].startswith("data:image/png;base64,iVBOR")
    assert page.text == "a <dot>"


@pytest.mark.parametrize(
    "source", [b"nothing", "https://example.org/a.png", None, 'data:image/png;base64,"x']
)
def test_what_is_no_image_is_told(source: Any, parse: Any) -> None:
    page = parse(Image(source).render())
    assert "img" not in page.tags
    assert "picture" in page.text


def test_a_large_image_is_whole() -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><!--" + b"x" * 400_000 + b"--></svg>"
    assert len(Image(svg).render()) > 500_000


def test_an_image_is_updated() -> None:
    image = Image(b"", "old")
    image.update(Axis(), label="new")
    assert "iVBOR" in image.render()
    assert "new" in image.render()


def test_an_artifact_is_a_preview(parse: Any) -> None:
    page = parse(Artifact(list(range(1000)), "numbers").render())
    assert "numbers" in page.texts
    assert "list of 1000: [0, 1, 2, 3, 4, 5, 6, 7, ...]" in page.texts
    assert "999" in parse(Artifact(list(range(1000)), compressed=False).render()).text


def test_a_value_that_lies_about_itself_spoils_only_its_own_place(parse: Any) -> None:
    page = parse(Artifact(Liar(), "liar", compressed=False).render())
    assert "Artifact could not be shown" in page.text
    assert "RuntimeError: no" in page.text


def test_the_timeout_of_a_step_is_not_kept() -> None:
    class Slow(Component):
        def html(self) -> str:
            raise StepTimedOut("late", where="here", mend="wait")

    with pytest.raises(StepTimedOut):
        Slow().render()


def test_a_progress_bar_moves(parse: Any) -> None:
    bar = ProgressBar(max=10, label="epochs", unit="epochs", metadata="cold")
    bar.update(4, metadata="warm")
    page = parse(bar.render())
    assert ("progress", "value", "4.0") in page.attributes
    assert "4 / 10 epochs warm" in page.text


def test_a_value_box_shows_all_of_its_parts(parse: Any) -> None:
    box = ValueBox("Loss", 0.5, "after 3 epochs", "success", "-1 %")
    box.update(value="0.25", subtitle="after 4 epochs")
    page = parse(box.render())
    assert page.texts == ["Loss", "0.25", "after 4 epochs", "-1 %"]
    assert ("div", "class", "box success") in page.attributes


def test_a_theme_that_is_not_known_is_the_default_one(parse: Any) -> None:
    assert ("div", "class", "box default") in parse(ValueBox("a", 1, theme='x" y').render()).attributes


@pytest.mark.parametrize("arguments", [{"title": "x" * 201}, {"value": "x" * 101}])
def test_a_value_box_refuses_long_texts(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at most"):
        ValueBox(**arguments)


def test_a_value_box_refuses_other_values() -> None:
    with pytest.raises(TypeError, match="value of a ValueBox must be text, not list"):
        ValueBox(value=[1])  # type: ignore[arg-type]


def test_an_exception_is_shown_with_its_traceback(parse: Any) -> None:
    try:
        raise KeyError("gone")
    except KeyError as error:
        page = parse(Error(error, "seen").render())
    assert "seen" in page.texts
    assert "Traceback" in page.text
    assert "KeyError: 'gone'" in page.text


def test_code_is_shown(parse: Any) -> None:
    assert "def png() -> bytes:" in parse(PythonCode(png).render()).text
    assert "x < 1" in parse(PythonCode(code_string="x < 1").render()).text
    assert "needs code_func or code_string" in parse(PythonCode().render()).text


def test_json_is_shown(parse: Any) -> None:
    page = parse(JSONViewer({"a": [1, Liar()]}, title="facts").render())
    assert "facts" in page.texts
    assert '"a": [' in page.text


def test_a_huge_text_is_cut() -> None:
    assert len(Markdown("x" * 1_000_000).render()) < 300_000
    assert "and 800000 more signs" in texts.escaped("x" * 1_000_000)
