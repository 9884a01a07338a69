"""Addresses of the pages, and of Airflow's own ones that they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from airloom.names import Pathspec
    from airloom.store.datastore import TaskKey
    from airloom.store.records import CardName

PREFIX = "/airloom"
"""Where Airflow's API server has the pages."""

_KINDS = ("flow", "run", "step", "task")


def path(*parts: object) -> str:
    """Join the parts of a path, each escaped: no part reaches beyond its place.

    >>> path("dags", "../a b", "é")
    '/dags/..%2Fa%20b/%C3%A9'
    """
    return "".join(f"/{quote(str(part), safe='~:+@', errors='replace')}" for part in parts)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses as the browser has to ask for them.

    Parameters
    ----------
    airflow
        Path that Airflow itself is at, without a slash at its end: empty, or that of its base URL.
    """

    airflow: str = ""

    def of(self, spec: Pathspec) -> str:
        """Page of a flow, a run, a step or a task."""
        parts = str(spec).split("/")
        return f"{self.airflow}{PREFIX}{path(_KINDS[len(parts) - 1], *parts)}"

    def task(self, key: TaskKey, attempt: int | None = None) -> str:
        """Page of a task, or of one attempt at it."""
        page = f"{self.airflow}{PREFIX}{path('task', key.flow, key.run, key.step, key.task)}"
        return page if attempt is None else f"{page}?attempt={attempt}"

    def card(self, key: TaskKey, attempt: int, name: CardName) -> str:
        """A card by itself."""
        return f"{self.airflow}{PREFIX}{path('card', key.flow, key.run, key.step, key.task, attempt, name)}"

    def airflow_run(self, dag_id: str, run_id: str) -> str:
        """Airflow's own page of a run."""
        return f"{self.airflow}{path('dags', dag_id, 'runs', run_id)}"
