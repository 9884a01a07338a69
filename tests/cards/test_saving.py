"""Cards reach the store while a task runs and when it has ended, and never fail it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airloom.cards import Component, Markdown
from airloom.cards import page as pages
from airloom.cards.saving import TaskCards
from airloom.errors import StepTimedOut
from airloom.plan import CardPlan
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import CardName, DoneRecord, ErrorRecord, FailedRecord, Usage

KEY = TaskKey("Train", "7", "fit", "0")
Begin = Callable[..., TaskCards]


class Sleepy(Component):
    def html(self) -> str:
        time.sleep(20)
        return ""


def html_of(datastore: Datastore, number: int = 0) -> str:
    return datastore.card(KEY, 0, datastore.cards(KEY, 0)[number])[1].decode()


def test_a_name_is_read_back() -> None:
    for name in (CardName(0, "default"), CardName(12, "blank", "my_plots2")):
        assert CardName.parse(str(name)) == name


def test_cards_are_saved_in_their_order(cards_of: Begin, datastore: Datastore, done: DoneRecord) -> None:
    plans = [CardPlan("blank", f"c{number}") for number in range(11)]
    cards = cards_of(*plans)
    cards.current["c3"].append(Markdown("third"))
    cards.close(done)
    assert [name.id for name in datastore.cards(KEY, 0)] == [plan.id for plan in plans]
    assert "third" in html_of(datastore, 3)


def test_a_running_card_can_be_looked_at_and_gives_way_to_the_final_one(
    cards_of: Begin, datastore: Datastore, done: DoneRecord
) -> None:
    cards = cards_of(CardPlan(refresh_interval_s=0))
    assert datastore.cards(KEY, 0) == []
    for text in ("first", "second"):
        cards.current.append(Markdown(text))
        cards.current.refresh()
    (name,) = datastore.cards(KEY, 0)
    place, live = datastore.card(KEY, 0, name)
    assert place.endswith(".live.html")
    assert b"second" in live
    assert b"running at" in live
    cards.close(done)
    place, final = datastore.card(KEY, 0, name)
    assert datastore.cards(KEY, 0) == [name]
    assert not place.endswith(".live.html")
    assert b"running at" not in final


def test_a_final_card_stays_as_it_is(cards_of: Begin, datastore: Datastore, done: DoneRecord) -> None:
    cards = cards_of(CardPlan())
    cards.close(done)
    before = html_of(datastore)
    cards.current.append(Markdown("too late"))
    cards.current.refresh()
    cards.close(done)
    assert html_of(datastore) == before


def test_a_failed_attempt_shows_what_was_appended_and_the_error(
    cards_of: Begin, datastore: Datastore
) -> None:
    cards = cards_of(CardPlan(), CardPlan("blank", "b"))
    cards.current.append(Markdown("before it failed"))
    error = ErrorRecord("KeyError", "'gone'", "Traceback: here")
    cards.close(FailedRecord("2026-11-24T10:00:00", error, Usage(1, 1, 1)))
    assert "before it failed" in html_of(datastore)
    for number in (0, 1):
        assert "KeyError: &#x27;gone&#x27;" in html_of(datastore, number)


def test_a_card_that_takes_too_long_is_given_up(
    cards_of: Begin, datastore: Datastore, done: DoneRecord
) -> None:
    cards = cards_of(CardPlan(timeout_s=0.1))
    cards.current.append(Sleepy())
    began = time.monotonic()
    cards.close(done)
    assert time.monotonic() - began < 10
    assert "it took longer than its timeout of 0.1 s" in html_of(datastore)


def test_without_save_errors_no_card_is_left(cards_of: Begin, datastore: Datastore, done: DoneRecord) -> None:
    cards = cards_of(CardPlan(timeout_s=0.1, save_errors=False))
    cards.current.append(Sleepy())
    cards.close(done)
    assert datastore.cards(KEY, 0) == []


def test_a_page_that_cannot_be_written_is_an_error_card(
    cards_of: Begin, datastore: Datastore, done: DoneRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> str:
        raise ZeroDivisionError("by <zero>")

    monkeypatch.setattr(pages, "_artifacts", broken)
    cards_of(CardPlan()).close(done)
    assert "could not be written: ZeroDivisionError: by &lt;zero&gt;" in html_of(datastore)


def test_a_store_that_fails_does_not_fail_the_task(
    cards_of: Begin, datastore: Datastore, done: DoneRecord, caplog: pytest.LogCaptureFixture
) -> None:
    cards = cards_of(CardPlan())
    cards.current.append(Markdown("x"))
    Path(datastore.root, "flows/Train/runs/7/tasks/fit/0/0/cards").write_text("in the way")
    cards.current.refresh()
    cards.close(done)
    assert "was not saved" in caplog.text


def test_the_timeout_of_the_step_rings_through_a_refresh(cards_of: Begin) -> None:
    def ring(*_: Any) -> None:
        raise StepTimedOut("late", where="here", mend="wait")

    cards = cards_of(CardPlan())
    cards.current.append(Sleepy())
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(StepTimedOut):
            cards.current.refresh()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_alarm_goes_on_after_a_card_was_written(cards_of: Begin) -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 300)
    try:
        cards_of(CardPlan()).current.refresh()
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 200 < left <= 300
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
