"""What the documentation says is so: blocks run, references are complete, links lead somewhere.

A fenced block of the language python or console says in its first line what becomes of it::

    ```python run                  is run in the page's folder
    ```python run: my_flow.py      is saved there under that name
    ```console run                 its commands ($) are run; each line below must come out
    ```console run exit-code: 2    the same for a command that fails so
    ```console not-run: why        is not run

The blocks of one page share a folder and run in order. Times, run ids, digests and the user
are the same for the comparison; ``...`` stands for any lines.
"""

from __future__ import annotations

import ast
import configparser
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import click
import pytest

import airloom
from airloom import settings
from airloom.cli.flow_commands import FlowFile, flow_group
from airloom.cli.main import airloom_group
from airloom.errors import AirloomError
from airloom.runtime.code import import_flow

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        *(ROOT / "docker").glob("*.md"),
    ]
)
_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    info: str
    text: str

    @property
    def language(self) -> str:
        return self.info.partition(" ")[0]

    @property
    def orders(self) -> str:
        return self.info.partition(" ")[2].strip()


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        indent = match[1]
        body = "".join(line.removeprefix(indent) for line in match[3].splitlines(keepends=True))
        yield Block(page, text[: match.start()].count("\n") + 1, match[2].strip(), body)


def section(page: Path, heading: str) -> str:
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{name_of(page)} has no section '## {heading}'"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """Cells of the tables' rows whose first cell is code."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


# -- blocks ------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_block_is_run_or_says_why_not(page: Path) -> None:
    silent = [
        f"{name_of(page)}:{block.line}"
        for block in blocks(page)
        if block.language in ("python", "console")
        and not re.match(r"(run(: \w+\.py)?|run exit-code: \d+|not-run: \S.*)\Z", block.orders)
    ]
    assert not silent, f"write run or 'not-run: why' behind the language: {silent}"


def runnable(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.orders.startswith("run")]


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=name_of)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "examples").symlink_to(ROOT / "examples")
    outside = {name: value for name, value in os.environ.items() if not name.startswith("AIRLOOM_")}
    environment = {
        **outside,
        "PATH": f"{programs(tmp_path)}{os.pathsep}{outside['PATH']}",
        "AIRLOOM_CACHE_DIR": str(tmp_path / "cache"),
        "AIRLOOM_USER": "somebody",
        "COLUMNS": "100",
    }
    for block in runnable(page):
        where = f"{name_of(page)}:{block.line}"
        file = re.match(r"run: (\S+)", block.orders)
        if file:
            (folder / file[1]).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            check([sys.executable, "-c", block.text], 0, [], folder, environment, where)
        else:
            expected = re.search(r"exit-code: (\d+)", block.orders)
            for command, output in commands(block.text):
                code = int(expected[1]) if expected else 0
                check(["sh", "-c", command], code, output, folder, environment, where)


def programs(folder: Path) -> Path:
    """A folder with ``python`` and ``airloom`` as this interpreter runs them, first on the path."""
    made = folder / "bin"
    made.mkdir()
    for name, arguments in (("python", ""), ("airloom", " -m airloom")):
        (made / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n', encoding="utf-8")
        (made / name).chmod(0o755)
    return made


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        first, *output = part.splitlines()
        yield first, [line for line in output if line.strip() not in ("", "...")]


def check(
    command: list[str], code: int, output: list[str], folder: Path, environment: dict[str, str], where: str
) -> None:
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == code, f"{where}: {command[-1]}\n{ended.stdout}"
    said = [neutral(line) for line in ended.stdout.splitlines()]
    for line in output:
        assert neutral(line) in said, f"{where}: {command[-1]}\ndid not print: {line}\nbut:\n{ended.stdout}"


def neutral(line: str) -> str:
    """Leave out what differs from run to run."""
    for pattern, name in (
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DAY"),
        (r"\b\d\d:\d\d:\d\d\b", "TIME"),
        (r"\b\d{16}\b", "RUN"),
        (r"b3:[0-9a-f]+", "DIGEST"),
        (r"\d+\.\d+ ?s\b", "SECONDS"),
        (r"\b(USER|somebody)\b", "USER"),
    ):
        line = re.sub(pattern, name, line)
    return line.rstrip()


# -- references --------------------------------------------------------------------------


def options(command: click.Command) -> set[str]:
    return {
        name for parameter in command.params for name in parameter.opts if isinstance(parameter, click.Option)
    } - {"--version", "--help", "-h"}


def every_command() -> dict[str, set[str]]:
    """All commands with their options, as ``airloom`` and a flow's file offer them."""
    file = ROOT / "examples" / "01_hello" / "hello_flow.py"
    before = set(sys.modules)
    group = flow_group(FlowFile(file, import_flow(file)))
    for name in set(sys.modules) - before:
        del sys.modules[name]
    found = {"": options(group)}
    for offered in (airloom_group(), group):
        collect(offered, "", found)
    return found


def collect(group: click.Group, prefix: str, found: dict[str, set[str]]) -> None:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            collect(command, f"{prefix}{name} ", found)
        elif command is not None and not command.hidden:
            found.setdefault(prefix + name, set()).update(options(command))


def documented_commands() -> dict[str, set[str]]:
    page = DOCS / "cli.md"
    headings = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        "" if heading.startswith("Options before") else heading: {
            name for row in rows(section(page, heading)) for name in re.findall(r"`(--?[\w-]+)`", row[0])
        }
        for heading in headings
    }


