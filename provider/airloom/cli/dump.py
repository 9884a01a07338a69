"""``dump``: artifacts as text on the terminal, or pickled in a file."""

from __future__ import annotations

import pickle
import pprint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airloom.errors import ArtifactError, StoreError

if TYPE_CHECKING:
    from airloom.client import Task

_HELP = (
    "Print the artifacts of tasks, or pickle them into a file as {task: {name: value}}. "
    "PATHSPEC is Flow/run, Flow/run/step or Flow/run/step/task."
)


def dump_of_flow(flow: str) -> click.Command:
    """Build ``python my_flow.py dump``: the flow's name may be left out of the pathspec, as in Metaflow."""

    def dump(pathspec: str, **given: Any) -> None:
        named = pathspec if pathspec.split("/")[0] == flow else f"{flow}/{pathspec}"
        _dump(named, click.get_current_context().find_root().obj.settings.datastore_root, **given)

    return click.Command("dump", callback=dump, params=_params(), help=_HELP)


def dump_of_airloom() -> click.Command:
    """Build ``airloom dump``."""

    def dump(pathspec: str, datastore_root: str | None, **given: Any) -> None:
        _dump(pathspec, datastore_root, **given)

    root = click.Option(["--datastore-root"], metavar="FOLDER|URL", help="Where runs and artifacts are kept.")
    return click.Command("dump", callback=dump, params=[*_params(), root], help=_HELP)


def _params() -> list[click.Parameter]:
    return [
        click.Argument(["pathspec"]),
        click.Option(["--private"], is_flag=True, help="Also those whose name begins with an underscore."),
        click.Option(
            ["--max-value-size"],
            type=click.IntRange(0),
            default=1000,
            show_default=True,
            help="Print values of at most so many bytes; a file holds all, unless this is given.",
        ),
        click.Option(["--include"], metavar="NAME,NAME", help="Only these artifacts."),
        click.Option(["--file"], metavar="PATH", help="Write the values into this file, pickled."),
    ]


def _dump(
    pathspec: str,
    root: str | None,
    *,
    private: bool,
    max_value_size: int,
    include: str | None,
    file: str | None,
) -> None:
    from airloom.cli.store_commands import tasks_of

    source = click.get_current_context().get_parameter_source("max_value_size")
    chosen = source is not None and source.name != "DEFAULT"
    limit = None if file is not None and not chosen else max_value_size
    wanted = None if include is None else {name.strip() for name in include.split(",")}
    values: dict[str, dict[str, Any]] = {}
    for task in tasks_of(pathspec, root, None):
        found = [name for name in _names(task, private) if wanted is None or name in wanted]
        small = [name for name in found if limit is None or task[name].size <= limit]
        if file is None:
            _print(task, found, small)
        else:
            values[task.pathspec] = {name: task[name].data for name in small}
    if file is not None:
        _write(Path(file), values)
        click.echo(f"wrote the artifacts of {len(values)} tasks into {file}")


def _names(task: Task, private: bool) -> list[str]:
    return [*(artifact.id for artifact in task.artifacts), *(task.private_artifacts if private else ())]


def _print(task: Task, names: list[str], small: list[str]) -> None:
    click.echo(f"{task.pathspec}  attempt {task.current_attempt}")
    for name in names:
        if name not in small:
            click.echo(f"    {name} = <{task[name].size} bytes of {task[name].type}>")
            continue
        first, *rest = pprint.pformat(task[name].data, width=100).splitlines() or [""]
        click.echo(f"    {name} = {first}")
        for line in rest:
            click.echo(f"        {line}")


def _write(file: Path, values: dict[str, dict[str, Any]]) -> None:
    try:
        data = pickle.dumps(values, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"the values cannot be pickled into one file: {error}",
            where=str(file),
            mend="leave some out with --include, or read them with the client.",
        ) from error
    try:
        file.write_bytes(data)
    except OSError as error:
        raise StoreError(
            f"the file cannot be written: {error}",
            where=str(file),
            mend="give a path that can be written to.",
        ) from error
