from __future__ import annotations

import re
from datetime import timezone
from typing import TYPE_CHECKING

import pytest

from airloom.client import Airloom, Flow, Run, Step, Task
from airloom.errors import NotFound

if TYPE_CHECKING:
    from tests.client.conftest import Recorder


def test_all_flows_of_a_datastore_are_listed(recorder: Recorder) -> None:
    recorder.whole("7")
    assert Airloom().flows == [Flow("Train")]
    assert Airloom()["Train"].id == "Train"


def test_the_runs_of_a_flow_come_newest_first(recorder: Recorder) -> None:
    for run in ("7", "9", "8"):
        recorder.run(run)
    assert [run.id for run in Flow("Train")] == ["8", "9", "7"]
    assert list(Flow("Train").runs()) == list(Flow("Train"))


def test_the_latest_run_was_created_last(recorder: Recorder) -> None:
    recorder.whole("7")
    recorder.run("9")
    flow = Flow("Train")
    assert flow.latest_run == Run("Train/9")
    assert flow.latest_successful_run == Run("Train/7")


def test_a_flow_that_never_ran_has_no_latest_run(recorder: Recorder) -> None:
    recorder.datastore.save_plan(recorder.plan)
    flow = Flow("Train")
    assert flow.latest_run is None
    assert flow.latest_successful_run is None
    assert flow.created_at is None


