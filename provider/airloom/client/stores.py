"""Which datastore the client reads: the argument, else the chosen one, else the settings'."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from airloom import settings
from airloom.store.datastore import Datastore

Where: TypeAlias = "Datastore | str | Path"

_chosen: Datastore | None = None


class Choice:
    """The datastore that was chosen; as a context manager it gives the one before back at the end."""

    def __init__(self, before: Datastore | None) -> None:
        self._before = before

    @property
    def root(self) -> str:
        """Folder or URL that new objects read."""
        return resolve(None).root

    def __enter__(self) -> Choice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _chosen
        _chosen = self._before

    def __repr__(self) -> str:
        return f"datastore({self.root!r})"


def datastore(where: Where | None) -> Choice:
    """Choose the datastore that all new objects read; None goes back to the settings.

    Works at once, for a notebook; as ``with datastore(url):`` only within the block. It holds
    for the whole process, not for one thread: threads that differ give ``datastore=``.

    Raises
    ------
    SettingsError
        When this version does not offer stores of that kind.
    """
    # A context variable would be lost between the cells of a notebook.
    global _chosen
    before = _chosen
    _chosen = None if where is None else resolve(where)
    return Choice(before)


def resolve(where: Where | None) -> Datastore:
    """Open the datastore of an argument, or the one that holds where there is none.

    Raises
    ------
    SettingsError
        When this version does not offer stores of that kind.
    """
    if isinstance(where, Datastore):
        return where
    if where is None and _chosen is not None:
        return _chosen
    found = settings.load({"datastore_root": None if where is None else str(where)})
    root = found.datastore_root
    beside = "" if "://" in root or Path(root).is_absolute() else str(Path.cwd())
    return _opened(found, beside, os.getpid())


@lru_cache(maxsize=16)
def _opened(settings: settings.Settings, beside: str, process: int) -> Datastore:
    # Kept, so that all objects share what was read of it and its connections; not with a parent's,
    # nor where a relative root has another meaning since the working folder is another.
    return Datastore.open(settings)
