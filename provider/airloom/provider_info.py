"""What Airflow reads about this provider; imports nothing, since Airflow reads it while it starts."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Provider metadata in the form of Airflow's provider_info.schema.json."""
    return {
        "package-name": "airflow-provider-airloom",
        "name": "Airloom",
        "description": "Flows as Python classes, run as readable DAGs whose every result is a version.",
        "config": {
            "airloom": {
                "description": "Where Airloom keeps runs and artifacts, and how it runs steps.",
                "options": {
                    name: {
                        "description": description,
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": example,
                        "default": default,
                    }
                    for name, description, example, default in _OPTIONS
                },
            }
        },
    }


_OPTIONS = (
    ("datastore_root", "Absolute folder or URL where runs and artifacts are kept.", "/srv/airloom", ""),
    ("verify", "auto or always: which blobs are checked against their digest on load.", "always", "auto"),
    (
        "cache_dir",
        "Folder for unpacked code packages; ~/.cache/airloom when empty.",
        "/var/cache/airloom",
        "",
    ),
    ("datastore_connection", "Connection whose credentials open the datastore.", "aws_default", ""),
    ("store_endpoint", "URL of an object store's server that is not the cloud's own.", "https://minio:9000", ""),
    ("store_region", "Region of an S3 datastore.", "eu-central-1", ""),
)
