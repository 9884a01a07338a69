"""The runs of a store: how each began, how it ended, and its tags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone

from airloom.errors import NotFound
from airloom.store import index
from airloom.store.index import Kind, namespace_of
from airloom.store.records import AgainRecord, EndRecord, RunRecord, TagRecord
from airloom.store.shelf import Shelf, flow_key, run_key

_AGAIN = "-again.json"


class Runs(Shelf):
    """The part of a datastore that knows runs as a whole."""

    def create_run(self, record: RunRecord) -> bool:
        """Create a run; False when there is one of that name, which then stays as it is."""
        created = self._put_new(f"{run_key(record.flow, record.run)}/run.json", record)
        self.list_run(record if created else self.run(record.flow, record.run))
        return created

    def list_run(self, record: RunRecord) -> None:
        """Let a run be found among those of its flow; `create_run` does it.

        Whoever created the run may have been killed before: the next try at its first task
        calls this.
        """
        index.note(self._objects, record, (namespace_of(record), *record.tags), ("newest",))

    def run(self, flow: str, run: str) -> RunRecord:
        """Read a run's record.

        Raises
        ------
        NotFound
            When there is no such run.
        """
        try:
            return self._get(f"{run_key(flow, run)}/run.json", RunRecord)
        except NotFound as error:
            raise NotFound(
                f"the flow {flow} has no run {run!r} in this store",
                where=error.where,
                mend=f"list the runs of {flow}, or point datastore_root at the store that the run wrote to.",
            ) from None

    def has_run(self, flow: str, run: str) -> bool:
        """Say whether there is a run of this name."""
        return self._objects.exists(f"{run_key(flow, run)}/run.json")

    def runs(self, flow: str, tag: str | None = None, kind: Kind = "newest") -> Iterator[str]:
        """Give the names of a flow's runs, the newest first, lazily.

        Parameters
        ----------
        tag
            Only runs that have ever had this tag: one that people gave, or a namespace.
        kind
            ``successful`` for those that have ever ended well.
        """
        return index.runs(self._objects, flow, tag, kind)

    def entries(self, record: RunRecord) -> list[str]:
        """Keys of all entries by which `runs` can find a run: what goes with it when it is deleted."""
        changes = self.tag_changes(record.flow, record.run)
        return index.entries(record, [tag for change in changes for tag in change.added])

    def latest_run(self, flow: str) -> str | None:
        """Name the run that was created last."""
        return next(self.runs(flow), None)

    def has_flow(self, flow: str) -> bool:
        """Say whether the store has anything of a flow."""
        return bool(self._objects.children(flow_key(flow)))

    def flows(self) -> list[str]:
        """Name the flows of which the store has anything."""
        return self._names("flows")

    def end_run(self, flow: str, run: str, successful: bool) -> EndRecord:
        """Note that a run came to an end."""
        if successful:
            # First: an entry too many is harmless, a good run without one would not be found.
            with suppress(NotFound):
                record = self.run(flow, run)
                index.note(self._objects, record, (namespace_of(record), *record.tags), ("successful",))
        now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        return self._append(f"{run_key(flow, run)}/ends", now, EndRecord(now, successful))

    def reopen_run(self, flow: str, run: str) -> None:
        """Note that a run goes on after its end, as after a clear; nothing while it has none."""
        folder = f"{run_key(flow, run)}/ends"
        names = self._objects.children(folder)
        if names and not names[-1].endswith(_AGAIN):
            now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
            self._append(folder, now, AgainRecord(now), _AGAIN)

    def last_end(self, flow: str, run: str) -> EndRecord | None:
        """Read how a run ended; None while it runs, for the first time or again."""
        folder = f"{run_key(flow, run)}/ends"
        names = self._objects.children(folder)
        return (
            None if not names or names[-1].endswith(_AGAIN) else self._get(f"{folder}/{names[-1]}", EndRecord)
        )

    def ends(self, flow: str, run: str) -> list[EndRecord]:
        """Read when a run came to an end, from the first time to the last, which counts."""
        folder = f"{run_key(flow, run)}/ends"
        names = [name for name in self._objects.children(folder) if not name.endswith(_AGAIN)]
        return [self._get(f"{folder}/{name}", EndRecord) for name in names]

    def tag_run(self, flow: str, run: str, record: TagRecord) -> None:
        """Append a change to the tags of a run."""
        if record.added:
            with suppress(NotFound):
                index.note(self._objects, self.run(flow, run), record.added, index.KINDS)
        self._append(f"{run_key(flow, run)}/tags", record.changed_at, record)

    def tag_changes(self, flow: str, run: str) -> list[TagRecord]:
        """Read the changes to the tags of a run, in their order."""
        folder = f"{run_key(flow, run)}/tags"
        return [self._get(f"{folder}/{name}", TagRecord) for name in self._objects.children(folder)]
