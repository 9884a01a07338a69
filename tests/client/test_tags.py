from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from airloom.client import Flow, Run
from airloom.errors import TagError
from airloom.store.datastore import Datastore
from airloom.store.records import RunRecord, TagRecord

if TYPE_CHECKING:
    from tests.client.conftest import Recorder


def started(datastore: Datastore, recorder: Recorder, run: str, *tags: str) -> Run:
    """Write a run that was started with these tags."""
    plan = datastore.save_plan(recorder.plan)
    origin = {"scheduler": "local"}
    record = RunRecord(
        "Train", run, plan, recorder.now(), "ada", {}, dict(origin), None, tags, "3.11.7", "0.1"
    )
    assert datastore.create_run(record)
    return Run(f"Train/{run}")


def test_a_run_begins_with_the_tags_it_was_started_with(datastore: Datastore, recorder: Recorder) -> None:
    run = started(datastore, recorder, "7", "nightly")
    assert run.user_tags == {"nightly"}


def test_the_system_tags_follow_from_the_record(datastore: Datastore, recorder: Recorder) -> None:
    run = started(datastore, recorder, "7", "nightly")
    system = {"user:ada", "runtime:local", "python_version:3.11.7", "airloom_version:0.1", "date:2026-11-24"}
    assert run.system_tags == system
    assert run.tags == {"nightly", *system}


def test_a_run_of_a_project_has_its_tags(datastore: Datastore, recorder: Recorder) -> None:
    started(datastore, recorder, "7")
    record = replace(datastore.run("Train", "7"), run="8", project="shop", branch="user.ada")
    datastore.create_run(record)
    assert {"project:shop", "project_branch:user.ada"} < Run("Train/8").tags


def test_tags_are_added_and_removed(recorder: Recorder) -> None:
    recorder.run("7")
    run = Run("Train/7")
    run.add_tag("good")
    run.add_tags(["fast", "small"])
    run.remove_tag("fast")
    assert run.user_tags == {"good", "small"}
    run.remove_tags(["good", "small"])
    assert Run("Train/7").user_tags == frozenset()


def test_one_change_takes_away_and_gives(recorder: Recorder, datastore: Datastore) -> None:
    recorder.run("7")
    run = Run("Train/7")
    run.add_tags({"candidate", "kept"})
    run.replace_tag("candidate", "champion")
    assert run.user_tags == {"champion", "kept"}
    run.replace_tags(["champion", "kept"], ["kept", "old"])
    assert run.user_tags == {"kept", "old"}
    assert len(datastore.tag_changes("Train", "7")) == 3


def test_what_changes_nothing_writes_nothing(recorder: Recorder, datastore: Datastore) -> None:
    recorder.run("7")
    run = Run("Train/7")
    run.add_tag("good")
    run.add_tag("good")
    run.add_tag("user:ada")
    run.remove_tag("unknown")
    run.replace_tag("good", "good")
    assert [change.added for change in datastore.tag_changes("Train", "7")] == [("good",)]
    assert run.user_tags == {"good"}


def test_a_change_says_who_and_when(
    recorder: Recorder, datastore: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.run("7")
    monkeypatch.setenv("AIRLOOM_USER", "bob")
    Run("Train/7").add_tag("good")
    (change,) = datastore.tag_changes("Train", "7")
    assert change.user == "bob"
    assert change.changed_at > "2026"


def test_records_count_in_the_order_of_their_names_not_of_their_clocks(
    recorder: Recorder, datastore: Datastore
) -> None:
    recorder.run("7")
    datastore.tag_run("Train", "7", TagRecord("2999-01-01T00:00:00+00:00", "ada", added=("good",)))
    Run("Train/7").remove_tag("good")
    assert Run("Train/7").user_tags == frozenset()


def test_tags_of_two_people_at_once_are_both_kept(recorder: Recorder, datastore: Datastore) -> None:
    recorder.run("7")
    when = "2026-11-24T10:00:00+00:00"
    for user in ("ada", "bob"):
        datastore.tag_run("Train", "7", TagRecord(when, user, added=(f"of-{user}",)))
    assert Run("Train/7").user_tags == {"of-ada", "of-bob"}


def test_a_system_tag_cannot_be_removed(recorder: Recorder) -> None:
    recorder.run("7")
    with pytest.raises(TagError, match="'user:ada' cannot be removed: the run's own record says so"):
        Run("Train/7").remove_tag("user:ada")
    with pytest.raises(TagError, match="cannot be removed"):
        Run("Train/7").replace_tag("user:ada", "user:bob")


@pytest.mark.parametrize("tag", ["", "  ", "x" * 501, "\ud800"])
def test_what_cannot_be_a_tag_is_refused(recorder: Recorder, tag: str) -> None:
    recorder.run("7")
    with pytest.raises(TagError):
        Run("Train/7").add_tag(tag)
    assert Run("Train/7").user_tags == frozenset()


def test_a_run_has_fifty_tags_at_most(recorder: Recorder) -> None:
    recorder.run("7")
    run = Run("Train/7")
    run.add_tags(f"tag-{number}" for number in range(50))
    with pytest.raises(TagError, match="a run can have 50 tags, and these are 51"):
        run.add_tag("one more")
    run.replace_tag("tag-0", "one more")
    assert len(run.user_tags) == 50


def test_any_text_can_be_a_tag(recorder: Recorder) -> None:
    recorder.run("7")
    run = Run("Train/7")
    odd = ["a/b", "ü ß", "x" * 500, "a,b", '"quoted"', "line\nbreak"]
    run.add_tags(odd)
    assert run.user_tags == set(odd)


def test_runs_steps_and_tasks_are_found_by_tags(recorder: Recorder) -> None:
    for number in ("7", "8", "9"):
        recorder.whole(number)
    Run("Train/7").add_tags(["good", "small"])
    Run("Train/9").add_tag("good")
    flow = Flow("Train")
    assert [run.id for run in flow.runs("good")] == ["9", "7"]
    assert [run.id for run in flow.runs("good", "small")] == ["7"]
    assert [run.id for run in flow.runs("good", "user:ada")] == ["9", "7"]
    assert [step.id for step in Run("Train/9").steps("good")] == ["start", "fit", "pick", "end"]
    assert list(Run("Train/8").steps("good")) == []
    assert len(list(Run("Train/9")["fit"].tasks("good"))) == 3
    assert list(Run("Train/9")["fit"].tasks("bad")) == []


def test_all_below_a_run_has_its_tags(recorder: Recorder) -> None:
    recorder.whole("7")
    run = Run("Train/7")
    run.add_tag("good")
    below = (run["fit"], run["fit"]["1"], run["fit"]["1"]["score"])
    assert all("good" in thing.user_tags and "user:ada" in thing.system_tags for thing in below)
    assert Flow("Train").tags == frozenset()


def test_a_pickled_run_reads_its_tags_anew(recorder: Recorder) -> None:
    recorder.run("7")
    kept = pickle.dumps(Run("Train/7"))
    Run("Train/7").add_tag("good")
    assert pickle.loads(kept).user_tags == {"good"}
