"""@card leaves plain values on a step, and refuses what could not be a card."""

from __future__ import annotations

from typing import Any

import pytest

from airloom import card, step
from airloom.errors import FlowError, GraphError
from airloom.flow.declarations import step_declaration
from airloom.plan import CardPlan


def test_cards_stand_as_they_are_read() -> None:
    @card
    @card(type="blank", id="plots", timeout=10, refresh_interval=0, customize=True, save_errors=False)
    @card(options={"a": (1, 2)})
    @step
    def fit(self: Any) -> None: ...

    declaration = step_declaration(fit)
    assert declaration is not None
    assert declaration.cards == (
        CardPlan(),
        CardPlan("blank", "plots", {}, 10.0, False, True, 0.0),
        CardPlan(options={"a": [1, 2]}),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"type": "blanc"}, "did you mean 'blank'"),
        ({"id": "my-plots"}, "letters, digits and underscores"),
        ({"id": ""}, "letters, digits and underscores"),
        ({"timeout": -1}, "seconds, 0 or more"),
        ({"timeout": "45"}, "seconds, 0 or more"),
        ({"refresh_interval": float("nan")}, "seconds, 0 or more"),
        ({"options": {"a": object()}}, "cannot be written as JSON"),
    ],
)
def test_what_could_not_be_a_card_is_refused_where_it_stands(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(FlowError, match=message) as refused:
        card(**arguments)
    assert "test_decorator.py" in str(refused.value.where)


def test_two_cards_of_one_id_are_refused() -> None:
    with pytest.raises(FlowError, match="two cards of one step have the id 'a'"):

        @card(id="a")
        @card(id="a")
        @step
        def fit(self: Any) -> None: ...


def test_a_card_belongs_on_a_step() -> None:
    with pytest.raises(GraphError, match="is not a step"):

        @card
        def fit(self: Any) -> None: ...
