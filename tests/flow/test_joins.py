"""A join: its inputs, and what it takes over of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airloom import FlowSpec, Parameter
from airloom.errors import AirloomError, ArtifactError
from airloom.flow.spec import MissingInMergeArtifacts, UnhandledInMergeArtifacts

if TYPE_CHECKING:
    from tests.flow.conftest import Make


class Joined(FlowSpec):
    LIMIT = 10
    rate = Parameter("rate", default=1)


def test_inputs_are_found_by_step_by_position_and_in_order(inputs: Make) -> None:
    branches = inputs(("left", {"x": 1}), ("right", {"x": 2}))
    assert branches.left.x == branches[0].x == 1
    assert branches.right.x == branches[-1].x == 2
    assert [branch.x for branch in branches] == [1, 2]
    assert len(branches) == 2


def test_inputs_of_one_step_give_the_first_by_its_name(inputs: Make) -> None:
    assert inputs(("body", {"x": 1}), ("body", {"x": 2})).body.x == 1


def test_a_branch_that_is_not_there_is_named(inputs: Make) -> None:
    branches = inputs(("left", {}), ("right", {}))
    with pytest.raises(AttributeError, match="no branch of this join ends with the step 'middle'"):
        branches.middle
    with pytest.raises(IndexError):
        branches[2]


def test_an_artifact_that_a_branch_has_not_is_named_with_the_branch(inputs: Make) -> None:
    with pytest.raises(AttributeError, match="the branch 'left' has no artifact 'y'"):
        inputs(("left", {"x": 1})).left.y


def test_a_branch_knows_where_it_stood(inputs: Make) -> None:
    _, second = inputs(("body", {}), ("body", {}))
    assert (second.index, second.input) == (1, "item 1")
    assert second.foreach_stack() == [(1, 2, "item 1")]


def test_a_branch_loads_an_artifact_once(inputs: Make) -> None:
    (branch,) = inputs(("body", {"x": [1]}))
    assert branch.x is branch.x
    assert branch.airloom_source.loaded == ["x"]
    assert "x" in dir(branch)


def test_a_join_begins_with_nothing(task: Make) -> None:
    assert not hasattr(task(Joined), "x")


def test_what_the_branches_agree_on_is_taken_over_without_loading(task: Make, inputs: Make) -> None:
    join, branches = task(Joined), inputs(("a", {"x": [1], "y": 2}), ("b", {"x": [1]}))
    join.merge_artifacts(branches)
    assert [branch.airloom_source.loaded for branch in branches] == [[], []]
    assert (join.x, join.y) == ([1], 2)


def test_all_conflicts_are_told_at_once(task: Make, inputs: Make) -> None:
    join = task(Joined)
    branches = inputs(("a", {"z": 1, "x": 1, "same": 0}), ("b", {"z": 2, "x": 2, "same": 0}))
    with pytest.raises(UnhandledInMergeArtifacts, match="the branches differ in x, z") as caught:
        join.merge_artifacts(branches)
    assert caught.value.artifact_names == ["x", "z"]
    assert not hasattr(join, "same"), "nothing is merged when something cannot be"


def test_what_is_set_before_is_left_alone(task: Make, inputs: Make) -> None:
    join = task(Joined)
    join.x = 3
    join.merge_artifacts(inputs(("a", {"x": 1, "y": 1}), ("b", {"x": 2, "y": 1})))
    assert (join.x, join.y) == (3, 1)


def test_exclude_leaves_names_out(task: Make, inputs: Make) -> None:
    join = task(Joined)
    join.merge_artifacts(inputs(("a", {"x": 1, "y": 1}), ("b", {"x": 2, "y": 1})), exclude=["x"])
    assert join.y == 1
    assert not hasattr(join, "x")


def test_include_takes_these_names_only(task: Make, inputs: Make) -> None:
    join = task(Joined)
    join.merge_artifacts(inputs(("a", {"x": 1, "y": 1}), ("b", {"x": 2, "y": 1})), include=["y"])
    assert join.y == 1
    assert not hasattr(join, "x")


def test_include_of_what_no_branch_has_is_refused(task: Make, inputs: Make) -> None:
    with pytest.raises(MissingInMergeArtifacts, match="no branch has p, q") as caught:
        task(Joined).merge_artifacts(inputs(("a", {"x": 1})), include=["x", "q", "p"])
    assert caught.value.artifact_names == ["p", "q"]


def test_include_still_refuses_conflicts(task: Make, inputs: Make) -> None:
    with pytest.raises(UnhandledInMergeArtifacts):
        task(Joined).merge_artifacts(inputs(("a", {"x": 1}), ("b", {"x": 2})), include=["x"])


def test_include_and_exclude_together_are_refused(task: Make, inputs: Make) -> None:
    with pytest.raises(ArtifactError, match="exclude and include"):
        task(Joined).merge_artifacts(inputs(("a", {})), include=["x"], exclude=["y"])


def test_parameters_and_constants_are_no_conflict(task: Make, inputs: Make) -> None:
    join = task(Joined, parameters={"rate": 1})
    join.merge_artifacts(inputs(("a", {"rate": 1, "LIMIT": 1}), ("b", {"rate": 2, "LIMIT": 2})))
    assert (join.rate, join.LIMIT) == (1, 10)


def test_a_name_of_one_branch_only_is_taken(task: Make, inputs: Make) -> None:
    join = task(Joined)
    join.merge_artifacts(inputs(("a", {"only": 5}), ("b", {})))
    assert join.only == 5


def test_merging_in_two_calls_adds_up(task: Make, inputs: Make) -> None:
    join, branches = task(Joined), inputs(("a", {"x": 1, "y": 2}), ("b", {"x": 1}))
    join.merge_artifacts(branches, include=["x"])
    join.merge_artifacts(branches)
    assert (join.x, join.y) == (1, 2)


def test_the_errors_can_be_caught_and_say_what_to_do(task: Make, inputs: Make) -> None:
    with pytest.raises(AirloomError, match="merge_artifacts") as caught:
        task(Joined).merge_artifacts(inputs(("a", {"x": 1}), ("b", {"x": 2})))
    assert "set each on self before merge_artifacts" in caught.value.mend
