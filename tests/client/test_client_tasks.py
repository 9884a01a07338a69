from __future__ import annotations

import pickle
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from tests.client.conftest import USAGE

from airloom.client import DataArtifact, Run, Task
from airloom.errors import NotFound
from airloom.flow.caught import CaughtException
from airloom.sizing.catalogue import Size
from airloom.store.datastore import TaskKey
from airloom.store.records import BeginRecord, ErrorRecord, FailedRecord

if TYPE_CHECKING:
    from tests.client.conftest import Recorder

LOG = (
    b"2026-11-24T10:00:00.000+00:00 o epoch 1\n"
    b"2026-11-24T10:00:01.500+00:00 e careful\n"
    b"2026-11-24T10:00:02.000+00:00 o \n"
    b"2026-11-24T10:00:03.000+00:00 o epoch 2\n"
)


def test_values_are_attributes_of_data(recorder: Recorder) -> None:
    recorder.whole("7")
    data = Task("Train/7/fit/2").data
    assert data.score == 20
    assert "score" in data
    assert "scroe" not in data


def test_names_with_an_underscore_are_hidden_but_reachable(recorder: Recorder) -> None:
    recorder.whole("7")
    task = Task("Train/7/fit/2")
    assert list(task.data) == ["score"]
    assert "_secret" not in dir(task.data)
    assert task.data._secret == "shh"
    assert [artifact.id for artifact in task] == ["score"]
    assert task.private_artifacts == ["_secret"]


def test_a_wrong_artifact_is_told_with_the_nearest(recorder: Recorder) -> None:
    recorder.whole("7")
    task = Task("Train/7/fit/2")
    with pytest.raises(NotFound, match=r"(?s)no artifact 'scroe'.*did you mean 'score'"):
        task["scroe"]
    with pytest.raises(AttributeError, match="did you mean 'score'"):
        task.data.scroe
    with pytest.raises(NotFound, match="did you mean 'score'"):
        DataArtifact("Train/7/fit/2/scroe")
    assert not hasattr(task.data, "scroe")


def test_a_missing_artifact_s_error_can_be_pickled(recorder: Recorder) -> None:
    recorder.whole("7")
    with pytest.raises(NotFound) as caught:
        Task("Train/7/fit/2")["scroe"]
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (type(caught.value), str(caught.value))


def test_artifacts_are_reached_by_attribute_and_one_after_another(recorder: Recorder) -> None:
    recorder.whole("7")
    artifacts = Task("Train/7/end/0").artifacts
    assert artifacts.report == DataArtifact("Train/7/end/0/report")
    assert [artifact.id for artifact in artifacts] == ["best", "report"]
    assert len(artifacts) == 2
    assert "report" in dir(artifacts)
    assert artifacts._fields == ("best", "report")


def test_an_artifact_is_described_without_loading_it(recorder: Recorder) -> None:
    recorder.whole("7")
    artifact = DataArtifact("Train/7/end/0/report")
    assert artifact.type == "dict"
    assert artifact.sha.startswith("b3:")
    assert artifact.size == len('{"rows":3}')
    assert "rows" in artifact.preview
    assert artifact.finished_at == Task("Train/7/end/0").finished_at
    assert artifact.parent == Task("Train/7/end/0")
    assert artifact.data == {"rows": 3}


