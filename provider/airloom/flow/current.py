"""`current`: what runs right now, for the code inside a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Parallel(NamedTuple):
    """Where a task stands among those of a @parallel step."""

    main_ip: str
    num_nodes: int
    node_index: int
    control_task_id: str


class TriggerEvent(NamedTuple):
    """One event that started a run: the asset's name, when, and what its sender put into it."""

    name: str
    timestamp: str | None
    extra: dict[str, Any]
    source_dag_id: str | None
    source_run_id: str | None


class Trigger:
    """What started the run: the events, oldest first."""

    def __init__(self, events: list[TriggerEvent]) -> None:
        self.events = events

    @classmethod
    def of(cls, events: list[Any]) -> Trigger:
        """Read the events of a run's record."""
        return cls(
            [TriggerEvent(**{name: event.get(name) for name in TriggerEvent._fields}) for event in events]
        )

    @property
    def event(self) -> TriggerEvent:
        """The newest event."""
        return self.events[-1]

    @property
    def runs(self) -> list[str]:
        """Pathspecs of the flow runs among the events, for the client's ``Run``."""
        return [str(event.extra["run"]) for event in self.events if "run" in (event.extra or {})]

    @property
    def run(self) -> str | None:
        """Pathspec of the newest of them."""
        return self.runs[-1] if self.runs else None


class Late:
    """A fact that is only made when somebody asks for it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


class Current:
    """Facts about the running task; outside of a task most of them do not exist.

    The attributes are ``flow_name run_id step_name task_id retry_count origin_run_id pathspec
    namespace username tags tempdir parameter_names graph`` and ``is_running_flow``,
    in a @parallel step also ``parallel``, in a @project ``project_name branch_name is_production
    is_user_branch project_flow_name``, in a run that events have started ``trigger``.
    """

    def __init__(self) -> None:
        self._facts: dict[str, Any] = {}

    @property
    def is_running_flow(self) -> bool:
        """True inside of a task."""
        return bool(self._facts)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a fact, or the default where there is none."""
        return getattr(self, name) if name in self._facts else default

    def __contains__(self, name: str) -> bool:
        return name in self._facts

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._facts:
            when = "in this task" if self._facts else "outside of a running task"
            raise AttributeError(f"current.{name} does not exist {when}")
        found = self._facts[name]
        if isinstance(found, Late):
            found = self._facts[name] = found.make()
        return found

    def enter(self, facts: dict[str, Any]) -> None:
        """Set the facts when a task begins; for the runtime."""
        self._facts = dict(facts)

    def leave(self) -> None:
        """Forget them when the task ends; for the runtime."""
        self._facts = {}


current = Current()
