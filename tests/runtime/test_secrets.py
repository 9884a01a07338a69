"""@secrets: what each kind of source gives, what is refused, and that no value is kept anywhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from airloom.errors import FlowError
from airloom.flow.declarations import SecretSource
from airloom.runtime.secrets import azure_name, gcp_name, resolve

if TYPE_CHECKING:
    from tests.runtime.conftest import Project

HIDDEN = "hidden-5f2c9e"


def read(kind: str, name: str = "", *, allow_override: bool = False, **options: Any) -> dict[str, str]:
    return resolve((SecretSource(kind, name, options),), "Flow/1/start/0", allow_override=allow_override)


def refusal(kind: str, name: str = "", **options: Any) -> str:
    """Give the whole message of a source that cannot be read; it holds no value, nor does its cause."""
    with pytest.raises(FlowError) as caught:
        read(kind, name, **options)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert HIDDEN not in str(caught.value)
    return str(caught.value)


# -- sources of every machine ------------------------------------------------------------


def test_inline_values_become_texts() -> None:
    assert read("inline", env_vars={"USER_NAME": "ada", "RETRIES": 3}) == {"USER_NAME": "ada", "RETRIES": "3"}


def test_a_variable_of_the_environment_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT_ELSEWHERE", HIDDEN)
    assert read("env", "KEPT_ELSEWHERE") == {"KEPT_ELSEWHERE": HIDDEN}


def test_a_variable_of_the_environment_can_be_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT_ELSEWHERE", HIDDEN)
    assert read("env", "KEPT_ELSEWHERE", env_var_name="TOKEN") == {"TOKEN": HIDDEN}


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (HIDDEN, {}, {"SHOP_API_KEY": HIDDEN}),
        (HIDDEN, {"env_var_name": "KEY"}, {"KEY": HIDDEN}),
        ('{"USER_NAME": "ada", "PORT": 5}', {}, {"USER_NAME": "ada", "PORT": "5"}),
        ('{"a": 1}', {"json": False}, {"SHOP_API_KEY": '{"a": 1}'}),
        ('{"a": 1}', {"env_var_name": "KEY"}, {"KEY": '{"a": 1}'}),
        ("[1, 2]", {}, {"SHOP_API_KEY": "[1, 2]"}),
    ],
)
def test_a_variable_of_airflow_is_read_outside_of_it(
    monkeypatch: pytest.MonkeyPatch, text: str, options: dict[str, Any], expected: dict[str, str]
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_SHOP_API-KEY", text)
    assert read("airflow-variable", "shop_api-key", **options) == expected


def test_a_connection_is_read_from_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "postgres://ada%40shop:p%40ss%2Fw%3Ard%25@db.example:5432/sales%2Feu?sslmode=require"
    monkeypatch.setenv("AIRFLOW_CONN_MY_DB", uri)
    assert read("airflow-connection", "my_db") == {
        "MY_DB_HOST": "db.example",
        "MY_DB_PORT": "5432",
        "MY_DB_LOGIN": "ada@shop",
        "MY_DB_PASSWORD": "p@ss/w:rd%",
        "MY_DB_SCHEMA": "sales/eu",
        "MY_DB_EXTRA": '{"sslmode": "require"}',
    }


def test_a_connection_is_read_from_json(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"conn_type": "http", "host": "h", "port": 80, "password": "p%40", "extra": {"a": [1]}}
    monkeypatch.setenv("AIRFLOW_CONN_API", json.dumps(parts))
    assert read("airflow-connection", "api", env_var_name="SHOP") == {
        "SHOP_HOST": "h",
        "SHOP_PORT": "80",
        "SHOP_PASSWORD": "p%40",
        "SHOP_EXTRA": '{"a": [1]}',
    }


# A password whose slash is not encoded is taken for a port by the parser, which then quotes it.
@pytest.mark.parametrize("text", [f"pg://ada:{HIDDEN}/x@db", '{"password": "' + HIDDEN])
def test_what_is_wrong_with_a_connection_is_not_quoted(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MY_DB", text)
    assert "AIRFLOW_CONN_MY_DB is no connection" in refusal("airflow-connection", "my_db")


# -- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("env", "the environment has no such variable"),
        ("airflow-variable", "AIRFLOW_VAR_ABSENT, which is not set"),
        ("airflow-connection", "AIRFLOW_CONN_ABSENT, which is not set"),
    ],
)
def test_a_source_without_a_value_is_named(kind: str, why: str) -> None:
    message = refusal(kind, "absent")
    assert f"the secret {kind}:absent cannot be read" in message
    assert why in message


def test_an_unknown_kind_is_told_the_known_ones() -> None:
    message = refusal("vault", "x")
    assert "no kind of source 'vault'" in message
    assert "aws-secrets-manager, az-key-vault, env, gcp-secret-manager, inline" in message


def test_a_variable_that_is_set_already_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "other")
    message = refusal("inline", env_vars={"TOKEN": HIDDEN})
    assert "the variable TOKEN of inline is set already" in message
    assert "other" not in message


def test_allow_override_replaces_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "other")
    assert read("inline", env_vars={"TOKEN": HIDDEN}, allow_override=True) == {"TOKEN": HIDDEN}


def test_two_sources_of_one_variable_are_refused() -> None:
    sources = tuple(SecretSource("inline", "", {"env_vars": {"TOKEN": text}}) for text in ("a", "b"))
    with pytest.raises(FlowError, match="TOKEN of inline is set already"):
        resolve(sources, "here", allow_override=True)


def test_another_way_to_a_known_kind_is_taken() -> None:
    source = SecretSource("env", "TOKEN")
    assert resolve((source,), "here", allow_override=False, backends={"env": lambda _: {"A": "b"}}) == {
        "A": "b"
    }


# -- AWS ---------------------------------------------------------------------------------


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Client of an imitated AWS Secrets Manager."""
    import boto3  # type: ignore[import-untyped, unused-ignore]
    from moto import mock_aws

    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="eu-central-1")


