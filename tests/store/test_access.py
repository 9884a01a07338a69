"""Who may enter a store: what a connection says becomes credentials, and nobody prints them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airloom.errors import SettingsError
from airloom.settings import Settings
from airloom.store.access import Access, from_connection, from_session, grant, granted
from airloom.store.clients import make
from airloom.store.urls import Cloud, parse

KEY = {"type": "service_account", "private_key": "very secret"}


@pytest.mark.parametrize(
    ("cloud", "fields", "options"),
    [
        (
            "gs",
            {"extra": json.dumps({"keyfile_dict": json.dumps(KEY)})},
            {"service_account_key": json.dumps(KEY)},
        ),
        ("gs", {"extra": json.dumps({"keyfile_dict": KEY})}, {"service_account_key": json.dumps(KEY)}),
        (
            "gs",
            {"extra": json.dumps({"extra__google_cloud_platform__key_path": "/k.json"})},
            {"service_account": "/k.json"},
        ),
        ("gs", {"extra": None}, {}),
        (
            "gs",
            {"extra": json.dumps({"endpoint_url": "http://127.0.0.1:1"})},
            {"endpoint": "http://127.0.0.1:1"},
        ),
        ("az", {"login": "acc", "password": "secret"}, {"account_name": "acc", "account_key": "secret"}),
        (
            "az",
            {"login": "acc", "extra": json.dumps({"sas_token": "sv=1&sig=secret"})},
            {"account_name": "acc", "sas_key": "sv=1&sig=secret"},
        ),
        (
            "az",
            {
                "host": "https://acc.blob.core.windows.net",
                "login": "app",
                "password": "secret",
                "extra": json.dumps({"tenant_id": "tenant"}),
            },
            {"account_name": "acc", "tenant_id": "tenant", "client_id": "app", "client_secret": "secret"},
        ),
        (
            "az",
            {"extra": json.dumps({"connection_string": "AccountName=acc;AccountKey=c2VjcmV0PT0=;Other=1"})},
            {"account_name": "acc", "account_key": "c2VjcmV0PT0="},
        ),
        ("az", {"login": "acc"}, {"account_name": "acc"}),
    ],
)
def test_a_connection_says_how_to_enter(
    cloud: Cloud, fields: dict[str, str | None], options: dict[str, str]
) -> None:
    found = from_connection(cloud, "the_store", fields)
    assert found.options == options
    assert found.source == "the Airflow connection 'the_store'"
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("fields", "what"),
    [({"extra": "no json"}, "extra is not JSON"), ({}, "names no storage account")],
)
def test_a_connection_that_is_not_complete_is_refused(fields: dict[str, str | None], what: str) -> None:
    with pytest.raises(SettingsError, match=what) as caught:
        from_connection("az", "the_store", fields)
    assert caught.value.where == "AIRLOOM_DATASTORE_CONNECTION"


def test_a_process_that_is_started_enters_by_variables() -> None:
    now = {"access_key_id": "key", "secret_access_key": "secret", "token": "token", "expires_at": None}
    found = Access({"endpoint": "http://127.0.0.1:1", "region": "eu-west-1"}, lambda: now)
    assert found.environment() == {
        "AIRLOOM_STORE_ENDPOINT": "http://127.0.0.1:1",
        "AIRLOOM_STORE_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
    }
    azure = Access({"account_name": "acc", "account_key": "secret"}).environment()
    assert azure == {"AZURE_STORAGE_ACCOUNT_NAME": "acc", "AZURE_STORAGE_ACCOUNT_KEY": "secret"}


def test_what_was_handed_down_holds_for_that_place_only() -> None:
    access = Access({"region": "eu-west-1"}, source="somebody")
    grant(parse("s3://handed-down/folder/"), access)
    assert granted(parse("s3a://handed-down/folder")) is access
    assert granted(parse("gs://handed-down/folder")) == Access()


def test_a_session_of_a_profile_gives_its_region_and_its_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    (tmp_path / "credentials").write_text("[p]\naws_access_key_id = key\naws_secret_access_key = secret\n")
    (tmp_path / "config").write_text("[profile p]\nregion = eu-west-1\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "p")
    found = granted(parse("s3://of-the-profile"))
    assert found.options == {"region": "eu-west-1"}
    assert found.credentials is not None
    assert found.credentials() == {
        "access_key_id": "key",
        "secret_access_key": "secret",
        "token": None,
        "expires_at": None,
    }
    given = from_session(boto3.Session(), {"region": "us-west-2"}, "somebody")
    assert given.options == {"region": "us-west-2"}
    monkeypatch.setenv("AWS_PROFILE", "another")
    with pytest.raises(SettingsError, match="profile cannot be used"):
        granted(parse("s3://of-the-profile"))


def test_an_azure_store_without_an_account_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(SettingsError, match="names no storage account"):
        make(parse("az://container"), Settings())
