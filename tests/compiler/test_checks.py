"""Every bad flow of tests/flows/bad is refused with the message and the line that its head states."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from airloom.compiler.checks import check
from airloom.compiler.graph import build
from airloom.errors import AirloomError, CheckFailed, GraphError, ParameterError, Place
from airloom.flow.declarations import STEP_MARK, step_declaration
from airloom.flow.decorators import step
from airloom.flow.spec import FlowSpec

BAD = sorted((Path(__file__).parents[1] / "flows" / "bad").glob("*.py"))


def refusal(path: Path) -> AirloomError | None:
    """What a flow file is refused with, when it is imported, built or checked."""
    spec = spec_from_file_location(f"bad_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        check(build(module.Bad))
    except AirloomError as error:
        return error
    finally:
        del sys.modules[spec.name]
    return None


def findings(error: AirloomError) -> Iterator[AirloomError]:
    yield from error.findings if isinstance(error, CheckFailed) else (error,)


def stated(path: Path, word: str) -> list[str]:
    return re.findall(rf"^# {word}: (.*)$", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_flow_is_refused_as_it_states(path: Path) -> None:
    error = refusal(path)
    assert error is not None, "the flow is accepted"
    expected = stated(path, "expect")
    assert expected
    for text in expected:
        assert text in str(error)
    places = [finding.where for finding in findings(error)]
    lines = {place.line for place in places if isinstance(place, Place)}
    assert {int(line) for line in stated(path, "line")} <= lines
    assert all(Path(place.file) == path for place in places if isinstance(place, Place))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_flow_has_no_finding_that_follows_from_another(path: Path) -> None:
    error = refusal(path)
    assert error is not None
    count = 3 if path.stem == "three_findings" else 1
    assert len(list(findings(error))) == count, str(error)


def test_all_findings_come_at_once_in_the_order_of_lines() -> None:
    error = refusal(next(path for path in BAD if path.stem == "three_findings"))
    assert isinstance(error, CheckFailed)
    lines = [finding.where.line for finding in error.findings if isinstance(finding.where, Place)]
    assert len(lines) == len(error.findings) == 3
    assert lines == sorted(line for line in lines if line is not None)
    assert all(isinstance(finding, (GraphError, ParameterError)) for finding in error.findings)


def parallel(function: Callable[..., Any]) -> Callable[..., Any]:
    declaration = step_declaration(function)
    assert declaration is not None
    setattr(function, STEP_MARK, replace(declaration, parallel=True))
    return function


class Gang(FlowSpec):
    @step
    def start(self) -> None:
        self.next(self.train, num_parallel=4)

    @parallel
    @step
    def train(self) -> None:
        self.next(self.join)

    @step
    def join(self, inputs: Any) -> None:
        self.next(self.end)

    @step
    def end(self) -> None:
        pass


def test_parallel_step_between_num_parallel_and_join_is_accepted() -> None:
    check(build(Gang))


def test_parallel_step_without_num_parallel_is_refused() -> None:
    class Lonely(Gang):
        @step
        def start(self) -> None:
            self.next(self.train, foreach="xs")

    with pytest.raises(CheckFailed, match="leads to the @parallel step 'train' without num_parallel"):
        check(build(Lonely))


def test_parallel_step_that_leads_to_no_join_is_refused() -> None:
    class Endless(Gang):
        @parallel
        @step
        def train(self) -> None:
            self.next(self.more)

        @step
        def more(self) -> None:
            self.next(self.join)

    with pytest.raises(CheckFailed, match="the @parallel step 'train' does not lead to a join"):
        check(build(Endless))


def test_class_inside_of_a_step_has_a_self_of_its_own() -> None:
    class Nested(FlowSpec):
        rounds = 3

        @step
        def start(self) -> None:
            class Counter:
                def __init__(self) -> None:
                    self.rounds = 0
                    self.next()

                def next(self) -> int:
                    return self.rounds

            self.count = Counter().next()
            self.next(self.end)

        @step
        def end(self) -> None:
            def inner() -> int:
                return 3

            self.count = inner()

    check(build(Nested))


def test_return_in_the_last_step_is_accepted() -> None:
    class Short(FlowSpec):
        @step
        def start(self) -> None:
            self.next(self.end)

        @step
        def end(self) -> None:
            return

    check(build(Short))
