"""What was read of a remote store is read from this machine the next time, and never anything else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from airloom.errors import CorruptBlob, NotFound
from airloom.settings import Settings
from airloom.store.blobs import Blobs, blob_key
from airloom.store.cache import CachedObjects, cached
from airloom.store.datastore import Datastore
from airloom.store.objects import MemoryObjects, open_objects
from support.train import noise

KIB = 1 << 10


class Counted(MemoryObjects):
    """A store elsewhere, whose reads are counted."""

    reads = 0

    def map(self, key: str) -> memoryview:
        self.reads += 1
        return super().map(key)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        self.reads += 1
        return super().get(key)[offset : offset + length]


@pytest.fixture
def remote() -> Iterator[Counted]:
    objects = Counted(str(uuid4()))
    yield objects
    objects.forget()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "blobs"


def blobs_of(remote: Counted, folder: Path, limit: int = 64 << 20, **more: Any) -> Blobs:
    return Blobs(CachedObjects(remote, folder, limit, **more))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "looked")


def test_a_blob_is_fetched_once(remote: Counted, folder: Path) -> None:
    digest = Blobs(remote).put([b"air", b"loom"])
    for _ in range(3):  # three processes
        assert bytes(blobs_of(remote, folder).get(digest, 7)) == b"airloom"
    assert remote.reads == 1
    assert [path.name for path in files(folder)] == [digest[3:]]


def test_what_is_read_can_be_changed_and_changes_nothing(remote: Counted, folder: Path) -> None:
    digest = Blobs(remote).put([b"airloom"])
    for _ in range(2):
        view = blobs_of(remote, folder).get(digest)
        view[:3] = b"xxx"
        assert bytes(view) == b"xxxloom"
    assert bytes(blobs_of(remote, folder).get(digest)) == b"airloom"


def test_small_values_that_share_a_blob_are_fetched_once(remote: Counted, folder: Path) -> None:
    saved = Datastore(remote).save_artifacts({"x": "one", "y": "two", "z": b"three"})
    for reads in (2, 3):  # the first value of a pack comes alone; from the second on the pack is there
        datastore = Datastore(CachedObjects(remote, folder, 64 << 20))
        assert [datastore.load_artifact(saved[n], n).value for n in "xyz"] == ["one", "two", b"three"]
        assert remote.reads <= reads
    assert len(files(folder)) == 1


def test_a_slice_comes_from_a_kept_blob(remote: Counted, folder: Path) -> None:
    digest = Blobs(remote).put([b"0123456789"])
    objects = CachedObjects(remote, folder, 64 << 20)
    objects.map(blob_key(digest))
    assert objects.get_range(blob_key(digest), 3, 4) == b"3456"
    assert objects.get(blob_key(digest)) == b"0123456789"
    assert remote.reads == 1


def test_records_are_not_kept(remote: Counted, folder: Path) -> None:
    objects = CachedObjects(remote, folder, 64 << 20)
    remote.put("flows/Train/runs/1/run.json", [b"{}"])
    assert objects.get("flows/Train/runs/1/run.json") == b"{}"
    objects.delete("flows/Train/runs/1/run.json")
    with pytest.raises(NotFound):
        objects.get("flows/Train/runs/1/run.json")
    assert not folder.exists()


@pytest.mark.parametrize("size", [10, 300 * KIB])
def test_a_changed_file_is_dropped_and_fetched_again(remote: Counted, folder: Path, size: int) -> None:
    data = noise(1)[:size]
    digest = Blobs(remote).put([data])
    blobs_of(remote, folder).get(digest)
    (file,) = files(folder)
    for place in (0, size // 2, size - 1):
        changed = bytearray(data)
        changed[place] ^= 1
        file.write_bytes(changed)
        assert bytes(blobs_of(remote, folder).get(digest)) == data
        assert file.read_bytes() == data
    file.write_bytes(data[:-1])
    assert bytes(blobs_of(remote, folder).get(digest)) == data


def test_large_files_are_compared_when_asked_for(remote: Counted, folder: Path) -> None:
    data = noise(1)
    digest = Blobs(remote).put([data])
    blobs_of(remote, folder, trusted=KIB).get(digest)
    (file,) = files(folder)
    file.write_bytes(b"?" + data[1:])
    assert bytes(blobs_of(remote, folder, trusted=KIB, always=True).get(digest)) == data


def test_changed_bytes_of_the_store_do_not_enter(remote: Counted, folder: Path) -> None:
    digest = Blobs(remote).put([b"airloom"])
    remote.put(blob_key(digest), [b"airlOom"])
    with pytest.raises(CorruptBlob):
        blobs_of(remote, folder).get(digest)
    assert files(folder) == []


def test_the_least_recently_used_go_first(remote: Counted, folder: Path) -> None:
    digests = [Blobs(remote).put([noise(seed)[: 100 * KIB]]) for seed in range(10)]
    for number, digest in enumerate(digests):
        blobs_of(remote, folder, 10_000 * KIB).get(digest)
        file = folder / digest[3:5] / digest[3:]
        os.utime(file, (number, number))
    used = digests[0]
    blobs_of(remote, folder, 10_000 * KIB).get(used)
    new = Blobs(remote).put([noise(99)[: 100 * KIB]])
    (folder / "looked").unlink()
    blobs_of(remote, folder, 500 * KIB).get(new)
    left = {path.name for path in files(folder)}
    assert left == {digest[3:] for digest in (used, new, digests[8], digests[9])}


def test_the_cache_stays_near_its_limit(remote: Counted, folder: Path) -> None:
    digests = [Blobs(remote).put([noise(seed)[: 100 * KIB]]) for seed in range(40)]
    blobs = blobs_of(remote, folder, 1000 * KIB)
    for digest in digests:
        blobs.get(digest)
        assert sum(path.stat().st_size for path in files(folder)) <= 1100 * KIB


def test_a_blob_that_would_fill_the_cache_is_not_kept(remote: Counted, folder: Path) -> None:
    digest = Blobs(remote).put([noise(1)])
    assert bytes(blobs_of(remote, folder, 400 * KIB).get(digest)) == noise(1)
    assert files(folder) == []


def test_without_a_folder_there_is_no_cache(
    remote: Counted, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.parent.write_text("a file stands where the folder should")
    digests = [Blobs(remote).put([noise(seed)]) for seed in range(2)]
    blobs = blobs_of(remote, folder)
    assert [bytes(blobs.get(digest)) for digest in digests] == [noise(0), noise(1)]
    assert [record.message[:21] for record in caplog.records] == ["no cache from now on:"]


def test_on_a_full_disk_there_is_no_cache(remote: Counted, folder: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from airloom.store.blobs import Blobs
from airloom.store.cache import CachedObjects
from airloom.store.objects import MemoryObjects
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # no file can grow larger
objects = MemoryObjects("full")
digest = Blobs(objects).put([b"x" * 100_000])
for _ in range(2):
    assert bytes(Blobs(CachedObjects(objects, Path(sys.argv[1]), 1 << 30)).get(digest)) == b"x" * 100_000
"""
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, timeout=60)
    assert files(folder) == []


