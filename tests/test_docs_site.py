"""The documentation as a site: Sphinx builds it without a warning, and every page is in its navigation."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "docs" / "index.md"
# Pages of the repository that are no pages of the site, if there are any, stand here with the reason.
NOT_IN_THE_SITE: dict[str, str] = {}


def pages() -> set[str]:
    """All Markdown that people are meant to read, named from the repository's root."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "docker").glob("*.md")]
    found += (ROOT / "examples").rglob("*.md")
    return {page.relative_to(ROOT).as_posix() for page in found} - set(NOT_IN_THE_SITE)


def linked(text: str) -> set[str]:
    """Pages below a heading of the index: what stands in the site's navigation."""
    below = text[text.index("\n## ") :]
    targets = re.findall(r"\]\(([^)\s#]+\.md)(?:#[^)\s]*)?\)", below)
    return {(INDEX.parent / target).resolve().relative_to(ROOT).as_posix() for target in targets}


def test_every_page_is_in_the_navigation() -> None:
    missing = pages() - linked(INDEX.read_text(encoding="utf-8")) - {"docs/index.md"}
    assert not missing, f"link these in docs/index.md, below a heading: {sorted(missing)}"


def test_every_part_of_the_provider_is_in_the_list_of_operators() -> None:
    kind = re.compile(
        r"^class ([A-Z]\w+)\((?:\w+, )*\w*(?:Operator|Sensor|Trigger|Hook|XCom|Bundle)\b", re.MULTILINE
    )
    package = ROOT / "provider" / "airloom"
    code = "".join(file.read_text(encoding="utf-8") for file in package.rglob("*.py"))
    listed = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    parts = {name for name in kind.findall(code) if not name.startswith("_")}
    assert "StepOperator" in parts
    assert {name for name in parts if f"| `{name}` |" not in listed} == set()


def test_pictures_are_small_and_shown() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*"))
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    assert [picture.name for picture in pictures if f"images/{picture.name})" not in text] == []
    assert [picture.name for picture in pictures if picture.stat().st_size > 150 * 1024] == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_its_links_hold(tmp_path: Path) -> None:
    for name in ("sphinx", "myst_parser", "furo"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install -e '.[docs]'")
    site = tmp_path / "site"
    arguments = [
        "-q",
        "-n",
        "-W",
        "--keep-going",
        "-c",
        "docs",
        "-d",
        str(tmp_path / "trees"),
        ".",
        str(site),
    ]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    html = {
        file.relative_to(site).as_posix(): file.read_text(encoding="utf-8") for file in site.rglob("*.html")
    }
    assert {page.removesuffix(".md") + ".html" for page in pages()} <= set(html)
    assert reachable(site, html) >= {page.removesuffix(".md") + ".html" for page in pages()}


def reachable(site: Path, html: dict[str, str]) -> set[str]:
    """Pages that links lead to from the first one; a link to what is not there fails."""
    found, ahead = {"docs/index.html"}, ["docs/index.html"]
    while ahead:
        name = ahead.pop()
        for target in re.findall(r'<a [^>]*href="([^"#?:]+)[^":]*"', html[name]):
            file = ((site / name).parent / unquote(target)).resolve()
            assert file.exists(), f"{name} links {target}"
            inside = file.relative_to(site.resolve()).as_posix()
            if inside in html and inside not in found:
                found.add(inside)
                ahead.append(inside)
    return found
