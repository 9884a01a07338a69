"""Values that a serializer of the flow's own code saved, read where that code is not."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom.client import Task
from airloom.store import serializers

if TYPE_CHECKING:
    from tests.client.conftest import Recorder

ROOMS = """
from airloom import register_serializer

class Room:
    version = {version}
    def __init__(self, degrees):
        self.degrees = degrees

class RoomSerializer:
    name = "room/1"
    def dump(self, value):
        return [b"%d" % value.degrees]
    def load(self, data):
        return Room(int(bytes(data)))

register_serializer(RoomSerializer(), Room)
"""


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(serializers, "_homes", {})
    monkeypatch.setattr(serializers, "_by_type", dict(serializers._by_type))
    yield
    sys.modules.pop("room_code", None)


def record(recorder: Recorder, run: str, folder: Path, version: int) -> None:
    """Save a value as the process of a run does that has its own version of the code."""
    text = ROOMS.format(version=version)
    folder.mkdir()
    (folder / "room_code.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        importlib.invalidate_caches()
        module = importlib.import_module("room_code")
        recorder.code(room_code=text)
        recorder.run(run)
        recorder.done(run, "start", width=1, room=module.Room(version * 10))
    sys.modules.pop("room_code")
    serializers._homes.clear()
    serializers._by_type.pop("room_code.Room")


def test_the_serializer_is_found_in_the_code_package(recorder: Recorder, tmp_path: Path) -> None:
    record(recorder, "1", tmp_path / "one", 1)
    artifact = Task("Train/1/start/0")["room"]
    assert artifact.serializer == "room/1@room_code"
    assert artifact.data.degrees == 10


def test_two_runs_load_each_with_their_own_serializer(recorder: Recorder, tmp_path: Path) -> None:
    versions = (2, 3)
    for version in versions:
        record(recorder, str(version), tmp_path / str(version), version)
    for version in versions * 2:
        room = Task(f"Train/{version}/start/0")["room"].data
        assert (room.version, room.degrees) == (version, version * 10)
