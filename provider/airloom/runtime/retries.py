"""Whether a task of a local run is tried again, and with which size."""

from __future__ import annotations

from dataclasses import dataclass, field

from airloom.names import Indices
from airloom.plan import Plan
from airloom.runtime.limits import Limit
from airloom.runtime.sizes import former, is_last
from airloom.runtime.task import TaskRequest
from airloom.sizing.catalogue import Size
from airloom.sizing.recovery import Former, after, resized
from airloom.store.records import FailedRecord

Place = tuple[str, Indices]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows after a failure; ``sentence`` is there where it says more than the failure itself."""

    again: bool
    retry_count: int
    sentence: str | None = None


@dataclass
class Retries:
    """Counts the failures of one run's tasks, each on the budget of its kind.

    ``limit`` says how steps are held to their sizes: only then what runs out of memory gets more.
    """

    plan: Plan
    limit: Limit = "none"
    _former: dict[Place, list[Former]] = field(default_factory=dict)
    _sizes: dict[Place, Size] = field(default_factory=dict)

    def size(self, place: Place) -> Size | None:
        """Size of the next attempt; None where the task itself finds it."""
        return self._sizes.get(place)

    def is_last(self, place: Place) -> bool:
        """Whether no larger size follows after the next attempt."""
        size = self._sizes.get(place)
        return size is None or is_last(self.plan.step(place[0]), self._former[place], size)

    def failed(self, place: Place, request: TaskRequest, record: FailedRecord | None) -> Verdict:
        """Say what follows after an attempt that failed; ``record`` is None when it could not even begin."""
        if self.limit == "none" or record is None:
            final = record is not None and record.final
            return Verdict(not request.last_try and not final, request.retry_count + 1)
        memory = None if record.size is None else record.size.memory_mib
        ended = self._former.setdefault(place, [])
        ended.append(former(record.failure, memory, final=record.final))
        following = after(self.plan.step(place[0]), ended)
        if record.size is not None:
            self._sizes[place] = resized(record.size, following)
        sentence = following.sentence if following.budget == "growth" else None
        return Verdict(following.again, following.retry_count, sentence)
