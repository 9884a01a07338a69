"""DatastoreHook and the connection type ``airloom``, as Airflow itself sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airloom.errors import SettingsError
from airloom.provider_info import get_provider_info

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = pytest.mark.airflow

Connect = Callable[..., None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Make a connection of the environment: ``connect("store", host="/srv", cloud_connection="aws")``."""
    for name in [name for name in os.environ if name.startswith("AIRLOOM_")]:
        monkeypatch.delenv(name)

    def make(name: str, kind: str = "airloom", host: str = "", **extra: str) -> None:
        said = {"conn_type": kind, "host": host, "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(said))

    return make


def test_the_button_test_writes_and_reads_and_leaves_nothing(connect: Connect, tmp_path: Path) -> None:
    from airloom.hooks.datastore import DatastoreHook

    connect("store", host=str(tmp_path))
    assert DatastoreHook("store").test_connection() == (
        True,
        f"The datastore {tmp_path} can be read and written.",
    )
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


@pytest.mark.parametrize(
    ("host", "extra", "why"),
    [
        ("", {}, "the connection 'store' names no datastore"),
        ("relative/folder", {}, "is relative"),
        ("s3://bucket/prefix", {"cloud_connection": "store"}, "is of the type airloom, too"),
        ("s3://bucket/prefix", {"cloud_connection": "absent"}, "Airflow has no connection 'absent'"),
        ("ftp://server", {}, "ftp"),
    ],
)
def test_the_button_test_says_what_is_wrong(
    connect: Connect, host: str, extra: dict[str, str], why: str
) -> None:
    from airloom.hooks.datastore import DatastoreHook

    connect("store", host=host, **extra)
    good, message = DatastoreHook("store").test_connection()
    assert not good
    assert why in message


def test_a_store_that_cannot_be_written_is_told(connect: Connect, tmp_path: Path) -> None:
    from airloom.hooks.datastore import DatastoreHook

    (tmp_path / "file").write_text("no folder")
    connect("store", host=str(tmp_path / "file"))
    good, message = DatastoreHook("store").test_connection()
    assert not good
    assert str(tmp_path) in message


def test_the_cloud_connection_below_opens_the_store(connect: Connect) -> None:
    from airloom.hooks.datastore import DatastoreHook

    connect("cloud", kind="aws")
    connect("store", host="s3://bucket/prefix", cloud_connection="cloud", region="eu-central-1")
    found = DatastoreHook("store").settings()
    assert (found.datastore_root, found.datastore_connection) == ("s3://bucket/prefix", "cloud")
    assert found.store_region == "eu-central-1"


def test_the_settings_may_name_the_connection(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airloom.hooks.datastore import DatastoreHook

    connect("store", host=str(tmp_path))
    monkeypatch.setenv("AIRLOOM_DATASTORE_CONNECTION", "store")
    assert DatastoreHook().settings().datastore_root == str(tmp_path)
    monkeypatch.setenv("AIRLOOM_DATASTORE_ROOT", "/elsewhere")
    with pytest.raises(SettingsError, match="and the setting datastore_root '/elsewhere'"):
        DatastoreHook().settings()
    assert DatastoreHook("store").settings().datastore_root == str(tmp_path)


def test_the_form_is_the_same_for_old_and_new_airflows() -> None:
    from airloom.hooks.datastore import DatastoreHook

    (declared,) = get_provider_info()["connection-types"]
    assert declared["connection-type"] == DatastoreHook.conn_type
    assert declared["hook-name"] == DatastoreHook.hook_name
    assert DatastoreHook.get_ui_field_behaviour() == {
        name.replace("-", "_"): value for name, value in declared["ui-field-behaviour"].items()
    }


FORM = """
import json, sys
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
(found,) = [one for one in HookMetaService.hook_meta_data() if one.connection_type == "airloom"]
json.dump(found.model_dump(), sys.stdout)
"""


def test_airflow_shows_the_form(tmp_path: Path) -> None:
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL"}
    done = subprocess.run(
        [sys.executable, "-c", FORM], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout[done.stdout.index("{") :])
    assert found["hook_name"] == "Airloom datastore"
    assert found["standard_fields"]["host"]["title"] == "Datastore root"
    assert found["standard_fields"]["password"]["hidden"] is True
    labels = {name: field["schema"]["title"] for name, field in found["extra_fields"].items()}
    assert labels == {"cloud_connection": "Cloud connection", "endpoint": "Endpoint", "region": "Region"}
