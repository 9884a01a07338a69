"""What tests of several folders use: the good flows, copies of them, and the golden files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FLOWS = Path(__file__).parent / "flows" / "good"
GOLDEN = Path(__file__).parent / "golden"

pytest_plugins = ["support.stores", "support.aws.fixtures", "support.docker"]


def pytest_configure() -> None:
    # A shell's background job ignores Ctrl-C, and so would every process that a test sends it to.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the files of tests/golden")


# Marks of tests that start whole programs.
WHOLE = ("airflow", "system", "browser", "docker", "store", "aws", "slow")

# What is said on a machine that is too busy for a whole Airflow: such a test runs once more, and the
# summary tells of it.
BUSY = ["Airflow did not answer", "has not finished within"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as ``whole`` what starts whole programs."""
    for item in items:
        if any(map(item.get_closest_marker, WHOLE)):
            item.add_marker("whole")
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=BUSY))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the argument ``good_flow`` runs for each file of tests/flows/good that is a flow."""
    if "good_flow" in metafunc.fixturenames:
        flows = [file for file in sorted(FLOWS.glob("*.py")) if "__main__" in file.read_text()]
        metafunc.parametrize("good_flow", flows, ids=lambda file: file.stem)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with a file of tests/golden, or write it there."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / name
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.exists(), f"{file} is missing: pytest --update-golden writes it"
        assert text == file.read_text(encoding="utf-8")

    return compare


@pytest.fixture
def clean_imports() -> Iterator[None]:
    """Forget what a test imported from flow files, and the folders that it put on the path."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name not in modules]:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if not {"site-packages", "dist-packages"} & set(Path(file).parts) and not name.startswith("airloom"):
            del sys.modules[name]


@pytest.fixture
def alone(tmp_path: Path) -> Callable[[str], Path]:
    """Copy a good flow, with files that it needs, into a folder of its own."""

    def copy(name: str, *others: str) -> Path:
        for file in (name, *others):
            shutil.copy(FLOWS / file, tmp_path / file)
        return tmp_path / name

    return copy


@pytest.fixture(scope="session")
def command_line() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a flow's file as people do: ``command_line(file, "run", root=store)``."""

    def run(
        file: Path, *arguments: str, root: Path | str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(file), "--datastore-root", str(root), *arguments]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("AIRLOOM_")}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run
