"""Step decorators leave values; wrong ones are refused with the line that wrote them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airloom import assets, catch, environment, resources, retry, schedule, step, timeout
from airloom.errors import FlowError, GraphError, Place, SizeError
from airloom.flow.declarations import StepDeclaration, flow_declaration, step_declaration
from airloom.plan import Catch, Resources, Retry, Schedule


def said(*decorators: Callable[[Any], Any]) -> StepDeclaration:
    """What stands on a step that these decorators were put on, the innermost first."""

    @step
    def work(self: Any) -> None:
        pass

    function: Any = work
    for decorate in decorators:
        function = decorate(function)
    found = step_declaration(function)
    assert found is not None
    return found


def test_a_bare_step_has_no_retry_no_catch_and_no_time_limit() -> None:
    plain = said()
    assert (plain.retry, plain.catch, plain.timeout_s) == (Retry(0, 0.0), None, None)
    assert plain.resources == Resources()
    assert not plain.start
    assert not plain.end


def test_retry_has_metaflows_defaults() -> None:
    assert said(retry).retry == said(retry()).retry == Retry(3, 120.0)


def test_retry_takes_numbers_and_text() -> None:
    assert said(retry(times=1, minutes_between_retries=0.5)).retry == Retry(1, 30.0)
    assert said(retry(times="4")).retry == Retry(4, 120.0)  # type: ignore[call-overload] # Metaflow takes it
    assert said(retry(times=0)).retry.times == 0


def test_catch_has_metaflows_defaults() -> None:
    assert said(catch).catch == said(catch()).catch == Catch(None, print_exception=True)
    assert said(catch(var="oh", print_exception=False)).catch == Catch("oh", print_exception=False)


def test_timeout_adds_its_parts_up() -> None:
    assert said(timeout(seconds=1, minutes=1, hours=1)).timeout_s == 3661.0
    assert said(timeout(seconds=0.5)).timeout_s == 0.5


def test_environment_makes_text_of_its_values() -> None:
    assert said(environment(vars={"A": 1, "B": None})).variables == {"A": "1", "B": "None"}


def test_assets_are_texts_in_their_order() -> None:
    found = said(assets(inlets="s3://lake/raw", outlets=["b", "a"]))
    assert (found.inlets, found.outlets) == (("s3://lake/raw",), ("b", "a"))
    assert said(assets(inlets="x-airloom://flow/Other")).inlets == ("x-airloom://flow/Other",)


@pytest.mark.parametrize(
    "bad", ["//me:hunter-22@db", "s3://me:hunter-22@[b", "x://me:hunter-22@ä", "x:///a//b:hunter-22@c\n"]
)
def test_a_password_in_a_refused_asset_is_not_shown(bad: str) -> None:
    with pytest.raises(FlowError) as caught:
        assets(outlets=bad)
    assert "hunter-22" not in str(caught.value)


def test_resources_are_units_of_the_plan() -> None:
    wanted = said(resources(cpu=0.5, gpu=1, memory=4096, disk=100, shared_memory=64)).resources
    assert wanted == Resources(cpu=0.5, memory_mib=4096, gpu=1, disk_mib=100, shared_memory_mib=64)


def test_decorators_stand_together_in_any_order() -> None:
    one = said(retry(times=2), catch(var="x"), timeout(seconds=1))
    other = said(timeout(seconds=1), retry(times=2), catch(var="x"))
    assert (one.retry, one.catch, one.timeout_s) == (other.retry, other.catch, other.timeout_s)
    assert one.decorators == ("retry", "catch", "timeout")


def test_start_and_end_can_be_marked() -> None:
    @step(start=True)
    def first(self: Any) -> None:
        pass

    @step(end=True)
    def last(self: Any) -> None:
        pass

    assert step_declaration(first) == StepDeclaration(start=True)
    assert step_declaration(last) == StepDeclaration(end=True)


def test_a_step_stays_the_function_that_it_was() -> None:
    def plain(self: Any) -> int:
        """Seven."""
        return 7

    assert step(plain) is plain
    assert retry(times=1)(plain) is plain


WRONG: list[tuple[Callable[[], object], type[FlowError], str]] = [
    (lambda: retry(times=-1), FlowError, "@retry: times=-1 is refused"),
    (lambda: retry(times=1.5), FlowError, "@retry: times=1.5"),  # type: ignore[call-overload]
    (lambda: retry(times="many"), FlowError, "@retry: times='many'"),  # type: ignore[call-overload]
    (lambda: retry(times=True), FlowError, "@retry: times=True"),
    (lambda: retry(minutes_between_retries=float("nan")), FlowError, "minutes_between_retries=nan"),
    (lambda: retry(minutes_between_retries=float("inf")), FlowError, "minutes_between_retries=inf"),
    (lambda: catch(var="not a name"), FlowError, "@catch: var='not a name' cannot name an artifact"),
    (lambda: catch(var=3), FlowError, "@catch: var=3"),  # type: ignore[call-overload]
    (lambda: assets(), FlowError, "@assets: it names no asset"),
    (lambda: assets(inlets=[5]), FlowError, "inlets has 5, which is no text"),  # type: ignore[list-item]
    (lambda: assets(inlets=5), FlowError, "inlets has 5, which is no text"),  # type: ignore[arg-type]
    (lambda: assets(outlets=["a", "a"]), FlowError, "outlets has an asset twice"),
    (lambda: assets(outlets=" "), FlowError, "outlets: the asset ' ' is refused"),
    (lambda: assets(inlets="a\nb"), FlowError, r"inlets: the asset 'a\nb' is refused"),
    (lambda: assets(outlets="a" * 1501), FlowError, "aa' is refused"),
    (lambda: assets(outlets="context"), FlowError, "outlets: the asset 'context' has a name that Airflow"),
    (lambda: assets(outlets="http://[bad"), FlowError, "the asset 'http://[bad' is no URI: Invalid IPv6"),
    (lambda: assets(inlets="Airflow:x"), FlowError, "has the scheme 'airflow', which is taken"),
    (lambda: assets(inlets="s3:///key"), FlowError, "inlets: the asset 's3:///key' names no bucket"),
    (lambda: assets(outlets="s3://lake/zähler"), FlowError, "the asset 's3://lake/zähler' is refused"),
    (lambda: assets(outlets="x-airloom://flow/F"), FlowError, "'x-airloom://flow/F' is that of a flow"),
    (
        lambda: assets(inlets="postgres://me:word@db/orders"),
        FlowError,
        "'postgres://...@db/orders' holds a password",
    ),
    (lambda: timeout(), FlowError, "@timeout: the time is 0"),
    (lambda: timeout(seconds=-5), FlowError, "@timeout: seconds=-5"),
    (lambda: resources(memory=0.5), SizeError, "@resources: memory=0.5"),  # type: ignore[arg-type]
    (lambda: resources(cpu="four"), SizeError, "@resources: cpu='four'"),  # type: ignore[arg-type]
    (lambda: resources(gpu=-1), SizeError, "@resources: gpu=-1"),
    (lambda: schedule(cron="every day"), FlowError, "@schedule: cron='every day' is not a cron line"),
    (lambda: schedule(daily=True, hourly=True), FlowError, "@schedule: more than one schedule"),
    (lambda: schedule(timezone="Mars/Base"), FlowError, "@schedule: timezone='Mars/Base' is not known"),
    (lambda: schedule(timezone="../../etc/passwd"), FlowError, "@schedule: timezone="),
]


@pytest.mark.parametrize(("use", "kind", "what"), WRONG, ids=[what for _, _, what in WRONG])
def test_wrong_arguments_are_refused_with_their_line(
    use: Callable[[], object], kind: type[FlowError], what: str
) -> None:
    with pytest.raises(kind) as caught:
        use()
    assert caught.value.what.startswith(what) or what in caught.value.what
    assert isinstance(caught.value.where, Place)
    assert caught.value.where.file == __file__
    assert caught.value.where.line == use.__code__.co_firstlineno
    assert caught.value.mend


@pytest.mark.parametrize("use", [retry, catch, timeout, resources, schedule])
def test_an_unknown_argument_is_refused_where_it_is_written(use: Callable[..., object]) -> None:
    with pytest.raises(FlowError, match="tmies") as caught:
        use(tmies=3)
    assert isinstance(caught.value.where, Place)
    assert caught.value.where.file == __file__


def test_a_decorator_below_step_is_refused_with_the_functions_line() -> None:
    def work(self: Any) -> None:
        pass

    with pytest.raises(GraphError, match="@retry stands on 'work', which is not a step") as caught:
        retry(work)
    assert caught.value.where == Place(__file__, work.__code__.co_firstlineno, "work")
    assert "put @step right above the function" in caught.value.mend


def test_a_decorator_on_a_class_is_refused() -> None:
    with pytest.raises(GraphError, match="which is not a step"):
        retry(times=1)(type("Flow", (), {}))


def test_a_decorator_twice_is_refused() -> None:
    with pytest.raises(GraphError, match="@timeout stands twice on the step 'work'"):
        said(timeout(seconds=1), timeout(seconds=2))


SCHEDULES = [
    (schedule(), Schedule("@daily", "UTC")),
    (schedule(daily=True), Schedule("@daily", "UTC")),
    (schedule(weekly=True), Schedule("@weekly", "UTC")),
    (schedule(hourly=True), Schedule("@hourly", "UTC")),
    (schedule(cron="0 6 * * 1-5"), Schedule("0 6 * * 1-5", "UTC")),
    (schedule(cron="0 6 * * ? *"), Schedule("0 6 * * *", "UTC")),
    (schedule(cron="@monthly"), Schedule("@monthly", "UTC")),
    (schedule(cron="0 6 * * MON", timezone="Europe/Vienna"), Schedule("0 6 * * MON", "Europe/Vienna")),
]


@pytest.mark.parametrize(("mark", "wanted"), SCHEDULES, ids=[str(wanted) for _, wanted in SCHEDULES])
def test_a_schedule_is_a_cron_line_and_a_zone(mark: Callable[[type], type], wanted: Schedule) -> None:
    flow = mark(type("Flow", (), {}))
    assert flow_declaration(flow).schedule == wanted


def test_a_flow_without_schedule_has_none_and_a_derived_one_inherits() -> None:
    base = schedule(hourly=True)(type("Base", (), {}))
    assert flow_declaration(type("Derived", (base,), {})).schedule == Schedule("@hourly", "UTC")
    assert flow_declaration(type("Other", (), {})).schedule is None
