"""How Sphinx makes the documentation site: ``make docs``, or the command in its recipe.

The pages are Markdown that reads as well in the repository. Their links lead to files there, so the
whole repository is the source, and what is no page of the site is left out by name. The navigation is
the list in ``docs/index.md``: a page that stands there stands in the site, and nowhere else is it said.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from sphinx.application import Sphinx

_ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\[([^\[\]]*)\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
_GROUP = re.compile(r"^## (.+)$", re.MULTILINE)

project = "Airloom"
author = "the Airloom authors"
version = release = ast.literal_eval(
    (_ROOT / "provider" / "airloom" / "version.py").read_text(encoding="utf-8").rpartition("=")[2].strip()
)

extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "docker/*.md", "examples/**.md"]
exclude_patterns = [".*", "build", "tests", "provider", "benchmarks"]
nitpicky = True
myst_heading_anchors = 4
# Blocks of the kind "console" show commands with what they print: no lexer is right for all of it.
highlight_language = "none"

html_theme = "furo"
html_title = f"Airloom {version}"
html_copy_source = False
html_show_sphinx = False


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _prepare)
    app.connect("build-finished", _front)
    return {"parallel_read_safe": True}


def _prepare(_app: Sphinx, name: str, content: list[str]) -> None:
    folder = (_ROOT / name).parent
    content[0] = _LINK.sub(lambda match: _link(folder, match), content[0])
    if name == root_doc:
        content[0] += navigation(content[0])


def _link(folder: Path, link: re.Match[str]) -> str:
    """Leave a link as it is, unless it leads to a folder: the site has pages and files only."""
    return link[1] if (folder / link[2]).is_dir() else link[0]


def navigation(index: str) -> str:
    """Toctrees of the pages that the index links, a group for each of its headings."""
    parts = _GROUP.split(index)
    made = []
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        pages = dict.fromkeys(link[2] for link in _LINK.finditer(text) if link[2].endswith(".md"))
        made += ["", "```{toctree}", ":hidden:", f":caption: {heading}", "", *pages, "```", ""]
    return "\n".join(made)


def _front(app: Sphinx, error: Exception | None) -> None:
    """Lead from the site's root to its first page."""
    if error is None and app.builder.format == "html":
        front = f'<meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
        Path(app.outdir, "index.html").write_text(front, encoding="utf-8")
