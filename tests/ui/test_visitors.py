"""Who sees which page, and that nothing of a store becomes more than text."""

from __future__ import annotations

import ast
import html
import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from airloom.plan import Project, Transition
from airloom.settings import Settings
from airloom.store.records import ErrorRecord
from airloom.ui import server
from support.pages import ALL, RUN, Browser, Recorder, Somebody, artifact, plan

OPEN = "/base/airloom"
EVERY = (
    "flow/Train",
    f"run/Train/{RUN}",
    f"step/Train/{RUN}/fit",
    f"task/Train/{RUN}/fit/0",
    f"card/Train/{RUN}/fit/0/0/0-default",
    f"dags/Train/runs/{RUN}/tasks/fit/0",
)


@pytest.fixture
def filled(recorder: Recorder) -> Recorder:
    recorder.run()
    key, number = recorder.done("fit", "0", {"model": artifact("the preview")})
    recorder.datastore.write_log(key, number, b"2026-11-25T04:00:02.000+00:00 o the printed\n")
    recorder.card(key, number, "<p>the card</p>")
    return recorder


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("where", EVERY)
def test_nobody_sees_a_page_without_a_login(browser: Browser, somebody: Somebody, where: str) -> None:
    somebody.known = False
    page = browser.get(f"{OPEN}/{where}")
    assert page.status_code == 303
    assert page.headers["location"] == (
        f"/base/api/v2/auth/login?next={quote(quote(f'/base/airloom/{where}', safe='/:'), safe='')}"
    )
    assert page.text == ""
    program = browser.get(f"{OPEN}/{where}", headers={"accept": "*/*"})
    assert program.status_code == 401
    assert "Train/" not in program.text.replace("Train%2F", "")


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("where", EVERY)
def test_who_may_not_read_the_dag_sees_nothing_of_it(
    browser: Browser, somebody: Somebody, where: str
) -> None:
    somebody.allowed = {"Other": set(ALL)}
    page = browser.get(f"{OPEN}/{where}")
    assert page.status_code == 403
    assert "the " not in page.text.partition("<nav>")[2].replace("You may not read the DAG Train.", "")


def test_whoever_may_not_read_a_dag_cannot_tell_which_runs_it_has(
    filled: Recorder, browser: Browser, somebody: Somebody
) -> None:
    somebody.allowed = {}
    there, gone = (browser.get(f"{OPEN}/run/Train/{run}") for run in (RUN, "another"))
    assert (there.status_code, gone.status_code) == (403, 403)
    assert there.text.replace(quote(quote(RUN, safe="~:@"), safe=""), "another") == gone.text
    there, gone = (browser.get(f"{OPEN}/flow/{flow}") for flow in ("Train", "Other"))
    assert (there.status_code, gone.status_code) == (403, 403)


def test_the_dag_that_a_run_ran_in_decides(recorder: Recorder, browser: Browser, somebody: Somebody) -> None:
    recorder.run(run="inside", origin={"scheduler": "airflow", "dag_id": "outer", "dag_run_id": "7"})
    assert browser.get(f"{OPEN}/run/Train/inside").status_code == 403
    assert "inside" not in browser.get(f"{OPEN}/flow/Train").text
    somebody.allowed = {"outer": set(ALL)}
    assert browser.get(f"{OPEN}/run/Train/inside").status_code == 200
    assert "inside" in browser.get(f"{OPEN}/flow/Train").text


def test_logs_and_artifacts_need_what_airflow_asks_for_its_own(
    filled: Recorder, browser: Browser, somebody: Somebody
) -> None:
    somebody.allowed["Train"] = {"RUN", "TASK_INSTANCE"}
    page = browser.get(f"{OPEN}/task/Train/{RUN}/fit/0")
    assert page.status_code == 200
    assert "the preview" not in page.text
    assert "the printed" not in page.text
    assert "iframe" not in page.text.partition("</style>")[2]
    assert browser.get(f"{OPEN}/card/Train/{RUN}/fit/0/0/0-default").status_code == 403


