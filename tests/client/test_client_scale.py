"""How many requests the client makes: to a real store, counted at its edge."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from airloom.client import Airloom, DataArtifact, Flow, Run, Task, namespace
from airloom.errors import CorruptBlob, NotFound
from airloom.store.blobs import blob_key
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.objects import MemoryObjects
from airloom.store.records import BeginRecord, DoneRecord, Outcome, RunRecord, Usage

if TYPE_CHECKING:
    from tests.client.conftest import Recorder

PAGE = 1000
"""Keys that an object store gives in one answer to a listing."""

SCHEDULED = {"scheduler": "airflow", "run_type": "scheduled"}


class Counted:
    """A store that notes what it is asked for; a listing counts once a page."""

    is_local = False

    def __init__(self, objects: Any) -> None:
        self.objects = objects
        self.requests: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.objects, name)
        if name == "list":
            return self._list
        if not callable(member):
            return member

        def asked(key: str = "", *rest: Any, **named: Any) -> Any:
            self.requests.append((name, str(key)))
            return member(key, *rest, **named)

        return asked

    def _list(self, prefix: str = "", *rest: Any, **named: Any) -> Iterator[str]:
        for number, key in enumerate(self.objects.list(prefix, *rest, **named)):
            if number % PAGE == 0:
                self.requests.append(("list", prefix))
            yield key
        if not self.requests or self.requests[-1] != ("list", prefix):
            self.requests.append(("list", prefix))

    def count(self, do: Callable[[], object]) -> int:
        """How many requests something makes."""
        self.requests.clear()
        do()
        return len(self.requests)


class Meeting(Counted):
    """A remote store that answers reads of blobs when so many of them wait at once."""

    def __init__(self, objects: Any, parties: int) -> None:
        super().__init__(objects)
        self.barrier = threading.Barrier(parties, timeout=60)
        self.met = False

    def map(self, key: str) -> memoryview:
        self.barrier.wait()
        self.met = True
        return self.objects.map(key)  # type: ignore[no-any-return]


@pytest.fixture
def counted(datastore: Datastore) -> Counted:
    """The test's local store, counted."""
    return Counted(datastore._objects)


@pytest.fixture
def store(counted: Counted) -> Datastore:
    return Datastore(counted)  # type: ignore[arg-type]


def moment(number: int) -> str:
    return (
        f"2026-11-24T{number // 36000:02}:{number // 600 % 60:02}:{number // 10 % 60:02}.{number % 10}+00:00"
    )


def many(objects: Any, count: int) -> Datastore:
    """Runs as in a long life: one of ada, who wants to find it, then those of the schedule, all bad."""
    datastore = Datastore(objects)
    first = RunRecord("Train", "ada", "b3:0", moment(0), "ada", tags=("champion",))
    datastore.create_run(first)
    datastore.end_run("Train", "ada", True)
    scheduled = replace(first, user="airflow", origin=dict(SCHEDULED), tags=())
    for number in range(1, count):
        datastore.create_run(replace(scheduled, run=f"r{number}", created_at=moment(number)))
    return datastore


def find(store: Datastore, search: Callable[[Flow], Run | None], found: list[Run | None]) -> None:
    found.append(search(Flow("Train", datastore=store)))


@pytest.mark.parametrize(
    "count", [pytest.param(3_000, id="3,000"), pytest.param(100_000, id="100,000", marks=pytest.mark.slow)]
)
def test_finding_a_run_takes_as_many_requests_among_many_as_among_few(count: int) -> None:
    few, lots = Counted(MemoryObjects(str(uuid4()))), Counted(MemoryObjects(str(uuid4())))
    for objects, runs in ((few, 3), (lots, count)):
        many(objects, runs)
    searches: dict[str, Callable[[Flow], Run | None]] = {
        "latest_run": lambda flow: flow.latest_run,
        "latest_successful_run": lambda flow: flow.latest_successful_run,
        "tag": lambda flow: next(flow.runs("champion")),
        "first of all": lambda flow: next(iter(flow)),
    }
    for whose in (None, "user:ada", "champion"):
        namespace(whose)
        for name, search in searches.items():
            asked = {}
            for objects in (few, lots):
                store = Datastore(objects)  # type: ignore[arg-type]
                found: list[Run | None] = []
                asked[objects] = objects.count(partial(find, store, search, found))
                newest = f"r{(3 if objects is few else count) - 1}"
                expected = newest if whose is None and name in ("latest_run", "first of all") else "ada"
                assert [run.id for run in found if run is not None] == [expected]
            assert asked[few] == asked[lots], (whose, name)
            assert asked[lots] <= (7 if whose != "champion" else 9), lots.requests


