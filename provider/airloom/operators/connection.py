"""The Airflow connection that opens the datastore, handed down to the store of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# Airflow 3.1 has this exception elsewhere; this module knows where.
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.sdk import Connection

from airloom.errors import SettingsError
from airloom.settings import variable
from airloom.store.access import Access, from_connection, from_session, grant, granted
from airloom.store.urls import parse

if TYPE_CHECKING:
    from airloom.settings import Settings

_TYPES = {"s3": ("aws",), "gs": ("google_cloud_platform",), "az": ("wasb", "azure", "adls")}


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
