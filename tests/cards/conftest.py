"""A page as a browser reads it, and the cards of a task that nobody started."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from airloom.cards.page import TaskFacts
from airloom.cards.saving import TaskCards
from airloom.flow.spec import FlowSpec
from airloom.plan import CardPlan, Plan, StepPlan, Transition
from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import BeginRecord, DoneRecord, Outcome, RunRecord, Usage

KEY = TaskKey("Train", "7", "fit", "0")
AT = "2026-11-24T10:00:00+00:00"


class Page(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def is_quiet(self) -> bool:
        """Whether no script stands in it, and nothing that would ask the network."""
        loading = [
            value
            for tag, name, value in self.attributes
            if name in ("src", "srcset", "srcdoc", "data", "poster", "action", "xlink:href")
            or (name == "href" and tag != "a")
        ]
        links = [
            value.strip().lower() for tag, name, value in self.attributes if (tag, name) == ("a", "href")
        ]
        return (
            not self.tags & {"script", "iframe", "object", "embed", "link", "base", "form", "foreignobject"}
            and not any(name.startswith("on") for _, name, _ in self.attributes)
            and all(value.startswith("data:image/") for value in loading)
            and not any(value.startswith(("javascript:", "data:", "vbscript:")) for value in links)
        )


@pytest.fixture
def parse() -> type[Page]:
    return Page


class Train(FlowSpec):
    def fit(self) -> None:
        """Fit."""


def facts_of(*cards: CardPlan, doc: str = "", pathspec: str = KEY.pathspec) -> TaskFacts:
    step = StepPlan("fit", Transition("end"), doc=doc, cards=cards)
    plan = Plan("Train", "train", (step,), "fit", "fit")
    return TaskFacts(pathspec, 0, AT, plan, step, RunRecord("Train", "7", "p", AT, "ada"), Train)


@pytest.fixture
def facts() -> Callable[..., TaskFacts]:
    return facts_of


@pytest.fixture
def done() -> DoneRecord:
    return DoneRecord(AT, {}, Outcome(), Usage(100.0, 1.5, 2.0))


@pytest.fixture
def datastore(tmp_path: Path) -> Datastore:
    return Datastore.open(Settings(datastore_root=str(tmp_path / "store")))


@pytest.fixture
def cards_of(datastore: Datastore) -> Callable[..., TaskCards]:
    """Begin a task whose step has these cards."""

    def begin(*cards: CardPlan) -> TaskCards:
        facts = facts_of(*cards)
        datastore.save_plan(facts.plan)
        run = RunRecord("Train", "7", facts.plan.digest, AT, "ada")
        datastore.create_run(run)
        attempt = datastore.claim(KEY, lambda _: BeginRecord(AT, "host", 42))
        return TaskCards(datastore, KEY, attempt, facts.plan, run, Train)

    return begin
