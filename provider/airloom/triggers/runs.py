"""A run of a flow, or an artifact of one, waited for in the triggerer: records are read, no value ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airloom.errors import AirloomError, NotFound, StepFailed
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.index import Kind, microseconds
from airloom.store.tags import has_tags, is_indexed

if TYPE_CHECKING:
    from airloom.store.records import ArtifactRecord

logger = logging.getLogger(__name__)

_MOST_RUNS = 100
"""So many of the newest runs are looked at for an artifact, when nothing says since when."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is waited for: a successful run of a flow, or one with an artifact.

    Parameters
    ----------
    flow
        The flow's name.
    run_id
        One run; None for the newest that fits.
    since
        Runs that began then or later count (ISO 8601); None for all.
    tags
        All of them a run must have; a namespace is a tag, too.
    artifact, step, task
        The artifact's name, and whose it is; without a name a successful run is waited for.
    type, min_bytes, other_than
        What the artifact's record must say: the type's name, its size at least, another digest.
    """

    flow: str
    run_id: str | None = None
    since: str | None = None
    tags: tuple[str, ...] = ()
    artifact: str | None = None
    step: str = "end"
    task: str = "0"
    type: str | None = None
    min_bytes: int = 0
    other_than: str | None = None

    def find(self, datastore: Datastore) -> str | None:
        """Pathspec of what is there; None while there is nothing.

        Raises
        ------
        StepFailed
            When the one run that is waited for has failed.
        """
        if self.artifact is None:
            runs = self._successful(datastore)
            return next((f"{self.flow}/{run}" for run in runs), None)
        for run in self._candidates(datastore, "newest"):
            key = TaskKey(self.flow, run, self.step, self.task)
            found = datastore.done_attempt(key)
            record = None if found is None else found[1].artifacts.get(self.artifact)
            if record is not None and self._fits(record):
                return f"{key.pathspec}/{self.artifact}"
        return None

    def _successful(self, datastore: Datastore) -> Iterator[str]:
        for run in self._candidates(datastore, "successful"):
            end = datastore.last_end(self.flow, run)
            if end is not None and end.successful:
                yield run
            elif end is not None and self.run_id is not None:
                raise StepFailed(
                    f"the run {self.flow}/{run} has failed",
                    where=f"{self.flow}/{run}",
                    mend="look at the logs of its tasks.",
                )

    def _candidates(self, datastore: Datastore, kind: Kind) -> Iterator[str]:
        if self.run_id is not None:
            yield from [self.run_id] if datastore.has_run(self.flow, self.run_id) else []
            return
        since = None if self.since is None else microseconds(self.since)
        known = next(filter(is_indexed, self.tags), None)
        names = datastore.runs(self.flow, known, kind)
        for run in names if since is not None else islice(names, _MOST_RUNS):
            try:
                record = datastore.run(self.flow, run)
            except NotFound:  # deleted, and its entry not yet
                continue
            if since is not None and microseconds(record.created_at) < since:
                return
            if not self.tags or has_tags(datastore, record, self.tags):
                yield run

    def _fits(self, record: ArtifactRecord) -> bool:
        return (
            self.type in (None, record.type)
            and record.size >= self.min_bytes
            and record.digest != self.other_than
        )


class FlowTrigger(BaseTrigger):
    """Fires when what is wanted is there, or never will be.

    Parameters
    ----------
    wanted
        Fields of `Wanted`.
    poll_interval
        Seconds between two looks.
    airloom_conn_id
        Connection of the datastore; None for the one of Airflow's configuration.
    """

    def __init__(
        self, *, wanted: Mapping[str, Any], poll_interval: float, airloom_conn_id: str | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.wanted = Wanted(**{**wanted, "tags": tuple(wanted.get("tags", ()))})
        self.poll_interval = poll_interval
        self.airloom_conn_id = airloom_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Name the class, and what it is made of."""
        wanted = {**asdict(self.wanted), "tags": list(self.wanted.tags)}
        return (
            f"{__name__}.FlowTrigger",
            {
                "wanted": wanted,
                "poll_interval": self.poll_interval,
                "airloom_conn_id": self.airloom_conn_id,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something to tell."""
        from asgiref.sync import sync_to_async

        try:
            # Airflow answers for its connections in the event loop, which only asgiref's threads find.
            datastore = await sync_to_async(self._open)()
            found = None
            while found is None:
                try:
                    found = await asyncio.to_thread(self.wanted.find, datastore)
                except AirloomError as error:
                    if not error.retriable or isinstance(error, StepFailed):
                        raise
                    logger.warning("cannot look for %s now: %s", self.wanted.flow, error)
                if found is None:
                    await asyncio.sleep(self.poll_interval)
        except AirloomError as error:
            yield TriggerEvent({"error": str(error)})  # type: ignore[no-untyped-call]
        else:
            yield TriggerEvent({"found": found})  # type: ignore[no-untyped-call]

    def _open(self) -> Datastore:
        from airloom.hooks.datastore import DatastoreHook

        return DatastoreHook(self.airloom_conn_id).get_conn()
