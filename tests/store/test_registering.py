"""A type of the user's own has a form of its own, in every process; mistakes are told."""

from __future__ import annotations

import array
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from airloom.errors import AirloomError, ArtifactError, FlowError
from airloom.store import artifacts, serializers
from airloom.store.blobs import Blobs
from airloom.store.serializers import register_serializer

ROOMS = """
    from airloom import register_serializer

    class Room:
        def __init__(self, degrees):
            self.degrees = degrees

    class RoomSerializer:
        name = "room/1"

        def dump(self, value):
            return None if value.degrees is None else [b"%d" % value.degrees]

        def load(self, data):
            return Room(int(bytes(data)))

    register_serializer(RoomSerializer(), Room)
"""


@dataclass
class Point:
    x: float


class PointSerializer:
    name = "point/1"

    def dump(self, value: Any) -> Sequence[Any] | None:
        return [b"at ", array.array("d", [value.x])]

    def load(self, data: memoryview) -> object:
        return Point(data[3:].cast("d")[0])


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(serializers, "_homes", {})
    monkeypatch.setattr(serializers, "_by_type", dict(serializers._by_type))


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module that registers a serializer when it is imported."""
    (tmp_path / "rooms.py").write_text(textwrap.dedent(ROOMS))
    monkeypatch.syspath_prepend(tmp_path)
    import rooms  # type: ignore[import-not-found]

    yield rooms
    sys.modules.pop("rooms", None)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be as a process that has not imported the module."""
    sys.modules.pop("rooms", None)
    serializers._homes.clear()
    del serializers._by_type["rooms.Room"]


def save(blobs: Blobs, value: object) -> Any:
    return artifacts.save(blobs, {"x": value})["x"]


def load(blobs: Blobs, record: Any) -> Any:
    return artifacts.load(blobs, record, "F/1/s/0/x").value


def test_parts_of_any_memory_are_saved(blobs: Blobs) -> None:
    register_serializer(PointSerializer(), Point)
    loaded = artifacts.load(blobs, save(blobs, Point(1.5)), "F/1/s/0/x")
    assert loaded.value == Point(1.5)
    assert loaded.unchanged(Point(1.5))
    assert not loaded.unchanged(Point(2.5))


def test_a_type_is_named_without_being_imported(blobs: Blobs) -> None:
    register_serializer(PointSerializer(), f"{__name__}.Point")
    assert save(blobs, Point(1)).serializer == f"point/1@{__name__}"


def test_a_process_that_has_not_registered_it_imports_its_module(
    blobs: Blobs, rooms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = save(blobs, rooms.Room(21))
    assert record.serializer == "room/1@rooms"
    forget(monkeypatch)
    assert load(blobs, record).degrees == 21
    assert "rooms" in sys.modules


def test_what_it_gives_none_for_is_pickled(blobs: Blobs, rooms: Any) -> None:
    record = save(blobs, rooms.Room(None))
    assert record.serializer == "pickle/2"
    assert load(blobs, record).degrees is None


def test_a_module_that_is_gone_is_named(blobs: Blobs, rooms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    record = save(blobs, rooms.Room(21))
    forget(monkeypatch)
    Path(rooms.__file__).unlink()
    with pytest.raises(ArtifactError, match="No module named 'rooms'") as caught:
        load(blobs, record)
    assert caught.value.where == "F/1/s/0/x"
    # So the client looks into the run's code package.
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_module_that_registers_it_no_more_is_named(
    blobs: Blobs, rooms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = save(blobs, rooms.Room(21))
    forget(monkeypatch)
    Path(rooms.__file__).write_text("# empty\n" * 5)
    with pytest.raises(ArtifactError, match="'room/1', which is not registered here") as caught:
        load(blobs, record)
    assert "'rooms'" in caught.value.mend


@pytest.mark.parametrize("name", ["pickle/3", "json/2", "arrow/12"])
def test_a_form_of_a_newer_airloom_is_told(blobs: Blobs, name: str) -> None:
    with pytest.raises(ArtifactError, match=name) as caught:
        load(blobs, replace(save(blobs, 7), serializer=name))
    assert caught.value.mend.startswith("it was written by a newer Airloom: ")


@pytest.mark.parametrize("name", ["pickle", "", "other/1", "json/0", "@", "/@/"])
def test_a_name_that_never_was_is_told(blobs: Blobs, name: str) -> None:
    with pytest.raises(AirloomError):
        load(blobs, replace(save(blobs, 7), serializer=name))


@pytest.mark.parametrize("name", ["point", "point/0", "Point/1", "point/1@x", "json/3", "pickle/2", "a b/1"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    serializer = PointSerializer()
    serializer.name = name
    with pytest.raises(FlowError, match="cannot be the name") as caught:
        register_serializer(serializer, Point)
    assert __name__ in str(caught.value.where)


def test_two_of_one_name_are_refused() -> None:
    class Other(PointSerializer):
        pass

    register_serializer(PointSerializer(), Point)
    register_serializer(PointSerializer(), Point)
    with pytest.raises(FlowError, match=r"PointSerializer and .*Other are both called 'point/1'"):
        register_serializer(Other(), Point)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([memoryview(b"abcd")[::2]], "not C-contiguous"),
        (["text"], "bytes-like"),
        (ValueError("no such degree"), "ValueError: no such degree"),
    ],
    ids=["holes", "text", "raises"],
)
def test_a_serializer_that_fails_is_named(blobs: Blobs, given: Any, told: str) -> None:
    class Bad(PointSerializer):
        name = "bad/1"

        def dump(self, value: Any) -> Sequence[Any] | None:
            if isinstance(given, Exception):
                raise given
            return given  # type: ignore[no-any-return]

    register_serializer(Bad(), Point)
    with pytest.raises(ArtifactError, match=told) as caught:
        save(blobs, Point(1))
    assert caught.value.where == "self.x"
    assert "'bad/1'" in caught.value.what


def test_a_load_that_fails_is_told(blobs: Blobs) -> None:
    class Forgetful(PointSerializer):
        name = "forgetful/1"

        def load(self, data: memoryview) -> object:
            raise LookupError("nothing known")

    register_serializer(Forgetful(), Point)
    with pytest.raises(ArtifactError, match="LookupError: nothing known"):
        load(blobs, save(blobs, Point(1)))
