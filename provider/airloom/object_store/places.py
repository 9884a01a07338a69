"""Where an object store's keys lie: which store, and below which folder of it."""

from __future__ import annotations

import posixpath
from typing import NamedTuple
from urllib.parse import quote, unquote

from airloom import settings
from airloom.errors import StoreError
from airloom.flow.current import current
from airloom.flow.spec import FlowSpec
from airloom.names import escape
from airloom.settings import Settings
from airloom.store.objects import Objects, check_key, open_objects
from airloom.store.shelf import data_key

SHARED = "data/shared"
"""Folder of a datastore for what belongs to no run."""


class Place(NamedTuple):
    """A key in a store."""

    objects: Objects
    key: str

    @property
    def url(self) -> str:
        """Its URL, or its path in a local store."""
        return f"{self.objects.root.rstrip('/')}/{self.key}" if self.key else self.objects.root


class Places:
    """From the keys that people give to places.

    Parameters
    ----------
    root
        Folder or URL below which keys lie; None for the datastore's own.
    run
        A flow inside of its task, a client's run, or Flow/run: keys lie in its own folder.
    """

    def __init__(self, root: str | None, run: object, given: Settings | None = None) -> None:
        self._settings = given or settings.load()
        self._by_root: dict[str, Objects] = {}
        name = None if run is None else _name_of(run)
        if root is None:
            self._root = self._settings.datastore_root
            self._folder = SHARED if name is None else data_key(*name)
        else:
            self._root = root
            self._folder = "" if name is None else "/".join(map(escape, name))

    @property
    def url(self) -> str:
        """The folder below which keys lie."""
        return self.of("").url

    def of(self, key: str) -> Place:
        """Find the place of a key; empty for the folder of all keys.

        Raises
        ------
        StoreError
            When it cannot be a key.
        SettingsError
            When it is a URL of a kind of store that there is not.
        """
        if "://" in key:
            return self._of_url(key)
        key = key.strip("/")
        below = "/".join(part for part in (self._folder, key) if part)
        return Place(self._open(self._root), _checked(below, key) if below else "")

    def name(self, place: Place) -> str:
        """Give the key by which `of` finds a place again."""
        below = f"{self._folder}/" if self._folder else ""
        if place.objects is self._open(self._root):
            return place.key[len(below) :]
        return f"file://{quote(place.url)}" if place.objects.is_local else place.url

    def _of_url(self, url: str) -> Place:
        scheme, _, rest = url.partition("://")
        if scheme.lower() == "file":
            folder, name = posixpath.split(unquote(rest).rstrip("/"))
            return Place(self._open(folder or "/"), _checked(name, url))
        bucket, _, key = rest.partition("/")
        key = key.strip("/")
        return Place(self._open(f"{scheme}://{bucket}"), _checked(key, url) if key else "")

    def _open(self, root: str) -> Objects:
        if root not in self._by_root:
            self._by_root[root] = open_objects(root, self._settings)
        return self._by_root[root]


def _checked(key: str, told: str) -> str:
    try:
        return check_key(key)
    except StoreError:
        raise StoreError(
            f"{told!r} cannot be the key of an object",
            where=told,
            mend="between slashes write one or more signs, no dot first and no backslash.",
        ) from None


def _name_of(run: object) -> tuple[str, str]:
    if isinstance(run, FlowSpec):
        if not current.is_running_flow:
            raise StoreError(
                "a flow has a run only inside of its steps",
                where="ObjectStore(run=self)",
                mend="outside of steps give a run of the client, or its pathspec: run='Train/7'.",
            )
        flow, name = current.flow_name, current.run_id
    else:
        flow, _, name = str(getattr(run, "pathspec", run)).partition("/")
    if not flow or not name or "/" in name:
        raise StoreError(
            f"{run!r} is no run",
            where="ObjectStore(run=...)",
            mend="give self inside of a step, a run of the client, or its pathspec: 'Train/7'.",
        )
    return flow, name
