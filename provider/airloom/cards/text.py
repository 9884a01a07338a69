"""Text as HTML: the one place where a card's text becomes markup.

Everything that a flow, an artifact or an exception says is text, and is escaped here. Markdown
is rendered with its raw HTML switched off.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from airloom.store.previews import preview

if TYPE_CHECKING:
    from markdown_it.token import Token

LONGEST = 200_000
"""Signs of one text on a card; the rest is cut, and the card says so."""

# Control signs that HTML does not allow, and halves of surrogate pairs, which UTF-8 does not.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]*={0,2}\Z")


def escaped(text: object) -> str:
    """Escape a text for the content of an element or a quoted attribute.

    >>> escaped("</script><b a='1'>")
    '&lt;/script&gt;&lt;b a=&#x27;1&#x27;&gt;'
    """
    whole = text if isinstance(text, str) else str(text)
    return html.escape(_UNFIT.sub("\N{REPLACEMENT CHARACTER}", shortened(whole)), quote=True)


def shortened(text: str) -> str:
    """Cut a text that would make the card too large to open."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n... and {len(text) - LONGEST} more signs"


def plain(value: object) -> str:
    """Text of a value: a scalar as it is, of anything else a preview.

    >>> plain(0.25), plain("a"), plain([1, 2])
    ('0.25', 'a', 'list of 2: [1, 2]')
    """
    if type(value) in (str, int, float, bool, type(None)):
        return str(value)
    if isinstance(value, (date, timedelta)):  # also those of pandas
        return str(value)
    return preview(value)


def block(text: object, kind: str = "") -> str:
    """Give a text as it stands, in letters of one width."""
    label = f' class="{kind}"' if kind else ""
    return f"<pre{label}>{escaped(text)}</pre>"


def folded(title: str, inside: str) -> str:
    """Hide markup behind a title until it is asked for."""
    return f"<details><summary>{escaped(title)}</summary>{inside}</details>"


def as_json(value: object) -> str:
    """Give a value as indented JSON; what JSON does not know is described."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=plain, skipkeys=True)


def markdown(text: str) -> str:
    """Render Markdown (CommonMark and tables) without its raw HTML; plain where no renderer is installed."""
    render = _renderer()
    return block(text, "plain") if render is None else render(_UNFIT.sub(" ", shortened(text)))


@cache
def _renderer() -> Callable[[str], str] | None:
    try:
        from markdown_it import MarkdownIt
    except ImportError:  # a small task container: the text is readable as it is
        return None
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.add_render_rule("image", _image)
    parser.add_render_rule("link_open", _link)
    return lambda text: f'<div class="markdown">{parser.render(text)}</div>'


def _image(_self: Any, tokens: Sequence[Token], at: int, _options: Any, _env: Any) -> str:
    # A card asks nothing of the network, so a picture elsewhere is a link to it.
    token = tokens[at]
    source, text = str(token.attrGet("src") or ""), token.content
    if _PICTURE.match(source):
        return f'<img src="{source}" alt="{escaped(text)}">'
    return f'<a rel="noopener noreferrer" href="{escaped(source)}">{escaped(text or source)}</a>'


def _link(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    tokens[at].attrSet("rel", "noopener noreferrer")
    return str(self.renderToken(tokens, at, options, env))