ATTACKS = (
    "</script><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "' onfocus='alert(1)",
    "</style></pre><iframe src=javascript:alert(1)>",
    "\0<\0script>",
    "\ud800</title><script>",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_whatever_a_task_leaves_stays_text(recorder: Recorder, browser: Browser, attack: str) -> None:
    recorder.run(parameters={"rate": attack}, python=attack)
    saved = {attack: artifact(attack, attack)}
    error = ErrorRecord(attack, attack, attack)
    key, number = recorder.done("fit", "0", saved, caught=error, parents=(attack, f"Train/{attack}/a/0@0"))
    recorder.datastore.write_log(
        key, number, f"2026-11-25T04:00:02.000+00:00 e {attack}\n".encode("utf-8", "replace")
    )
    typed = attack.encode("utf-8", "replace").decode()
    for where in EVERY[:4]:
        page = browser.get(f"{OPEN}/{where}", params={"indices": typed} if where.startswith("step") else {})
        assert page.status_code == 200
        body = page.text.partition("</style>")[2]
        tags = set(re.findall(r"<\s*/?\s*([a-z0-9]+)", body.lower()))
        assert not tags & {"script", "svg", "style", "img", "object", "embed", "form"}, where
        assert "iframe" not in tags
        attributes = re.findall(r"<[a-z0-9]+((?:\s[^<>]*)?)>", body.lower())
        assert not [
            found for found in attributes if re.search(r"\son\w+\s*=", re.sub(r'"[^"]*"', '""', found))
        ]
        assert not re.search(r'href="\s*javascript', body.lower())


def test_pages_run_no_script_and_cards_are_foreign_to_airflow(filled: Recorder, browser: Browser) -> None:
    page = browser.get(f"{OPEN}/task/Train/{RUN}/fit/0")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in policy
    assert "unsafe" not in policy
    frame = re.search(r'<iframe sandbox="" src="([^"]+)"', page.text)
    assert frame is not None
    card = browser.get(html.unescape(frame[1]))
    assert card.text == "<p>the card</p>"
    assert card.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    for answer in (page, card):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("part", ["..", "%2e%2e", "..%2f..%2fetc", "%00", "a b", "-", "~", "."])
@pytest.mark.parametrize("place", range(4))
def test_no_name_leads_out_of_its_place(
    filled: Recorder, browser: Browser, somebody: Somebody, place: int, part: str
) -> None:
    somebody.may = lambda dag_id, entity: True  # type: ignore[method-assign]
    parts = ["Train", RUN, "fit", "0"]
    parts[place] = part
    assert browser.get(f"{OPEN}/task/{'/'.join(parts)}").status_code == 404
    card = browser.get(f"{OPEN}/card/Train/{RUN}/fit/0/0/{part}")
    assert card.status_code == 404
    assert "the card" not in card.text


def test_a_store_that_is_not_set_up_or_not_there_is_a_clear_page(somebody: Somebody, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for root, said in ((str(tmp_path / "file"), "cannot be read"), ("ftp://host/x", "not set up")):
        found = Settings(datastore_root=root)
        pages = server.create_app(somebody.admit, lambda found=found: found)
        page = Browser(pages).get(f"{OPEN}/run/Train/{RUN}")
        assert page.status_code == 503, page.text
        assert said in page.text


# -- from Airflow's tasks ------------------------------------------------------------------


def where_to(browser: Browser, task: str, index: str, query: str = "") -> str:
    answer = browser.get(f"{OPEN}/dags/Train/runs/{RUN}/tasks/{task}/{index}{query}")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix(OPEN)


def given(recorder: Recorder, **more: object) -> dict[str, object]:
    return {"flow": "Train", "plan": recorder.datastore.run("Train", RUN).plan, "step": None, **more}


def test_a_task_of_airflow_leads_to_what_it_left(
    filled: Recorder, browser: Browser, somebody: Somebody
) -> None:
    somebody.fields["Train", RUN, "start", -1] = given(filled)
    assert where_to(browser, "start", "-1") == f"/task/Train/{RUN}/start/0"
    assert where_to(browser, "start", "{MAP_INDEX}") == f"/task/Train/{RUN}/start/0"
    somebody.fields["Train", RUN, "fit", 3] = given(filled, index="7")
    assert where_to(browser, "fit", "3") == f"/task/Train/{RUN}/fit/7"
    somebody.fields["Train", RUN, "fit", 4] = given(filled, index="8..9")
    assert where_to(browser, "fit", "4") == f"/step/Train/{RUN}/fit?indices=8..9"


def test_what_airflow_has_forgotten_leads_to_the_step(filled: Recorder, browser: Browser) -> None:
    digest = quote(str(given(filled)["plan"]))
    query = f"?flow=Train&plan={digest}&step=fit"
    assert where_to(browser, "fit", "3", query) == f"/step/Train/{RUN}/fit"
    assert where_to(browser, "start", "-1", query.replace("fit", "start")) == f"/task/Train/{RUN}/start/0"


def test_a_branch_of_a_project_leads_to_its_own_run(
    recorder: Recorder, browser: Browser, somebody: Somebody
) -> None:

    branch = replace(plan(), project=Project("shop", "user.ada"))
    digest = recorder.datastore.save_plan(branch)
    somebody.allowed["shop.user.ada.Train"] = set(ALL)
    somebody.fields["shop.user.ada.Train", RUN, "start", -1] = {
        "flow": "Train",
        "plan": digest,
        "step": "start",
    }
    answer = browser.get(f"{OPEN}/dags/shop.user.ada.Train/runs/{RUN}/tasks/start/-1")
    assert answer.headers["location"] == f"{OPEN}/task/Train/user.ada:{RUN}/start/0"


def test_a_task_of_a_hand_written_dag_is_a_step_of_a_flow_with_its_id(browser: Browser) -> None:
    assert where_to(browser, "extract", "-1") == f"/task/Train/{RUN}/extract/0"
    assert where_to(browser, "extract", "2") == f"/task/Train/{RUN}/extract/2"


def test_a_parallel_step_leads_to_all_tasks_of_its_gang(
    recorder: Recorder, browser: Browser, somebody: Somebody
) -> None:
    start, fit, end = plan().steps
    gang = replace(start, transition=Transition("parallel", ("fit",), count=2))
    digest = recorder.datastore.save_plan(replace(plan(), steps=(gang, fit, end)))
    somebody.fields["Train", RUN, "fit", -1] = {"flow": "Train", "plan": digest, "index": None}
    assert where_to(browser, "fit", "-1") == f"/step/Train/{RUN}/fit"


def test_a_task_group_leads_to_the_newest_run_of_its_flow(
    filled: Recorder, browser: Browser, somebody: Somebody
) -> None:
    pytest.importorskip("airflow", reason="Airflow is not installed")
    first = f"Train:etl.models:{RUN}"
    for run in (first, f"{first}~2"):
        filled.run(run=run)
    fields = given(filled, flow_group="etl.models")
    somebody.fields["Train", RUN, "etl.models.start", -1] = fields
    assert where_to(browser, "etl.models.start", "-1") == f"/task/Train/{first}~2/start/0"


def test_the_link_names_operators_that_there_are() -> None:
    pytest.importorskip("airflow", reason="Airflow is not installed")
    from airloom.links import AirloomLink

    for operator in AirloomLink.operators:
        spec = importlib.util.find_spec(operator.__module__)
        assert spec is not None
        tree = ast.parse(Path(str(spec.origin)).read_text())
        assert operator.__name__ in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