def test_every_command_and_option_is_described() -> None:
    assert documented_commands() == every_command()


# Each with the reason why no block of a page runs it; the first three run in tests/system.
NOT_IN_A_BLOCK = {
    "sandbox": "starts an Airflow",
    "sandbox-stop": "stops an Airflow",
    "trigger": "needs an Airflow",
    "card view": "opens a browser",
}


def test_every_verb_stands_in_an_example_that_runs() -> None:
    lines = [
        command
        for page in PAGES
        for block in runnable(page)
        if block.language == "console"
        for command, _ in commands(block.text)
    ]
    verbs = {verb for verb in every_command() if verb} - set(NOT_IN_A_BLOCK)
    # `python flow.py --with retry show`: options may stand before the verb.
    missing = [
        verb
        for verb in verbs
        if not any(re.search(rf"(?:airloom|\.py)(?: --\S+(?: \S+)*?)*? {verb}\b", line) for line in lines)
    ]
    assert not missing, f"no page shows {sorted(missing)} in use"


def test_every_setting_is_described() -> None:
    described = {row[0].strip("`"): row for row in rows((DOCS / "settings.md").read_text(encoding="utf-8"))}
    assert list(described) == [item.name for item in fields(settings.Settings)]
    for item in fields(settings.Settings):
        _, variable, default, *_ = described[item.name]
        assert variable == f"`{settings.variable(item.name)}`"
        assert default.strip("`") == item.default


def every_error(cls: type[AirloomError] = AirloomError) -> Iterator[type[AirloomError]]:
    if not cls.__name__.startswith("_") and cls.__module__.startswith("airloom."):
        yield cls
    for below in cls.__subclasses__():
        yield from every_error(below)


def test_every_error_is_described() -> None:
    for module in pkgutil.walk_packages(airloom.__path__, "airloom."):
        # Only the Airflow side needs Airflow, and its modules define no errors.
        if "__main__" not in module.name and not _imports_airflow(module.name):
            importlib.import_module(module.name)
    expected = {
        cls.__name__: [f"`{cls.kind}`", str(cls.exit_code), "yes" if cls.retriable else "no"]
        for cls in every_error()
    }
    table = rows((DOCS / "errors.md").read_text(encoding="utf-8"))
    assert {row[0].strip("`"): row[1:4] for row in table} == expected
    assert all(row[4] for row in table)


def _imports_airflow(module: str) -> bool:
    house = configparser.ConfigParser()
    house.read(ROOT / ".importlinter")
    free = house["importlinter:contract:airflow"]["source_modules"].split()
    return not any(module == name or module.startswith(f"{name}.") for name in free)


def test_every_decorator_is_described() -> None:
    described = {row[0].strip("`") for row in rows(section(DOCS / "language.md", "Decorators"))}
    # No decorators, or such as make one: other pages have them.
    others = {"config_expr", "default_namespace", "get_namespace", "namespace", "user_step_decorator"}
    others |= {"register_serializer"}
    names = [name for name in airloom.__all__ if name.islower() and callable(getattr(airloom, name))]
    assert described == {f"@{name}" for name in names if name not in others}


def test_the_tables_of_shapes_name_the_flows_that_show_them() -> None:
    lines = section(ROOT / "docs" / "language.md", "Shapes, and where they run").splitlines()
    tables = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    shown = {name for row in tables for name in re.findall(r"`([\w.]+)`", row[-1])}
    flows = {
        file.stem
        for file in (ROOT / "tests" / "flows" / "good").glob("*.py")
        if "__main__" in file.read_text(encoding="utf-8")
    }
    tests = {file.name for file in (ROOT / "tests" / "system").glob("test_*.py")}
    assert flows <= shown, f"no row names {sorted(flows - shown)}"
    assert shown <= flows | tests, f"there is no {sorted(shown - flows - tests)}"


