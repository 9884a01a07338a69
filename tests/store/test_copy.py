"""Runs that were copied read as the ones that they are copies of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from airloom.client import Flow, Run
from airloom.errors import AlreadyExists, CorruptBlob, NotFound, StoreError
from airloom.names import Pathspec
from airloom.settings import Settings
from airloom.store.blobs import blob_key
from airloom.store.copying import Copied, copy
from airloom.store.datastore import TaskKey
from airloom.store.objects import MemoryObjects, open_objects
from support.train import KINDS, Store, noise, opened, take_over


@pytest.fixture
def source(root: Path) -> Store:
    return Store(open_objects(str(root.parent / "source"), Settings()))


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(opened(request, tmp_path))


@pytest.fixture
def memory() -> Iterator[Store]:
    objects = MemoryObjects(str(uuid4()))
    yield Store(objects)
    objects.forget()


def copied(source: Store, target: Store, *specs: str) -> Copied:
    return copy(source.objects, target.objects, [Pathspec.parse(spec) for spec in specs])


def contents(store: Store, prefix: str = "") -> dict[str, bytes]:
    return {key: store.objects.get(key) for key in store.objects.list(prefix)}


def test_all_of_a_run_comes_along(source: Store, target: Store) -> None:
    source.whole("1", x=noise(1), y=1, z=[2])
    source.tag("1", "good")
    done = copied(source, target, "Train/1")
    assert contents(target) == contents(source)
    assert (done.runs, done.blobs, done.present) == (1, 3, 0)
    target.assert_whole()


def test_what_people_keep_with_a_run_comes_along(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airloom.store.copying._LARGE", 3)
    source.whole("1")
    for key, data in (("model/weights", b"large"), ("note", b"in"), ("empty", b"")):
        source.objects.put(f"data/runs/Train/1/{key}", [data])
    source.objects.put("data/runs/Train/2/note", [b"of another run"])
    source.objects.put("data/shared/1", [b"of all"])
    assert copied(source, target, "Train/1").objects == 3
    assert contents(target, "data") == contents(source, "data/runs/Train/1")
    assert copied(source, target, "Train/1").objects == 0
    source.objects.put("data/runs/Train/1/note", [b"in addition"])
    assert copied(source, target, "Train/1").objects == 1
    assert target.objects.get("data/runs/Train/1/note") == b"in addition"


def test_a_copy_reads_as_the_run_itself(source: Store, target: Store) -> None:
    source.whole("1", x=noise(1), y=1)
    source.tag("1", "good")
    copied(source, target, "Train/1")
    one, two = (Run("Train/1", datastore=s.datastore, _namespace_check=False) for s in (source, target))
    assert one.data is not None
    assert two.data is not None
    assert (two.data.x, two.data.y) == (one.data.x, one.data.y) == (noise(1), 1)
    assert (two.tags, two.successful, two.finished_at) == (one.tags, True, one.finished_at)
    task = two["start"].task
    assert (task.stdout, task.code.digest) == ("hello\n", one.code.digest)
    assert [
        run.id for run in Flow("Train", datastore=target.datastore, _namespace_check=False).runs("good")
    ] == ["1"]


def test_a_copy_goes_back_again(source: Store, target: Store, memory: Store) -> None:
    source.whole("1", x=noise(1), y=1)
    copied(source, target, "Train/1")
    copied(target, memory, "Train/1")
    assert contents(memory) == contents(source)


def test_a_flow_is_all_its_runs(source: Store, target: Store) -> None:
    for run in ("1", "2", "3"):
        source.whole(run, x=noise(1))
    assert copied(source, target, "Train").runs == 3
    assert target.runs() == ["1", "2", "3"]


def test_other_runs_stay_where_they_are(source: Store, target: Store) -> None:
    source.whole("1", x=noise(1))
    source.whole("2", x=noise(2))
    copied(source, target, "Train/2")
    assert target.runs() == ["2"]
    assert not list(target.objects.list("flows/Train/runs/1"))
    assert len(list(target.objects.list("blobs"))) == 2


def test_a_second_copy_copies_what_is_new(source: Store, target: Store) -> None:
    source.begin("1")
    source.task("1", x=noise(1))
    copied(source, target, "Train/1")
    source.task("1", "end", ("Train/1/start/0@0",), x=noise(1), y=noise(2))
    source.datastore.end_run("Train", "1", True)
    again = copied(source, target, "Train/1")
    assert (again.blobs, again.present) == (1, 2)
    assert contents(target) == contents(source)
    assert copied(source, target, "Train/1").records == 0


def test_a_copy_of_a_resumed_run_stands_alone(source: Store, target: Store) -> None:
    source.whole("1", successful=False, x=noise(1), y=1)
    take_over(source, "1", "2")
    copied(source, target, "Train/2")
    target.assert_whole()
    assert Run("Train/2", datastore=target.datastore, _namespace_check=False)["start"].task.data.x == noise(1)


def test_another_run_of_the_same_id_is_refused(source: Store, target: Store) -> None:
    source.whole("1", x=noise(1))
    target.whole("1", x=noise(2))
    before = contents(target)
    with pytest.raises(AlreadyExists, match="the target has another run Train/1"):
        copied(source, target, "Train/1")
    assert contents(target) == before


def test_a_run_that_went_another_way_is_refused(source: Store, target: Store) -> None:
    source.begin("1")
    copied(source, target, "Train/1")
    for store, seed in ((source, 1), (target, 2)):
        store.task("1", x=noise(seed))
    before = contents(target)
    with pytest.raises(AlreadyExists, match=r"tasks/start/0/0/.*json differs"):
        copied(source, target, "Train/1")
    assert contents(target) == before


def test_changed_bytes_are_not_copied(source: Store, target: Store) -> None:
    source.whole("1", x=noise(1))
    key = blob_key(source.datastore.done(TaskKey("Train", "1", "start", "0")).artifacts["x"].digest)
    source.objects.put(key, [noise(1)[:-1] + b"?"])
    with pytest.raises(CorruptBlob):
        copied(source, target, "Train/1")
    assert not target.objects.exists(key)
    assert target.runs() == []
    assert not target.objects.exists("flows/Train/runs/1/run.json")


def test_a_missing_blob_is_told(source: Store, target: Store) -> None:
    source.whole("1", x=noise(1))
    digest = source.datastore.done(TaskKey("Train", "1", "start", "0")).artifacts["x"].digest
    source.objects.delete(blob_key(digest))
    with pytest.raises(NotFound):
        copied(source, target, "Train/1")
    assert target.runs() == []


@pytest.mark.parametrize("spec", ["Other", "Train/7"])
def test_a_run_that_is_not_there_is_told(source: Store, target: Store, spec: str) -> None:
    source.whole("1")
    with pytest.raises(NotFound, match="no run of"):
        copied(source, target, spec)


def test_a_part_of_a_run_is_refused(source: Store, target: Store) -> None:
    source.whole("1")
    with pytest.raises(NotFound, match="is a part of a run"):
        copied(source, target, "Train/1/start")


def test_a_store_is_not_copied_into_itself(source: Store) -> None:
    source.whole("1")
    with pytest.raises(StoreError, match="the store that they are in"):
        copied(source, source, "Train/1")


class CutOff(MemoryObjects):
    """A store whose user is ended at one of its writes."""

    left: int | None = None

    def put_if_absent(self, key: str, parts: object) -> bool:
        if self.left is not None:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
        return super().put_if_absent(key, parts)  # type: ignore[arg-type]


def test_a_copy_that_is_cut_off_shows_no_record_without_its_blobs(source: Store) -> None:
    source.whole("1", x=noise(1), y=1)
    steps, ended = 0, False
    while not ended:
        objects = CutOff(f"copy-{steps}")
        try:
            objects.left = steps
            try:
                copy(source.objects, objects, [Pathspec("Train", "1")], threads=1)
                ended = True
            except KeyboardInterrupt:
                pass
            objects.left = None
            target = Store(objects)
            if target.runs():
                target.assert_whole()
            done = target.datastore.done_attempt(TaskKey("Train", "1", "start", "0"))
            if done is not None:
                assert target.datastore.load_artifact(done[1].artifacts["x"], "x").value == noise(1)
            copied(source, target, "Train/1")
            assert contents(target) == contents(source)
        finally:
            objects.forget()
        steps += 1
    assert steps > 15
