"""The cards of one attempt: what the step appends, written while it runs and when it has ended.

A card is never a reason for a task to fail: what goes wrong is logged, and stands on a card of its own.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timezone
from types import FrameType

from airloom.cards.collector import CardPage, Cards
from airloom.cards.page import TaskFacts, error_page, page
from airloom.errors import StepTimedOut
from airloom.plan import Plan
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import CardName, DoneRecord, FailedRecord, RunRecord

_log = logging.getLogger(__name__)

End = DoneRecord | FailedRecord


class _TookTooLong(StepTimedOut):
    """Of the kind that rendering does not keep for itself."""


class TaskCards:
    """The cards of one attempt; ``current`` is what the step sees.

    Parameters
    ----------
    alarm
        Bound the time that a card takes; not under a debugger.
    """

    def __init__(
        self,
        datastore: Datastore,
        key: TaskKey,
        attempt: int,
        plan: Plan,
        run: RunRecord,
        flow: type,
        *,
        alarm: bool = True,
    ) -> None:
        self._datastore = datastore
        self._key = key
        self._attempt = attempt
        self._alarm = alarm
        self._lock = threading.Lock()
        step = plan.step(key.step)
        self._facts = TaskFacts(key.pathspec, attempt, _now(), plan, step, run, flow)
        self.current = Cards(step.cards, self._refresh)

    def close(self, end: End) -> None:
        """Write all cards for good: the attempt has ended as its record says."""
        for card in self.current.pages:
            self._save(card, end)

    def _refresh(self, card: CardPage) -> None:
        self._save(card, None)

    def _save(self, card: CardPage, end: End | None) -> None:
        name = CardName(card.number, card.plan.type, card.plan.id)
        try:
            with self._lock:
                html = self._html(card, end)
                if html is not None:
                    data = html.encode("utf-8", "replace")
                    self._datastore.save_card(self._key, self._attempt, name, data, live=end is None)
        except StepTimedOut:
            raise  # the step's own @timeout, while it refreshed a card
        except Exception:  # a step that did its work has not failed because its card was not kept
            _log.warning("the card %s of %s was not saved", name, self._key.pathspec, exc_info=True)

    def _html(self, card: CardPage, end: End | None) -> str | None:
        plan = card.plan
        try:
            with _limited(plan.timeout_s) if self._alarm else nullcontext():
                return page(plan, self._facts, card.components.values(), end, _now())
        except _TookTooLong:
            problem, details = f"it took longer than its timeout of {plan.timeout_s:g} s", ""
        except StepTimedOut:
            raise
        except Exception as error:  # components are the flow's own code, too
            problem, details = f"{type(error).__name__}: {error}", traceback.format_exc()
        _log.warning("a card of %s could not be written: %s", self._key.pathspec, problem)
        return error_page(self._facts, plan, problem, details, _now()) if plan.save_errors else None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise when the body takes longer; an alarm that would ring before that is left to ring."""
    if seconds <= 0 or threading.current_thread() is not threading.main_thread():
        yield
        return
    outer_s, _ = signal.getitimer(signal.ITIMER_REAL)
    if 0 < outer_s <= seconds:
        yield
        return

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise _TookTooLong("a card took too long", where="@card", mend="append less, or give it more time.")

    before = signal.signal(signal.SIGALRM, ring)
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer_s:
            signal.setitimer(signal.ITIMER_REAL, max(outer_s - (time.monotonic() - began), 0.001))
