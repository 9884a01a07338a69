"""Pictures of Airflow's pages for the documentation: ``python tests/support/screenshots.py docs/images``.

Starts an Airflow of its own, deploys and runs an example there, and looks at the pages with a headless
Chromium. Run it when Airflow's pages or ours have changed, and look at what came out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from airloom import settings
from airloom.airflow_api.api import AirflowApi
from airloom.compiler.planner import compile_flow
from airloom.deploy import deploy
from airloom.runtime.code import import_flow
from airloom.sandbox import Sandbox

EXAMPLE = Path(__file__).parents[2] / "examples" / "04_penguins" / "penguins_flow.py"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def graph(page: Page, url: str, run: str) -> None:
    page.goto(f"{url}/dags/PenguinsFlow/runs/{run}")
    page.get_by_label("Graph", exact=False).first.click()
    page.locator(".react-flow__node").first.wait_for()


def labels(page: Page, url: str, run: str) -> None:
    page.goto(f"{url}/dags/PenguinsFlow/runs/{run}/tasks/fit/mapped")
    page.get_by_text("Adelie").first.wait_for()


def form(page: Page, url: str, _run: str) -> None:
    page.goto(f"{url}/dags/PenguinsFlow")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("dialog").locator("input[name^='element_']").first.wait_for()


def provider(page: Page, url: str, _run: str) -> None:
    page.goto(f"{url}/providers?limit=100")
    page.get_by_text("airflow-provider-airloom").first.scroll_into_view_if_needed()


def connection(page: Page, url: str, _run: str) -> None:
    page.goto(f"{url}/connections")
    page.get_by_role("button", name="Add Connection").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").first.click()
    page.keyboard.type("Airloom datastore")
    dialog.get_by_role("option", name="Airloom datastore").click()
    dialog.locator("input[name='connection_id']").fill("airloom_default")
    dialog.get_by_placeholder("s3://bucket/prefix, or an absolute folder").fill("s3://my-bucket/airloom")
    dialog.get_by_role("button", name="Extra Fields", exact=True).click()
    dialog.locator("input[name='element_cloud_connection']").fill("aws_default")


PICTURES = {"graph": graph, "labels": labels, "form": form, "provider": provider, "connection": connection}


def main(folder: Path, names: list[str]) -> None:
    """Take the pictures of these names, or all."""
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with (
        tempfile.TemporaryDirectory() as home,
        Sandbox(Path(home), datastore_root=f"{home}/store") as sandbox,
        sync_playwright() as driver,
    ):
        found = settings.load({"datastore_root": f"{home}/store"})
        deploy(compile_flow(import_flow(EXAMPLE), found), found, sandbox.dags_folder)
        # A busy machine keeps the server from answering in time.
        api = AirflowApi(sandbox.url, sandbox.user, sandbox.password, request_timeout_s=180)
        api.wait_for_dag("PenguinsFlow", 300)
        run = api.trigger("PenguinsFlow", run_id="nightly")
        while api.wait_for_run("PenguinsFlow", run, 600).state != "success":
            api.clear("PenguinsFlow", run)
        browser = driver.chromium.launch(executable_path=chromium, args=QUIET)
        page = browser.new_page(viewport={"width": 1200, "height": 750})
        page.set_default_timeout(180_000)
        page.goto(f"{sandbox.url}/auth/login")
        page.fill('input[name="username"]', sandbox.user)
        page.fill('input[name="password"]', sandbox.password)
        page.click('button[type="submit"]')
        page.wait_for_url(lambda url: "/auth/login" not in url)
        for name in names or PICTURES:
            file = folder / f"airflow-{name}.png"
            PICTURES[name](page, sandbox.url, run)
            page.wait_for_timeout(2000)  # animations
            page.screenshot(path=str(file))
            if shrink := shutil.which("pngquant"):
                subprocess.run([shrink, "--force", "--ext", ".png", "64", str(file)], check=True)
            print(f"{file}: {file.stat().st_size // 1024} KiB", flush=True)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
