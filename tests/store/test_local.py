"""What holds for stores in a folder: races, crashes, and what the system refuses."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airloom.digests import digest_of
from airloom.errors import NotFound, StoreError, StoreUnavailable
from airloom.store.blobs import Blobs, blob_key
from airloom.store.local import LocalObjects

SCRIPT_CREATE = """
from airloom.store.local import LocalObjects
store = LocalObjects(pathlib.Path(root))
wait()
for number in range(100):
    print(int(store.put_if_absent(f"race/{number}", [str(os.getpid()).encode()])))
"""

SCRIPT_WRITE = """
import os, sys
from pathlib import Path
from airloom.store.blobs import Blobs
from airloom.store.local import LocalObjects
store = LocalObjects(Path(sys.argv[1]))
number = 0
print("ready", flush=True)
while True:
    number += 1
    Blobs(store).put([b"%d-%d" % (os.getpid(), number) * (200 << 10)])
    store.put_if_absent(f"records/{os.getpid()}-{number}", [b"whole" * 100])
"""


@pytest.fixture
def store(root: Path) -> LocalObjects:
    return LocalObjects(root)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 1 MiB: a stand-in for a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_of_racing_creators_exactly_one_wins(race: Callable[[str], list[str]], store: LocalObjects) -> None:
    answers = [[int(line) for line in answer.split()] for answer in race(SCRIPT_CREATE)]
    assert [sum(won) for won in zip(*answers, strict=True)] == [1] * 100
    assert len(list(store.list("race"))) == 100


def test_a_killed_writer_leaves_no_partial_object(store: LocalObjects) -> None:
    for pause in (0.02, 0.05, 0.09, 0.14):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT_WRITE, store.root], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    keys = list(store.list())
    assert keys
    for key in keys:
        if key.startswith("records/"):
            assert store.get(key) == b"whole" * 100
        else:
            assert blob_key(digest_of([store.get(key)])) == key


def test_nothing_is_left_beside_the_keys(store: LocalObjects, root: Path) -> None:
    store.put("a", [b"x"])
    store.put_if_absent("a", [b"y"])
    store.put_named([b"z" * (3 << 20)], lambda: "b")
    store.put_named([b"z" * (3 << 20)], lambda: "b")
    assert sorted(files(root)) == [root / "a", root / "b"]


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("put", ["put", "put_if_absent", "put_named"])
def test_a_write_that_fails_leaves_nothing(store: LocalObjects, root: Path, put: str) -> None:
    data = [b"x" * (5 << 20)]
    with pytest.raises(StoreError, match="could not be written"):
        store.put_named(data, lambda: "a") if put == "put_named" else getattr(store, put)("a", data)
    assert files(root) == []


def test_a_full_disk_is_told() -> None:
    try:
        full = os.open("/dev/full", os.O_WRONLY)
    except OSError:
        pytest.skip("no /dev/full")
    store = LocalObjects(Path("/"))
    with pytest.raises(StoreError) as caught, store._told("a", "written"):  # the one place that translates
        os.write(full, b"x")
    os.close(full)
    assert "make room" in caught.value.mend
    assert not caught.value.retriable


@pytest.mark.parametrize(
    ("number", "hint", "retriable"),
    [
        (errno.EACCES, "right", False),
        (errno.EROFS, "right", False),
        (errno.ENAMETOOLONG, "shorter", False),
        (errno.ESTALE, "mount", True),
        (errno.EMFILE, "ulimit", True),
    ],
)
def test_the_system_s_errors_say_how_to_mend_them(number: int, hint: str, retriable: bool) -> None:
    store = LocalObjects(Path("/nowhere"))
    with pytest.raises(StoreError) as caught, store._told("a/b", "written"):
        raise OSError(number, os.strerror(number))
    assert os.strerror(number) in caught.value.what
    assert caught.value.where == "/nowhere/a/b"
    assert hint in caught.value.mend
    assert isinstance(caught.value, StoreUnavailable) is retriable


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    store = LocalObjects(tmp_path / "file")
    for act in (lambda: store.put("a", [b"x"]), lambda: store.get("a"), lambda: list(store.list())):
        with pytest.raises(StoreError, match="Not a directory") as caught:
            act()
        assert "a file stands where a folder is needed" in caught.value.mend


def test_a_file_in_place_of_a_part_of_the_key_is_told(store: LocalObjects) -> None:
    store.put("a", [b"x"])
    with pytest.raises(StoreError, match="could not be written") as caught:
        store.put("a/b", [b"y"])
    assert "a file stands where a folder is needed" in caught.value.mend


def test_a_folder_in_place_of_a_file_is_told(store: LocalObjects) -> None:
    store.put("a/b", [b"x"])
    with pytest.raises(StoreError, match="could not be written"):
        store.put("a", [b"y"])
    with pytest.raises(NotFound):
        store.get("a")


def test_reading_from_a_missing_root_names_it(store: LocalObjects, root: Path) -> None:
    with pytest.raises(NotFound) as caught:
        store.get("a/b")
    assert caught.value.where == f"{root}/a/b"
    assert "AIRLOOM_DATASTORE_ROOT" in caught.value.mend


def test_a_root_that_cannot_be_made_is_told() -> None:
    with pytest.raises(StoreError, match="could not be written"):
        LocalObjects(Path("/proc/nothing/store")).put("a", [b"x"])


def test_a_map_outlives_the_file(store: LocalObjects) -> None:
    store.put("a", [b"0123"])
    view = store.map("a")
    store.put("a", [b"4567"])
    store.delete("a")
    assert bytes(view) == b"0123"


def test_many_maps_do_not_use_up_the_open_files(store: LocalObjects) -> None:
    store.put("a", [b"0123"])
    before = len(list(Path("/proc/self/fd").iterdir()))
    views = [store.map("a") for _ in range(600)]
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 256
    assert all(view[3] == ord("3") for view in views)


def test_a_blob_that_is_there_is_not_written_again(store: LocalObjects, root: Path) -> None:
    data = [b"x" * (64 << 20)]
    digest = Blobs(store).put(data)
    before = (root / blob_key(digest)).stat()
    assert Blobs(store).put(data) == digest
    after = (root / blob_key(digest)).stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)


def test_with_fsync_the_folders_that_were_made_last_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    force = os.fsync

    def noted(fd: int) -> None:
        synced.append(os.path.relpath(Path(f"/proc/self/fd/{fd}").readlink(), root))
        force(fd)

    monkeypatch.setattr(os, "fsync", noted)
    store = LocalObjects(root, fsync=True)
    store.put("a/b/c", [b"x"])
    file, *folders = synced
    assert file.startswith(".tmp/")
    assert folders == ["a/b", "a", "."]
    synced.clear()
    store.put("a/b/d", [b"x"])
    assert synced[1:] == ["a/b"]
    synced.clear()
    store.put("a/e/f", [b"x"])
    assert synced[1:] == ["a/e", "a", "."]


@pytest.mark.usefixtures("small_files")
def test_a_limit_on_files_is_told(store: LocalObjects, root: Path) -> None:
    for size in (5 << 20, 20 << 20):
        with pytest.raises(StoreError, match="File too large") as caught:
            store.put("a", [bytes(size)])
        assert "ulimit -f" in caught.value.mend
    assert files(root) == []
