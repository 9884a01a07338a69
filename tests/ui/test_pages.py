"""What the pages of the user interface show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airloom.store.records import BY_HAND, ErrorRecord, TagRecord
from support.pages import RUN, Browser, Recorder, artifact, plan

OPEN = "/base/airloom"


def text(html: str) -> str:
    """What a reader sees, in one line."""
    body = html.partition("</style>")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def test_a_task_shows_artifacts_usage_log_and_where_it_came_from(
    recorder: Recorder, browser: Browser
) -> None:
    recorder.run()
    recorder.done("start")
    saved = {"model": artifact("dict of 3", "dict"), "_hidden": artifact("secret")}
    key, number = recorder.done("fit", "2", saved, parents=(f"Train/{RUN}/start/0@0",))
    recorder.datastore.write_log(key, number, b"2026-11-25T04:00:02.000+00:00 o epoch 1\n")
    page = browser.get(f"{OPEN}/task/Train/{RUN}/fit/2")
    assert page.status_code == 200
    seen = text(page.text)
    for words in ("model dict of 3 dict 2.0 KiB b3:abababababab", "1234 MiB", "04:00:02 epoch 1", "host-7"):
        assert words in seen
    assert "2 vCPU, 4096 MiB: declared" in seen
    assert "b3:c0de" in seen
    assert "secret" not in seen
    assert f'href="/base/airloom/task/Train/{RUN}/start/0?attempt=0"' in page.text


def test_an_attempt_that_failed_says_why_and_the_others_are_one_click_away(
    recorder: Recorder, browser: Browser
) -> None:
    recorder.run()
    recorder.failed("fit", "0", ErrorRecord("builtins.ValueError", "no rows", "Traceback ..."))
    recorder.done("fit", "0", {"score": artifact("7")})
    newest = browser.get(f"{OPEN}/task/Train/{RUN}/fit/0")
    assert "score" in text(newest.text)
    assert "no rows" not in newest.text
    assert f'href="/base/airloom/task/Train/{RUN}/fit/0?attempt=0"' in newest.text
    first = text(browser.get(f"{OPEN}/task/Train/{RUN}/fit/0?attempt=0").text)
    assert "Failure: user code builtins.ValueError: no rows Traceback ..." in first


def test_an_attempt_without_an_end_is_shown_as_such(recorder: Recorder, browser: Browser) -> None:
    recorder.run()
    recorder.begin("start")
    seen = text(browser.get(f"{OPEN}/task/Train/{RUN}/start/0").text)
    assert "not ended" in seen
    assert "None yet: they are saved when it ends." in seen


def test_a_run_shows_who_when_with_what_and_its_steps(recorder: Recorder, browser: Browser) -> None:
    origin = {"scheduler": "airflow", "dag_id": "Train", "dag_run_id": RUN}
    recorder.run(parameters={"rate": 0.5}, origin=origin, tags=("nightly",))
    recorder.datastore.tag_run("Train", RUN, TagRecord("2026-11-25T05:00:00+00:00", "ada", ("kept",)))
    recorder.done("start")
    recorder.done("fit", "0")
    recorder.failed("fit", "1", ErrorRecord("builtins.ValueError", "no", ""))
    recorder.datastore.end_run("Train", RUN, False)
    page = browser.get(f"{OPEN}/run/Train/{RUN}")
    seen = text(page.text)
    for words in (
        "ada",
        "failed",
        "kept, nightly",
        "rate 0.5",
        "start 1 done",
        "fit 2 1 done 1 failed",
        "end 0",
    ):
        assert words in seen
    assert f'href="/base/dags/Train/runs/{RUN}"' in page.text


def test_a_flow_lists_its_runs_the_newest_first(recorder: Recorder, browser: Browser) -> None:
    recorder.run(run="older")
    recorder.run(run="newer", plan=plan())
    recorder.datastore.end_run("Train", "newer", True)
    page = browser.get(f"{OPEN}/flow/Train").text
    assert {f'href="/base/airloom/run/Train/{name}"' in page for name in ("older", "newer")} == {True}
    assert "successful" in text(page)


def test_a_wide_step_comes_in_pages_and_a_run_looks_at_some_tasks_only(
    recorder: Recorder, browser: Browser
) -> None:
    recorder.run()
    for number in range(120):
        recorder.begin("fit", str(number))
    first = browser.get(f"{OPEN}/step/Train/{RUN}/fit").text
    assert "1 to 100 of 120" in text(first)
    assert f'href="/base/airloom/step/Train/{RUN}/fit?page=2"' in first
    second = text(browser.get(f"{OPEN}/step/Train/{RUN}/fit?page=2").text)
    assert " 119 not ended" in second
    assert " 99 not ended" not in second
    run = text(browser.get(f"{OPEN}/run/Train/{RUN}").text)
    assert "fit 120 97 not ended of the first 97" in run


def test_the_tasks_of_one_range_are_shown_alone_however_the_range_is_written(
    recorder: Recorder, browser: Browser
) -> None:
    recorder.run()
    for number in range(5):
        recorder.begin("fit", str(number))
    for indices, found in (
        ("1..3", 3),
        ("0,4", 2),
        ("0..99999999999999999999", 5),
        ("x..y", 0),
        ("1.1..1.3", 0),
    ):
        seen = text(browser.get(f"{OPEN}/step/Train/{RUN}/fit", params={"indices": indices}).text)
        assert f"Tasks: {found}" in seen, indices


def test_of_a_long_log_the_end_is_shown(recorder: Recorder, browser: Browser) -> None:
    recorder.run()
    key, number = recorder.done("start")
    line = "2026-11-25T04:00:02.000+00:00 o line {}\n"
    recorder.datastore.write_log(key, number, "".join(map(line.format, range(100_000))).encode())
    page = browser.get(f"{OPEN}/task/Train/{RUN}/start/0").text
    assert "line 99999" in page
    assert "line 98000\n" not in page
    assert f"airloom logs Train/{RUN}/start/0 --attempt 0" in text(page)
    assert len(page) < 500_000


def test_many_artifacts_come_in_pages(recorder: Recorder, browser: Browser) -> None:
    recorder.run()
    recorder.done("start", artifacts={f"value_{number:03}": artifact() for number in range(150)})
    first = browser.get(f"{OPEN}/task/Train/{RUN}/start/0").text
    assert "value_099" in first
    assert "value_100" not in first
    assert f'href="/base/airloom/task/Train/{RUN}/start/0?attempt=0&amp;page=2"' in first
    assert "value_100" in browser.get(f"{OPEN}/task/Train/{RUN}/start/0?attempt=0&page=2").text


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (f"task/Train/{RUN}/fit/7", "has not begun"),
        (f"task/Train/{RUN}/start/0?attempt=5", "has no attempt 5"),
        (f"task/Train/{RUN}/nothing/0", "no step 'nothing'"),
        ("run/Train/other", "has no run 'other'"),
        (f"step/Train/{RUN}/strat", "did you mean 'start'"),
        (f"card/Train/{RUN}/start/0/0/0-default", "has no card"),
        (f"task/Train/{RUN}/start/0?attempt=first", "check attempt"),
        ("nowhere", "Not Found"),
    ],
)
def test_what_is_not_there_is_a_clear_page(
    recorder: Recorder, browser: Browser, where: str, said: str
) -> None:
    recorder.run()
    recorder.done("start")
    page = browser.get(f"{OPEN}/{where}")
    assert page.status_code == 404
    assert said in text(page.text).replace("&#x27;", "'")


def test_a_damaged_record_is_a_clear_page(recorder: Recorder, browser: Browser) -> None:
    recorder.run()
    key, number = recorder.done("start")
    recorder.datastore.write_log(key, number, b"a line")
    (log,) = Path(recorder.datastore.root).rglob("log")
    log.write_bytes(b"damaged")
    page = browser.get(f"{OPEN}/task/Train/{RUN}/start/0")
    assert page.status_code == 500
    assert "cannot be read" in text(page.text)


def test_the_end_of_a_hand_written_dag_is_for_airflow_to_tell(recorder: Recorder, browser: Browser) -> None:
    recorder.run(origin={"scheduler": "airflow", "dag_id": "Train", "dag_run_id": RUN, BY_HAND: True})
    recorder.done("extract")
    for where in (f"run/Train/{RUN}", "flow/Train"):
        page = browser.get(f"{OPEN}/{where}")
        assert page.status_code == 200
        assert "not ended" not in page.text
    assert "extract 1 done" in text(browser.get(f"{OPEN}/run/Train/{RUN}").text)
