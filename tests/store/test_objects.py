"""What holds for every kind of store."""

from __future__ import annotations

import array
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airloom.errors import NotFound, SettingsError, StoreError
from airloom.names import escape
from airloom.settings import Settings
from airloom.store.local import LocalObjects
from airloom.store.objects import MemoryObjects, Objects, open_objects

REMOTE = ("s3://", "gs://", "az://")


class TestEveryStore:
    def test_what_was_put_is_read(self, objects: Objects) -> None:
        objects.put("a/b", [b"air", b"", bytearray(b"loom")])
        assert objects.get("a/b") == b"airloom"

    def test_parts_may_be_any_memory(self, objects: Objects) -> None:
        numbers = array.array("d", [1.0, 2.0])
        objects.put("a", [numbers, memoryview(b"x"), memoryview(array.array("q"))])
        assert objects.get("a") == numbers.tobytes() + b"x"

    def test_many_parts_are_written_in_order(self, objects: Objects) -> None:
        objects.put("a", [b"%d," % number for number in range(5000)])
        assert objects.get("a") == b"".join(b"%d," % number for number in range(5000))

    def test_large_parts_are_written_whole(self, objects: Objects) -> None:
        data = bytes(range(256)) * (100 << 10)
        objects.put("a", [data[:7], data[7:]])
        assert objects.get("a") == data

    def test_put_replaces(self, objects: Objects) -> None:
        objects.put("a", [b"first"])
        objects.put("a", [b"2nd"])
        assert objects.get("a") == b"2nd"

    def test_put_if_absent_creates_once(self, objects: Objects) -> None:
        assert objects.put_if_absent("a/b", [b"first"])
        assert not objects.put_if_absent("a/b", [b"second"])
        assert objects.get("a/b") == b"first"

    def test_empty_objects_can_be_kept(self, objects: Objects) -> None:
        assert objects.put_if_absent("a", [])
        assert not objects.put_if_absent("a", [b""])
        assert objects.get("a") == b""
        assert bytes(objects.map("a")) == b""

    @pytest.mark.parametrize("size", [3, 3 << 20])
    def test_put_named_creates_once(self, objects: Objects, size: int) -> None:
        assert objects.put_named([b"x" * size], lambda: "a/b")
        assert not objects.put_named([b"y" * size], lambda: "a/b")
        assert objects.get("a/b") == b"x" * size

    @pytest.mark.parametrize("size", [3, 3 << 20])
    def test_put_named_replaces_an_object_that_a_crash_cut_off(self, objects: Objects, size: int) -> None:
        objects.put("a", [b"x"])
        assert objects.put_named([b"x" * size], lambda: "a")
        assert objects.get("a") == b"x" * size

    @pytest.mark.parametrize("size", [3, 3 << 20])
    def test_put_named_leaves_nothing_when_there_is_no_name(self, objects: Objects, size: int) -> None:
        def name() -> str:
            raise RuntimeError("no name")

        with pytest.raises(RuntimeError, match="no name"):
            objects.put_named([b"x" * size], name)
        assert list(objects.list()) == []

    @pytest.mark.parametrize("size", [3, 3 << 20])
    def test_put_named_makes_what_is_there_new(self, objects: Objects, size: int) -> None:
        objects.put("a/b", [b"x" * size])
        (before,) = objects.entries("a")
        while time.time() <= before.written_at + 0.02:  # the clock of files is coarse
            pass
        assert not objects.put_named([b"x" * size], lambda: "a/b")
        (after,) = objects.entries("a")
        # A bucket cannot change an object's time: what is this new there stays as it is.
        assert after.written_at > before.written_at or objects.root.startswith(REMOTE)

    def test_refresh_says_whether_the_object_is_there_whole(self, objects: Objects) -> None:
        objects.put("a/b", [b"xyz"])
        assert objects.refresh("a/b", 3)
        assert not objects.refresh("a/b", 2)
        assert not objects.refresh("a/c", 0)

    def test_entries_tell_sizes_and_times_in_the_order_of_the_keys(self, objects: Objects) -> None:
        before = time.time()
        for key, data in (("a/c/d", b"1"), ("a/b", b"123"), ("ab", b"")):
            objects.put(key, [data])
        found = list(objects.entries("a"))
        assert [(entry.key, entry.size) for entry in found] == [("a/b", 3), ("a/c/d", 1)]
        assert all(before - 60 < entry.written_at < before + 60 for entry in found)

    def test_many_are_deleted_at_once(self, objects: Objects) -> None:
        for key in ("a/b", "a/c", "d"):
            objects.put(key, [b""])
        objects.delete_many(iter(["a/b", "a/c", "nothing"]))
        assert list(objects.list()) == ["d"]
        assert objects.children() == ["d"]

    def test_a_range_is_cut_at_the_end(self, objects: Objects) -> None:
        objects.put("a", [b"0123456789"])
        assert objects.get_range("a", 3, 4) == b"3456"
        assert objects.get_range("a", 8, 10) == b"89"
        assert objects.get_range("a", 20, 1) == b""

    def test_a_map_is_private_and_writable(self, objects: Objects) -> None:
        objects.put("a", [b"0123"])
        view = objects.map("a")
        view[0:2] = b"xx"
        assert bytes(view) == b"xx23"
        assert objects.get("a") == b"0123"

    def test_size_and_exists_tell_of_an_object(self, objects: Objects) -> None:
        objects.put("a/b", [b"0123"])
        assert objects.size("a/b") == 4
        assert objects.exists("a/b")
        assert not objects.exists("a/c")

    @pytest.mark.parametrize("read", ["get", "map", "size"])
    def test_a_missing_object_is_not_found(self, objects: Objects, read: str) -> None:
        with pytest.raises(NotFound, match="no such object"):
            getattr(objects, read)("a/b")

    def test_a_listing_is_sorted_as_keys_are(self, objects: Objects) -> None:
        keys = ["a-b", "a/b", "a/c/d", "a0", "b/a", "a/c-d"]
        for key in keys:
            objects.put(key, [b""])
        assert list(objects.list()) == sorted(keys)

    def test_a_listing_begins_after_a_key(self, objects: Objects) -> None:
        keys = sorted(["a-b", "a/b", "a/c/d", "a0", "b/a", "a/c-d"])
        for key in keys:
            objects.put(key, [b""])
        for key in [*keys, "a", "a/", "a/c", "z"]:
            assert list(objects.list(start_after=key)) == [other for other in keys if other > key]

    def test_a_prefix_is_a_folder(self, objects: Objects) -> None:
        for key in ("a/b", "a/c/d", "ab/c"):
            objects.put(key, [b""])
        assert list(objects.list("a")) == ["a/b", "a/c/d"]
        assert list(objects.list("a", start_after="a/b")) == ["a/c/d"]
        assert list(objects.list("nothing")) == []

    def test_children_are_the_names_directly_below(self, objects: Objects) -> None:
        for key in ("a/b", "a/c/d", "a/c/e", "b"):
            objects.put(key, [b""])
        assert objects.children("a") == ["b", "c"]
        assert objects.children() == ["a", "b"]
        assert objects.children("nothing") == []
        assert objects.children("b") == []

    def test_a_folder_has_objects_and_folders(self, objects: Objects) -> None:
        for key in ("a/b", "a/c/d", "a/c/e", "b"):
            objects.put(key, [key.encode()])
        entries, folders = objects.folder("a")
        assert [(entry.key, entry.size) for entry in entries] == [("a/b", 3)]
        assert folders == ["c"]
        entries, folders = objects.folder()
        assert ([entry.key for entry in entries], folders) == (["b"], ["a"])
        assert objects.folder("nothing") == ([], [])

    def test_an_object_is_described(self, objects: Objects) -> None:
        objects.put("a/b", [b"four"])
        (listed,) = objects.entries("a")
        assert objects.entry("a/b") == listed
        assert listed.size == 4
        with pytest.raises(NotFound):
            objects.entry("a/c")

    def test_a_folder_is_no_object(self, objects: Objects) -> None:
        objects.put("a/b", [b"x"])
        assert not objects.exists("a")
        with pytest.raises(NotFound):
            objects.size("a")
        with pytest.raises(NotFound):
            objects.get("a")
        with pytest.raises(NotFound):
            objects.map("a")

    def test_a_deleted_object_is_gone(self, objects: Objects) -> None:
        objects.put("a/b", [b"x"])
        objects.delete("a/b")
        objects.delete("a/b")
        assert not objects.exists("a/b")
        assert objects.put_if_absent("a/b", [b"y"])

    @pytest.mark.parametrize(
        "key", ["", "/a", "a/", "..", "a/../b", "a//b", "./a", "a/.tmp", "a\\b", "a\0", "a/.."]
    )
    def test_a_key_never_leaves_the_root(self, objects: Objects, key: str) -> None:
        with pytest.raises(StoreError, match="cannot be a key"):
            objects.put(key, [b"x"])
        with pytest.raises(StoreError, match="cannot be a key"):
            objects.get(key)

    @settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
    def test_any_escaped_name_is_a_key(self, objects: Objects, name: str) -> None:
        key = f"names/{escape(name)}"
        objects.put(key, [name.encode()])
        assert objects.get(key) == name.encode()

    def test_a_store_is_opened_again_by_its_root(self, objects: Objects) -> None:
        objects.put("a", [b"x"])
        assert open_objects(objects.root, Settings()).get("a") == b"x"


