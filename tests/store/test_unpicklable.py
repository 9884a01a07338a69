"""What cannot be saved is refused: which part it is, and what to do."""

from __future__ import annotations

import socket
import sqlite3
import sys
import threading
import types

import pytest

from airloom.errors import ArtifactError
from airloom.store import artifacts
from airloom.store.blobs import Blobs
from airloom.store.records import ArtifactRecord
from airloom.store.serializers import encode


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "what", "mend"),
        [
            ((n for n in range(3)), "self.x of type generator cannot be saved", "make it a list"),
            (
                {"model": lambda: 1, "lock": threading.Lock()},
                "self.x['lock'] of type _thread.lock cannot be saved",
                "make a new one where it is used",
            ),
            ([1, [2, (n for n in "a")]], "self.x[1][1] of type generator cannot be saved", "make it a list"),
            (
                types.SimpleNamespace(db=sqlite3.connect(":memory:")),
                "self.x.db of type sqlite3.Connection cannot be saved",
                "connect again",
            ),
            (threading.Event(), "_thread.lock cannot be saved", "make a new one"),
            (sys._getframe(), "self.x of type frame cannot be saved", "rebuilds it"),
        ],
        ids=["generator", "lock", "nested", "database", "event", "frame"],
    )
    def test_the_part_that_cannot_be_saved_is_named(self, value: object, what: str, mend: str) -> None:
        with pytest.raises(ArtifactError) as caught:
            encode("x", value)
        if isinstance(value, types.SimpleNamespace):
            value.db.close()
        assert what in caught.value.what
        assert mend in caught.value.mend
        assert str(caught.value.where).startswith("self.x")

    def test_a_socket_is_refused(self) -> None:
        with socket.socket() as connection, pytest.raises(ArtifactError, match=r"of type socket\.socket"):
            encode("x", connection)

    def test_a_value_that_is_nested_too_deeply_is_refused(self) -> None:
        deep: list[object] = []
        for _ in range(100_000):
            deep = [deep]
        with pytest.raises(ArtifactError, match="nested too deeply"):
            encode("x", deep)

    def test_an_error_of_the_value_s_own_code_is_told(self) -> None:
        class Odd:
            def __reduce__(self) -> str:
                raise LookupError("no such thing")

        with pytest.raises(ArtifactError, match="LookupError: no such thing"):
            encode("x", Odd())

    def test_an_unknown_serializer_is_named(self, blobs: Blobs) -> None:
        record = ArtifactRecord("b3:" + "0" * 64, 1, "int", "arrow/9")
        with pytest.raises(ArtifactError, match="arrow/9"):
            artifacts.load(blobs, record, "F/1/s/0/x")
