"""From a task in a real Airflow to the page of what it left: the link, the login, the browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx
import pytest

from airloom import settings
from airloom.compiler.planner import compile_flow
from airloom.deploy import deploy
from airloom.runtime.code import import_flow
from airloom.sandbox import Sandbox

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.system

NAME = "Airloom: artifacts, cards, log"

FLOW = """
from airloom import FlowSpec, card, step

class LinkedFlow(FlowSpec):
    @step
    def start(self):
        self.names = ["north", "south"]
        self.next(self.fit, foreach="names")

    @card
    @step
    def fit(self):
        print("fits", self.input)
        self.hint = "<script>document.title = 'owned'</script>"
        self.score = len(self.input) * 111
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    LinkedFlow()
"""

BY_HAND = """
from airflow.sdk import DAG, task

with DAG("linked_by_hand", schedule=None):

    @task.artifacts
    def extract():
        return {"rows": [1, 2, 3]}

    @task
    def plain(rows):
        return len(rows)

    plain(extract())
"""


@dataclass(frozen=True)
class Airflow:
    """An Airflow in which a flow and a hand-written DAG have run."""

    sandbox: Sandbox
    token: str
    run: str
    by_hand: str

    def links(self, dag: str, run: str, task: str, map_index: int = -1) -> dict[str, Any]:
        where = f"/dags/{dag}/dagRuns/{run}/taskInstances/{task}/links?map_index={map_index}"
        found: dict[str, Any] = self.sandbox.api.request("GET", where)["extra_links"]
        return found

    def get(self, path: str, token: str | None, **more: Any) -> httpx.Response:
        cookies = {} if token is None else {"_token": token}
        headers = {"accept": "text/html"}
        with httpx.Client(cookies=cookies, headers=headers, trust_env=False) as client:
            return client.get(f"{self.sandbox.url}{path}", **more)

    def guest(self) -> str:
        """A token of a user without any role, as Airflow itself would sign it."""
        import jwt

        claims = jwt.decode(self.token, options={"verify_signature": False}) | {"sub": "guest", "role": None}
        head = jwt.get_unverified_header(self.token)
        secret = self.sandbox._secrets.jwt_secret
        return jwt.encode(claims, secret, algorithm=head["alg"], headers=head)


@pytest.fixture(scope="module")
def airflow(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    file = tmp_path_factory.mktemp("linked") / "linked_flow.py"
    file.write_text(FLOW)
    found = settings.load({"datastore_root": sandbox.environment["AIRFLOW__AIRLOOM__DATASTORE_ROOT"]})
    deploy(compile_flow(import_flow(file), found), found, sandbox.dags_folder)
    (sandbox.dags_folder / "linked_by_hand.py").write_text(BY_HAND)
    runs = []
    for dag in ("LinkedFlow", "linked_by_hand"):
        sandbox.api.wait_for_dag(dag)
        runs.append((dag, sandbox.api.trigger(dag)))
    for dag, run in runs:
        assert sandbox.api.wait_for_run(dag, run).state == "success"
    login = {"username": sandbox.user, "password": sandbox.password}
    with httpx.Client(trust_env=False) as client:
        token = client.post(f"{sandbox.url}/auth/token", json=login).json()["access_token"]
    return Airflow(sandbox, token, runs[0][1], runs[1][1])


def test_each_task_of_a_flow_has_a_link_to_what_it_left(airflow: Airflow) -> None:
    for task, index in (("start", -1), ("fit", 0), ("fit", 1), ("end", -1)):
        (url,) = (airflow.links("LinkedFlow", airflow.run, task, index)[name] for name in [NAME])
        # What the page falls back on when Airflow has forgotten the task's fields.
        assert "flow=LinkedFlow&plan=b3" in url
        answer = airflow.get(url, airflow.token)
        assert answer.status_code == 303
        where = f"/airloom/task/LinkedFlow/{airflow.run}/{task}/{max(index, 0)}"
        assert answer.headers["location"] == where
        page = airflow.get(where, airflow.token)
        assert page.status_code == 200
        assert f"LinkedFlow/{airflow.run}/{task}/{max(index, 0)}" in page.text
    assert "555" in airflow.get(f"/airloom/task/LinkedFlow/{airflow.run}/fit/1", airflow.token).text


def test_a_link_costs_no_xcom(airflow: Airflow) -> None:
    where = f"/dags/LinkedFlow/dagRuns/{airflow.run}/taskInstances/start/xcomEntries"
    keys = {entry["key"] for entry in airflow.sandbox.api.request("GET", where)["xcom_entries"]}
    assert keys == {"return_value"}


def test_a_task_with_artifacts_of_a_hand_written_dag_has_the_link_and_others_have_not(
    airflow: Airflow,
) -> None:
    url = airflow.links("linked_by_hand", airflow.by_hand, "extract")[NAME]
    page = airflow.get(url, airflow.token, follow_redirects=True)
    assert page.status_code == 200
    assert "[1, 2, 3]" in page.text
    assert airflow.links("linked_by_hand", airflow.by_hand, "plain") == {}


def test_without_a_login_and_without_a_role_nothing_is_shown(airflow: Airflow) -> None:
    for kind in ("flow/LinkedFlow", f"run/LinkedFlow/{airflow.run}", f"task/LinkedFlow/{airflow.run}/fit/0"):
        nobody = airflow.get(f"/airloom/{kind}", None)
        assert nobody.status_code == 303
        assert nobody.headers["location"].startswith("/api/v2/auth/login?next=%2Fairloom%2F")
        assert nobody.text == ""
        forged = airflow.get(f"/airloom/{kind}", airflow.token[:-4] + "AAAA")
        guest = airflow.get(f"/airloom/{kind}", airflow.guest())
        for answer in (forged, guest):
            assert answer.status_code == 403
            assert "<table" not in answer.text
            assert "<iframe" not in answer.text
        assert airflow.get(f"/airloom/{kind}", airflow.token).status_code == 200


def test_the_plugin_has_no_import_error_and_is_listed(airflow: Airflow) -> None:
    api = airflow.sandbox.api
    assert api.request("GET", "/plugins/importErrors")["import_errors"] == []
    names = {plugin["name"] for plugin in api.request("GET", "/plugins")["plugins"]}
    assert "airloom" in names


@pytest.fixture
def page(sandbox: Sandbox) -> Iterator[Page]:
    """A page of a browser that nobody has logged in with."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=quiet)
        yield browser.new_page(viewport={"width": 1400, "height": 1000})
        browser.close()


