from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

import airloom
from airloom import S3, ObjectStore
from airloom.errors import NotFound, SettingsError, StoreError, StoreUnavailable
from airloom.object_store import GetObject, PutObject, RangeInfo, transfer
from airloom.object_store.places import Place
from airloom.object_store.transfer import PIECE, side_by_side
from airloom.store.objects import MemoryObjects


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.store)])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place of each kind in which nothing is."""
    if request.param == "s3":
        url: str = request.getfixturevalue("s3")
        return url
    return str(tmp_path / "objects") if request.param == "local" else f"memory://{uuid4()}"


@pytest.fixture
def store(root: str) -> Iterator[ObjectStore]:
    with ObjectStore(root) as opened:
        yield opened


@pytest.fixture
def datastore_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "datastore"
    monkeypatch.setenv("AIRLOOM_DATASTORE_ROOT", str(folder))
    return folder


class TestPutAndGet:
    def test_what_was_put_is_got(self, store: ObjectStore) -> None:
        url = store.put("a/b.txt", "Grüße")
        found = store.get("a/b.txt")
        assert (found.key, found.url, found.text, found.blob) == ("a/b.txt", url, "Grüße", "Grüße".encode())
        assert (found.size, found.exists, found.downloaded) == (7, True, True)
        assert found.path is not None
        assert Path(found.path).read_bytes() == found.blob
        assert url == f"{store.root}/a/b.txt"

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"bytes",
            bytearray(b"more"),
            memoryview(b"views")[1:],
            "",
            io.BytesIO(b"file"),
            io.StringIO("ü"),
        ],
        ids=["empty", "bytes", "bytearray", "memoryview", "text", "BytesIO", "StringIO"],
    )
    def test_bytes_come_in_many_forms(self, tmp_path: Path, value: object) -> None:
        expected = (
            value.getvalue()
            if isinstance(value, (io.BytesIO, io.StringIO))
            else value.encode()
            if isinstance(value, str)
            else bytes(value)  # type: ignore[call-overload]
        )
        with ObjectStore(tmp_path) as store:
            store.put("key", value)
            assert store.get("key").blob == (expected.encode() if isinstance(expected, str) else expected)

    def test_an_open_file_is_put(self, store: ObjectStore, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"12345")
        with (tmp_path / "file").open("rb") as file:
            file.seek(2)
            store.put("key", file)
        assert store.get("key").blob == b"345"

    def test_an_array_is_put_as_its_bytes(self, tmp_path: Path) -> None:
        numpy = pytest.importorskip("numpy")
        with ObjectStore(tmp_path) as store:
            store.put("key", numpy.arange(6, dtype="<i2").reshape(2, 3))
            assert store.get("key").blob == b"\0\0\1\0\2\0\3\0\4\0\5\0"
            with pytest.raises(StoreError, match="ndarray cannot be put"):
                store.put("key", numpy.arange(6)[::2])

    def test_a_value_that_is_no_bytes_is_refused(self, tmp_path: Path) -> None:
        with ObjectStore(tmp_path) as store:
            for value in ({"a": 1}, 3, None):
                with pytest.raises(StoreError, match="cannot be put as bytes"):
                    store.put("key", value)
            assert store.list_paths() == []

    def test_an_object_is_replaced_unless_asked_not_to(self, store: ObjectStore) -> None:
        store.put("key", "first")
        store.put("key", "second")
        assert store.put("key", "third", overwrite=False) == f"{store.root}/key"
        assert store.get("key").text == "second"
        store.put_many([("key", "fourth"), ("new", "one")], overwrite=False)
        assert [one.text for one in store.get_many(["key", "new"])] == ["second", "one"]

    def test_many_are_put_and_got_in_their_order(self, store: ObjectStore) -> None:
        keys = [f"folder/{number:03}" for number in range(60)]
        put = store.put_many((key, key * 3) for key in keys)
        assert put == [(key, f"{store.root}/{key}") for key in keys]
        found = store.get_many(reversed(keys))
        assert [(one.key, one.text) for one in found] == [(key, key * 3) for key in reversed(keys)]
        assert len({one.path for one in found}) == 60

    def test_files_are_put(self, store: ObjectStore, tmp_path: Path) -> None:
        for name, data in (("one", b"1" * 10), ("empty", b"")):
            (tmp_path / name).write_bytes(data)
        store.put_files([("x/one", str(tmp_path / "one")), ("x/empty", tmp_path / "empty")])
        store.put_files([PutObject("x/two", path=str(tmp_path / "one"))])
        assert [one.size for one in store.get_many(["x/one", "x/empty", "x/two"])] == [10, 0, 10]

    def test_nothing_is_put_when_a_file_is_missing(self, store: ObjectStore, tmp_path: Path) -> None:
        (tmp_path / "one").write_bytes(b"1")
        with pytest.raises(NotFound, match="no such file"):
            store.put_files([("one", tmp_path / "one"), ("two", tmp_path / "two")])
        assert store.list_recursive() == []

    def test_objects_of_many_pieces_come_back_whole(self, store: ObjectStore, tmp_path: Path) -> None:
        for size in (PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5):
            data = os.urandom(size)
            (tmp_path / "file").write_bytes(data)
            store.put_files([("large", tmp_path / "file")])
            assert store.get("large").blob == data

    @pytest.mark.parametrize("key", ["with space", "ü/ä", "a#b", "50%", "%20", "a+b=c&d?e", "x:y", "~/*"])
    def test_keys_are_kept_as_they_are(self, store: ObjectStore, key: str) -> None:
        store.put(key, "x")
        assert store.get(key).text == "x"
        assert [one.key for one in store.list_recursive()] == [key]

    def test_slashes_around_a_key_do_not_count(self, store: ObjectStore) -> None:
        store.put("/a/b/", "x")
        assert store.get("a/b").text == "x"

    @pytest.mark.parametrize("key", ["", "/", "..", "a/../b", "a//b", ".hidden", "a\\b", "a\0b"])
    def test_what_cannot_be_a_key_is_refused(self, tmp_path: Path, key: str) -> None:
        with ObjectStore(tmp_path / "root") as store:
            with pytest.raises(StoreError, match="key"):
                store.put(key, "x")
            with pytest.raises(StoreError, match="key"):
                store.get(key)
        assert not (tmp_path / "root").exists()


class TestMissing:
    def test_it_is_an_error(self, store: ObjectStore) -> None:
        store.put("there", "x")
        for ask in (store.get, store.info):
            with pytest.raises(NotFound, match="no such object") as caught:
                ask("gone")
            assert f"{store.root}/gone" in str(caught.value.where)
        for many in (store.get_many, store.info_many):
            with pytest.raises(NotFound, match="2 of 3"):
                many(["gone", "there", "lost"])

    def test_or_it_is_answered(self, store: ObjectStore) -> None:
        store.put("there", "x")
        for found in (
            store.get_many(["gone", "there"], return_missing=True),
            store.info_many(["gone", "there"], return_missing=True),
        ):
            assert [one.exists for one in found] == [False, True]
        gone = store.get("gone", return_missing=True)
        assert (gone.key, gone.size, gone.path, gone.blob, gone.text) == ("gone", None, None, None, None)
        assert store.get(GetObject("gone", 1, 2), return_missing=True).exists is False

    def test_a_folder_is_no_object(self, store: ObjectStore) -> None:
        store.put("a/b", "x")
        assert not store.get("a", return_missing=True).exists
        assert not store.info("a", return_missing=True).exists


class TestRanges:
    @pytest.mark.parametrize(
        ("offset", "length", "expected"),
        [
            (2, 3, b"234"),
            (7, None, b"789"),
            (None, 2, b"01"),
            (None, -4, b"6789"),
            (0, None, b"0123456789"),
            (8, 100, b"89"),
            (0, 0, b""),
            (None, -100, b"0123456789"),
        ],
    )
    def test_a_part_is_read(
        self, store: ObjectStore, offset: int | None, length: int | None, expected: bytes
    ) -> None:
        store.put("key", "0123456789")
        found = store.get(GetObject("key", offset, length))
        assert (found.blob, found.size) == (expected, len(expected))
        if (offset, length) == (2, 3):
            assert found.range_info == RangeInfo(10, 2, 3)

    def test_any_object_with_a_key_can_name_a_part(self, store: ObjectStore) -> None:
        store.put("key", "0123456789")
        found = store.get_many([SimpleNamespace(key="key", offset=1, length=2), "key"])  # type: ignore[list-item]
        assert [one.text for one in found] == ["12", "0123456789"]
        assert found[1].range_info is None

    def test_a_large_part_comes_in_pieces(self, store: ObjectStore) -> None:
        data = os.urandom(3 * PIECE)
        store.put("key", data)
        assert store.get(GetObject("key", 10, 2 * PIECE + 3)).blob == data[10 : 2 * PIECE + 13]
        assert store.get(GetObject("key", PIECE)).blob == data[PIECE:]
        assert store.get(GetObject("key", None, -PIECE - 1)).blob == data[-PIECE - 1 :]


class TestListings:
    @pytest.fixture(autouse=True)
    def _filled(self, store: ObjectStore) -> None:
        store.put_many((key, key) for key in ("a/0.txt", "a/b/1.txt", "a/c/2.txt", "a/d/e/3.txt", "f/4.txt"))

    def test_the_next_level_is_listed(self, store: ObjectStore) -> None:
        found = store.list_paths(["a", "f"])
        assert [(one.key, one.exists, one.prefix) for one in found] == [
            ("a/0.txt", True, "a"),
            ("a/b/", False, "a"),
            ("a/c/", False, "a"),
            ("a/d/", False, "a"),
            ("f/4.txt", True, "f"),
        ]
        assert [one.key for one in store.list_paths()] == ["a/", "f/"]
        assert [one.key for one in store.list_paths(["a/b/"])] == ["a/b/1.txt"]
        assert [one.key for one in store.list_paths(["a/0.txt"])] == ["a/0.txt"]
        assert store.list_paths(["nothing"]) == []

    def test_a_listed_folder_can_be_listed(self, store: ObjectStore) -> None:
        (folder,) = [one for one in store.list_paths(["a"]) if one.key == "a/d/"]
        assert folder.url == f"{store.root}/a/d/"
        assert [one.key for one in store.list_paths([folder.key])] == ["a/d/e/"]

    def test_all_below_is_listed(self, store: ObjectStore) -> None:
        found = store.list_recursive(["a"])
        assert [one.key for one in found] == ["a/0.txt", "a/b/1.txt", "a/c/2.txt", "a/d/e/3.txt"]
        assert [one.size for one in found] == [7, 9, 9, 11]
        assert all(one.last_modified is not None and not one.downloaded for one in found)
        assert len(store.list_recursive()) == 5

    def test_all_below_is_read(self, store: ObjectStore) -> None:
        found = store.get_recursive(["a/b", "f"])
        assert [(one.key, one.text, one.prefix) for one in found] == [
            ("a/b/1.txt", "a/b/1.txt", "a/b"),
            ("f/4.txt", "f/4.txt", "f"),
        ]
        assert sorted(one.text or "" for one in store.get_all()) == [
            one.key for one in store.list_recursive()
        ]

    def test_objects_are_described_without_reading_them(self, store: ObjectStore) -> None:
        one, two = store.info_many(["a/0.txt", "f/4.txt"])
        assert (one.size, two.size) == (7, 7)
        assert not one.downloaded
        assert one.blob is None
        assert one.last_modified is not None
        assert one.last_modified.tzinfo is not None
        assert store.info("a/0.txt").last_modified == one.last_modified


class TestWhere:
    def test_runs_keep_theirs_apart(self, datastore_root: Path) -> None:
        for run in ("7", "manual__2026-11-24T10:00:00+00:00"):
            with ObjectStore(run=f"Train/{run}") as store:
                store.put("model", run)
        for run in ("7", "manual__2026-11-24T10:00:00+00:00"):
            with ObjectStore(run=f"Train/{run}") as store:
                assert [(one.key, one.text) for one in store.get_all()] == [("model", run)]
        assert (datastore_root / "data/runs/Train/7/model").read_text() == "7"

    def test_what_belongs_to_no_run_has_a_folder_of_the_datastore(self, datastore_root: Path) -> None:
        with ObjectStore() as store:
            store.put("a/b", "x")
            assert store.root == str(datastore_root / "data/shared")
        assert (datastore_root / "data/shared/a/b").read_text() == "x"

    def test_runs_are_kept_apart_elsewhere_too(self, tmp_path: Path) -> None:
        with ObjectStore(tmp_path, run="Train/7") as store:
            store.put("a", "x")
            assert [one.key for one in store.list_paths()] == ["a"]
        assert (tmp_path / "Train/7/a").read_text() == "x"

    def test_a_run_of_the_client_is_one(self, tmp_path: Path, datastore_root: Path) -> None:
        with ObjectStore(run=SimpleNamespace(pathspec="Train/7")) as store:
            assert store.root == str(datastore_root / "data/runs/Train/7")

    @pytest.mark.parametrize("run", ["Train", "Train/7/start", 7, ""])
    def test_what_is_no_run_is_refused(self, run: object, datastore_root: Path) -> None:
        with pytest.raises(StoreError, match="is no run"):
            ObjectStore(run=run)

    def test_a_key_can_be_a_whole_url(self, tmp_path: Path, datastore_root: Path) -> None:
        here = f"file://{tmp_path}/elsewhere/a%20key"
        with ObjectStore() as store:
            store.put(here, "x")
            assert store.get(here).text == "x"
            assert (tmp_path / "elsewhere/a key").read_text() == "x"
            (listed,) = store.get_recursive([f"file://{tmp_path}/elsewhere"])
            assert (listed.key, listed.text) == (here, "x")

    @pytest.mark.store
    def test_a_key_can_be_a_url_of_a_bucket(self, s3: str, datastore_root: Path) -> None:
        with ObjectStore() as store:
            url = store.put(f"{s3}/a/b", "x")
            assert url == f"{s3}/a/b"
            assert store.get(url).text == "x"
            listed = store.list_recursive([s3])
            assert [one.key for one in listed] == [url]
            assert [one.text for one in store.get_recursive([s3])] == ["x"]

    def test_a_kind_of_store_that_there_is_not_is_told(self, datastore_root: Path) -> None:
        with ObjectStore() as store, pytest.raises(SettingsError):
            store.get("ftp://host/key")

    def test_metaflows_arguments_say_the_same(self, tmp_path: Path, datastore_root: Path) -> None:
        with S3(run="Train/7") as s3:
            assert s3.root == str(datastore_root / "data/runs/Train/7")
        with S3(s3root=str(tmp_path / "x"), tmproot=str(tmp_path)) as s3:
            s3.put("a", "x")
            assert Path(s3.get("a").path or "").parent.parent == tmp_path
        assert S3(bucket="bucket", prefix="/some/where/", run="Train/7").root == (
            "s3://bucket/some/where/Train/7"
        )
        for wrong in ({"bucket": "bucket"}, {"prefix": "x", "run": "Train/7"}):
            with pytest.raises(StoreError, match="bucket="):
                S3(**wrong)  # type: ignore[arg-type]


class TestFiles:
    def test_they_are_removed_at_the_end_of_the_with(self, tmp_path: Path) -> None:
        (tmp_path / "tmp").mkdir()
        with ObjectStore(tmp_path / "objects", tmproot=str(tmp_path / "tmp")) as store:
            store.put("a", "x")
            assert list((tmp_path / "tmp").iterdir()) == []  # made when it is needed
            found = store.get("a")
            assert len(list((tmp_path / "tmp").iterdir())) == 1
        assert list((tmp_path / "tmp").iterdir()) == []
        with pytest.raises(StoreError, match="inside of the `with`"):
            assert found.blob
        with pytest.raises(StoreError, match="closed"):
            store.get("a")

    def test_they_are_removed_with_the_store_too(self, tmp_path: Path) -> None:
        (tmp_path / "tmp").mkdir()
        store = ObjectStore(tmp_path / "objects", tmproot=str(tmp_path / "tmp"))
        store.put("a", "x")
        store.get("a")
        del store
        assert list((tmp_path / "tmp").iterdir()) == []

    def test_to_change_one_changes_no_object(self, store: ObjectStore) -> None:
        store.put("a", "before")
        path = store.get("a").path
        assert path is not None
        Path(path).write_text("after!")
        assert store.get("a").text == "before"


class TestTransfer:
    def test_an_object_that_is_replaced_while_it_is_read_is_told(self, tmp_path: Path) -> None:
        class Shrinking(MemoryObjects):
            def size(self, key: str) -> int:
                found = super().size(key)
                self.put(key, [b"short"])
                return found

        objects = Shrinking(str(uuid4()))
        objects.put("key", [bytes(3 * PIECE)])
        with pytest.raises(StoreUnavailable, match="replaced while"):
            transfer.download(Place(objects, "key"), str(tmp_path / "file"))

    def test_the_first_error_ends_it(self) -> None:
        done: list[int] = []

        def do(number: int) -> None:
            if number == 3:
                raise StoreError("wrong", where="here", mend="mend it.")
            done.append(number)

        with pytest.raises(StoreError, match="wrong"):
            side_by_side(do, range(2_000))
        assert len(done) < 2_000 - 1

    def test_results_keep_the_order(self) -> None:
        assert side_by_side(str, range(100)) == [str(number) for number in range(100)]
        assert side_by_side(str, []) == []


FLOW = """
from airloom import S3, FlowSpec, ObjectStore, step


