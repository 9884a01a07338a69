"""@secrets: values from where they are kept, as environment variables of one step, and nowhere else.

A source is a text ``type:id`` or a dict ``{"type", "id", "options"}``, as in Metaflow. The values
go into no plan, no record and no log of ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

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
            if name in found or (name in os.environ and not allow_override):
                raise FlowError(
                    f"@secrets: the variable {name} of {source.name} is set already",
                    where=where,
                    mend="rename it with the option env_var_name, or write allow_override=True.",
                )
            found[name] = value
    return found


def missing(source: SecretSource, why: str) -> FlowError:
    """Error for a source that has no value; names it, never its content."""
    return FlowError(
        f"the secret {source.name} cannot be read: {why}", where=source.name, mend="mend the source."
    )


def fields_of(source: SecretSource, text: str) -> dict[str, str]:
    """Variables of a value: one for each field of a JSON object, else one named by the source."""
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
    return {str(wanted or variable_name(source.id)): text}


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
    if text.lstrip().startswith("{"):
        return connection_fields(source, json.loads(text))
    from urllib.parse import unquote, urlsplit

    url = urlsplit(text)
    parts = {
        "host": url.hostname,
        "port": url.port,
        "login": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "schema": url.path.lstrip("/"),
    }
    return connection_fields(source, parts)


def _aws(source: SecretSource) -> dict[str, str]:
    try:
        import boto3  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise missing(source, "boto3 is not installed here") from None
    client = boto3.client("secretsmanager", region_name=source.options.get("region"))
    try:
        answer = client.get_secret_value(SecretId=source.id)
    except Exception as error:
        raise missing(source, type(error).__name__) from None
    return fields_of(source, answer.get("SecretString") or answer["SecretBinary"].decode())


BACKENDS: dict[str, Backend] = {
    "inline": _inline,
    "env": _environment,
    "airflow-variable": _variable_outside_airflow,
    "airflow-connection": _connection_outside_airflow,
    "aws-secrets-manager": _aws,
}
