"""A collection that is killed after each of its deletions in turn."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from airloom.client import Flow
from airloom.settings import Settings
from airloom.store.objects import MemoryObjects, open_objects
from airloom.store.retention import DAY_S, Rules
from airloom.store.verify import verify
from support.train import Store, noise, start

COLLECTOR = """
from airloom.store.gc import Collection
from airloom.store.retention import Rules
collection = Collection(objects, Rules(older_than_s=86400, grace_s=0))
collection.look()
print("deleting", flush=True)
collection.delete()
"""


@pytest.fixture
def local(root: Path) -> Store:
    return Store(open_objects(str(root), Settings()))


class CutOff(MemoryObjects):
    """A store whose user is ended at one of its deletions."""

    left: int | None = None

    def delete(self, key: str) -> None:
        if self.left is not None:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
        super().delete(key)


def test_no_reader_ever_finds_a_record_without_its_blobs() -> None:
    step = 0
    while True:
        objects = CutOff(f"cut-off-{step}")
        try:
            store = Store(objects)
            store.whole("1", days=40, x=noise(1), y=1)
            store.whole("2", x=noise(2))
            objects.left = step
            ended = False
            try:
                store.collect(Rules(older_than_s=DAY_S, grace_s=0))
                ended = True
            except KeyboardInterrupt:
                pass
            objects.left = None
            objects.delete_many(objects.list("sweeping"))  # such a flag counts for five minutes
            for run in Flow("Train", datastore=store.datastore, _namespace_check=False):
                assert [task.data.x for task in (run["start"].task, run["end"].task)]
            for finding in verify(objects, []).findings:
                assert finding.needed_by == ["Train/1"], finding
                assert "record" in finding.what or finding.kind == "unlisted", finding
            store.collect(Rules(older_than_s=DAY_S, grace_s=0))
            store.assert_whole()
            assert not any("runs/1/" in key for key in objects.list())
            assert len(list(objects.list("blobs"))) == 2  # the code package, and the value of run 2
        finally:
            objects.forget()
        if ended:
            break
        step += 1
    assert step > 10


def test_a_killed_collection_harms_nothing(local: Store) -> None:
    for number in range(12):
        local.whole(str(number), days=40, x=noise(number))
    local.whole("kept", x=noise(99))
    for pause_s in (0.0, 0.01, 0.03):
        with start(COLLECTOR, local) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "deleting\n"
            time.sleep(pause_s)  # wherever this cuts it off, what is asserted holds
            process.send_signal(signal.SIGKILL)
        wrong = verify(local.objects, []).findings
        whats = {finding.what for finding in wrong}
        assert whats <= {"the run's own record is missing", "the run is not among the runs of its flow"}
    for flag in list(local.objects.list("sweeping")):
        local.objects.delete(flag)  # it counts for five minutes
    local.collect(Rules(older_than_s=DAY_S, grace_s=0))
    local.assert_whole()
    assert local.runs() == ["kept"]