def test_the_flows_of_a_namespace_are_found_without_a_look_at_all_runs() -> None:
    objects = Counted(MemoryObjects(str(uuid4())))
    many(objects, 2_000)
    store = Datastore(objects)  # type: ignore[arg-type]
    namespace("user:ada")
    assert objects.count(lambda: Airloom(datastore=store).flows) <= 3
    namespace("user:nobody")
    assert Airloom(datastore=store).flows == []


def test_runs_are_listed_page_by_page() -> None:
    objects = Counted(MemoryObjects(str(uuid4())))
    store = many(objects, 2_500)
    flow = Flow("Train", datastore=store)
    runs = iter(flow)
    assert objects.count(lambda: list(islice(runs, PAGE))) == 1
    assert objects.count(lambda: next(runs)) == 1
    assert objects.count(lambda: list(runs)) == 1


def test_a_run_that_failed_after_it_had_succeeded_is_passed_over(recorder: Recorder) -> None:
    for run in ("7", "8"):
        recorder.whole(run)
    recorder.datastore.end_run("Train", "8", False)
    assert Flow("Train").latest_successful_run == Run("Train/7")
    recorder.datastore.end_run("Train", "8", True)
    assert Flow("Train").latest_successful_run == Run("Train/8")


def test_a_tag_that_was_taken_away_finds_nothing_any_more(recorder: Recorder) -> None:
    for run in ("7", "8"):
        recorder.whole(run)
        Run(f"Train/{run}").add_tag("good")
    assert [run.id for run in Flow("Train").runs("good")] == ["8", "7"]
    Run("Train/8").remove_tag("good")
    assert [run.id for run in Flow("Train").runs("good")] == ["7"]
    namespace("good")
    assert Flow("Train").latest_successful_run == Run("Train/7")


def test_runs_are_found_by_what_the_system_says_too(recorder: Recorder) -> None:
    recorder.whole("7")
    assert [run.id for run in Flow("Train").runs("date:2026-11-24")] == ["7"]
    assert list(Flow("Train").runs("date:1999-01-01")) == []


@pytest.mark.parametrize("tag", ["a/b c", "ü" * 500, "..", "%2F"])
def test_runs_are_found_by_any_tag(recorder: Recorder, tag: str) -> None:
    recorder.whole("7")
    Run("Train/7").add_tag(tag)
    assert [run.id for run in Flow("Train").runs(tag)] == ["7"]
    assert Run("Train/7").user_tags == {tag}


def test_entries_of_a_deleted_run_show_nothing(recorder: Recorder, datastore: Datastore) -> None:
    for run in ("7", "8"):
        recorder.whole(run)
    datastore._objects.delete("flows/Train/runs/8/run.json")
    assert Flow("Train").latest_run == Run("Train/7")
    namespace("user:ada")
    assert Flow("Train").latest_run == Run("Train/7")


def test_all_entries_of_a_run_are_known(recorder: Recorder, datastore: Datastore) -> None:
    recorder.whole("7")
    Run("Train/7").add_tags(["one", "two"])
    Run("Train/7").remove_tag("one")
    known = set(datastore.entries(datastore.run("Train", "7")))
    written = {
        key
        for key in datastore._objects.list("flows/Train")
        if not key.startswith(("flows/Train/runs/", "flows/Train/plans/"))
    }
    assert written <= known
    assert Counter(key.split("/")[2] for key in written) == {"newest": 1, "successful": 1, "tagged": 6}


def test_the_data_of_an_artifact_take_three_requests(
    recorder: Recorder, counted: Counted, store: Datastore
) -> None:
    recorder.whole("7")

    def load() -> None:
        assert DataArtifact("Train/7/end/0/report", datastore=store).data == {"rows": 3}

    assert counted.count(load) <= 3, counted.requests


def test_the_data_of_a_task_at_hand_take_three_requests(
    recorder: Recorder, counted: Counted, store: Datastore
) -> None:
    recorder.whole("7")
    task = Run("Train/7", datastore=store)["fit"]["2"]

    def load() -> None:
        assert task.data.score == 20

    assert counted.count(load) <= 3, counted.requests


