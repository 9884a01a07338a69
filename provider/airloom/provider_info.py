"""What Airflow reads about this provider while it starts, so nothing heavy is imported."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from airloom.settings import Settings

CONNECTION_TYPE = "airloom"
"""Type of the connection that says where the datastore is, and which other connection opens it."""

CONNECTION_FIELDS: dict[str, tuple[str, str]] = {
    "cloud_connection": (
        "Cloud connection",
        "Connection of Amazon, Google or Azure that opens it; the cloud's default credentials when empty.",
    ),
    "endpoint": (
        "Endpoint",
        "URL of the object store's server, where it is not the cloud's own.",
    ),
    "region": ("Region", "Region of an S3 datastore."),
}
"""Fields of that connection beside its host, in its extra: label and description."""

HIDDEN_FIELDS = ("schema", "port", "login", "password")
LABELS = {"host": "Datastore root"}
PLACEHOLDERS = {"host": "s3://bucket/prefix, or an absolute folder"}

_EXAMPLES = {"datastore_root": "/srv/airloom", "datastore_connection": "airloom_default"}


def get_provider_info() -> dict[str, Any]:
    """Provider metadata in the form of Airflow's provider_info.schema.json."""
    return {
        "package-name": "airflow-provider-airloom",
        "name": "Airloom",
        "description": "Flows as Python classes, run as readable DAGs whose every result is a version.",
        "connection-types": [
            {
                "connection-type": CONNECTION_TYPE,
                "hook-class-name": "airloom.hooks.datastore.DatastoreHook",
                # Read since Airflow 3.2; Airflow 3.1 asks the hook for the same.
                "hook-name": "Airloom datastore",
                "conn-fields": {
                    name: {
                        "label": label,
                        "description": description,
                        "schema": {"type": ["string", "null"]},
                    }
                    for name, (label, description) in CONNECTION_FIELDS.items()
                },
                "ui-field-behaviour": {
                    "hidden-fields": list(HIDDEN_FIELDS),
                    "relabeling": dict(LABELS),
                    "placeholders": dict(PLACEHOLDERS),
                },
            }
        ],
        "task-decorators": [
            {"name": "artifacts", "class-name": "airloom.decorators.artifacts.artifacts_task"}
        ],
        "cli": ["airloom.airflow_cli.get_commands"],
        "extra-links": ["airloom.links.AirloomLink"],
        "config": {
            "airloom": {
                "description": "Where Airloom keeps runs and artifacts, and how it runs steps.",
                "options": {
                    item.name: {
                        "description": f"{item.metadata['help'][0].upper()}{item.metadata['help'][1:]}.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": _EXAMPLES.get(item.name),
                        # A relative folder would be another one for each worker: here it must be said.
                        "default": "" if item.name == "datastore_root" else str(item.default),
                    }
                    for item in fields(Settings)
                },
            }
        },
    }