def test_a_flow_is_as_old_as_its_first_run(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.run("9")
    assert Flow("Train").created_at == Run("Train/7").created_at


def test_steps_come_in_the_order_of_the_plan(recorder: Recorder) -> None:
    recorder.whole("7")
    assert [step.id for step in Run("Train/7")] == ["start", "fit", "pick", "end"]


def test_a_run_that_has_not_reached_a_step_does_not_list_it(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.done("7", "start", width=3)
    assert [step.id for step in Run("Train/7").steps()] == ["start"]
    assert "fit" not in Run("Train/7")


def test_the_data_of_a_run_are_those_of_its_end(recorder: Recorder) -> None:
    recorder.whole("7")
    run = Run("Train/7")
    assert run.end_task == Task("Train/7/end/0")
    assert run.data is not None
    assert run.data.report == {"rows": 3}


def test_a_run_without_an_end_task_has_no_data(recorder: Recorder) -> None:
    recorder.run("7")
    assert Run("Train/7").end_task is None
    assert Run("Train/7").data is None


def test_a_run_without_an_end_is_not_finished(recorder: Recorder) -> None:
    recorder.run("7")
    run = Run("Train/7")
    assert (run.finished, run.successful, run.finished_at) == (False, False, None)


def test_the_newest_end_of_a_run_counts(recorder: Recorder) -> None:
    recorder.whole("7", successful=False)
    run = Run("Train/7")
    assert (run.finished, run.successful) == (True, False)
    first = run.finished_at
    recorder.datastore.end_run("Train", "7", successful=True)
    assert run.successful
    assert first is not None
    assert run.finished_at is not None
    assert run.finished_at > first
    assert first.tzinfo is timezone.utc


def test_a_run_tells_who_started_it_and_with_what(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.run("8", {"rate": 0.5}, resumed="7")
    run = Run("Train/8")
    assert (run.user, run.parameters, run.origin) == ("ada", {"rate": 0.5}, {"dag_id": "train"})
    assert run.origin_pathspec == "Train/7"
    assert Run("Train/7").parameters == {"rate": 0.1}
    assert Run("Train/7").origin_pathspec is None


def test_tasks_come_by_index(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.done("7", "start", width=12)
    for index in (10, 2, 0):
        recorder.done("7", "fit", str(index))
    step = Run("Train/7")["fit"]
    assert [task.index for task in step] == [0, 2, 10]
    assert [task.id for task in step.tasks()] == ["0", "2", "10"]
    assert step.task == Task("Train/7/fit/0")


def test_tasks_that_a_narrower_split_made_needless_are_left_out(recorder: Recorder) -> None:
    recorder.whole("7")
    recorder.done("7", "start", width=2, rates=[1, 2])
    step = Step("Train/7/fit")
    assert [task.id for task in step] == ["0", "1"]
    assert step["2"].data.score == 20


def test_a_step_is_finished_when_its_last_task_is(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.done("7", "start", width=2)
    recorder.done("7", "fit", "0")
    key, _ = recorder.begin("7", "fit", "1")
    step = Step("Train/7/fit")
    assert step.finished_at is None
    recorder.failed("7", "fit", "1")
    assert step.finished_at == Task(key.pathspec).finished_at
    assert step.created_at == Task("Train/7/fit/0").created_at


def test_a_step_knows_the_steps_around_it(recorder: Recorder) -> None:
    recorder.whole("7")
    step = Step("Train/7/fit")
    assert list(step.parent_steps) == [Step("Train/7/start")]
    assert list(step.child_steps) == [Step("Train/7/pick")]


@pytest.mark.parametrize(
    ("kind", "pathspec", "message"),
    [
        (Flow, "Trian", "has no flow 'Trian'.*did you mean 'Train'"),
        (Run, "Trian/77", "has no flow 'Trian'.*did you mean 'Train'"),
        (Run, "Train/7", r"Flow\('Train'\) has no run '7'.*did you mean '77'"),
        (Step, "Train/77/fti", r"Run\('Train/77'\) has no step 'fti'.*did you mean 'fit'"),
        (Task, "Train/77/fit/12", r"Step\('Train/77/fit'\) has no task '12'.*did you mean '2'"),
        (Task, "Train/78/fit/2", "has no run '78'"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(
    recorder: Recorder, kind: type[Flow | Run | Step | Task], pathspec: str, message: str
) -> None:
    recorder.whole("77")
    with pytest.raises(NotFound, match=f"(?s){message}"):
        kind(pathspec)


def test_a_wrong_child_is_told_with_the_nearest(recorder: Recorder) -> None:
    recorder.whole("9")
    with pytest.raises(NotFound, match=r"(?s)no step 'fti'.*did you mean 'fit'\?"):
        Run("Train/9")["fti"]


def test_not_found_is_a_key_error(recorder: Recorder) -> None:
    recorder.whole("9")
    with pytest.raises(KeyError):
        Flow("Train")["10"]


def test_a_step_that_has_not_begun_is_told_apart_from_a_wrong_one(recorder: Recorder) -> None:
    recorder.run("7")
    with pytest.raises(NotFound, match=r"has not begun.*\n.*\n.*wait for the steps before it"):
        Run("Train/7")["pick"]
    recorder.datastore.end_run("Train", "7", successful=False)
    with pytest.raises(NotFound, match="the run has ended without it"):
        Run("Train/7")["pick"]


def test_a_pathspec_of_another_kind_is_refused_with_the_right_one(recorder: Recorder) -> None:
    recorder.whole("7")
    with pytest.raises(NotFound, match=re.escape("write Flow/run, or use Task.")):
        Run("Train/7/fit/2")


@pytest.mark.parametrize("name", ["", "a/b", "..", 7, None])
def test_what_is_no_name_is_in_nothing(recorder: Recorder, name: object) -> None:
    recorder.whole("7")
    assert name not in Flow("Train")
    assert name not in Run("Train/7")
    assert name not in Step("Train/7/fit")
    assert name not in Airloom()


def test_a_run_id_of_airflow_is_kept_verbatim(recorder: Recorder) -> None:
    run = "manual__2026-11-24T10:00:00+00:00"
    recorder.whole(run)
    assert Run(f"Train/{run}").path_components == ["Train", run]
    assert run in Flow("Train")
    assert Task(f"Train/{run}/fit/2").data.score == 20


def test_parents_lead_up_to_the_flow(recorder: Recorder) -> None:
    recorder.whole("7")
    task = Task("Train/7/fit/2")
    step = task.parent
    assert step == Step("Train/7/fit")
    assert step is not None
    assert step.parent == Run("Train/7")
    assert Run("Train/7").parent == Flow("Train")
    assert Flow("Train").parent is None
