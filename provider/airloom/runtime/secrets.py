"""@secrets: values from where they are kept, as environment variables of one step, and nowhere else.

A source is a text ``type:id`` or a dict ``{"type", "id", "options"}``, as in Metaflow. The values
go into no plan, no record and no log of ours.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from airloom.errors import FlowError
from airloom.flow.declarations import SecretSource

Backend = Callable[[SecretSource], Mapping[str, str]]


def resolve(
    sources: tuple[SecretSource, ...],
    where: str,
    *,
    allow_override: bool,
    backends: Mapping[str, Backend] | None = None,
) -> dict[str, str]:
    """Environment variables of all sources.

    Parameters
    ----------
    backends
        Further kinds of sources, or other ways to reach the known ones: the Airflow side brings
        its own for connections and variables.

    Raises
    ------
    FlowError
        When a source is of no known kind, has no value, or a variable is set already.
    """
    known = {**BACKENDS, **(backends or {})}
    found: dict[str, str] = {}
    for source in sources:
        if source.type not in known:
            raise FlowError(
                f"@secrets has no kind of source {source.type!r}",
                where=where,
                mend=f"use one of: {', '.join(sorted(known))}.",
            )
        for name, value in known[source.type](source).items():
            # A variable that has this very value is none that would be replaced: env:NAME as it stands.
            if name in found or (os.environ.get(name, value) != value and not allow_override):
                raise FlowError(
                    f"@secrets: the variable {name} of {source.name} is set already",
                    where=where,
                    mend="rename it with the option env_var_name, or write allow_override=True.",
                )
            found[name] = value
    return found


def missing(source: SecretSource, why: str, mend: str = "mend the source.") -> FlowError:
    """Error for a source that has no value; names it, never its content."""
    return FlowError(f"the secret {source.name} cannot be read: {why}", where=source.name, mend=mend)


def no_library(source: SecretSource, library: str, extra: str) -> FlowError:
    """Error for a source whose client library is missing."""
    mend = f"pip install 'airflow-provider-airloom[{extra}]' where the step runs."
    return missing(source, f"{library} is not installed here", mend)


def fields_of(source: SecretSource, text: str, name: str | None = None) -> dict[str, str]:
    """Variables of a value: one for each field of a JSON object, else one named by the source.

    ``name`` stands for the source's id where that is longer than a name.
    """
    wanted = source.options.get("env_var_name")
    if source.options.get("json", True) and not wanted:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if isinstance(value, dict):
            return {
                str(key): item if isinstance(item, str) else json.dumps(item) for key, item in value.items()
            }
    return {str(wanted or variable_name(name or source.id)): text}


def variable_name(text: str) -> str:
    """Make a name for an environment variable.

    >>> variable_name("prod/db-password")
    'PROD_DB_PASSWORD'
    """
    return "".join(c if c.isalnum() else "_" for c in text).upper()


def connection_fields(source: SecretSource, parts: Mapping[str, Any]) -> dict[str, str]:
    """Variables of an Airflow connection: MYDB_HOST, MYDB_LOGIN, MYDB_PASSWORD ..."""
    prefix = str(source.options.get("env_var_name") or variable_name(source.id))
    return {
        f"{prefix}_{name.upper()}": str(value) for name, value in parts.items() if value not in (None, "")
    }


def _inline(source: SecretSource) -> dict[str, str]:
    return {str(name): str(value) for name, value in dict(source.options.get("env_vars") or {}).items()}


def _environment(source: SecretSource) -> dict[str, str]:
    if source.id not in os.environ:
        raise missing(source, "the environment has no such variable")
    return {str(source.options.get("env_var_name") or source.id): os.environ[source.id]}


def _variable_outside_airflow(source: SecretSource) -> dict[str, str]:
    # Airflow's own convention for variables in the environment; keys are upper case there.
    name = f"AIRFLOW_VAR_{source.id.upper()}"
    if name not in os.environ:
        raise missing(source, f"outside of Airflow it is read from {name}, which is not set")
    return fields_of(source, os.environ[name])


def _connection_outside_airflow(source: SecretSource) -> dict[str, str]:
    name = f"AIRFLOW_CONN_{source.id.upper()}"
    if name not in os.environ:
        raise missing(source, f"outside of Airflow it is read from {name}, which is not set")
    text = os.environ[name]
    # What the parsers say may quote the text, so nothing of it is passed on.
    try:
        parts = _parts_of_json(text) if text.lstrip().startswith("{") else _parts_of_uri(text)
    except ValueError:
        mend = f"write {name} as JSON, or as a URI with its special signs percent-encoded."
        raise missing(source, f"{name} is no connection", mend) from None
    return connection_fields(source, parts)


def _parts_of_json(text: str) -> dict[str, Any]:
    found = json.loads(text)
    # The names that the Airflow side gives, so that a step finds the same variables in both.
    parts = {name: found.get(name) for name in ("host", "port", "login", "password", "schema", "extra")}
    if not isinstance(parts["extra"], str | None):
        parts["extra"] = json.dumps(parts["extra"])
    return parts


def _parts_of_uri(text: str) -> dict[str, Any]:
    url = urlsplit(text)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return {
        "host": unquote(url.hostname or ""),
        "port": url.port,
        "login": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "schema": unquote(url.path.removeprefix("/")),
        "extra": query.get("__extra__", json.dumps(query) if query else ""),
    }


def _aws(source: SecretSource) -> dict[str, str]:
    try:
        import boto3  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise no_library(source, "boto3", "aws") from None
    region, role = source.options.get("region"), source.options.get("role")
    try:
        keys = _assumed(boto3.client("sts", region_name=region), str(role)) if role else {}
        client = boto3.client("secretsmanager", region_name=region, **keys)
        answer = client.get_secret_value(SecretId=source.id)
        text = answer["SecretString"] if "SecretString" in answer else answer["SecretBinary"].decode()
    except Exception as error:
        raise missing(source, type(error).__name__) from None
    return fields_of(source, text)


def _assumed(client: Any, role: str) -> dict[str, str]:
    found = client.assume_role(RoleArn=role, RoleSessionName="airloom-secrets")["Credentials"]
    return {
        "aws_access_key_id": found["AccessKeyId"],
        "aws_secret_access_key": found["SecretAccessKey"],
        "aws_session_token": found["SessionToken"],
    }


def gcp_name(source: SecretSource) -> tuple[str, str]:
    """Full resource name of a secret's version, and the secret's short name.

    >>> gcp_name(SecretSource("gcp-secret-manager", "token", {"project": "shop"}))
    ('projects/shop/secrets/token/versions/latest', 'token')
    """
    version = source.options.get("version", "latest")
    if "/" not in source.id:
        if not source.options.get("project"):
            mend = "write the option project, or projects/PROJECT/secrets/NAME."
            raise missing(source, "it names no project", mend)
        return f"projects/{source.options['project']}/secrets/{source.id}/versions/{version}", source.id
    found = re.fullmatch(r"(projects/[^/]+/secrets/([^/]+))(?:/versions/([^/]+))?", source.id)
    if found is None:
        raise missing(source, "its id is no resource name", "write projects/PROJECT/secrets/NAME.")
    return f"{found[1]}/versions/{found[3] or version}", found[2]


def _gcp(source: SecretSource) -> dict[str, str]:
    name, short = gcp_name(source)
    try:
        from google.cloud import (  # type: ignore[import-not-found, import-untyped, attr-defined, unused-ignore]
            secretmanager,
        )
    except ImportError:
        raise no_library(source, "google-cloud-secret-manager", "gcp") from None
    try:
        client = secretmanager.SecretManagerServiceClient()
        text = client.access_secret_version(name=name).payload.data.decode()
    except Exception as error:
        raise missing(source, type(error).__name__) from None
    return fields_of(source, text, short)


def azure_name(source: SecretSource) -> tuple[str, str, str | None]:
    """Vault, name and version of a secret; no version is the latest.

    >>> azure_name(SecretSource("az-key-vault", "https://shop.vault.azure.net/secrets/token"))
    ('https://shop.vault.azure.net', 'token', None)
    """
    version = source.options.get("version")
    if "/" not in source.id:
        vault = str(source.options.get("vault_url") or "")
        if not vault.startswith("https://"):
            mend = "write the option vault_url, https://NAME.vault.azure.net, or the secret's whole URL."
            raise missing(source, "it names no vault", mend)
        return vault, source.id, version
    found = re.fullmatch(r"(https://[^/?#]+)/secrets/([^/?#]+)(?:/([^/?#]+))?/?", source.id)
    if found is None:
        mend = "write https://NAME.vault.azure.net/secrets/NAME."
        raise missing(source, "its id is no URL of a secret", mend)
    return found[1], found[2], found[3] or version


def _azure(source: SecretSource) -> dict[str, str]:
    vault, name, version = azure_name(source)
    try:
        from azure.identity import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
            DefaultAzureCredential,
        )
        from azure.keyvault.secrets import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
            SecretClient,
        )
    except ImportError:
        raise no_library(source, "azure-identity or azure-keyvault-secrets", "azure") from None
    try:
        with DefaultAzureCredential() as credential, SecretClient(vault, credential) as client:
            text = client.get_secret(name, version).value
    except Exception as error:
        raise missing(source, type(error).__name__) from None
    return fields_of(source, text or "", name)


BACKENDS: dict[str, Backend] = {
    "inline": _inline,
    "env": _environment,
    "airflow-variable": _variable_outside_airflow,
    "airflow-connection": _connection_outside_airflow,
    "aws-secrets-manager": _aws,
    "gcp-secret-manager": _gcp,
    "az-key-vault": _azure,
}
