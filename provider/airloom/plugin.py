"""AirloomPlugin: Airloom's pages and links in Airflow's user interface.

Every process of Airflow imports this module: what only the API server needs is imported there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from airloom.links import AirloomLink
from airloom.ui.addresses import PREFIX

if TYPE_CHECKING:
    from fastapi import FastAPI

_Message = MutableMapping[str, Any]


class Pages:
    """The pages as an ASGI application that is made when the first request comes."""

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer a request."""
        await _application()(scope, receive, send)


@cache
def _application() -> FastAPI:
    from airloom.ui.host import application

    return application()


class AirloomPlugin(AirflowPlugin):
    """What Airflow loads by the entry point ``airflow.plugins``."""

    name = "airloom"
    # Not ClassVar: Airflow declares them as it does.
    fastapi_apps: list[Any] = [{"app": Pages(), "url_prefix": PREFIX, "name": "Airloom"}]  # noqa: RUF012
    operator_extra_links: list[Any] = [AirloomLink()]  # noqa: RUF012