class KeepsFiles(FlowSpec):
    @step
    def start(self):
        with S3(run=self) as s3:
            self.url = s3.put("greeting", "hello")
        self.names = ["a", "b"]
        self.next(self.each, foreach="names")

    @step
    def each(self):
        with ObjectStore(run=self) as store:
            store.put(f"parts/{self.input}", store.get("greeting").text + self.input)
        self.next(self.join)

    @step
    def join(self, inputs):
        with ObjectStore(run=self) as store:
            self.texts = sorted(found.text for found in store.get_recursive(["parts"]))
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    KeepsFiles()
"""


def test_a_flow_keeps_objects_by_run(
    tmp_path: Path, command_line: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    file = tmp_path / "keeps.py"
    file.write_text(FLOW)
    root = tmp_path / "store"
    command_line(file, "--quiet", "run", root=root)
    run = airloom.Flow("KeepsFiles", datastore=root, _namespace_check=False).latest_run
    assert run is not None
    assert run.data.texts == ["helloa", "hellob"]
    assert Path(run["start"].task.data.url).read_text() == "hello"
    assert sorted(path.name for path in (root / "data/runs/KeepsFiles" / run.id).iterdir()) == [
        "greeting",
        "parts",
    ]


def test_outside_of_a_step_a_flow_has_no_run(datastore_root: Path) -> None:
    class Idle(airloom.FlowSpec):
        @airloom.step
        def start(self) -> None: ...

    with pytest.raises(StoreError, match="only inside of its steps"):
        ObjectStore(run=Idle(use_cli=False))


def test_it_is_not_loaded_before_it_is_used() -> None:
    script = (
        "import sys, airloom; assert 'airloom.object_store' not in sys.modules;"
        " from airloom import ObjectStore, S3; assert issubclass(S3, ObjectStore)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