class TestOpen:
    def test_a_path_is_a_folder(self, tmp_path: Path) -> None:
        assert open_objects(str(tmp_path / "x"), Settings()).root == str(tmp_path / "x")

    def test_a_relative_path_stays_where_it_was(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        objects = open_objects("store", Settings())
        monkeypatch.chdir("/")
        objects.put("a", [b"x"])
        assert (tmp_path / "store" / "a").read_bytes() == b"x"

    def test_a_home_folder_is_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert open_objects("~/store", Settings()).root == str(tmp_path / "store")

    def test_a_file_url_is_a_folder(self, tmp_path: Path) -> None:
        assert open_objects(f"file://{tmp_path}/my%20store", Settings()).root == f"{tmp_path}/my store"

    def test_a_file_url_with_another_host_is_refused(self) -> None:
        with pytest.raises(SettingsError, match="three slashes"):
            open_objects("file://host/folder", Settings())

    def test_memory_is_shared_by_its_name(self) -> None:
        MemoryObjects("shared").put("a", [b"x"])
        assert open_objects("memory://shared", Settings()).get("a") == b"x"

    def test_no_folder_is_refused(self) -> None:
        with pytest.raises(SettingsError, match="no folder"):
            open_objects("", Settings())

    def test_opening_makes_nothing(self, tmp_path: Path) -> None:
        assert list(LocalObjects(tmp_path / "store").list()) == []
        assert not (tmp_path / "store").exists()
