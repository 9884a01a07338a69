"""What several pages say alike: the way down to a page, the state of a run and of an attempt."""

from __future__ import annotations

from collections.abc import Iterator

from airloom.cards.text import escaped
from airloom.names import Pathspec
from airloom.store.records import BY_HAND, EndRecord, FailedRecord, RunRecord
from airloom.ui.addresses import Addresses
from airloom.ui.markup import Html, link, state
from airloom.ui.reading import Attempt


def trail(at: Addresses, spec: Pathspec) -> Iterator[Html]:
    """Links from the flow down to a page, which is named without a link."""
    parts = str(spec).split("/")
    for depth in range(1, len(parts)):
        yield link(at.of(Pathspec(*parts[:depth])), parts[depth - 1])
    yield Html(f"<span>{escaped(parts[-1])}</span>")


def run_state(record: RunRecord, end: EndRecord | None) -> Html:
    """How a run ended; nothing of a hand-written DAG's, whose end Airflow alone knows."""
    if end is None:
        return Html("") if record.origin.get(BY_HAND) else state("not ended", "open")
    return state("successful", "done") if end.successful else state("failed", "failed")


def attempt_state(attempt: Attempt) -> Html:
    """How an attempt ended."""
    return state(*word_and_kind(attempt))


def word_and_kind(attempt: Attempt) -> tuple[str, str]:
    """How an attempt ended, as a word and the kind of `markup.state`."""
    # Without an end it runs, or its process was killed: the store cannot tell, Airflow can.
    end = attempt.end
    if end is None:
        return "not ended", "open"
    if isinstance(end, FailedRecord):
        return "failed", "failed"
    return ("caught", "caught") if end.caught is not None else ("done", "done")
