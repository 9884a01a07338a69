"""Cards: what a step shows of itself, as one HTML file that needs nothing else.

A flow writes ``from airloom.cards import Markdown, Table`` and appends them to ``current.card``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airloom.cards.charts import VegaChart
from airloom.cards.components import (
    Artifact,
    Component,
    Error,
    Image,
    JSONViewer,
    Markdown,
    ProgressBar,
    PythonCode,
    Table,
    ValueBox,
)

if TYPE_CHECKING:
    from airloom.client.cards import Card, CardContainer, get_cards

__all__ = [
    "Artifact",
    "Card",
    "CardContainer",
    "Component",
    "Error",
    "Image",
    "JSONViewer",
    "Markdown",
    "ProgressBar",
    "PythonCode",
    "Table",
    "ValueBox",
    "VegaChart",
    "get_cards",
]

_CLIENT = ("Card", "CardContainer", "get_cards")


def __getattr__(name: str) -> Any:
    # Metaflow's users look for get_cards here; what reads stands with the rest of the client,
    # and a task that writes a card needs none of it.
    if name in _CLIENT:
        from airloom.client import cards

        return getattr(cards, name)
    raise AttributeError(f"module 'airloom.cards' has no attribute {name!r}")
