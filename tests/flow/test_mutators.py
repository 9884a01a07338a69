"""Mutators change what stands above steps and in the flow's class; the class that was written stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airloom import (
    Config,
    FlowMutator,
    FlowSpec,
    MutableFlow,
    MutableStep,
    Parameter,
    StepMutator,
    UserStepDecorator,
    card,
    catch,
    environment,
    resources,
    retry,
    schedule,
    step,
    timeout,
    user_step_decorator,
)
from airloom.errors import FlowError, GraphError
from airloom.flow.declarations import StepDeclaration, flow_declaration, step_declaration, steps_of
from airloom.flow.finishing import finish
from airloom.flow.parameters import parameters_of
from airloom.flow.user_decorators import wrappers


@user_step_decorator
def around(step_name: str, flow: Any, inputs: Any, attributes: Any) -> Iterator[None]:
    yield


class Wrapped(UserStepDecorator):
    def init(self, times: int = 1) -> None:
        self.times = times


@retry(times=1)
@resources(memory=100)
@step
def worked(self: Any) -> None:
    pass


def flow_of(**attributes: Any) -> type[FlowSpec]:
    @step
    def start(self: Any) -> None:
        pass

    return type("F", (FlowSpec,), {"start": start, "__module__": __name__} | attributes)


def mutated(change: Callable[[MutableStep], Any], *, early: bool = False) -> StepDeclaration:
    """What stands on the step ``start`` after a mutator has changed it."""

    class Changes(StepMutator):
        def pre_mutate(self, mutable_step: MutableStep) -> None:
            if early:
                change(mutable_step)

        def mutate(self, mutable_step: MutableStep) -> None:
            if not early:
                change(mutable_step)

    @Changes
    @retry(times=1)
    @step
    def start(self: Any) -> None:
        pass

    found = step_declaration(steps_of(finish(flow_of(start=start)))["start"])
    assert found is not None
    return found


def flow_mutated(
    change: Callable[[MutableFlow], Any], flow: type[FlowSpec], *, early: bool = True
) -> type[FlowSpec]:
    class Changes(FlowMutator):
        def pre_mutate(self, mutable_flow: MutableFlow) -> None:
            if early:
                change(mutable_flow)

        def mutate(self, mutable_flow: MutableFlow) -> None:
            if not early:
                change(mutable_flow)

    return finish(Changes(flow))


ADDED: list[tuple[Any, dict[str, Any]]] = [
    (timeout, {"seconds": 5}),
    ("timeout", {"seconds": 5}),
    ("timeout:seconds=5", {}),
]


@pytest.mark.parametrize(("decorator", "arguments"), ADDED, ids=["function", "name", "text"])
def test_a_decorator_is_added(decorator: Any, arguments: dict[str, Any]) -> None:
    said = mutated(lambda one: one.add_decorator(decorator, deco_kwargs=arguments))
    assert (said.timeout_s, said.retry.times) == (5, 1)


@pytest.mark.parametrize("decorator", [around, "around", f"{__name__}.around"], ids=["it", "name", "full"])
def test_a_users_decorator_is_added(decorator: Any) -> None:
    said = mutated(lambda one: one.add_decorator(decorator, deco_kwargs={"x": 1}))
    (found,) = wrappers(said)
    assert (found.maker, found.arguments) == (around, {"x": 1})


def test_one_that_is_there_is_kept_or_replaced_or_refused() -> None:
    assert mutated(lambda one: one.add_decorator("retry:times=7")).retry.times == 1
    over = mutated(lambda one: one.add_decorator("retry:times=7", duplicates=MutableStep.OVERRIDE))
    assert over.retry.times == 7
    with pytest.raises(FlowError, match="@retry is there already"):
        mutated(lambda one: one.add_decorator("retry:times=7", duplicates=MutableStep.ERROR))


def test_a_step_may_have_several_cards() -> None:
    def change(one: MutableStep) -> None:
        one.add_decorator(card, deco_kwargs={"id": "a"})
        one.add_decorator("card:id=b")

    assert [one.id for one in mutated(change).cards] == ["b", "a"]


@pytest.mark.parametrize(
    "name", ["retry", retry, "airloom.flow.decorators.retry"], ids=["name", "itself", "full"]
)
def test_a_decorator_is_removed(name: Any) -> None:
    def change(one: MutableStep) -> None:
        assert one.remove_decorator(name)
        assert not one.remove_decorator("catch")

    assert mutated(change).retry.times == 0


def test_a_decorator_is_removed_by_its_arguments() -> None:
    assert mutated(lambda one: one.remove_decorator("retry", deco_kwargs={"times": 2})).retry.times == 1
    assert mutated(lambda one: one.remove_decorator("retry", deco_kwargs={"times": 1})).retry.times == 0


def test_what_specs_give_removes_the_same() -> None:
    def change(one: MutableStep) -> None:
        for _, name, positional, arguments in one.decorator_specs:
            if name.endswith(".retry"):
                assert one.remove_decorator(name, positional, arguments)

    assert mutated(change).retry.times == 0


def test_specs_have_the_defaults_of_what_was_not_said() -> None:
    seen: list[Any] = []
    mutated(lambda one: seen.extend(one.get_decorator_specs("retry")))
    arguments = {"times": 1, "minutes_between_retries": 2, "on": ()}
    assert seen == [("retry", "airloom.flow.decorators.retry", [], arguments)]


def test_early_changes_are_made_before_the_late_ones() -> None:
    assert mutated(lambda one: one.add_decorator("timeout:seconds=5"), early=True).timeout_s == 5


def test_mutators_are_added_early_only() -> None:
    class Other(StepMutator):
        def mutate(self, mutable_step: MutableStep) -> None:
            mutable_step.add_decorator("timeout:seconds=3")

    assert mutated(lambda one: one.add_decorator(Other), early=True).timeout_s == 3
    with pytest.raises(FlowError, match="is added or removed in mutate"):
        mutated(lambda one: one.add_decorator(Other))


WRONG: list[tuple[Callable[[MutableStep], Any], str]] = [
    (lambda one: one.add_decorator("retyr"), "there is no decorator 'retyr'"),
    (lambda one: one.add_decorator(schedule), "'schedule' is no decorator that can be added here"),
    (lambda one: one.add_decorator("timeout:secnds=3"), "@timeout has no argument 'secnds'"),
    (lambda one: one.add_decorator("timeout:seconds=-3"), "seconds=-3 is refused"),
    (
        lambda one: one.add_decorator("timeout:seconds=3", deco_kwargs={"hours": 1}),
        "others are given beside it",
    ),
    (lambda one: one.add_decorator("timeout:3"), "cannot be read at '3'"),
    (lambda one: 1 / 0, "the mutator .*Changes raised ZeroDivisionError: division by zero"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_change_is_told(change: Callable[[MutableStep], Any], message: str) -> None:
    with pytest.raises(FlowError, match=message):
        mutated(change)


def test_a_flow_mutator_reaches_steps_parameters_and_configs() -> None:
    seen: list[Any] = []

    def change(flow: MutableFlow) -> None:
        seen.extend(name for name, _ in flow.steps)
        seen.extend(flow.configs)
        seen.append(flow.config.a)
        seen.append(flow.p.name)
        flow.work.add_decorator(timeout, deco_kwargs={"seconds": flow.config.a})
        flow.add_parameter("q", Parameter("q", default=flow.config.a))
        assert flow.remove_parameter("p-name")
        assert not flow.remove_parameter("p")
        flow.add_decorator(schedule, deco_kwargs={"hourly": True})
        assert flow.has_decorator("schedule")
        with pytest.raises(AttributeError, match="no step, parameter or config 'nothing'"):
            _ = flow.nothing

    flow = flow_of(config=Config("c", default_value={"a": 5}), p=Parameter("p-name", default=1), work=worked)

    class Changes(FlowMutator):
        def pre_mutate(self, mutable_flow: MutableFlow) -> None:
            change(mutable_flow)

    changed = finish(Changes(flow), {"c": {"a": 5}})
    assert seen == ["start", "work", ("c", {"a": 5}), 5, "p-name"]
    assert list(parameters_of(changed)) == ["q"]
    assert not hasattr(changed(use_cli=False), "p")
    said = step_declaration(steps_of(changed)["work"])
    assert said is not None
    assert (said.timeout_s, said.resources.memory_mib) == (5, 100)
    planned = flow_declaration(changed).schedule
    assert planned is not None
    assert planned.cron == "@hourly"
    assert list(parameters_of(flow)) == ["p"]


@pytest.mark.parametrize(
    "change",
    [
        lambda flow: flow.add_parameter("q", Parameter("q", default=1)),
        lambda flow: flow.remove_parameter("q"),
        lambda flow: flow.add_decorator("schedule"),
    ],
)
def test_a_flow_is_changed_early_only(change: Callable[[MutableFlow], Any]) -> None:
    with pytest.raises(FlowError, match="in mutate"):
        flow_mutated(change, flow_of(), early=False)


def test_a_parameter_is_not_hidden_by_accident() -> None:
    def flow() -> type[FlowSpec]:
        return flow_of(p=Parameter("p", default=1))

    new = Parameter("p", default=2)
    with pytest.raises(FlowError, match="F has 'p' already"):
        flow_mutated(lambda one: one.add_parameter("p", new), flow())
    changed = flow_mutated(lambda one: one.add_parameter("p", new, overwrite=True), flow())
    assert parameters_of(changed)["p"].default == 2


def test_a_mutator_takes_arguments_in_init_and_is_inherited() -> None:
    class Named(FlowMutator):
        def init(self, seconds: int) -> None:
            self.seconds = seconds

        def mutate(self, mutable_flow: MutableFlow) -> None:
            mutable_flow.start.add_decorator(timeout, deco_kwargs={"seconds": self.seconds})

    class Below(Named(9)(flow_of())):  # type: ignore[misc]
        pass

    said = step_declaration(steps_of(finish(Below))["start"])
    assert said is not None
    assert said.timeout_s == 9


def test_arguments_without_init_are_refused() -> None:
    class Bare(StepMutator):
        pass

    @Bare(3)  # type: ignore[untyped-decorator]
    @step
    def start(self: Any) -> None:
        pass

    with pytest.raises(FlowError, match=r"@Bare is given arguments, and has no method init"):
        finish(flow_of(start=start))


def test_wrong_arguments_of_init_are_told() -> None:
    class Picky(StepMutator):
        def init(self, times: int) -> None:
            pass

    @Picky(tmies=3)  # type: ignore[untyped-decorator]
    @step
    def start(self: Any) -> None:
        pass

    with pytest.raises(FlowError, match="unexpected keyword argument 'tmies'"):
        finish(flow_of(start=start))


def test_attached_decorators_go_where_there_is_none_of_the_name() -> None:
    flow = finish(flow_of(work=worked), {}, ("retry:times=5", 'environment:vars={"A": 1}', "around:x=2"))
    said = {name: step_declaration(function) for name, function in steps_of(flow).items()}
    assert {name: one.retry.times for name, one in said.items() if one} == {"start": 5, "work": 1}
    assert {name: one.variables for name, one in said.items() if one} == {name: {"A": "1"} for name in said}
    assert [written.arguments for written in wrappers(said["work"])] == [{"x": 2}]


def test_mutators_see_what_was_attached() -> None:
    class Sees(StepMutator):
        def pre_mutate(self, mutable_step: MutableStep) -> None:
            assert not mutable_step.has_decorator("timeout")

        def mutate(self, mutable_step: MutableStep) -> None:
            assert mutable_step.has_decorator("timeout")

    @Sees
    @step
    def start(self: Any) -> None:
        pass

    finish(flow_of(start=start), {}, ("timeout:seconds=3",))


def test_the_changed_step_is_the_same_code() -> None:
    flow = flow_of(work=worked)
    changed = finish(flow, {}, ("timeout:seconds=3",))
    assert issubclass(changed, flow)
    assert (changed.__name__, changed.__module__, changed.__qualname__) == (
        flow.__name__,
        flow.__module__,
        flow.__qualname__,
    )
    assert steps_of(changed)["work"].__code__ is worked.__code__
    assert list(steps_of(changed)) == list(steps_of(flow))


def test_a_decorator_of_ones_own_stands_on_steps_only() -> None:
    with pytest.raises(GraphError, match=r"@.*around stands on 'plain', which is not a step"):
        around()(_plain())


def _plain() -> Callable[[Any], None]:
    def plain(self: Any) -> None:
        pass

    return plain


def test_a_step_decorator_is_made_of_a_generator_only() -> None:
    with pytest.raises(FlowError, match="'plain', which has no yield"):
        user_step_decorator(_plain())  # type: ignore[arg-type]

    def alone(step_name: str) -> Iterator[None]:
        yield

    with pytest.raises(FlowError, match="takes 1 arguments"):
        user_step_decorator(alone)


def test_decorators_that_stand_twice_are_refused_also_when_they_wait() -> None:
    config = Config("config")

    @retry(times=config.a)
    @retry(times=2)
    @step
    def start(self: Any) -> None:
        pass

    with pytest.raises(GraphError, match="@retry stands twice"):
        finish(flow_of(start=start, config=config), {"config": {"a": 1}})


def test_catch_and_environment_keep_their_arguments() -> None:
    @catch(var="failure")
    @environment(vars={"A": "1"})
    @step
    def start(self: Any) -> None:
        pass

    said = step_declaration(steps_of(finish(flow_of(start=start), {}, ("timeout:seconds=3",)))["start"])
    assert said is not None
    assert said.catch is not None
    assert (said.catch.variable, said.variables) == ("failure", {"A": "1"})
