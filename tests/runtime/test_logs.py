"""Lines of a log: as they come, and read back."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airloom.runtime.logs import Log, Stream, captured, parse

pieces = st.lists(st.tuples(st.sampled_from(["o", "e"]), st.text(alphabet="ab \n\r\tü🐧")))


@given(pieces)
def test_a_log_gives_back_the_lines_of_each_stream(written: list[tuple[Stream, str]]) -> None:
    log = Log()
    shown: list[tuple[Stream, str]] = []
    for stream, text in written:
        shown += [(stream, line) for line in log.feed(stream, text)]
    shown += log.close()
    lines = [(line.stream, line.text) for line in parse(log.to_bytes())]
    assert lines == shown
    for stream in ("o", "e"):
        whole = "".join(text for of, text in written if of == stream)
        texts = [text for of, text in lines if of == stream]
        assert (
            texts == (whole.split("\n") if not whole.endswith("\n") else whole.split("\n")[:-1]) or not whole
        )


@given(st.binary())
def test_bytes_come_back_as_they_were(data: bytes) -> None:
    log = Log()
    log.feed("o", data.decode("utf-8", "surrogateescape"))
    log.close()
    kept = b"\n".join(line.split(b" ", 2)[2] for line in log.to_bytes().split(b"\n")[:-1])
    assert kept == data.removesuffix(b"\n") or not data


@given(st.binary())
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    list(parse(data))


def test_an_empty_log_has_no_bytes_and_no_lines() -> None:
    log = Log()
    assert log.close() == []
    assert log.to_bytes() == b""
    assert list(parse(b"")) == []


def test_what_is_captured_still_goes_where_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    with captured() as log:
        print("left")
        sys.stderr.writelines(["right\n", "open"])
        assert sys.stdout.isatty() is False
    assert capsys.readouterr() == ("left\n", "right\nopen")
    assert [line[1:] for line in parse(log.to_bytes())] == [("o", "left"), ("e", "right"), ("e", "open")]


def test_the_streams_are_back_after_an_error() -> None:
    before = sys.stdout, sys.stderr
    with pytest.raises(ZeroDivisionError), captured():
        print("so far", 1 / 0)
    assert (sys.stdout, sys.stderr) == before