def test_every_public_name_is_in_the_documentation() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    names = [name for name in airloom.__all__ if not name.startswith("__")]
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


# -- drawings ----------------------------------------------------------------------------


def drawn() -> dict[str, str]:
    """Files of the drawing in architecture.md, with what it says about each."""
    (block,) = (block for block in blocks(DOCS / "architecture.md") if block.info == "text layout")
    found: dict[str, str] = {}
    folders: list[str] = []
    last = ""
    for line in block.text.splitlines():
        depth, words = (len(line) - len(line.lstrip())) // 4, line.split(maxsplit=1)
        if not re.match(r"[\w.]+(\.py|\.typed|\.j2|/)\Z|[\w.]+/[\w.]*/?\Z", words[0]) or depth > 2:
            found[last] += f" {line.strip()}"
            continue
        folders[depth:] = [words[0]]
        last = "".join(folders)
        found[last] = words[1] if len(words) > 1 else ""
    return {name: text for name, text in found.items() if not name.endswith("/")}


def purpose(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) if file.suffix == ".py" else ""
    return (text or "").split("\n")[0]


def test_the_drawing_of_the_architecture_matches_the_tree() -> None:
    package = ROOT / "provider" / "airloom"
    there = {
        f"provider/airloom/{file.relative_to(package).as_posix()}": file
        for file in [*package.rglob("*.py"), package / "py.typed"]
        if file.name != "__init__.py"
    }
    there |= {f"dag_templates/{file.name}": file for file in (ROOT / "dag_templates").glob("*.j2")}
    shown = drawn()
    missing = {name: purpose(file) for name, file in there.items() if name not in shown}
    assert not missing, f"draw these in docs/architecture.md: {missing}"
    assert not set(shown) - set(there), "docs/architecture.md draws files that are not there"
    assert all(shown.values()), "each file needs a purpose"


def test_the_floors_are_those_of_the_import_linter() -> None:
    house = configparser.ConfigParser()
    house.read(ROOT / ".importlinter")
    layers = house["importlinter:contract:floors"]["layers"].strip().splitlines()
    text = section(DOCS / "architecture.md", "Floors")
    assert "\n".join(["```text", *(line.strip() for line in layers), "```"]) in text


# -- links and names ---------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name_of(page)}: {target}"
        assert not anchor or anchor in anchors(file), f"{name_of(page)}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_and_pages_that_are_named_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\b(?:examples|docs)/[\w/.-]*\w", text):
        assert (ROOT / name).exists(), f"{name_of(page)} names {name}"


def test_every_page_is_linked_from_the_index() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} - {"index.md"}
    assert {page for page in pages if f"({page})" not in text} == set()


def test_every_example_is_in_the_tutorial() -> None:
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    folders = [folder.name for folder in (ROOT / "examples").iterdir() if folder.is_dir()]
    assert [name for name in folders if f"examples/{name}" not in text] == []


# -- the Makefile ------------------------------------------------------------------------


def recipes() -> dict[str, list[str]]:
    """Commands of the Makefile's targets, with its variables filled in."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    values = {"ARGS": ""} | dict(re.findall(r"^(\w+) \??= (.*)$", text, re.MULTILINE))

    def filled(line: str) -> str:
        while found := re.search(r"\$\((\w+)\)", line):
            line = line.replace(found[0], values[found[1]])
        return line.replace("$@", "").strip()

    made: dict[str, list[str]] = {}
    for target, lines in re.findall(r"^([\w$()/.]+):[^=\n]*\n((?:\t.*\n?)+)", text, re.MULTILINE):
        made[filled(target)] = [filled(line) for line in lines.splitlines()]
    return made


def test_the_commands_of_the_readme_are_those_of_the_makefile() -> None:
    by_hand = next(
        block.text
        for block in blocks(ROOT / "README.md")
        if block.language == "console" and ".venv/bin/airloom sandbox" in block.text
    )
    found = recipes()
    setting_up = [line for line in found[".venv/.installed"] if not re.match(r"env |touch", line)]
    wanted = [*setting_up, *found["demo"], *found["test"]]
    assert [command for command, _ in commands(by_hand)] == wanted


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=name_of)
def test_targets_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"(?:`|\$ )make (\w+)", page.read_text(encoding="utf-8")))
    assert {"demo", "test"} <= named
    assert named <= set(recipes())


def test_the_makefile_is_read_by_make_itself() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    said = subprocess.run(
        ["make", "-n", "demo", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ".venv/bin/airloom sandbox examples/04_penguins/penguins_flow.py" in said.stdout
