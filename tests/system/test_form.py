"""Airflow's own pages in a real browser: the trigger form of a flow, filled in as a person does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom import settings
from airloom.client import Run
from airloom.compiler.planner import compile_flow
from airloom.deploy import deploy
from airloom.runtime.code import import_flow
from airloom.sandbox import Sandbox

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.system, pytest.mark.browser]

FORM = """
from airloom import FlowSpec, IncludeFile, Parameter, step

class FormFlow(FlowSpec):
    count = Parameter("count", default=3, help="how many")
    word = Parameter("word", default="plain", help="which word")
    notes = IncludeFile("notes", help="what to note")

    @step
    def start(self):
        self.got = [self.count, self.word, self.notes]
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    FormFlow()
"""
# Without these Chromium looks for hosts of its maker's while it starts.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture
def page(sandbox: Sandbox) -> Iterator[Page]:
    """A page of Airflow, logged in."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=QUIET)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{sandbox.url}/auth/login")
        page.fill('input[name="username"]', sandbox.user)
        page.fill('input[name="password"]', sandbox.password)
        page.click('button[type="submit"]')
        page.wait_for_url(lambda url: "/auth/login" not in url)
        yield page
        browser.close()


def test_a_person_fills_in_the_form_and_the_step_gets_typed_values(
    sandbox: Sandbox, page: Page, tmp_path: Path
) -> None:
    (tmp_path / "form_flow.py").write_text(FORM)
    store = sandbox.environment["AIRFLOW__AIRLOOM__DATASTORE_ROOT"]
    found = settings.load({"datastore_root": store})
    deploy(compile_flow(import_flow(tmp_path / "form_flow.py"), found), found, sandbox.dags_folder)
    sandbox.api.wait_for_dag("FormFlow")

    page.goto(f"{sandbox.url}/dags/FormFlow")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("how many").wait_for()
    assert dialog.get_by_text("which word").is_visible()
    dialog.locator("input[name='element_count'], input[value='3']").first.fill("7")
    dialog.locator("input[name='element_word'], input[value='plain']").first.fill("woven")
    page.screenshot(path=str(tmp_path / "form.png"))
    dialog.get_by_role("button", name="Trigger").click()

    page.wait_for_timeout(1500)
    runs = sandbox.api.request("GET", "/dags/FormFlow/dagRuns")["dag_runs"]
    assert len(runs) == 1
    run_id = runs[0]["dag_run_id"]
    assert sandbox.api.wait_for_run("FormFlow", run_id).state == "success"
    run = Run(f"FormFlow/{run_id}", datastore=store, _namespace_check=False)
    assert run.data.got == [7, "woven", None]


def test_a_person_makes_a_connection_and_its_fields_are_kept(sandbox: Sandbox, page: Page) -> None:
    page.goto(f"{sandbox.url}/connections")
    page.get_by_role("button", name="Add Connection").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").first.click()
    page.keyboard.type("Airloom datastore")
    dialog.get_by_role("option", name="Airloom datastore").click()
    dialog.locator("input[name='connection_id']").fill("form_store")
    dialog.get_by_placeholder("s3://bucket/prefix, or an absolute folder").fill("s3://bucket/flows")
    assert dialog.get_by_text("Password").count() == 0
    dialog.get_by_role("button", name="Extra Fields", exact=True).click()
    dialog.locator("input[name='element_cloud_connection']").fill("aws_default")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        dialog.get_by_role("button", name="Save").click()
    made = sandbox.api.request("GET", "/connections/form_store")
    assert (made["conn_type"], made["host"]) == ("airloom", "s3://bucket/flows")
    assert json.loads(made["extra"])["cloud_connection"] == "aws_default"