def test_several_artifacts_are_read_side_by_side_from_a_remote_store(recorder: Recorder) -> None:
    remote = Meeting(MemoryObjects(str(uuid4())), parties=3)
    recorder.datastore = Datastore(remote)  # type: ignore[arg-type]
    large = {name: random.Random(name).randbytes(300_000) for name in ("one", "two", "six")}
    recorder.run("7")
    recorder.done("7", "start", width=1, few=[1], **large)
    task = Task("Train/7/start/0", datastore=recorder.datastore)
    assert task.load(*large) == large
    assert remote.met


def test_all_artifacts_of_a_task_are_loaded(recorder: Recorder) -> None:
    recorder.whole("7")
    task = Task("Train/7/end/0")
    assert task.load() == {"best": 20, "report": {"rows": 3}}
    assert task.load("best") == {"best": 20}
    assert Task("Train/7/fit/0").load("_secret") == {"_secret": "shh"}
    with pytest.raises(NotFound, match="no artifact 'bets'"):
        task.load("bets")


def test_what_is_wrong_with_a_value_is_told_also_when_several_are_loaded() -> None:
    objects = MemoryObjects(str(uuid4()))
    store = Datastore(objects)
    record = RunRecord("Train", "7", "b3:0", moment(0), "ada")
    store.create_run(record)
    key = TaskKey("Train", "7", "start", "0")
    saved = store.save_artifacts({name: random.Random(name).randbytes(300_000) for name in ("one", "two")})
    store.commit(
        key,
        store.claim(key, lambda number: BeginRecord(moment(1), "host", 1, number)),
        DoneRecord(moment(2), saved, Outcome(), Usage(1.0, 1.0, 1.0), code="b3:0"),
    )
    task = Task("Train/7/start/0", datastore=store)
    objects.put(blob_key(saved["two"].digest), [b"3" * saved["two"].size])
    with pytest.raises(CorruptBlob, match="other bytes") as caught:
        task.load()
    assert "Train/7/start/0/two" in str(caught.value.where)


def test_objects_of_one_store_share_what_was_read(recorder: Recorder, datastore: Datastore) -> None:
    recorder.whole("7")
    runs = [Run("Train/7", datastore=datastore.root) for _ in range(2)]
    assert runs[0].plan is runs[1].plan


def test_how_a_run_went_takes_two_requests(recorder: Recorder, counted: Counted, store: Datastore) -> None:
    recorder.whole("7", successful=False)
    for successful in (False, True):
        recorder.datastore.end_run("Train", "7", successful)
    run = Run("Train/7", datastore=store)
    assert counted.count(lambda: run.successful) == 2


class TestAgain:
    """A run that was cleared goes on: it has not ended until it ends again."""

    def test_it_runs_until_it_ends_again(self, recorder: Recorder, datastore: Datastore) -> None:
        recorder.whole("7")
        run = Run("Train/7")
        datastore.reopen_run("Train", "7")
        assert (run.finished, run.successful, run.finished_at) == (False, False, None)
        assert Flow("Train").latest_successful_run is None
        assert [end.successful for end in datastore.ends("Train", "7")] == [True]
        datastore.end_run("Train", "7", True)
        assert run.successful
        assert Flow("Train").latest_successful_run == run

    def test_many_tasks_that_were_cleared_note_it_once(
        self, recorder: Recorder, datastore: Datastore
    ) -> None:
        recorder.whole("7")
        for _ in range(3):
            datastore.reopen_run("Train", "7")
        names = datastore._objects.children("flows/Train/runs/7/ends")
        assert [name.endswith("-again.json") for name in names] == [False, True]

    def test_a_run_without_an_end_has_nothing_to_reopen(
        self, recorder: Recorder, datastore: Datastore
    ) -> None:
        recorder.run("7")
        datastore.reopen_run("Train", "7")
        assert datastore._objects.children("flows/Train/runs/7/ends") == []

    def test_it_counts_also_where_the_clock_is_behind(self, recorder: Recorder, datastore: Datastore) -> None:
        recorder.whole("7")
        folder = "flows/Train/runs/7/ends"
        (name,) = datastore._objects.children(folder)
        ahead = f"{int(name[:17]) + 3_600_000_000:017}{name[17:]}"
        datastore._objects.put(f"{folder}/{ahead}", [datastore._objects.get(f"{folder}/{name}")])
        datastore.reopen_run("Train", "7")
        assert not Run("Train/7").finished
        datastore.end_run("Train", "7", False)
        assert Run("Train/7").finished
        assert not Run("Train/7").successful


def test_a_task_that_is_gone_is_told(recorder: Recorder) -> None:
    recorder.whole("7")
    with pytest.raises(NotFound, match="no task '9'"):
        Task("Train/7/fit/9")
