"""What must never happen: a record without its blobs, two winners, an old attempt that counts, half files."""

from __future__ import annotations

import errno
import io
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airloom.digests import digest_of
from airloom.errors import CorruptBlob, NotFound, StoreError
from airloom.names import unescape
from airloom.settings import Settings
from airloom.store.blobs import blob_key
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import ArtifactRecord, BeginRecord, DoneRecord, Outcome, RunRecord, Usage
from airloom.store.verify import verify

HERE = Path(__file__).parent
NOW = "2026-11-25T10:00:00+00:00"
KEY = TaskKey("Train", "7", "fit", "0")


def opened(root: Path | str, verify: str = "always") -> Datastore:
    return Datastore.open(Settings(datastore_root=str(root), verify=verify))


def begin(attempt: int) -> BeginRecord:
    return BeginRecord(NOW, "host", 1, attempt)


def commit(store: Datastore, **values: object) -> DoneRecord:
    """Write a run with one task."""
    store.create_run(RunRecord("Train", "7", "b3:0", NOW, "ada"))
    attempt = store.claim(KEY, begin)
    record = DoneRecord(NOW, store.save_artifacts(values), Outcome(), Usage(1.0, 1.0, 1.0))
    store.commit(KEY, attempt, record)
    return record


def files(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*") if path.is_file()}


def run_program(name: str, *arguments: object, env: dict[str, str] | None = None) -> dict[str, Any]:
    command = [sys.executable, str(HERE / name), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=500)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder that is quickly filled and removed, where the machine has such."""
    place = Path("/dev/shm")
    there = place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free > 4 << 30
    with tempfile.TemporaryDirectory(dir=place if there else tmp_path) as folder:
        yield Path(folder)


class TestKilledWriters:
    @pytest.mark.slow
    def test_no_reader_sees_half_of_anything(self, in_memory: Path) -> None:
        found = run_program("killed_writers.py", in_memory / "store", 150, 20261125)
        assert found["wrong"] == []
        assert found["runs"] > 0
        assert found["done"] > 0
        assert found["open"] > 0

    @pytest.mark.slow
    @pytest.mark.store
    def test_nor_in_a_bucket(self, s3: str) -> None:
        found = run_program("killed_writers.py", s3, 60, 20261125)
        assert found["wrong"] == []
        assert found["runs"] > 0


class TestRaces:
    @pytest.mark.slow
    def test_of_sixteen_writers_of_one_key_one_wins(self, tmp_path: Path) -> None:
        found = run_program("races.py", tmp_path / "store", 16, 100)
        assert found["wrong"] == []


ZOMBIE = """
import os, sys
from airloom.errors import AlreadyExists
from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import BeginRecord, DoneRecord, Outcome, Usage

NOW = "2026-11-25T10:00:00+00:00"
store = Datastore.open(Settings(datastore_root=sys.argv[1]))
key = TaskKey("Train", "7", "fit", "0")
attempt = store.claim(key, lambda found: BeginRecord(NOW, "host", os.getpid(), found))
saved = store.save_artifacts({"who": "zombie", "large": b"z" * 2_000_000})
print("about to commit", attempt, flush=True)
sys.stdin.readline()
store.write_log(key, attempt, b"log of the zombie")
store.commit(key, attempt, DoneRecord(NOW, saved, Outcome(), Usage(1.0, 1.0, 1.0)))
print("committed", flush=True)
"""


@pytest.fixture
def zombie(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A writer that was stopped right before it commits attempt 0."""
    command = [sys.executable, "-c", ZOMBIE, str(tmp_path / "store")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "about to commit 0\n"
        os.kill(process.pid, signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        yield process
    finally:
        process.kill()
        process.communicate()


class TestZombies:
    def test_an_attempt_that_wakes_up_changes_nothing_for_who_reads(
        self, tmp_path: Path, zombie: subprocess.Popen[str]
    ) -> None:
        store = opened(tmp_path / "store")
        record = commit(store, who="second", large=b"s" * 2_000_000)
        store.write_log(KEY, 1, b"log of the second")
        os.kill(zombie.pid, signal.SIGCONT)
        said, _ = zombie.communicate("\n", timeout=120)
        assert (said, zombie.returncode) == ("committed\n", 0)
        assert opened(tmp_path / "store").done_attempt(KEY) == (1, record)
        assert store.load_artifact(store.done(KEY).artifacts["who"], "who").value == "second"
        assert store.log(KEY, 1) == b"log of the second"
        # What it has written is its own, and can be looked at.
        assert store.load_artifact(store.done(KEY, 0).artifacts["who"], "who").value == "zombie"

    def test_an_attempt_that_was_given_up_for_good_stays_so(
        self, tmp_path: Path, zombie: subprocess.Popen[str]
    ) -> None:
        os.kill(zombie.pid, signal.SIGKILL)
        zombie.communicate()
        store = opened(tmp_path / "store")
        assert store.done_attempt(KEY) is None
        assert store.attempts(KEY) == [0]
        record = commit(store, who="second")
        assert store.done_attempt(KEY) == (1, record)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("to mount a small disk needs root, and a container that may")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files of this process can have 1 MiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def save_for_ever(store: Datastore, size: int) -> None:
    for number in itertools.count(1):
        store.save_artifacts({"more": noise(size, number)})


def write_for_ever(file: io.FileIO) -> None:
    while True:
        file.write(bytes(4096))


def assert_whole(root: Path) -> None:
    """All blobs are the ones that their names say, and nothing else was left."""
    for path in (root / "blobs").rglob("*"):
        if path.is_file():
            assert digest_of([path.read_bytes()]) == unescape(path.name)
    assert not list((root / ".tmp").iterdir())


class TestFullDisks:
    @pytest.mark.parametrize("size", [400_000, 3_900_000], ids=["at once", "while it is hashed"])
    def test_a_full_disk_is_told_and_nothing_is_half_written(self, small_disk: Path, size: int) -> None:
        store = opened(small_disk / "store")
        commit(store, first=noise(300_000))
        with pytest.raises(StoreError, match="No space left") as caught:
            save_for_ever(store, size)
        assert "make room" in caught.value.mend
        assert_whole(small_disk / "store")
        assert store.load_artifact(store.done(KEY).artifacts["first"], "first").value == noise(300_000)

    def test_records_are_whole_or_not_there_on_a_full_disk(self, small_disk: Path) -> None:
        store = opened(small_disk / "store")
        commit(store, first=1)
        with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError) as full:
            write_for_ever(filler)
        assert full.value.errno == errno.ENOSPC
        with pytest.raises(StoreError, match="No space left"):
            store.claim(KEY, begin)
        assert store.attempts(KEY) == [0]
        (small_disk / "filler").unlink()
        assert store.claim(KEY, begin) == 1
        assert store.load_artifact(store.done(KEY).artifacts["first"], "first").value == 1

    def test_a_limit_on_the_size_of_files_is_told(self, tmp_path: Path, small_files: None) -> None:
        store = opened(tmp_path / "store")
        commit(store, first=noise(500_000))
        with pytest.raises(StoreError, match="too large"):
            store.save_artifacts({"more": noise(2_000_000, 1)})
        assert_whole(tmp_path / "store")
        assert store.load_artifact(store.done(KEY).artifacts["first"], "first").value == noise(500_000)


@pytest.fixture
def read_only(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """A store's folder that, from the call on, nobody can write to."""
    if os.geteuid() == 0:
        disk: Path = request.getfixturevalue("small_disk")

        def lock() -> Path:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            return disk / "store"

        (disk / "store").mkdir()
        (tmp_path / "store").symlink_to(disk / "store")
        yield lock
        return
    folders: list[Path] = []

    def forbid() -> Path:
        folders.extend(
            path for path in (tmp_path / "store", *(tmp_path / "store").rglob("*")) if path.is_dir()
        )
        for folder in folders:
            folder.chmod(0o555)
        return tmp_path / "store"

    yield forbid
    for folder in folders:
        folder.chmod(0o755)


def test_a_folder_that_cannot_be_written_to_is_read_and_told(
    tmp_path: Path, read_only: Callable[[], Path]
) -> None:
    commit(opened(tmp_path / "store"), first="value")
    root = read_only()
    before = files(root)
    store = opened(root)
    assert store.load_artifact(store.done(KEY).artifacts["first"], "first").value == "value"
    for write in (
        lambda: store.claim(KEY, begin),
        lambda: store.save_artifacts({"more": noise(300_000)}),
        lambda: store.save_artifacts({"more": noise(2_000_000)}),
        lambda: store.write_log(KEY, 0, b"text"),
        lambda: store.end_run("Train", "7", True),
    ):
        with pytest.raises(StoreError, match=r"Read-only file system|Permission denied") as caught:
            write()
        assert "give this user the right" in caught.value.mend
    assert files(root) == before


class TestFlippedBytes:
    """Any byte of a blob that is another one than the one that was saved is found."""

    @pytest.fixture
    def load(self, tmp_path: Path) -> Callable[[ArtifactRecord], object]:
        return lambda record: opened(tmp_path / "store").load_artifact(record, "Train/7/fit/0/x").value

    @pytest.mark.parametrize(
        "value",
        [b"some bytes", {"a": [1, 2.5, None, "ü"]}, {1, 2, 3}, "text " * 40],
        ids=["bytes", "json", "pickle", "text"],
    )
    def test_each_byte_of_a_small_one(
        self, tmp_path: Path, load: Callable[[ArtifactRecord], object], value: object
    ) -> None:
        record = commit(opened(tmp_path / "store"), x=value).artifacts["x"]
        path = tmp_path / "store" / blob_key(record.pack or record.digest)
        saved = path.read_bytes()
        for place in range(len(saved)):
            path.write_bytes(saved[:place] + bytes([saved[place] ^ (1 << place % 8)]) + saved[place + 1 :])
            with pytest.raises(CorruptBlob, match="other bytes"):
                load(record)
        path.write_bytes(saved)
        assert load(record) == value

    @pytest.mark.parametrize("kind", ["bytes", "array"])
    def test_bytes_of_a_large_one(
        self, tmp_path: Path, load: Callable[[ArtifactRecord], object], kind: str
    ) -> None:
        numpy = pytest.importorskip("numpy")
        value = noise(1_500_000) if kind == "bytes" else numpy.arange(200_000.0)
        record = commit(opened(tmp_path / "store"), x=value).artifacts["x"]
        path = tmp_path / "store" / blob_key(record.digest)
        saved = bytearray(path.read_bytes())
        chance = random.Random(kind)
        ends = [0, 1, 63, 64, len(saved) - 1]
        for place in [*ends, *(chance.randrange(len(saved)) for _ in range(100))]:
            saved[place] ^= 1 << place % 8
            path.write_bytes(saved)
            with pytest.raises(CorruptBlob, match="other bytes"):
                load(record)
            saved[place] ^= 1 << place % 8

    def test_bytes_of_a_value_among_others(
        self, tmp_path: Path, load: Callable[[ArtifactRecord], object]
    ) -> None:
        records = commit(opened(tmp_path / "store"), one=[1], two="two" * 50, six={6}).artifacts
        (pack,) = {record.pack for record in records.values()}
        assert pack is not None
        path = tmp_path / "store" / blob_key(pack)
        saved = path.read_bytes()
        for place in range(len(saved)):
            path.write_bytes(saved[:place] + bytes([saved[place] ^ 0x10]) + saved[place + 1 :])
            found = [name for name, record in records.items() if not _loads(load, record)]
            assert found, f"nobody has seen that byte {place} is another one"

    def test_the_check_of_the_whole_store_finds_them_too(self, tmp_path: Path) -> None:
        store = opened(tmp_path / "store")
        records = commit(store, one=[1], large=noise(300_000)).artifacts
        for record in records.values():
            path = tmp_path / "store" / blob_key(record.pack or record.digest)
            saved = bytearray(path.read_bytes())
            chance = random.Random(len(saved))
            for place in {0, len(saved) - 1, *(chance.randrange(len(saved)) for _ in range(5))}:
                saved[place] ^= 1
                path.write_bytes(saved)
                (found,) = [one for one in verify(store._objects, []).findings if "blobs/" in one.key]
                assert found.kind == "corrupt"
                saved[place] ^= 1
            path.write_bytes(saved)
        assert [one for one in verify(store._objects, []).findings if "blobs/" in one.key] == []


def _loads(load: Callable[[ArtifactRecord], object], record: ArtifactRecord) -> bool:
    try:
        load(record)
    except CorruptBlob:
        return False
    return True


class TestPowerCuts:
    """What a file system can leave when the machine goes off: names without their bytes."""

    @pytest.mark.parametrize("left", [b"", b"\0" * 100, b"half"], ids=["empty", "zeros", "cut off"])
    def test_a_blob_without_its_bytes_is_told_and_healed_by_the_next_save(
        self, tmp_path: Path, left: bytes
    ) -> None:
        store = opened(tmp_path / "store")
        record = commit(store, x=noise(300_000)).artifacts["x"]
        path = tmp_path / "store" / blob_key(record.digest)
        path.write_bytes(left)
        with pytest.raises(CorruptBlob, match=f"{len(left)} bytes instead of"):
            opened(tmp_path / "store").load_artifact(record, "x")
        assert opened(tmp_path / "store").save_artifacts({"x": noise(300_000)})["x"] == record
        assert store.load_artifact(record, "x").value == noise(300_000)

    def test_a_missing_blob_is_something_else(self, tmp_path: Path) -> None:
        store = opened(tmp_path / "store")
        record = commit(store, x=noise(300_000)).artifacts["x"]
        (tmp_path / "store" / blob_key(record.digest)).unlink()
        with pytest.raises(NotFound, match="no such object"):
            store.load_artifact(record, "x")

    @pytest.mark.parametrize("left", [b"", b'{"finished_at": "20'], ids=["empty", "cut off"])
    def test_a_record_without_its_bytes_is_told_and_a_new_attempt_counts(
        self, tmp_path: Path, left: bytes
    ) -> None:
        store = opened(tmp_path / "store")
        commit(store, x=1)
        (done,) = (tmp_path / "store").rglob("done.json")
        done.write_bytes(left)
        with pytest.raises(CorruptBlob, match="a record cannot be read"):
            store.done_attempt(KEY)
        second = commit(store, x=2)
        assert store.done_attempt(KEY) == (1, second)

    def test_files_that_were_being_written_are_never_read(self, tmp_path: Path) -> None:
        store = opened(tmp_path / "store")
        commit(store, x=1)
        before = sorted(store._objects.list())
        for name in ("0" * 24, "flows", "blobs"):
            (tmp_path / "store" / ".tmp" / name).write_bytes(b"half of something")
        assert sorted(store._objects.list()) == before
        assert store.flows() == ["Train"]
