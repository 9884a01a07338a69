"""``code``: the code that a run began with: list it, compare it, get it back."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from airloom import settings as settings_of
from airloom.client import Code, Run
from airloom.compiler.package import code_files
from airloom.errors import StoreError

_ROOT = click.option("--datastore-root", metavar="FOLDER|URL", help="Where runs and artifacts are kept.")


@click.group("code", help="The code that a run began with.")
def code() -> None:
    """Group of the verbs."""


@code.command("list", help="List the files of the code that the run FLOW/RUN began with.")
@click.argument("run")
@_ROOT
def list_(run: str, datastore_root: str | None) -> None:
    found = _code(run, datastore_root)
    click.echo(f"{run}  code {found.digest}")
    for name, size in found.files.items():
        click.echo(f"    {name}  ({size} bytes)")


@code.command(
    "diff",
    help="Compare the code of the run FLOW/RUN with OTHER: a folder, else another run; the working folder "
    "where it is left out. What begins with + is in OTHER.",
)
@click.argument("run")
@click.argument("other", default=".")
@click.option("--exit-code", is_flag=True, help="End with exit code 1 when there is a difference.")
@_ROOT
def diff(run: str, other: str, exit_code: bool, datastore_root: str | None) -> int:
    before = _texts(_code(run, datastore_root))
    if Path(other).is_dir():
        after = _texts_below(Path(other))
    else:
        after = _texts(_code(other, datastore_root))
    changed = False
    for line in _differences(before, after, run, other):
        changed = True
        click.echo(line)
    return 1 if changed and exit_code else 0


@code.command("pull", help="Write the code of the run FLOW/RUN into a new folder.")
@click.argument("run")
@click.option("--folder", metavar="FOLDER", help="Where to; a folder of the run's name when left out.")
@_ROOT
def pull(run: str, folder: str | None, datastore_root: str | None) -> None:
    found = _code(run, datastore_root)
    target = Path(folder if folder is not None else run.replace("/", "-").replace(":", "-"))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(
            "the folder is not empty", where=str(target), mend="choose another one with --folder."
        )
    found.extract(target)
    click.echo(f"wrote {len(found.files)} files into {target}")


def _code(run: str, root: str | None) -> Code:
    return Run(run, datastore=root, _namespace_check=False).code


def _texts(found: Code) -> dict[str, str]:
    return {name: found.read(name) for name in found.files}


def _texts_below(folder: Path) -> dict[str, str]:
    files = code_files(folder, settings_of.load().suffixes)
    return {name: path.read_text("utf-8", "replace") for name, path in files.items()}


def _differences(before: Mapping[str, str], after: Mapping[str, str], run: str, other: str) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        yield from difflib.unified_diff(
            (old or "").splitlines(),
            (new or "").splitlines(),
            "/dev/null" if old is None else f"{run}:{name}",
            "/dev/null" if new is None else f"{other}:{name}",
            lineterm="",
        )
