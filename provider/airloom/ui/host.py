"""What Airflow's API server says: who asks, what they may read, what a task was given.

The one module that knows Airflow's web side, which promises to stay as it is for its own pages
only: ``airflow.api_fastapi.core_api.security`` of Airflow 3.1 to 3.3.
"""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.utils.session import create_session
from fastapi import Depends, FastAPI, HTTPException, Request
from sqlalchemy import select

from airloom.operators.runs import airflow_settings
from airloom.ui.server import create_app


class User:
    """Somebody who has logged in to Airflow, asking for one page; see `server.Visitor`."""

    def __init__(self, request: Request, user: BaseUser) -> None:
        self._request = request
        self._user = user
        self._known: dict[tuple[str, str], bool] = {}

    def may(self, dag_id: str, entity: str) -> bool:
        """Ask Airflow's auth manager, as Airflow's own pages do."""
        if (dag_id, entity) not in self._known:
            check = requires_access_dag("GET", DagAccessEntity[entity], dag_id)
            try:
                check(self._request, self._user)
            except HTTPException:
                self._known[dag_id, entity] = False
            else:
                self._known[dag_id, entity] = True
        return self._known[dag_id, entity]

    def rendered_fields(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> dict[str, Any]:
        """Read what Airflow keeps of a task's fields, for the newest 30 runs by default."""
        fields = RenderedTaskInstanceFields
        wanted = select(fields.rendered_fields).where(
            fields.dag_id == dag_id,
            fields.run_id == run_id,
            fields.task_id == task_id,
            fields.map_index == map_index,
        )
        with create_session() as session:
            found = session.scalar(wanted)
        return dict(found) if isinstance(found, dict) else {}


def visitor(request: Request, user: BaseUser = Depends(get_user)) -> User:  # noqa: B008 - FastAPI's form
    """Give who asks; Airflow refuses whoever has no session and no token."""
    return User(request, user)


def application() -> FastAPI:
    """Make the application for Airflow's API server."""
    return create_app(visitor, airflow_settings)
