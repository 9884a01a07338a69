"""What became of the attempts at one task since it was cleared last: what the budgets of retries count."""

from __future__ import annotations

from dataclasses import dataclass, field

from airloom.runtime import sizes
from airloom.sizing.catalogue import Size
from airloom.sizing.recovery import Former
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import BeginRecord, FailedRecord


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has begun, and of which nobody has recorded an end."""

    key: TaskKey
    number: int
    begin: BeginRecord


@dataclass(slots=True)
class History:
    """Attempts of one task.

    ``former`` are those of this generation that failed, ``size`` what the last of them had; ``open`` is the
    one that may still run; ``stale`` are those without an end from before the task was cleared.
    ``failed`` says whether the last one failed.
    """

    former: list[Former] = field(default_factory=list)
    size: Size | None = None
    open: Attempt | None = None
    failed: bool = False
    stale: list[Attempt] = field(default_factory=list)


def history(datastore: Datastore, key: TaskKey, generation: int) -> History:
    """Read what became of the attempts at a task, in their order."""
    found = History()
    for number in datastore.attempts(key):
        begun = datastore.begin(key, number)
        current = begun.generation == generation
        failed = datastore.failed(key, number)
        if failed is None and not datastore.is_done(key, number):
            attempt = Attempt(key, number, begun)
            if current:
                found.open = attempt
            else:
                found.stale.append(attempt)
        elif failed is not None and current:
            found.former.append(former(begun, failed))
            found.size = begun.size or failed.size
        if current:
            found.failed = failed is not None
    return found


def former(begun: BeginRecord, failed: FailedRecord) -> Former:
    """What the budgets need to know about an attempt that failed."""
    size = begun.size or failed.size
    return sizes.former(failed.failure, None if size is None else size.memory_mib, final=failed.final)
