"""Whose runs the client shows: the namespace that holds in this process.

A namespace is a tag, ``user:ada`` or ``production:Train``. Objects are shown when their run has
it; None is the global namespace, in which everything is shown.
"""

from __future__ import annotations

from airloom import settings
from airloom.errors import NamespaceMismatch
from airloom.flow.current import current


class _Unchosen:
    pass


_chosen: str | _Unchosen | None = _Unchosen()


def namespace(ns: str | None) -> str | None:
    """Choose the namespace of this process, None for the global one; return it."""
    # A context variable would be lost between the cells of a notebook.
    global _chosen
    _chosen = ns
    return ns


def get_namespace() -> str | None:
    """Return the namespace that holds: the chosen one, else the default."""
    return _default() if isinstance(_chosen, _Unchosen) else _chosen


def default_namespace() -> str:
    """Go back to the default namespace, and return it.

    It is ``user:<name>`` of whoever runs this process; inside of a task it is that of the run.
    """
    global _chosen
    _chosen = _Unchosen()
    return _default()


def mismatch(what: str) -> NamespaceMismatch:
    """Make the error for an object that is there, but not shown."""
    return NamespaceMismatch(
        f"{what} is not in the namespace {get_namespace()!r}",
        where=what,
        mend="call namespace(None) to see the runs of everybody, or namespace('user:<name>') those of one.",
    )


def _default() -> str:
    inside = current.get("namespace")
    return inside if isinstance(inside, str) else f"user:{settings.load().user_name}"