def test_aws_gives_a_variable_a_field(manager: Any) -> None:
    manager.create_secret(Name="prod/db", SecretString=json.dumps({"DB_USER": "ada", "DB_PORT": 5432}))
    found = read("aws-secrets-manager", "prod/db", region="eu-central-1")
    assert found == {"DB_USER": "ada", "DB_PORT": "5432"}


def test_aws_gives_texts_and_bytes(manager: Any) -> None:
    manager.create_secret(Name="prod/token", SecretString=HIDDEN)
    manager.create_secret(Name="raw", SecretBinary=HIDDEN.encode())
    assert read("aws-secrets-manager", "prod/token", region="eu-central-1") == {"PROD_TOKEN": HIDDEN}
    assert read("aws-secrets-manager", "raw", region="eu-central-1", env_var_name="R") == {"R": HIDDEN}


def test_aws_is_read_as_the_role_that_is_named(manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.client import BaseClient  # type: ignore[import-untyped, unused-ignore]

    manager.create_secret(Name="prod/token", SecretString=HIDDEN)
    role = "arn:aws:iam::123456789012:role/reader"
    calls: list[tuple[str, str]] = []
    call = BaseClient._make_api_call

    def watched(self: Any, name: str, arguments: dict[str, Any]) -> Any:
        calls.append((name, self._request_signer._credentials.access_key))
        answer = call(self, name, arguments)
        if name == "AssumeRole":
            assert arguments["RoleArn"] == role
            calls.append(("assumed", answer["Credentials"]["AccessKeyId"]))
        return answer

    monkeypatch.setattr(BaseClient, "_make_api_call", watched)
    found = read("aws-secrets-manager", "prod/token", region="eu-central-1", role=role)
    assert found == {"PROD_TOKEN": HIDDEN}
    (asked, own), (_, assumed), (read_by, used) = calls
    assert (asked, read_by) == ("AssumeRole", "GetSecretValue")
    assert used == assumed != own


def test_a_role_that_cannot_be_assumed_is_told_by_its_kind_only(manager: Any) -> None:
    message = refusal("aws-secrets-manager", "x", region="eu-central-1", role="short")
    assert "ParamValidationError" in message or "ClientError" in message


def test_aws_says_what_failed_by_its_kind_only(manager: Any) -> None:
    manager.create_secret(Name="raw", SecretBinary=HIDDEN.encode() + b"\xff")
    missing = refusal("aws-secrets-manager", "absent", region="eu-central-1")
    assert "aws-secrets-manager:absent cannot be read: ResourceNotFoundException" in missing
    assert "UnicodeDecodeError" in refusal("aws-secrets-manager", "raw", region="eu-central-1")
    assert "NoRegionError" in refusal("aws-secrets-manager", "raw")


# -- Google Cloud and Azure: only what needs no service ------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("token", {"project": "shop"}, "projects/shop/secrets/token/versions/latest"),
        ("token", {"project": "shop", "version": 3}, "projects/shop/secrets/token/versions/3"),
        ("projects/7/secrets/token", {}, "projects/7/secrets/token/versions/latest"),
        ("projects/7/secrets/token", {"version": "4"}, "projects/7/secrets/token/versions/4"),
        ("projects/7/secrets/token/versions/2", {"version": "4"}, "projects/7/secrets/token/versions/2"),
    ],
)
def test_names_of_google_cloud_are_completed(name: str, options: dict[str, Any], expected: str) -> None:
    assert gcp_name(SecretSource("gcp-secret-manager", name, options)) == (expected, "token")


