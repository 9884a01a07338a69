"""Whatever is missing or changed in a store is found, and named with those that need it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from airloom.errors import NotFound
from airloom.names import Pathspec
from airloom.settings import Settings
from airloom.store.blobs import blob_key
from airloom.store.datastore import TaskKey
from airloom.store.objects import Objects, open_objects
from airloom.store.verify import Finding, verify
from support.train import KINDS, Store, noise, opened, take_over

START = TaskKey("Train", "1", "start", "0")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(opened(request, tmp_path))


@pytest.fixture
def local(root: Path) -> Store:
    return Store(open_objects(str(root), Settings()))


def found(store: Store, *specs: str, quick: bool = False) -> list[Finding]:
    return verify(store.objects, [Pathspec.parse(spec) for spec in specs], quick=quick).findings


def change(objects: Objects, key: str, place: int) -> None:
    data = bytearray(objects.get(key))
    data[place] ^= 1
    objects.put(key, [data])


class TestWholeStores:
    @pytest.mark.parametrize("quick", [True, False])
    def test_all_is_counted_once(self, store: Store, quick: bool) -> None:
        store.whole("1", x=noise(1), y="small", z=b"also small")
        store.whole("2", x=noise(1), y="small", z=b"also small")
        report = verify(store.objects, [], quick=quick)
        assert report.findings == []
        assert report.runs == 2
        records = [key for key in store.objects.list("flows") if "/runs/" in key]
        assert report.records == len(records)
        blobs = list(store.objects.entries("blobs"))
        assert report.blobs == len(blobs) == 3
        read = sum(store.objects.entry(key).size for key in records)
        assert report.size == read + (0 if quick else sum(blob.size for blob in blobs))

    def test_an_empty_store_is_whole(self, store: Store) -> None:
        assert verify(store.objects, []).runs == 0

    def test_resumed_runs_are_whole(self, store: Store) -> None:
        store.whole("1", successful=False, x=noise(1), y=1)
        take_over(store, "1", "2")
        assert found(store) == []

    def test_large_blobs_are_read_in_pieces(self, local: Store) -> None:
        data = random.Random(1).randbytes(9 << 20)
        local.whole("1", x=data, y=[1], z=[2])
        assert found(local) == []
        (large,) = [entry for entry in local.objects.entries("blobs") if entry.size > 8 << 20]
        change(local.objects, large.key, large.size - 1)
        assert [finding.key for finding in found(local)] == [large.key]

    @pytest.mark.parametrize("spec", ["Other", "Train/7", "Train/1/other", "Train/1/start/7"])
    def test_what_is_not_there_is_told(self, store: Store, spec: str) -> None:
        store.whole("1")
        with pytest.raises(NotFound, match="nothing of"):
            found(store, "Train/1", spec)


class TestBlobs:
    @pytest.mark.parametrize("quick", [True, False])
    def test_a_missing_blob_names_all_that_need_it(self, store: Store, quick: bool) -> None:
        store.whole("1", x=noise(1))
        store.whole("2", x=noise(1))
        digest = store.datastore.done(START).artifacts["x"].digest
        store.objects.delete(blob_key(digest))
        (finding,) = found(store, quick=quick)
        assert (finding.kind, finding.key) == ("missing", blob_key(digest))
        steps = [f"Train/{run}/{step}/0@0" for run in "12" for step in ("end", "start")]
        assert sorted(finding.needed_by) == [f"{step} (the artifact 'x')" for step in steps]
        assert finding.needed == 4
        assert found(store, "Train/1/start", quick=quick)[0].needed == 1

    def test_each_flipped_bit_of_a_pack_is_found(self, local: Store) -> None:
        local.whole("1", y="small", z=b"also small")
        pack = local.datastore.done(START).artifacts["y"].pack
        assert pack is not None
        key = blob_key(pack)
        for place in range(local.objects.size(key)):
            change(local.objects, key, place)
            (finding,) = found(local)
            assert (finding.kind, finding.key, finding.needed) == ("corrupt", key, 4)
            change(local.objects, key, place)
        assert found(local) == []

    def test_flipped_bits_of_a_large_blob_are_found(self, local: Store) -> None:
        local.whole("1", x=noise(1))
        key = blob_key(local.datastore.done(START).artifacts["x"].digest)
        size = local.objects.size(key)
        for place in [0, size - 1, *random.Random(1).sample(range(size), 20)]:
            change(local.objects, key, place)
            assert [finding.key for finding in found(local)] == [key]
            assert found(local, quick=True) == []
            change(local.objects, key, place)

    @pytest.mark.parametrize("quick", [True, False])
    def test_a_blob_that_was_cut_off_is_found(self, store: Store, quick: bool) -> None:
        store.whole("1", x=noise(1))
        key = blob_key(store.datastore.done(START).artifacts["x"].digest)
        store.objects.put(key, [store.objects.get(key)[:-1]])
        (finding,) = found(store, quick=quick)
        assert finding.kind == "corrupt"
        assert "delete the object" in finding.mend

    def test_a_record_that_names_other_bytes_of_a_whole_pack_is_found(self, local: Store) -> None:
        local.whole("1", y="small", z=b"also small")
        key = "flows/Train/runs/1/tasks/start/0/0/done.json"
        digest = local.datastore.done(START).artifacts["y"].digest
        local.objects.put(key, [local.objects.get(key).replace(digest.encode(), b"b3:" + b"0" * 64)])
        (finding,) = found(local)
        assert "the blob is whole, but the record names other bytes of it as the artifact 'y'" in finding.what

    def test_the_code_package_is_looked_at(self, store: Store) -> None:
        store.whole("1")
        plan = store.datastore.plan("Train", store.datastore.run("Train", "1").plan)
        store.objects.delete(blob_key(plan.code))
        (finding,) = found(store)
        assert finding.needed_by == ["Train/1 (the code package)"]


class TestRecords:
    @pytest.mark.parametrize("name", ["run.json", "tasks/start/0/0/done.json", "tasks/start/0/0/begin.json"])
    def test_a_record_that_cannot_be_read_is_found(self, store: Store, name: str) -> None:
        store.whole("1")
        key = f"flows/Train/runs/1/{name}"
        store.objects.put(key, [store.objects.get(key)[:-1]])
        (finding,) = found(store)
        assert (finding.kind, finding.key) == ("unreadable", key)

    def test_a_run_without_its_record_is_found(self, store: Store) -> None:
        store.whole("1")
        store.objects.delete("flows/Train/runs/1/run.json")
        (finding,) = found(store)
        assert (finding.kind, finding.what) == ("missing", "the run's own record is missing")

    def test_a_log_that_cannot_be_read_is_found(self, store: Store) -> None:
        store.whole("1")
        change(store.objects, "flows/Train/runs/1/tasks/start/0/0/log", 0)
        (finding,) = found(store)
        assert (finding.kind, finding.needed_by) == ("corrupt", ["Train/1/start/0@0"])

    @pytest.mark.parametrize("cut", [True, False])
    def test_a_plan_that_is_gone_or_changed_is_found(self, store: Store, cut: bool) -> None:
        store.whole("1")
        store.whole("2")
        (key,) = store.objects.list("flows/Train/plans")
        if cut:
            store.objects.put(key, [store.objects.get(key)[:-1]])
        else:
            store.objects.delete(key)
        (finding,) = found(store)
        assert (finding.kind, finding.key) == ("corrupt" if cut else "missing", key)
        assert sorted(set(finding.needed_by)) == ["Train/1", "Train/2"]

    def test_a_run_that_is_not_listed_is_found(self, store: Store) -> None:
        store.whole("1")
        store.objects.delete_many(list(store.objects.list("flows/Train/newest")))
        assert [finding.kind for finding in found(store)] == ["unlisted"]
