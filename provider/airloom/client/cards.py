"""The cards of a task: `get_cards`, and each card's HTML."""

# The classes are one family, and every public name of theirs is the users'.
# ruff: noqa: SLF001

from __future__ import annotations

import html
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from airloom.client.stores import Where
from airloom.client.tasks import Task
from airloom.digests import Digest, digest_of
from airloom.errors import NotFound
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import CardName


class Card:
    """One card: an HTML file. It is read when it is asked for, and once when the task has ended.

    A card of a task that still runs is what the last ``current.card.refresh()`` wrote.
    """

    def __init__(self, datastore: Datastore, key: TaskKey, attempt: int, name: CardName) -> None:
        self._datastore = datastore
        self._key = key
        self._attempt = attempt
        self._name = name
        self._kept: tuple[str, bytes] | None = None

    @property
    def type(self) -> str:
        """Its type: ``default`` or ``blank``."""
        return self._name.type

    @property
    def id(self) -> str | None:
        """The id that @card gives it."""
        return self._name.id

    @property
    def pathspec(self) -> str:
        """Pathspec of its task."""
        return self._key.pathspec

    @property
    def hash(self) -> Digest:
        """Digest of its HTML."""
        return digest_of([self._read()[1]])

    @property
    def path(self) -> str:
        """Its place in the datastore; a file that a browser opens where the datastore is a folder."""
        return f"{self._datastore.root}/{self._read()[0]}"

    @property
    def is_final(self) -> bool:
        """False while the task runs, and for ever when its process was killed."""
        return not self._read()[0].endswith(".live.html")

    def get(self) -> str:
        """Read its HTML.

        Raises
        ------
        NotFound
            When the card was deleted.
        """
        return self._read()[1].decode()

    def view(self) -> str:
        """Open it in a browser; return the file that was opened, for where there is no browser."""
        with tempfile.NamedTemporaryFile(
            "w", suffix=".html", prefix="airloom-card-", delete=False, encoding="utf-8"
        ) as file:
            file.write(self.get())
        webbrowser.open(Path(file.name).as_uri())
        return file.name

    def _read(self) -> tuple[str, bytes]:
        if self._kept is not None:
            return self._kept
        place, data = self._datastore.card(self._key, self._attempt, self._name)
        if not place.endswith(".live.html"):
            self._kept = (place, data)
        return place, data

    def _repr_html_(self) -> str:
        # In a frame of its own: a card's styles are no business of the notebook's.
        inside = html.escape(self.get(), quote=True)
        return f'<iframe sandbox srcdoc="{inside}" style="width:100%;height:40em;border:0"></iframe>'

    def __repr__(self) -> str:
        name = "" if self.id is None else f", id={self.id!r}"
        return f"Card({self.pathspec!r}, type={self.type!r}{name})"


class CardContainer(Sequence[Card]):
    """The cards of a task in the order of its decorators; a notebook shows them all."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self._cards = tuple(cards)

    @overload
    def __getitem__(self, index: int) -> Card: ...
    @overload
    def __getitem__(self, index: slice) -> CardContainer: ...
    def __getitem__(self, index: int | slice) -> Card | CardContainer:
        return CardContainer(self._cards[index]) if isinstance(index, slice) else self._cards[index]

    def __len__(self) -> int:
        return len(self._cards)

    def _repr_html_(self) -> str:
        return "".join(card._repr_html_() for card in self._cards)

    def __repr__(self) -> str:
        return f"CardContainer({list(self._cards)!r})"


def get_cards(
    task: Task | str,
    id: str | None = None,  # noqa: A002 - Metaflow's name
    type: str | None = None,  # noqa: A002 - Metaflow's name
    follow_resumed: bool = True,
    *,
    datastore: Where | None = None,
) -> CardContainer:
    """List the cards of a task; none is read yet.

    Parameters
    ----------
    task
        A task or its pathspec; of several attempts the one that the task stands for.
    id, type
        Only cards of this id, or of this type.
    follow_resumed
        Where a resumed run took the task over: those of the task that really ran.

    Raises
    ------
    NotFound
        When there is no such task.
    """
    if isinstance(task, str):
        if task.count("/") != 3:
            raise NotFound(
                f"{task!r} is not the pathspec of a task",
                where=task,
                mend="write Flow/run/step/task, e.g. Train/7/fit/0.",
            )
        task = Task(task, datastore=datastore, _namespace_check=False)  # as in Metaflow
    found, origin = task._facts.datastore, task._origin if follow_resumed else None
    key, attempt = (task._reading.key, task.current_attempt) if origin is None else origin
    return CardContainer(
        [
            Card(found, key, attempt, name)
            for name in found.cards(key, attempt)
            if id in (None, name.id) and type in (None, name.type)
        ]
    )
