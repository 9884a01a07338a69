"""``current.card``: what a running step puts on its cards.

The names and meanings are Metaflow's: `append`, `extend`, `clear`, `components`, `refresh` on
``current.card`` are those of the card without an id; ``current.card["id"]`` is another one.
Nothing here can fail a step: what cannot be done is told in the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count

from airloom.cards.components import Component, Error
from airloom.plan import CardPlan
from airloom.store.previews import type_name

_log = logging.getLogger(__name__)


class _Missing(Component):
    """Stands for a component that is not there, so that updating it does nothing."""

    def update(self, *_values: object, **_named: object) -> None:
        """Do nothing."""

    def html(self) -> str:
        return ""


class Components:
    """The components of one card in their order, by id."""

    def __init__(self, card: str) -> None:
        self._card = card
        self._held: dict[str, Component] = {}
        self._numbers = count()

    def append(self, component: Component, id: str | None = None) -> None:  # noqa: A002 - Metaflow's name
        """Add a component; one of the same id is replaced where it stands."""
        if not isinstance(component, Component):
            _log.warning("%s got %s, which is no component: left out", self._card, type_name(component))
            return
        if id is not None:
            component.component_id = str(id)
        self._held[component.component_id or f"component-{next(self._numbers)}"] = component

    def extend(self, components: Iterable[Component]) -> None:
        """Add several."""
        for component in components:
            self.append(component)

    def clear(self) -> None:
        """Remove all."""
        self._held.clear()

    def keys(self) -> list[str]:
        """Ids of the components."""
        return list(self._held)

    def values(self) -> list[Component]:
        """All components."""
        return list(self._held.values())

    def __getitem__(self, id: str) -> Component:  # noqa: A002 - Metaflow's name
        if id not in self._held:
            _log.warning("%s has no component %r; it has %s", self._card, id, self.keys())
            return _Missing()
        return self._held[id]

    def __setitem__(self, id: str, component: Component) -> None:  # noqa: A002 - Metaflow's name
        self.append(component, id)

    def __delitem__(self, id: str) -> None:  # noqa: A002 - Metaflow's name
        self._held.pop(id, None)

    def __contains__(self, id: object) -> bool:  # noqa: A002 - Metaflow's name
        return id in self._held

    def __iter__(self) -> Iterator[Component]:
        return iter(self.values())

    def __len__(self) -> int:
        return len(self._held)


Write = Callable[["CardPage"], None]


class CardPage:
    """One card while its step runs.

    Parameters
    ----------
    plan
        What its decorator says.
    number
        Where it stands among the cards of the step.
    write
        Writes it as it stands; None where there is nothing to write to.
    """

    def __init__(self, plan: CardPlan, number: int = 0, write: Write | None = None) -> None:
        self.plan = plan
        self.number = number
        self._write = write
        self._refreshed: float | None = None
        self._components = Components(f"the card {plan.id or plan.type!r}")

    @property
    def components(self) -> Components:
        """What is on it."""
        return self._components

    @components.setter
    def components(self, components: Iterable[Component]) -> None:
        kept = list(components)
        self.clear()
        self.extend(kept)

    def append(self, component: Component, id: str | None = None) -> None:  # noqa: A002 - Metaflow's name
        """Add a component, which ``components[id]`` gives back."""
        self._components.append(component, id)

    def extend(self, components: Iterable[Component]) -> None:
        """Add several components."""
        self._components.extend(components)

    def clear(self) -> None:
        """Remove all components."""
        self._components.clear()

    def refresh(self, data: object = None, force: bool = False) -> None:
        """Write the card as it stands now, so that it can be looked at while the task runs.

        A call that comes sooner than ``refresh_interval`` seconds after the last one is left out.

        Parameters
        ----------
        data
            Accepted as in Metaflow.
        force
            Write it however short ago the last time was.
        """
        now = time.monotonic()
        soon = self._refreshed is not None and now - self._refreshed < self.plan.refresh_interval_s
        if self._write is None or (soon and not force):
            return
        self._write(self)
        self._refreshed = time.monotonic()  # not before: a slow card must not take all of the time

    def __iter__(self) -> Iterator[Component]:
        return iter(self._components)

    def __len__(self) -> int:
        return len(self._components)


class Cards:
    """All cards of a running step: ``current.card``."""

    def __init__(self, plans: Iterable[CardPlan], write: Write | None = None) -> None:
        self.pages = [CardPage(plan, number, write) for number, plan in enumerate(plans)]
        self._by_id = {page.plan.id: page for page in self.pages if page.plan.id is not None}
        self._first = self._editable()

    def _editable(self) -> CardPage | None:
        """Find the card that ``append`` without an id is for."""
        for fitting in (
            self.pages,
            [page for page in self.pages if page.plan.customize],
            [page for page in self.pages if page.plan.id is None],
        ):
            if len(fitting) == 1:
                return fitting[0]
        return None

    @property
    def _page(self) -> CardPage:
        if self._first is None:
            self._first = self._nowhere(
                "this step has several cards: write current.card['id'], or customize=True on one of them"
            )
        return self._first

    def _nowhere(self, problem: str) -> CardPage:
        """Give a card that is not saved, and say so in the log and on those that are."""
        _log.warning("%s", problem)
        for page in self.pages:
            page.append(Error(problem, "current.card"))
        return CardPage(CardPlan())

    @property
    def components(self) -> Components:
        """What is on the card; see `CardPage`."""
        return self._page.components

    @components.setter
    def components(self, components: Iterable[Component]) -> None:
        self._page.components = components

    def append(self, component: Component, id: str | None = None) -> None:  # noqa: A002 - Metaflow's name
        """Add a component; see `CardPage`."""
        self._page.append(component, id)

    def extend(self, components: Iterable[Component]) -> None:
        """Add several components."""
        self._page.extend(components)

    def clear(self) -> None:
        """Remove all components."""
        self._page.clear()

    def refresh(self, data: object = None, force: bool = False) -> None:
        """Write the card as it stands now; see `CardPage.refresh`."""
        self._page.refresh(data, force)

    def get(self, type: str | None = None) -> list[Components]:  # noqa: A002 - Metaflow's name
        """Components of all cards of a type."""
        return [page.components for page in self.pages if page.plan.type == type]

    def __getitem__(self, id: str) -> CardPage:  # noqa: A002 - Metaflow's name
        if id not in self._by_id:
            self._by_id[id] = self._nowhere(f"no card of this step has the id {id!r}: it has {self._ids}")
        return self._by_id[id]

    def __setitem__(self, id: str, components: Iterable[Component]) -> None:  # noqa: A002 - Metaflow's name
        self[id].components = components

    def __iter__(self) -> Iterator[Component]:
        return iter(self._page)

    @property
    def _ids(self) -> str:
        return ", ".join(repr(page.plan.id) for page in self.pages if page.plan.id is not None) or "none"
