"""Airloom's settings as Airflow's configuration gives them."""

from __future__ import annotations

from dataclasses import fields

from airflow.sdk.configuration import conf

from airloom import settings
from airloom.settings import Settings


def airflow_settings() -> Settings:
    """Settings from AIRLOOM_* variables and the section ``[airloom]``.

    Raises
    ------
    SettingsError
        When a value is not of its form.
    """
    configured = {}
    for item in fields(Settings):
        value = conf.get("airloom", item.name, fallback=None)
        if value is not None:
            configured[item.name] = value
    return settings.load(configured=configured)
