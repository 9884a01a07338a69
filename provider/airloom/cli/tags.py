"""``tag``: list and change the tags of runs, for ``airloom`` and for a flow's own command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from airloom.client import Run

Find = Callable[[dict[str, Any]], "Run"]
"""Takes its own options out of those of the command line, and finds the run."""


def tag_of_flow(flow: str) -> click.Group:
    """Build ``python my_flow.py tag``: the run is named by an option, as in Metaflow."""

    def find(given: dict[str, Any]) -> Run:
        from airloom.client import Run
        from airloom.runtime.resume import origin_of
        from airloom.store.datastore import Datastore

        settings = click.get_current_context().find_root().obj.settings
        datastore = Datastore.open(settings)
        record = origin_of(datastore, flow, given.pop("run_id"), settings.user_name)
        return Run(f"{flow}/{record.run}", datastore=datastore, _namespace_check=False)

    return _group([click.Option(["--run-id"], metavar="RUN", help="Which run; else your newest one.")], find)


def tag_of_airloom() -> click.Group:
    """Build ``airloom tag``: the run is named by its pathspec."""

    def find(given: dict[str, Any]) -> Run:
        from airloom.client import Run

        return Run(given.pop("run"), datastore=given.pop("datastore_root"), _namespace_check=False)

    return _group(
        [
            click.Argument(["run"], metavar="FLOW/RUN"),
            click.Option(
                ["--datastore-root"], metavar="FOLDER|URL", help="Where runs and artifacts are kept."
            ),
        ],
        find,
    )


def _group(names_run: list[click.Parameter], find: Find) -> click.Group:
    tags: click.Parameter = click.Argument(["tags"], nargs=-1, required=True)
    hide: click.Parameter = click.Option(
        ["--hide-system-tags"], is_flag=True, help="Only those that people gave."
    )
    pair: list[click.Parameter] = [click.Argument(["old"]), click.Argument(["new"])]
    commands = (
        _command(names_run, find, _list, "list", "List the tags of a run.", [hide]),
        _command(names_run, find, _add, "add", "Give tags to a run.", [tags]),
        _command(names_run, find, _remove, "remove", "Take tags away from a run.", [tags]),
        _command(names_run, find, _replace, "replace", "Take the tag OLD away and give the tag NEW.", pair),
    )
    return click.Group(
        "tag", commands={c.name or "": c for c in commands}, help="List and change tags of runs."
    )


def _command(
    names_run: list[click.Parameter],
    find: Find,
    what: Callable[..., None],
    name: str,
    help_: str,
    params: list[click.Parameter],
) -> click.Command:
    def callback(**given: Any) -> None:
        run = find(given)
        what(run, **given)

    return click.Command(name, callback=callback, params=[*names_run, *params], help=help_)


def _list(run: Run, hide_system_tags: bool = False) -> None:
    given, system = run.user_tags, run.system_tags
    for tag in sorted(given):
        click.echo(tag)
    for tag in () if hide_system_tags else sorted(system):
        click.echo(f"{tag}  (system)")


def _add(run: Run, tags: tuple[str, ...]) -> None:
    run.add_tags(tags)
    _list(run, hide_system_tags=True)


def _remove(run: Run, tags: tuple[str, ...]) -> None:
    run.remove_tags(tags)
    _list(run, hide_system_tags=True)


def _replace(run: Run, old: str, new: str) -> None:
    run.replace_tag(old, new)
    _list(run, hide_system_tags=True)
