"""Old objects are deleted beside writers: how each side sees what the other is about to do.

What nobody names and was written long ago is garbage, unless a writer is about to name it: one
that saves the same bytes again finds them there and does not write them. So

- a writer makes the object new (`Objects.refresh`), **then** looks for the flag of its folder,
  **then** whether the object is still there. If there is a flag it waits, and begins again;
- who deletes raises the flag of a folder, **then** lists the folder, **then** deletes what is
  still old, **then** takes the flag down.

No deletion is missed: let an object be deleted that was listed as old, and then made new. The
flag was raised before the listing, so before the writer looked. If it was still up when the
writer looked, the writer saw it. If it was down already, the deletion was over, and the writer
sees that its object is gone. It holds in every store where what was written is seen by all at
once: local file systems, S3, GCS, Azure. A mount of NFS is only such with ``lookupcache=none``.

::

    sweeping/<folder>     who sweeps the folder; it counts for `LEASE_S` at most

Who deletes and is killed leaves a flag behind; who deletes looks at the clock before each
request and stops after `SWEEP_S`. What remains is a process that is halted between that look
and its request for longer than the difference of the two.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from airloom.errors import AlreadyExists, NotFound
from airloom.names import escape
from airloom.store.objects import Entry, Objects

if TYPE_CHECKING:
    from typing_extensions import Buffer

FLAGS = "sweeping"

LEASE_S = 300
"""A flag that was raised longer ago was left behind."""

SWEEP_S = 60
"""So long one flag is used."""

_POLL_S = 0.05
_AT_ONCE = 250


def put_to_stay(objects: Objects, parts: Sequence[Buffer], name: Callable[[], str]) -> str:
    """Put an object as `Objects.put_named` does, so that nobody deletes it before it can be named.

    Returns
    -------
    str
        Its key.
    """
    found: list[str] = []

    def once() -> str:
        if not found:
            found.append(name())
        return found[0]

    objects.put_named(parts, once)
    while not stays(objects, found[0]):
        objects.put_named(parts, once)
    return found[0]


def stays(objects: Objects, key: str) -> bool:
    """Say whether an object that was just made new stays; waits while its folder is swept.

    When it does not stay, it has to be put, or made new, again.
    """
    flag = _flag(key.rpartition("/")[0])
    if objects.exists(flag) and _waited(objects, flag):
        return False
    return objects.exists(key)


def sweep(objects: Objects, folder: str, goes: Callable[[Entry], bool]) -> Iterator[Entry]:
    """Delete the objects of a folder that are to go, beside writers; gives each that is deleted.

    Parameters
    ----------
    goes
        Says of an object, as it is now, whether nobody names it and it is old.

    Raises
    ------
    AlreadyExists
        When another process sweeps the folder.
    """
    going = True
    while going:
        going = False
        until = time.monotonic() + SWEEP_S
        with _raised(objects, folder):
            listed = (entry for entry in objects.entries(folder) if goes(entry))
            while batch := list(islice(listed, _AT_ONCE)):
                if time.monotonic() > until:
                    going = True  # under a new flag
                    break
                objects.delete_many(entry.key for entry in batch)
                yield from batch


def _flag(folder: str) -> str:
    return f"{FLAGS}/{escape(folder)}"


def _age_s(objects: Objects, flag: str) -> float | None:
    try:
        return time.time() - objects.entry(flag).written_at
    except NotFound:
        return None


def _waited(objects: Objects, flag: str) -> bool:
    """Wait until a flag is taken down; False when nobody is going to."""
    until = time.monotonic() + LEASE_S
    pause_s = _POLL_S
    while objects.exists(flag):
        age_s = _age_s(objects, flag)
        if (age_s is not None and age_s > LEASE_S) or time.monotonic() > until:
            return False
        time.sleep(pause_s)
        pause_s = min(1.0, pause_s * 1.5)
    return True


@contextmanager
def _raised(objects: Objects, folder: str) -> Iterator[None]:
    flag = _flag(folder)
    who = [f"process {os.getpid()} of {socket.gethostname()}".encode()]
    if not objects.put_if_absent(flag, who):
        age_s = _age_s(objects, flag)
        if age_s is not None and age_s <= LEASE_S:
            by = objects.get(flag).decode("utf-8", "replace")
            raise AlreadyExists(
                f"another process sweeps this folder: {by}",
                where=f"{objects.root}/{folder}",
                mend=f"wait until it has ended; what a killed one left is passed over after {LEASE_S} s.",
            )
        objects.put(flag, who)
    try:
        yield
    finally:
        objects.delete(flag)
