"""The verbs for cards: list, get, view."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from airloom.client.cards import Card, get_cards
from airloom.errors import NotFound

_Command = Callable[..., Any]


def _choosing(command: _Command) -> _Command:
    """Add what all three verbs take."""
    for option in (
        click.option("--datastore-root", metavar="FOLDER|URL", help="Where runs and cards are kept."),
        click.option("--number", type=int, help="The card of this number in the list."),
        click.option("--type", "kind", help="Only cards of this type."),
        click.option("--id", "name", help="Only the card of this id."),
        click.argument("pathspec"),
    ):
        command = option(command)
    return command


@click.group("card", help="Show the cards of a task: PATHSPEC is Flow/run/step/task, or .../task@attempt.")
def card() -> None:
    pass


@card.command("list", help="List a task's cards.")
@_choosing
def list_(pathspec: str, **chosen: Any) -> None:
    for number, found in _cards(pathspec, **chosen):
        state = "" if found.is_final else "  (the task has not ended)"
        click.echo(f"{number}  {found.type}  {found.id or '-'}  {found.path}{state}")


@card.command("get", help="Write a card's HTML into FILE, or to standard output.")
@_choosing
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def get(pathspec: str, file: Path | None, **chosen: Any) -> None:
    html = _card(pathspec, **chosen).get()
    if file is None:
        click.echo(html, nl=False)
    else:
        file.write_text(html, encoding="utf-8")
        click.echo(f"wrote {file}", err=True)


@card.command("view", help="Open a card in a browser, and say which file that is.")
@_choosing
def view(pathspec: str, **chosen: Any) -> None:
    click.echo(_card(pathspec, **chosen).view())


def _cards(
    pathspec: str, name: str | None, kind: str | None, number: int | None, datastore_root: str | None
) -> list[tuple[int, Card]]:
    every = list(enumerate(get_cards(pathspec, datastore=datastore_root)))
    return [
        (at, found)
        for at, found in every
        if name in (None, found.id) and kind in (None, found.type) and number in (None, at)
    ]


def _card(pathspec: str, **chosen: Any) -> Card:
    found = _cards(pathspec, **chosen)
    if len(found) == 1:
        return found[0][1]
    if not found:
        raise NotFound(
            f"{pathspec} has no such card",
            where=pathspec,
            mend=f"`airloom card list {pathspec}` shows those that it has; a step needs @card to have any.",
        )
    raise NotFound(
        f"{pathspec} has {len(found)} cards that fit",
        where=pathspec,
        mend=f"choose one with --id, --type or --number: `airloom card list {pathspec}`.",
    )
