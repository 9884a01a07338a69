"""The verbs that read the store, stores that are none, and stores that were damaged."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom.client import Flow, Run

if TYPE_CHECKING:
    from tests.cli.conftest import Ended

Airloom = Callable[..., "Ended"]
Write = Callable[..., Path]

HEAD = "from airloom import FlowSpec, Parameter, retry, step\n"
FLOW = """
class Shop(FlowSpec):
    mode = Parameter("mode", default="well")

    @retry(times=1)
    @step
    def start(self):
        self.prices = list(range(1000))
        self._secret = 1
        print("opened")
        import sys
        print("a bill", file=sys.stderr)
        if self.mode == "ill":
            raise ValueError("closed")
        self.next(self.end)

    @step
    def end(self):
        self.total = sum(self.prices)
"""


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store: the older run of its flow went well, the newer one failed twice."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(HEAD + FLOW)
    for mode, code in (("well", 0), ("ill", 1)):
        command = [sys.executable, "-m", "airloom", "run", "shop.py", "--mode", mode]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
    return folder


@pytest.fixture
def shop(airloom: Airloom, two_runs: Path, tmp_path: Path) -> Airloom:
    """The command line in a copy of that folder."""
    shutil.copytree(two_runs, tmp_path, dirs_exist_ok=True)
    return airloom


def good() -> Run:
    run = Flow("Shop").latest_successful_run
    assert run is not None
    return run


def bad() -> Run:
    run = Flow("Shop").latest_run
    assert run is not None
    return run


def test_settings_are_listed_with_their_sources(airloom: Airloom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOOM_VERIFY", "always")
    done = airloom("settings", "--datastore-root", "/somewhere")
    assert done.code == 0
    assert "AIRLOOM_DATASTORE_ROOT=/somewhere  (argument)" in done.out
    assert "AIRLOOM_VERIFY=always  (AIRLOOM_VERIFY)" in done.out
    assert "AIRLOOM_FSYNC=false  (default)" in done.out


def test_a_wrong_setting_is_refused_by_all_that_reads_it(
    shop: Airloom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRLOOM_MAX_WORKERS", "many")
    for arguments in (("run", "shop.py"), ("check", "shop.py"), ("runs", "Shop")):
        done = shop(*arguments)
        assert done.code == 3
        assert "'many' is no value for the setting max_workers" in done.err


def test_runs_are_listed_the_newest_first_with_their_state(shop: Airloom) -> None:
    done = shop("runs", "Shop")
    ill, well = done.out.splitlines()
    assert re.fullmatch(r"Shop/\d+  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \S+  failed", ill)
    assert well.endswith("succeeded")
    assert shop("runs", "Shop", "--limit", "1").out.splitlines() == [ill]


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_artifacts_are_listed_by_any_pathspec(shop: Airloom, depth: int) -> None:
    spec = "/".join(good()["start"].task.pathspec.split("/")[:depth])
    done = shop("artifacts", spec)
    assert done.code == 0
    assert re.search(r"^    prices: list = .*\(\d.* [KM]?i?B|bytes\)$", done.out, re.MULTILINE)
    assert ("total: int = 499500" in done.out) is (depth < 3)
    assert "_secret" not in done.out
    assert "_secret" in shop("artifacts", spec, "--private").out


def test_logs_are_told_by_stream_and_with_times(shop: Airloom) -> None:
    spec = good()["start"].task.pathspec
    assert shop("logs", spec).out == f"--- {spec}, attempt 0\nopened\na bill\n"
    assert shop("logs", spec, "--stdout").out == f"--- {spec}, attempt 0\nopened\n"
    assert shop("logs", spec, "--stderr").out == f"--- {spec}, attempt 0\na bill\n"
    assert re.search(r"^\d{4}-.*T.* opened$", shop("logs", spec, "--timestamps").out, re.MULTILINE)


def test_logs_of_an_older_attempt_are_kept(shop: Airloom) -> None:
    spec = bad()["start"].task.pathspec
    for attempt in ("0", "1"):
        done = shop("logs", spec, "--attempt", attempt, "--stderr")
        assert f", attempt {attempt}\n" in done.out
        assert "ValueError: closed" in done.out


def test_a_flow_alone_names_its_newest_run(shop: Airloom) -> None:
    done = shop("artifacts", "Shop")
    assert done.code == 0
    assert done.out.startswith(f"Shop/{bad().id}/start/0  attempt 1  failed: user code\n")


@pytest.mark.parametrize("verb", ["artifacts", "logs"])
@pytest.mark.parametrize("spec", ["Nobody", "Shop/9", "Shop/a b", "Shop/{run}/nowhere", "Shop/{run}/start/7"])
def test_what_is_not_there_is_told(shop: Airloom, verb: str, spec: str) -> None:
    done = shop(verb, spec.format(run=good().id))
    assert done.code == 5
    assert "mend:" in done.err
    assert "Traceback" not in done.err


def test_runs_of_a_flow_that_never_ran_are_told(airloom: Airloom) -> None:
    done = airloom("runs", "Nobody")
    assert done.code in (0, 5)
    assert done.out == ""
    assert not Path(".airloom").exists(), "reading makes no store"


# -- stores that are none --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "code", "told"),
    [
        ("shop.py", 5, "a file stands where a folder is needed"),
        ("/proc/airloom", 5, "could not be written"),
        ("gopher://bucket/x", 3, "gopher:// is no kind of store"),
    ],
)
def test_a_root_that_is_no_store_is_refused(
    airloom: Airloom, write: Write, monkeypatch: pytest.MonkeyPatch, root: str, code: int, told: str
) -> None:
    write("shop.py", FLOW)
    monkeypatch.setenv("AIRLOOM_DATASTORE_ROOT", root)
    done = airloom("run", "shop.py")
    assert done.code == code
    assert told in done.err
    assert "AIRLOOM_DATASTORE_ROOT" in done.err
    assert "Traceback" not in done.err


# -- stores that were damaged ----------------------------------------------------------------


def blob_of(step: str, name: str) -> Path:
    digest = good()[step].task[name].sha
    (found,) = [file for file in Path(".airloom/blobs").rglob("*") if digest.partition(":")[2] in file.name]
    return found


def test_a_changed_blob_is_found_out_when_it_is_read(airloom: Airloom, write: Write) -> None:
    write("shop.py", FLOW.replace("list(range(1000))", "__import__('os').urandom(400_000)"))
    airloom("run", "shop.py")
    file = blob_of("start", "prices")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    done = airloom("dump", good()["start"].task.pathspec, "--max-value-size", "1000000")
    assert done.code == 5
    assert "prices" in done.err
    assert "Traceback" not in done.err
    assert "b'" not in done.out, "nothing of a value that is not the one that was saved"


@pytest.mark.parametrize("name", ["run.json", "done.json", "log"])
def test_a_record_that_was_cut_off_is_told_with_its_file(shop: Airloom, name: str) -> None:
    spec = good()["start"].task.pathspec
    folder = Path(".airloom/flows/Shop/runs", good().id)
    file = folder / name if name == "run.json" else folder / "tasks/start/0/0" / name
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:10])
    done = shop("logs" if name == "log" else "artifacts", spec)
    assert done.code == 5
    assert "cannot be read" in done.err
    assert name in done.err
    assert "Traceback" not in done.err


def test_a_plan_that_was_changed_is_not_used(shop: Airloom) -> None:
    (file,) = Path(".airloom/flows/Shop/plans").iterdir()
    file.chmod(0o644)
    file.write_bytes(file.read_bytes().replace(b'"start"', b'"stare"', 1))
    done = shop("run", "shop.py")
    assert done.code != 0
    assert "other bytes than the ones that were saved" in done.err
