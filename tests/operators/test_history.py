"""What the budgets of retries count: the attempts since the last clear, and how each ended."""

from __future__ import annotations

from uuid import uuid4

from airloom.failures import FailureKind
from airloom.operators.history import history
from airloom.sizing.catalogue import Size
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.objects import MemoryObjects
from airloom.store.records import BeginRecord, DoneRecord, ErrorRecord, FailedRecord, Outcome, Usage

KEY = TaskKey("Train", "1", "fit", "0")
USED = Usage(1.0, 0.0, 0.0)


def claim(store: Datastore, generation: int, memory_mib: int | None = None) -> int:
    size = None if memory_mib is None else Size(memory_mib=memory_mib)
    return store.claim(KEY, lambda number: BeginRecord("", "host", 1, 0, generation, 0, {"n": number}, size))


def fail(store: Datastore, number: int, kind: str, *, final: bool = False) -> None:
    record = FailedRecord("", ErrorRecord("t", "m", ""), USED, failure=kind, final=final)
    store.fail(KEY, number, record)


def test_only_attempts_since_the_last_clear_count() -> None:
    store = Datastore(MemoryObjects(f"history-{uuid4().hex}"))
    fail(store, claim(store, 0, 256), "out_of_memory")
    forgotten = claim(store, 0)
    fail(store, claim(store, 1, 512), "out_of_memory")
    running = claim(store, 1)
    found = history(store, KEY, 1)
    assert [(one.kind, one.memory_mib) for one in found.former] == [(FailureKind.OUT_OF_MEMORY, 512)]
    assert found.size == Size(memory_mib=512)
    assert (found.open.number if found.open else None, found.failed) == (running, False)
    assert [one.number for one in found.stale] == [forgotten]


def test_what_was_committed_is_neither_open_nor_failed() -> None:
    store = Datastore(MemoryObjects(f"history-{uuid4().hex}"))
    fail(store, claim(store, 0), "user_code", final=True)
    store.commit(KEY, claim(store, 0), DoneRecord("", {}, Outcome(), USED))
    found = history(store, KEY, 0)
    assert [one.again for one in found.former] == [False]
    assert (found.open, found.failed, found.stale) == (None, False, [])
