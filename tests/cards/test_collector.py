"""`current.card` as a step sees it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airloom.cards import Markdown, ProgressBar
from airloom.cards.collector import CardPage, Cards
from airloom.plan import CardPlan


def test_components_keep_their_order_and_are_found_by_id() -> None:
    cards = Cards([CardPlan()])
    cards.append(Markdown("one"))
    cards.append(ProgressBar(), id="bar")
    cards.extend([Markdown("two")])
    assert [type(component).__name__ for component in cards] == ["Markdown", "ProgressBar", "Markdown"]
    assert isinstance(cards.components["bar"], ProgressBar)
    assert "bar" in cards.components


def test_a_component_of_the_same_id_takes_the_place_of_the_first() -> None:
    cards = Cards([CardPlan()])
    cards.extend([Markdown("one"), Markdown("three")])
    cards.append(Markdown("old"), id="x")
    cards.append(Markdown("last"))
    new = Markdown("new")
    cards.append(new, id="x")
    assert list(cards).index(new) == 2
    assert len(cards.components) == 4


def test_a_card_is_cleared_and_filled_again() -> None:
    cards = Cards([CardPlan()])
    cards.append(Markdown("one"))
    cards.clear()
    assert len(cards.components) == 0
    two, three = Markdown("two"), Markdown("three")
    cards.components = [two, three]
    assert list(cards) == [two, three]
    del cards.components[cards.components.keys()[0]]
    assert list(cards) == [three]


@pytest.mark.parametrize(
    ("plans", "first"),
    [
        ([CardPlan(id="a")], 0),
        ([CardPlan(id="a"), CardPlan()], 1),
        ([CardPlan(), CardPlan(), CardPlan(id="a", customize=True)], 2),
    ],
)
def test_append_without_an_id_is_for_one_card(plans: list[CardPlan], first: int) -> None:
    cards = Cards(plans)
    cards.append(Markdown("x"))
    assert [len(page) for page in cards.pages] == [int(number == first) for number in range(len(plans))]


def test_several_cards_are_told_apart_by_their_ids() -> None:
    cards = Cards([CardPlan(id="a"), CardPlan("blank", "b")])
    cards["b"].append(Markdown("x"))
    cards["a"] = [Markdown("y"), Markdown("z")]
    assert [len(page) for page in cards.pages] == [2, 1]
    assert [len(found) for found in cards.get(type="blank")] == [1]


def test_where_no_card_is_meant_the_step_goes_on_and_the_cards_say_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cards = Cards([CardPlan(id="a"), CardPlan(id="b")])
    cards.append(Markdown("x"))
    cards.append(Markdown("y"))
    assert "several cards" in caplog.text
    for page in cards.pages:
        (told,) = page
        assert "several cards" in told.render()


def test_a_card_that_is_not_there_takes_what_it_gets(caplog: pytest.LogCaptureFixture) -> None:
    cards = Cards([CardPlan(id="a")])
    cards["plots"].append(Markdown("x"))
    cards["plots"].refresh()
    assert "no card of this step has the id 'plots': it has 'a'" in caplog.text


def test_a_component_that_is_not_there_takes_an_update(caplog: pytest.LogCaptureFixture) -> None:
    missing: Any = Cards([CardPlan()]).components["bar"]
    missing.update(5)
    assert "no component 'bar'" in caplog.text


def test_what_is_no_component_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    cards = Cards([CardPlan()])
    with caplog.at_level(logging.WARNING):
        cards.append("a text")  # type: ignore[arg-type]
    assert len(cards.components) == 0
    assert "got str, which is no component" in caplog.text


def test_refresh_keeps_its_distance() -> None:
    written: list[CardPage] = []
    page = CardPage(CardPlan(refresh_interval_s=60), write=written.append)
    for _ in range(3):
        page.refresh()
    assert len(written) == 1
    page.refresh({"data": 1}, force=True)
    assert len(written) == 2
