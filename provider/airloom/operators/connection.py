"""The Airflow connection that opens the datastore, handed down to the store of this process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

# Airflow 3.1 has this exception elsewhere; this module knows where.
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.sdk import Connection

from airloom.errors import SettingsError
from airloom.provider_info import CONNECTION_TYPE
from airloom.settings import Settings, variable
from airloom.store.access import Access, from_connection, from_session, grant, granted
from airloom.store.urls import parse

_TYPES = {"s3": ("aws",), "gs": ("google_cloud_platform",), "az": ("wasb", "azure", "adls")}


def with_connection(settings: Settings, *, alone: bool = False) -> Settings:
    """Settings as a connection of the type ``airloom`` says; those of any other type change none.

    Parameters
    ----------
    alone
        The connection's root counts, whatever the settings name.

    Raises
    ------
    SettingsError
        When there is no such connection, it names no root, or another one than the settings.
    """
    name = settings.datastore_connection
    found = _connection(name)
    if found.conn_type != CONNECTION_TYPE:
        return settings
    root, said = found.host or "", settings.datastore_root
    where = variable("datastore_connection")
    if not root:
        raise SettingsError(
            f"the connection {name!r} names no datastore",
            where=where,
            mend="write the datastore's root, e.g. s3://bucket/prefix, as its host.",
        )
    if not alone and said not in (root, Settings().datastore_root):
        raise SettingsError(
            f"the connection {name!r} names the datastore {root!r}, and the setting datastore_root {said!r}",
            where=where,
            mend="leave datastore_root empty where a connection says it.",
        )
    extra = {key: str(value) for key, value in found.extra_dejson.items() if value}
    below = extra.get("cloud_connection", "")
    if below and _connection(below).conn_type == CONNECTION_TYPE:
        raise SettingsError(
            f"the connection {name!r} is opened by {below!r}, which is of the type {CONNECTION_TYPE}, too",
            where=where,
            mend="name a connection of Amazon, Google or Azure as its cloud connection.",
        )
    return replace(
        settings,
        datastore_root=root,
        datastore_connection=below,
        store_endpoint=extra.get("endpoint", settings.store_endpoint),
        store_region=extra.get("region", settings.store_region),
    )


def enter_datastore(settings: Settings) -> None:
    """Let the stores of this process use the connection that the settings name, if they name one.

    Raises
    ------
    SettingsError
        When there is no such connection, it is of another cloud, or it is not complete.
    """
    name = settings.datastore_connection
    if not name or "://" not in settings.datastore_root:
        return
    location = parse(settings.datastore_root)
    found = _connection(name)
    if found.conn_type not in _TYPES[location.cloud]:
        raise SettingsError(
            f"the connection {name!r} is of the type {found.conn_type!r}, and the datastore of another cloud",
            where=variable("datastore_connection"),
            mend=f"name a connection of the type {' or '.join(_TYPES[location.cloud])}.",
        )
    if location.cloud == "s3":
        grant(location, _aws(name))
    else:
        fields = {key: getattr(found, key, None) for key in ("host", "login", "password", "extra")}
        grant(location, from_connection(location.cloud, name, fields))


def variables_of_connection(settings: Settings) -> dict[str, str]:
    """Give the variables by which a process that this one starts opens the datastore, too."""
    if not settings.datastore_connection or "://" not in settings.datastore_root:
        return {}
    return granted(parse(settings.datastore_root)).environment()


def _connection(name: str) -> Connection:
    try:
        found: Connection = Connection.get(name)
    except AirflowNotFoundException:
        raise SettingsError(
            f"Airflow has no connection {name!r}",
            where=variable("datastore_connection"),
            mend="make it, or name another one; empty it for the cloud's default credentials.",
        ) from None
    return found


def _aws(name: str) -> Access:
    # Amazon's own hook knows all that such a connection may say: roles, web identity, profiles.
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    hook: AwsGenericHook[Any] = AwsGenericHook(aws_conn_id=name, client_type="s3")
    endpoint = hook.conn_config.get_service_endpoint_url("s3")
    options = {"endpoint": endpoint} if endpoint else {}
    return from_session(hook.get_session(), options, f"the Airflow connection {name!r}")