def test_the_artifact_of_an_older_attempt_is_kept(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.done("7", "start", width=1, rates=[1])
    recorder.done("7", "start", width=2, rates=[1, 2])
    assert DataArtifact("Train/7/start/0/rates").data == [1, 2]
    assert DataArtifact("Train/7/start/0/rates", attempt=0).data == [1]
    assert Task("Train/7/start/0", attempt=0)["rates"].data == [1]


def test_the_highest_committed_attempt_counts(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.failed("7", "start")
    recorder.done("7", "start", width=2, rates=[1, 2])
    recorder.failed("7", "start")
    task = Task("Train/7/start/0")
    assert (task.current_attempt, task.attempts, task.successful) == (1, [0, 1, 2], True)
    assert task.data.rates == [1, 2]


def test_without_a_committed_attempt_the_newest_counts(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.failed("7", "start")
    task = Task("Train/7/start/0")
    assert (task.finished, task.successful) == (True, False)
    recorder.begin("7", "start")
    assert (task.finished, task.current_attempt) == (False, 1)
    assert (task.exception, task.finished_at, task.usage) == (None, None, None)


def test_an_attempt_says_why_it_failed(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.failed("7", "start")
    failure = Task("Train/7/start/0").failure
    assert failure is not None
    assert (failure.kind, failure.reason, failure.again) == ("user_code", "ValueError: no data", True)
    recorder.done("7", "start", width=1)
    assert Task("Train/7/start/0").failure is None
    assert Task("Train/7/start/0@0").metadata_dict["failure"] == "user_code"


@pytest.mark.parametrize(
    ("kind", "read"), [("out_of_memory", "out_of_memory"), ("", "unknown"), ("of_a_later_version", "unknown")]
)
def test_an_attempt_that_was_killed_says_its_size_and_its_end(
    recorder: Recorder, kind: str, read: str
) -> None:
    recorder.run("7")
    key = TaskKey("Train", "7", "start", "0")
    size = Size(cpu=2, memory_mib=512)
    recorder.datastore.claim(key, lambda _: BeginRecord(recorder.now(), "host", 42, size=size))
    error = ErrorRecord("airloom.any", "killed by the kernel\nand more", "")
    recorder.datastore.fail(key, 0, FailedRecord(recorder.now(), error, USAGE, failure=kind, final=True))
    task = Task("Train/7/start/0")
    assert (task.size, task.usage) == (size, USAGE)
    assert task.failure is not None
    assert (task.failure.kind, task.failure.reason, task.failure.again) == (
        read,
        "killed by the kernel",
        False,
    )
    facts = task.metadata_dict
    assert (facts["size.memory_mib"], facts["size.why"], facts["failure"]) == (512, "declared", read)


def test_a_running_task_that_is_done_later_is_seen_to_be(recorder: Recorder) -> None:
    recorder.run("7")
    key, attempt = recorder.begin("7", "start")
    task = Task(key.pathspec)
    assert not task.finished
    with pytest.raises(AttributeError, match="it has not finished"):
        task.data.rates
    recorder.done("7", "start", width=1, rates=[1])
    assert task.successful
    assert task.data.rates == [1]
    assert attempt == 0


def test_an_attempt_that_never_was_is_refused_with_those_that_were(recorder: Recorder) -> None:
    recorder.whole("7")
    with pytest.raises(NotFound, match=r"(?s)has no attempt 3.*its attempts are 0"):
        Task("Train/7/fit/2", attempt=3)


def test_a_failed_task_tells_why_and_what_it_had_set(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.failed("7", "start", rates=[1])
    task = Task("Train/7/start/0")
    error = task.exception
    assert error is not None
    assert (error.type, error.exception, str(error)) == ("ValueError", "no data", "Traceback: no data")
    assert task.data.rates == [1]
    with pytest.raises(AttributeError, match="which failed, has no artifact 'model'"):
        task.data.model


def test_a_caught_exception_is_told_and_the_task_successful(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.done("7", "start", width=1)
    recorder.done("7", "fit", caught=True, broken=CaughtException("no data", "ValueError", "Traceback"))
    task = Task("Train/7/fit/0")
    assert task.successful
    assert task.exception is not None
    assert (task.exception.type, task.exception.exception) == ("ValueError", "no data")


def test_a_caught_exception_that_was_not_saved_is_told_all_the_same(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.done("7", "start", caught=True, width=1)
    error = Task("Train/7/start/0").exception
    assert error is not None
    assert error.type == "ValueError"


def test_a_good_task_has_no_exception(recorder: Recorder) -> None:
    recorder.whole("7")
    assert Task("Train/7/fit/2").exception is None


def test_streams_are_told_apart(recorder: Recorder) -> None:
    recorder.whole("7")
    task = Task("Train/7/fit/2")
    recorder.datastore.write_log(recorder.begin("7", "pick")[0], 0, LOG)
    assert task.stdout == ""
    task = Task("Train/7/pick/0")
    assert task.stdout == "epoch 1\n\nepoch 2\n"
    assert task.stderr == "careful\n"
    assert list(task.loglines("stderr")) == [
        (datetime(2026, 11, 24, 10, 0, 1, 500_000, timezone.utc), "careful")
    ]
    assert [text for _, text in task.loglines()] == ["epoch 1", "careful", "", "epoch 2"]


def test_a_stream_that_is_none_is_refused(recorder: Recorder) -> None:
    recorder.whole("7")
    with pytest.raises(NotFound, match="write 'stdout' or 'stderr'"):
        Task("Train/7/fit/2").loglines("stdin")


def test_a_task_has_an_index_only_inside_a_foreach(recorder: Recorder) -> None:
    recorder.whole("7")
    assert Task("Train/7/fit/2").index == 2
    assert Task("Train/7/fit/0").index == 0
    assert Task("Train/7/pick/0").index is None


def test_metadata_holds_usage_code_and_the_scheduler_s_ids(recorder: Recorder) -> None:
    recorder.whole("7")
    facts = Task("Train/7/fit/2").metadata_dict
    assert facts["peak_memory_mib"] == 100.0
    assert facts["origin.try_number"] == 1
    assert (facts["python"], facts["platform"], facts["host"]) == ("3.11.7", "Linux", "host")
    assert facts["plan"] == recorder.plan.digest
    assert facts["attempt"] == 0


def test_times_are_in_utc(recorder: Recorder) -> None:
    recorder.whole("7")
    task = Task("Train/7/fit/2")
    assert task.finished_at is not None
    assert task.created_at.tzinfo is timezone.utc
    assert task.finished_at > task.created_at


def test_parents_are_the_attempts_that_were_read(recorder: Recorder) -> None:
    recorder.whole("7")
    recorder.done("7", "start", width=3)
    task = Task("Train/7/fit/2")
    assert task.parent_pathspecs == ("Train/7/start/0@0",)
    (parent,) = task.parent_tasks
    assert (parent.pathspec, parent.current_attempt) == ("Train/7/start/0", 0)
    assert [parent.id for parent in Task("Train/7/pick/0").parent_tasks] == ["0", "1", "2"]


def test_a_pathspec_with_an_attempt_is_read_back(recorder: Recorder) -> None:
    recorder.run("7")
    recorder.done("7", "start", width=1, rates=[1])
    recorder.done("7", "start", width=2, rates=[1, 2])
    task = Task("Train/7/start/0@0")
    assert (task.pathspec, task.current_attempt, task.data.rates) == ("Train/7/start/0", 0, [1])


def test_children_are_the_tasks_that_read_it(recorder: Recorder) -> None:
    recorder.whole("7")
    assert [child.pathspec for child in Task("Train/7/start/0").child_tasks] == [
        "Train/7/fit/0",
        "Train/7/fit/1",
        "Train/7/fit/2",
    ]
    assert list(Task("Train/7/fit/1").child_tasks) == [Task("Train/7/pick/0")]
    assert list(Task("Train/7/end/0").child_tasks) == []


def test_tasks_that_read_an_older_attempt_are_no_children_of_the_newer(recorder: Recorder) -> None:
    recorder.whole("7")
    recorder.done("7", "fit", "1", score=11)
    assert list(Task("Train/7/fit/1").child_tasks) == []
    assert list(Task("Train/7/fit/1", attempt=0).child_tasks) == [Task("Train/7/pick/0")]


def test_a_task_knows_its_code(recorder: Recorder) -> None:
    recorder.code(train="x = 1")
    recorder.whole("7")
    assert Task("Train/7/fit/2").code_digest == recorder.plan.code
    assert Run("Train/7").code_digest == recorder.plan.code