@pytest.mark.parametrize(
    ("name", "options", "version"),
    [
        ("token", {"vault_url": "https://shop.vault.azure.net"}, None),
        ("token", {"vault_url": "https://shop.vault.azure.net", "version": "9a"}, "9a"),
        ("https://shop.vault.azure.net/secrets/token", {}, None),
        ("https://shop.vault.azure.net/secrets/token/", {"version": "9a"}, "9a"),
        ("https://shop.vault.azure.net/secrets/token/1b", {"version": "9a"}, "1b"),
    ],
)
def test_names_of_azure_are_taken_apart(name: str, options: dict[str, Any], version: str | None) -> None:
    found = azure_name(SecretSource("az-key-vault", name, options))
    assert found == ("https://shop.vault.azure.net", "token", version)


@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        ("gcp-secret-manager", "token", "it names no project"),
        ("gcp-secret-manager", "projects/shop/token", "its id is no resource name"),
        ("az-key-vault", "token", "it names no vault"),
        ("az-key-vault", "http://shop.vault.azure.net/secrets/token", "its id is no URL of a secret"),
        ("az-key-vault", "https://shop.vault.azure.net/keys/token", "its id is no URL of a secret"),
    ],
)
def test_ids_that_name_no_secret_are_refused(kind: str, name: str, why: str) -> None:
    assert why in refusal(kind, name)


@pytest.mark.parametrize(
    ("kind", "name", "module", "extra"),
    [
        ("aws-secrets-manager", "token", "boto3", "aws"),
        ("gcp-secret-manager", "projects/shop/secrets/token", "google.cloud", "gcp"),
        ("az-key-vault", "https://shop.vault.azure.net/secrets/token", "azure.identity", "azure"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, kind: str, name: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    message = refusal(kind, name)
    assert "not installed here" in message
    assert f"pip install 'airflow-provider-airloom[{extra}]'" in message


# -- a whole run -------------------------------------------------------------------------

FLOW = """
@secrets(sources=["env:PLAIN", "airflow-variable:token", "airflow-connection:my_db"])
@step
def start(self):
    names = ("PLAIN", "TOKEN", "MY_DB_PASSWORD")
    self.lengths = [len(os.environ[name]) for name in names]
    self.open = "control-" + "value"
    print("control-" + "printed")
    self.next(self.end)

@step
def end(self):
    self.left = sorted({"TOKEN", "MY_DB_PASSWORD", "MY_DB_HOST"} & set(os.environ))
    self.pid = os.getpid()
"""
KEPT = {
    "PLAIN": f"{HIDDEN}-1",
    "AIRFLOW_VAR_TOKEN": f"{HIDDEN}-22",
    "AIRFLOW_CONN_MY_DB": f"pg://ada:{HIDDEN}-333@db",
}


def texts_below(folder: Path) -> bytes:
    """Give all bytes of all files, and what is compressed in them, wherever it begins."""
    found = []
    for file in folder.rglob("*"):
        data = file.read_bytes() if file.is_file() else b""
        found.append(data)
        at = data.find(zstandard.FRAME_HEADER)
        while at >= 0:
            found.append(zstandard.ZstdDecompressor().decompressobj().decompress(data[at:]))
            at = data.find(zstandard.FRAME_HEADER, at + 1)
    return b"\n".join(found)


def test_no_value_is_kept_by_a_run(project: Project) -> None:
    project.write(FLOW, top="from airloom import secrets")
    done = project.run(env=KEPT)
    assert project.value("start", "lengths") == [len(HIDDEN) + more for more in (2, 3, 4)]
    everything = texts_below(project.folder) + (done.stdout + done.stderr).encode()
    for control in (b"control-value", b"control-printed", b"airflow-connection:my_db"):
        assert control in everything
    assert HIDDEN.encode() not in everything


def test_the_values_are_gone_after_the_step(project: Project) -> None:
    # With --debug both steps run in one process, so they would be seen.
    same = "    self.first = os.getpid()\n    self.next(self.end)"
    project.write(FLOW.replace("    self.next(self.end)", same), top="from airloom import secrets")
    project.run("--debug", env=KEPT)
    assert project.value("end", "pid") == project.value("start", "first")
    assert project.value("end", "left") == []


def test_a_step_without_its_secret_fails_with_its_name(project: Project) -> None:
    project.write(FLOW, top="from airloom import secrets")
    done = project.run(code=1, env=KEPT | {"AIRFLOW_CONN_MY_DB": f"pg://ada:{HIDDEN}/x@db"})
    assert "the secret airflow-connection:my_db cannot be read" in done.stderr
    assert HIDDEN.encode() not in texts_below(project.folder) + (done.stdout + done.stderr).encode()
