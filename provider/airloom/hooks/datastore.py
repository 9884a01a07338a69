"""DatastoreHook: the datastore of a connection, for tasks of any DAG and for the button that tests it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

# Airflow 3.1 has this class elsewhere; this module knows where.
from airflow.providers.common.compat.sdk import BaseHook

from airloom.errors import AirloomError
from airloom.provider_info import CONNECTION_FIELDS, CONNECTION_TYPE, HIDDEN_FIELDS, LABELS, PLACEHOLDERS

if TYPE_CHECKING:
    from airloom.client import DataArtifact, Run
    from airloom.settings import Settings
    from airloom.store.datastore import Datastore


class DatastoreHook(BaseHook):
    """Reach the datastore that a connection names, or the one of the section ``[airloom]``.

    Parameters
    ----------
    airloom_conn_id
        A connection of the type ``airloom``: its host is the datastore's root, and its field
        ``cloud_connection`` names the connection that opens it. None: what Airflow's
        configuration says.
    """

    conn_name_attr = "airloom_conn_id"
    default_conn_name = "airloom_default"
    conn_type = CONNECTION_TYPE
    hook_name = "Airloom datastore"

    def __init__(self, airloom_conn_id: str | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.airloom_conn_id = airloom_conn_id

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Fields of the connection's form, as Airflow 3.1 asks for them."""
        from wtforms import StringField  # type: ignore[import-not-found, import-untyped, unused-ignore]

        return {
            name: StringField(label, description=description)
            for name, (label, description) in CONNECTION_FIELDS.items()
        }

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """How the form's usual fields look, as Airflow 3.1 asks for it."""
        return {
            "hidden_fields": list(HIDDEN_FIELDS),
            "relabeling": dict(LABELS),
            "placeholders": dict(PLACEHOLDERS),
        }

    def settings(self) -> Settings:
        """Settings of Airloom as they hold with this connection.

        Raises
        ------
        SettingsError
            When the connection does not exist, is incomplete, or names no datastore for all workers.
        """
        from airloom.operators.runs import airflow_settings

        return airflow_settings(self.airloom_conn_id)

    def get_conn(self) -> Datastore:
        """Open the datastore; nothing is read or made yet.

        Raises
        ------
        SettingsError
            See `settings`.
        """
        from airloom.store.datastore import Datastore

        return Datastore.open(self.settings())

    def get_run(self, pathspec: str) -> Run:
        """Read one run, of whomever it is.

        Parameters
        ----------
        pathspec
            ``Flow/run``.

        Raises
        ------
        NotFound
            When the datastore has no such run.
        """
        from airloom.client import Run

        return Run(pathspec, datastore=self.get_conn(), _namespace_check=False)

    def get_artifact(self, which: str | Mapping[str, Any]) -> DataArtifact:
        """Read one artifact: its ``data`` is the value.

        Parameters
        ----------
        which
            ``Flow/run/step/task/name``, or a reference to an artifact that another task has returned.

        Raises
        ------
        NotFound
            When the datastore has no such artifact.
        """
        from airloom.client import DataArtifact

        pathspec = which if isinstance(which, str) else str(which["pathspec"])
        return DataArtifact(pathspec, datastore=self.get_conn(), _namespace_check=False)

    def test_connection(self) -> tuple[bool, str]:
        """Write an object, read it and delete it; for Airflow's button Test."""
        from airloom.store.objects import open_objects

        key, data = f"checks/{uuid4().hex}", b"airloom"
        try:
            settings = self.settings()
            objects = open_objects(settings.datastore_root, settings)
            objects.put_if_absent(key, [data])
            same = objects.get(key) == data
            objects.delete(key)
        except (AirloomError, OSError) as error:
            return False, str(error)
        if not same:
            return False, f"The datastore {objects.root} gives other bytes than were written."
        return True, f"The datastore {objects.root} can be read and written."
