"""Settings: where each value comes from, and which are refused."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from airloom.errors import SettingsError
from airloom.provider_info import get_provider_info
from airloom.settings import Settings, load, origins, variable


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AIRLOOM_"):
            monkeypatch.delenv(name)


def test_the_defaults_are_complete() -> None:
    settings = load()
    assert settings == Settings()
    assert settings.datastore_root == ".airloom"
    assert settings.workers == (os.cpu_count() or 1)
    assert settings.cache_folder == Path.home() / ".cache" / "airloom"
    assert ".py" in settings.suffixes


def test_an_argument_counts_more_than_a_variable_than_airflow_than_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configured = {"user": "from airflow"}
    assert load({}, configured).user == "from airflow"
    monkeypatch.setenv("AIRLOOM_USER", "from the variable")
    assert load({"user": None}, configured).user == "from the variable"
    assert load({"user": "from an argument"}, configured).user == "from an argument"


def test_an_empty_value_is_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOOM_USER", "")
    assert load({}, {"user": "from airflow"}).user == ""


def test_the_source_of_every_value_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOOM_VERIFY", "always")
    found = {origin.name: origin for origin in origins({"user": "ada"}, {"cache_dir": "/c"})}
    assert list(found) == [item.name for item in fields(Settings)]
    assert found["user"].source == "argument"
    assert found["verify"].source == "AIRLOOM_VERIFY"
    assert found["cache_dir"].source == "airflow.cfg [airloom] cache_dir"
    assert found["fsync"].source == "default"
    assert all(origin.help for origin in found.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verify", "never"),
        ("verify", ""),
        ("fsync", "True"),
        ("max_workers", "0"),
        ("max_workers", "-1"),
        ("max_workers", "two"),
        ("max_workers", "1.5"),
        ("package_limit_mib", "64 MiB"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(variable(name), value)
    with pytest.raises(SettingsError, match="is no value for the setting") as caught:
        load()
    assert caught.value.where == variable(name)
    assert repr(value) in caught.value.what
    assert caught.value.mend.startswith("write ")


def test_variables_are_read_when_asked_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load()
    monkeypatch.setenv("AIRLOOM_MAX_WORKERS", "3")
    assert load().workers == 3
    assert before.max_workers == ""


def test_without_a_login_name_the_user_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987_654)
    assert load().user_name == "unknown"
    assert load({"user": "ada"}).user_name == "ada"


def test_suffixes_are_read_with_spaces_around() -> None:
    assert load({"package_suffixes": ".py, .sql ,"}).suffixes == (".py", ".sql")


def test_the_options_in_airflows_configuration_are_settings_with_the_same_defaults() -> None:
    options = get_provider_info()["config"]["airloom"]["options"]
    defaults = {item.name: item.default for item in fields(Settings)}
    assert list(options) == list(defaults)
    for name, option in options.items():
        # The folder beside a flow is no place for what a deployed flow writes: Airflow has no default.
        assert option["default"] == ("" if name == "datastore_root" else defaults[name])