def test_processes_share_the_cache(tmp_path: Path, folder: Path) -> None:
    """Eight read the same blobs at once, while the cache is too small for all of them."""
    store = Blobs(open_objects(str(tmp_path / "store"), Settings()))
    digests = [store.put([noise(seed)]) for seed in range(8)]
    script = """
import random, sys
from pathlib import Path
from airloom.settings import Settings
from airloom.store.blobs import Blobs
from airloom.store.cache import CachedObjects
from airloom.store.objects import open_objects
objects = open_objects(sys.argv[1], Settings())
blobs = Blobs(CachedObjects(objects, Path(sys.argv[2]), 1 << 20))
for _ in range(5):
    for digest in random.sample(sys.argv[3:], len(sys.argv) - 3):
        assert len(blobs.get(digest)) == 300 << 10
"""
    command = [sys.executable, "-c", script, str(tmp_path / "store"), str(folder), *digests]
    running = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(timeout=120) for process in running] == [0] * 4
    for path in files(folder):
        assert path.read_bytes() in {noise(seed) for seed in range(8)}


class TestWhereThereIsOne:
    def test_local_stores_have_none(self, tmp_path: Path) -> None:
        objects = open_objects(str(tmp_path), Settings())
        assert cached(objects, Settings()) is objects

    def test_stores_in_memory_have_none(self) -> None:
        objects = open_objects("memory://x", Settings())
        assert cached(objects, Settings()) is objects

    @pytest.mark.parametrize(("limit", "has_one"), [("0", False), ("1", True)])
    def test_remote_stores_have_one_unless_it_is_turned_off(self, limit: str, has_one: bool) -> None:
        settings = Settings(datastore_root="s3://bucket", cache_limit_mib=limit)
        objects = open_objects(settings.datastore_root, settings)
        assert isinstance(cached(objects, settings), CachedObjects) == has_one

    @pytest.mark.store
    def test_artifacts_of_a_bucket_come_from_this_machine(self, s3: str, tmp_path: Path) -> None:
        settings = Settings(datastore_root=s3, cache_dir=str(tmp_path / "cache"))
        record = Datastore.open(settings).save_artifacts({"x": noise(1)})["x"]
        assert Datastore.open(settings).load_artifact(record, "x").value == noise(1)
        open_objects(s3, settings).delete(blob_key(record.digest))
        assert Datastore.open(settings).load_artifact(record, "x").value == noise(1)
