"""How a remote store is entered: its server's address, and credentials that nobody prints.

Without anything handed down, the cloud's own chain of defaults holds. The Airflow side hands
down what a connection says, for all stores that this process opens at the same root:
so the client in a step's code reads the store that the step runs on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airloom.errors import SettingsError
from airloom.settings import variable
from airloom.store.urls import Cloud, Location

DEFAULTS = "the cloud's default chain: environment, files, role"
"""Where credentials come from when nobody hands any down."""

_GRANTED: dict[str, Access] = {}
# Botocore hands out temporary credentials that hold for ten minutes at least.
_FRESH = timedelta(minutes=10)

_ENVIRONMENT = {
    "service_account_key": "GOOGLE_SERVICE_ACCOUNT_KEY",
    "service_account": "GOOGLE_SERVICE_ACCOUNT",
    "account_name": "AZURE_STORAGE_ACCOUNT_NAME",
    "account_key": "AZURE_STORAGE_ACCOUNT_KEY",
    "sas_key": "AZURE_STORAGE_SAS_KEY",
    "tenant_id": "AZURE_STORAGE_TENANT_ID",
    "client_id": "AZURE_STORAGE_CLIENT_ID",
    "client_secret": "AZURE_STORAGE_CLIENT_SECRET",
    "region": variable("store_region"),
    "endpoint": variable("store_endpoint"),
}


@dataclass(frozen=True, slots=True)
class Access:
    """What opens a store.

    ``options`` are those of obstore's store of that cloud; ``credentials`` gives AWS
    credentials that hold now, and until when; ``source`` says in words where they come from.
    """

    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: Callable[[], dict[str, Any]] | None = field(default=None, repr=False)
    source: str = DEFAULTS

    def environment(self) -> dict[str, str]:
        """Give variables by which a process started now enters, too.

        Temporary credentials end there when they end: nobody renews them.
        """
        found = {_ENVIRONMENT[name]: value for name, value in self.options.items() if name in _ENVIRONMENT}
        if self.credentials is not None:
            now = self.credentials()
            found["AWS_ACCESS_KEY_ID"] = now["access_key_id"]
            found["AWS_SECRET_ACCESS_KEY"] = now["secret_access_key"]
            if now["token"]:
                found["AWS_SESSION_TOKEN"] = now["token"]
        return found


def grant(location: Location, access: Access) -> None:
    """Let every store that this process opens at the location use this access."""
    _GRANTED[location.url] = access


def granted(location: Location) -> Access:
    """Give the access to a store: what was handed down, else what the machine's defaults say."""
    found = _GRANTED.get(location.url)
    if found is not None:
        return found
    return _from_profile() if location.cloud == "s3" and _has_profile() else Access()


def preload(location: Location) -> None:
    """Import what `granted` will need: once before forks costs less than in each child."""
    if location.cloud == "s3" and location.url not in _GRANTED and _has_profile():
        with suppress(ImportError):
            import boto3  # type: ignore[import-untyped, unused-ignore]  # noqa: F401


def _has_profile() -> bool:
    # obstore itself reads the variables and asks the instance, the container and the cluster for a
    # role; it does not read AWS's profile files, which may say anything up to single sign-on.
    if "AWS_ACCESS_KEY_ID" in os.environ:
        return False
    if "AWS_PROFILE" in os.environ:
        return True
    roles = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    if any(name in os.environ for name in (*roles, "AWS_CONTAINER_CREDENTIALS_FULL_URI")):
        return False
    files = (
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        os.environ.get("AWS_CONFIG_FILE", "~/.aws/config"),
    )
    return any(Path(file).expanduser().exists() for file in files)


def _from_profile() -> Access:
    try:
        import boto3  # type: ignore[import-untyped, unused-ignore]
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return Access()

    try:
        return from_session(boto3.Session(), {}, DEFAULTS)
    except BotoCoreError as error:
        raise SettingsError(
            f"the AWS profile cannot be used: {error}",
            where="AWS_PROFILE and ~/.aws/config",
            mend="name a profile that exists, or give credentials in another way, see docs/stores.md.",
        ) from None


def from_session(session: Any, options: Mapping[str, str], source: str) -> Access:
    """Give the access of a boto3 session, whose temporary credentials are renewed in time.

    Parameters
    ----------
    options
        What counts more than what the session says.
    source
        Where the session's credentials come from, in words.
    """
    found = {"region": session.region_name} if session.region_name else {}
    held = session.get_credentials()
    if held is None:
        return Access({**found, **options}, source=source)

    def credentials() -> dict[str, Any]:
        now = held.get_frozen_credentials()
        until = datetime.now(timezone.utc) + _FRESH if now.token else None
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.token,
            "expires_at": until,
        }

    return Access({**found, **options}, credentials, source)


def from_connection(cloud: Cloud, name: str, fields: Mapping[str, str | None]) -> Access:
    """Give the access that an Airflow connection to Google or Azure says.

    Parameters
    ----------
    fields
        The connection's ``host``, ``login``, ``password`` and ``extra``.

    Raises
    ------
    SettingsError
        When the extra is not JSON, or the account is not named.
    """
    try:
        extra = json.loads(fields.get("extra") or "{}")
    except ValueError:
        raise _refused(name, "its extra is not JSON", "write a JSON object there.") from None
    # Connections that were made in older versions have the prefix of their type.
    extra = {key.rpartition("__")[2]: value for key, value in extra.items() if value not in (None, "")}
    made = _google(extra) if cloud == "gs" else _azure(name, fields, extra)
    endpoint = extra.get("endpoint_url")
    options = {**made, "endpoint": str(endpoint)} if endpoint else made
    return Access(options, source=f"the Airflow connection {name!r}")


def _google(extra: Mapping[str, Any]) -> dict[str, str]:
    if "keyfile_dict" in extra:
        key = extra["keyfile_dict"]
        return {"service_account_key": key if isinstance(key, str) else json.dumps(key)}
    path = extra.get("key_path") or extra.get("keyfile_path")
    return {"service_account": str(path)} if path else {}


def _azure(name: str, fields: Mapping[str, str | None], extra: Mapping[str, Any]) -> dict[str, str]:
    login, password, host = (fields.get(key) or "" for key in ("login", "password", "host"))
    if "connection_string" in extra:
        parts = (part.partition("=") for part in str(extra["connection_string"]).split(";"))
        said = {key.strip(): value for key, _, value in parts}
        names = {
            "AccountName": "account_name",
            "AccountKey": "account_key",
            "SharedAccessSignature": "sas_key",
            "BlobEndpoint": "endpoint",
        }
        return {names[key]: value for key, value in said.items() if key in names}
    account = host.removeprefix("https://").partition(".")[0] if host else login
    if not account:
        raise _refused(name, "it names no storage account", "write the account's name as its login.")
    if "sas_token" in extra:
        return {"account_name": account, "sas_key": str(extra["sas_token"])}
    if "tenant_id" in extra:
        secret = {"client_id": login, "client_secret": password} if password else {}
        return {"account_name": account, "tenant_id": str(extra["tenant_id"]), **secret}
    key = password or str(extra.get("shared_access_key", ""))
    return {"account_name": account, "account_key": key} if key else {"account_name": account}


def _refused(name: str, what: str, mend: str) -> SettingsError:
    return SettingsError(
        f"the connection {name!r} does not open the datastore: {what}",
        where=variable("datastore_connection"),
        mend=mend,
    )
