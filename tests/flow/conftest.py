"""Artifacts of finished tasks as a flow object sees them, held in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import pytest

from airloom.flow.spec import FlowSpec, Input, Inputs, Source, TaskState

F = TypeVar("F", bound=FlowSpec)


class Saved(NamedTuple):
    """A saved artifact: two of equal representation have one digest."""

    digest: str


class Values:
    """Artifacts by name; counts what is loaded."""

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.loaded: list[str] = []

    @property
    def artifacts(self) -> Mapping[str, Saved]:
        return {name: Saved(repr(value)) for name, value in self.values.items()}

    def load(self, name: str) -> Any:
        self.loaded.append(name)
        return self.values[name]


Make = Callable[..., Any]


@pytest.fixture
def task() -> Make:
    """Make a flow object as it is in a task: ``task(MyFlow, x=1)`` inherits x."""

    def make(
        flow: type[F],
        parameters: Mapping[str, Any] | None = None,
        stack: Iterable[tuple[int, int, Any]] = (),
        source: Source | None = None,
        **inherited: Any,
    ) -> F:
        found = source or Values(**inherited)
        made = flow(use_cli=False)
        object.__setattr__(
            made, "_airloom", TaskState(parameters or {}, dict.fromkeys(found.artifacts, found), stack)
        )
        return made

    return make


@pytest.fixture
def inputs() -> Make:
    """Make the inputs of a join: one (step, artifacts) a branch, in order."""

    def make(*branches: tuple[str, Mapping[str, Any]]) -> Inputs:
        return Inputs(
            Input(step, Values(**values), [(number, len(branches), lambda n=number: f"item {n}")])
            for number, (step, values) in enumerate(branches)
        )

    return make