@pytest.mark.browser
def test_a_person_logs_in_clicks_the_link_and_sees_artifacts_card_and_log(
    airflow: Airflow, page: Page
) -> None:
    sandbox = airflow.sandbox
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    where = f"{sandbox.url}/airloom/run/LinkedFlow/{airflow.run}"
    page.goto(where)
    page.fill('input[name="username"]', sandbox.user)
    page.fill('input[name="password"]', sandbox.password)
    page.click('button[type="submit"]')
    page.wait_for_url(lambda url: unquote(url) == where)
    refused.clear()

    page.goto(f"{sandbox.url}/dags/LinkedFlow/runs/{airflow.run}/tasks/fit/mapped/1/details")
    link = page.get_by_role("link", name=NAME)
    link.wait_for()
    page.goto(f"{sandbox.url}{link.get_attribute('href')}")
    assert page.url == f"{sandbox.url}/airloom/task/LinkedFlow/{airflow.run}/fit/1"
    assert page.get_by_role("cell", name="555", exact=True).is_visible()
    assert page.get_by_text("fits south").is_visible()
    page.locator("iframe").scroll_into_view_if_needed()
    card = page.frame_locator("iframe")
    card.get_by_text("Artifacts").wait_for()
    assert page.title() == f"LinkedFlow/{airflow.run}/fit/1 - Airloom"
    page.get_by_role("link", name="start/0").click()
    assert page.url.endswith("/start/0?attempt=0")
    assert not refused, json.dumps(refused)
