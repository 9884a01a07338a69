"""``self`` inside of a step: artifacts, what is read-only, the transition, where it stands."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from airloom import FlowSpec, Parameter, step
from airloom.errors import ArtifactError, GraphError
from airloom.flow.spec import constants_of

if TYPE_CHECKING:
    from tests.flow.conftest import Make


class Sample(FlowSpec):
    LIMIT = 10
    TABLE = {"a": 1}
    _private = 5
    rate = Parameter("learning-rate", default=0.1)

    class Inner:
        pass

    @property
    def twice(self) -> int:
        return 2 * self.LIMIT

    def helper(self) -> str:
        return "help"

    @step
    def start(self) -> None:
        pass

    @step
    def end(self) -> None:
        pass


class Derived(Sample):
    LIMIT = 20
    MORE = "more"


def test_what_is_set_can_be_read_and_deleted(task: Make) -> None:
    flow = task(Sample)
    flow.x = [1]
    assert flow.x == [1]
    del flow.x
    assert not hasattr(flow, "x")


def test_what_was_never_set_has_metaflows_message(task: Make) -> None:
    with pytest.raises(AttributeError, match="Flow Sample has no attribute 'y'"):
        task(Sample).y
    with pytest.raises(AttributeError, match="Flow Sample has no attribute 'y'"):
        del task(Sample).y


def test_inherited_artifacts_are_loaded_once_and_only_when_read(task: Make) -> None:
    flow = task(Sample, x=[1], y=2)
    source = flow._airloom.inherited["x"]
    assert source.loaded == []
    assert flow.x is flow.x
    assert source.loaded == ["x"]


def test_an_inherited_artifact_can_be_replaced_without_being_read(task: Make) -> None:
    flow = task(Sample, x=1)
    source = flow._airloom.inherited["x"]
    flow.x = 2
    assert flow.x == 2
    assert source.loaded == []


def test_a_deleted_inherited_artifact_does_not_come_back(task: Make) -> None:
    flow = task(Sample, x=1, y=2)
    flow.x  # also one that was read
    del flow.x
    del flow.y
    assert not hasattr(flow, "x")
    assert not hasattr(flow, "y")
    assert "x" not in dir(flow)


def test_dir_names_inherited_artifacts(task: Make) -> None:
    assert {"x", "start", "LIMIT"} <= set(dir(task(Sample, x=1)))


@pytest.mark.parametrize("name", ["LIMIT", "TABLE", "MORE"])
def test_constants_are_read_only(task: Make, name: str) -> None:
    flow = task(Derived)
    with pytest.raises(AttributeError, match=f"'{name}' cannot be changed"):
        setattr(flow, name, 1)


def test_parameters_are_read_only(task: Make) -> None:
    flow = task(Sample, parameters={"rate": 0.5})
    assert flow.rate == 0.5
    with pytest.raises(AttributeError, match="'learning-rate' cannot be changed"):
        flow.rate = 0.6


def test_a_parameter_has_no_value_outside_of_a_run() -> None:
    with pytest.raises(AttributeError, match="no value outside of a run"):
        Sample(use_cli=False).rate
    assert isinstance(Sample.rate, Parameter)


def test_constants_are_plain_class_values_of_the_flow_and_its_bases() -> None:
    assert constants_of(Sample) == ("LIMIT", "TABLE")
    assert constants_of(Derived) == ("LIMIT", "MORE", "TABLE")


def test_a_derived_flow_has_its_own_constants_and_the_helpers(task: Make) -> None:
    flow = task(Derived)
    assert (flow.LIMIT, flow.twice, flow.helper()) == (20, 40, "help")


def test_a_flow_knows_its_name_and_its_steps(task: Make) -> None:
    flow = task(Derived)
    assert flow.name == "Derived"
    assert [one.__name__ for one in flow] == ["end", "start"]


# -- self.next -------------------------------------------------------------------------------


def test_next_keeps_what_it_was_called_with(task: Make) -> None:
    flow = task(Sample)
    flow.next(flow.start, foreach="items", allow_empty=True)
    taken = flow._airloom.next
    assert taken.targets == ("start",)
    assert (taken.foreach, taken.allow_empty, taken.condition) == ("items", True, None)


def test_next_twice_is_refused(task: Make) -> None:
    flow = task(Sample)
    flow.next(flow.end)
    with pytest.raises(GraphError, match=r"self\.next\(\) was called twice"):
        flow.next(flow.end)


@pytest.mark.parametrize(("value", "target"), [("a", "start"), ("b", "end")])
def test_a_switch_goes_where_its_condition_says(task: Make, value: str, target: str) -> None:
    flow = task(Sample, mode=value)
    flow.next({"a": flow.start, "b": flow.end}, condition="mode")
    assert flow._airloom.next.targets == (target,)
    assert flow._airloom.next.choice == value


def test_a_switch_by_a_parameter(task: Make) -> None:
    flow = task(Sample, parameters={"rate": 1})
    flow.next({True: flow.start, False: flow.end}, condition="rate")
    assert flow._airloom.next.choice is True


def test_a_switch_without_the_case_names_value_and_cases(task: Make) -> None:
    flow = task(Sample, mode="c")
    with pytest.raises(GraphError, match=r"no case for mode = 'c'") as caught:
        flow.next({"a": flow.start, "b": flow.end}, condition="mode")
    assert "['a', 'b']" in str(caught.value)


def test_a_switch_by_what_is_not_set_names_it(task: Make) -> None:
    flow = task(Sample)
    with pytest.raises(GraphError, match=r"decides by self\.mode, which is not set"):
        flow.next({"a": flow.start, "b": flow.end}, condition="mode")


def test_a_switch_by_a_value_that_cannot_be_a_key_names_it(task: Make) -> None:
    flow = task(Sample, mode=["a"])
    with pytest.raises(GraphError, match=r"no case for mode = \['a'\]"):
        flow.next({"a": flow.start, "b": flow.end}, condition="mode")


# -- foreach ---------------------------------------------------------------------------------


def test_outside_of_a_foreach_there_is_no_index(task: Make) -> None:
    flow = task(Sample)
    assert (flow.index, flow.input, flow.foreach_stack()) == (None, None, [])


def test_inside_the_innermost_foreach_counts(task: Make) -> None:
    flow = task(Sample, stack=[(1, 2, lambda: "outer"), (0, 3, lambda: "inner")])
    assert (flow.index, flow.input) == (0, "inner")
    assert flow.foreach_stack() == [(1, 2, "outer"), (0, 3, "inner")]
    outer, inner = flow.foreach_stack()
    assert (outer.index, outer.num_splits, outer.value) == (1, 2, "outer")
    assert inner[0] == 0


def test_the_index_loads_no_item(task: Make) -> None:
    def never() -> None:
        raise AssertionError("loaded")

    assert task(Sample, stack=[(4, 5, never)]).index == 4


# -- what cannot be saved --------------------------------------------------------------------


def test_a_flow_cannot_be_pickled(task: Make) -> None:
    with pytest.raises(ArtifactError, match="self or one of inputs was assigned"):
        pickle.dumps(task(Sample))


def test_inputs_cannot_be_pickled(inputs: Make) -> None:
    branches = inputs(("a", {}), ("b", {}))
    with pytest.raises(ArtifactError, match="inputs cannot be saved"):
        pickle.dumps(branches)
    with pytest.raises(ArtifactError, match="one of inputs cannot be saved"):
        pickle.dumps(branches[0])
