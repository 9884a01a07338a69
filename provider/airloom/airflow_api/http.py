"""Airflow's REST API as requests and answers: login, pages, refusals."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from airloom.errors import DeployError

# Whatever the server sends; its shape is Airflow's, not ours.
Json = dict[str, Any]
_PAGE = 100  # what a server with default settings gives at most
_DATABASE_TRIES = 8
_DATABASE_ERROR = '"reason":"Database error"'  # airflow/api_fastapi/common/exceptions.py, after a rollback


class ApiError(DeployError):
    """Airflow refused a request; ``status`` is the HTTP status, 0 when it did not answer."""

    kind: ClassVar[str] = "airflow_api"
    status: int = 0


class AirflowHttp:
    """Airflow's REST API as one user.

    Parameters
    ----------
    url
        Where the API server answers, e.g. ``http://127.0.0.1:8080``.
    user, password
        Login; the token is fetched at the first request and again when it has run out.
    request_timeout_s
        How long one request may take, in seconds.
    """

    def __init__(self, url: str, user: str, password: str, *, request_timeout_s: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self.user = user
        self._password = password
        self._timeout_s = request_timeout_s
        self._token: str | None = None
        # A proxy of the host's environment must not get requests to 127.0.0.1.
        self._opener = build_opener(ProxyHandler({}))

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Json:
        """Send one request with the user's token; ``path`` is below ``/api/v2``.

        Raises
        ------
        ApiError
            When Airflow refuses it or does not answer.
        """
        for last in (False, True):
            if self._token is None:
                login = {"username": self.user, "password": self._password}
                self._token = str(self.send("POST", "/auth/token", login)["access_token"])
            try:
                return self._patiently(method, f"/api/v2{path}" + _query(query), body)
            except ApiError as error:
                if last or error.status != HTTPStatus.UNAUTHORIZED:
                    raise
                self._token = None
        raise AssertionError  # the second round returns or raises

    def _patiently(self, method: str, path: str, body: Mapping[str, object] | None) -> Json:
        """Send a request again that found the database locked, as happens on SQLite: it did nothing."""
        for number in range(1, _DATABASE_TRIES):
            try:
                return self.send(method, path, body)
            except ApiError as error:
                if error.status != HTTPStatus.INTERNAL_SERVER_ERROR or _DATABASE_ERROR not in error.what:
                    raise
                time.sleep(number * 0.1)
        return self.send(method, path, body)

    def pages(self, path: str, key: str) -> Iterator[Json]:
        """Give the items of a listing, asking for one page after the other."""
        seen = 0
        while True:
            answer = self.request("GET", path, query={"limit": _PAGE, "offset": seen})
            yield from answer[key]
            seen += len(answer[key])
            if not answer[key] or seen >= answer["total_entries"]:
                return

    def send(self, method: str, path: str, body: Mapping[str, object] | None) -> Json:
        """Send one request as it is: with a token only when there is one already.

        Raises
        ------
        ApiError
            When Airflow refuses it or does not answer.
        """
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data=data, headers=headers, method=method)  # noqa: S310 - http only
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                text = answer.read()
        except HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")
            raise self._refused(method, path, error.code, said) from None
        except (URLError, TimeoutError, ConnectionError) as error:
            raise self._refused(method, path, 0, str(error)) from error
        return json.loads(text) if text else {}

    def _refused(self, method: str, path: str, status: int, said: str) -> ApiError:
        what = f"Airflow refused {method} {path} with {status}: {said[:2000]}"
        if status == 0:
            what = f"Airflow did not answer {method} {path}: {said}"
        error = ApiError(what, where=self.url, mend="look at what it says, and at the log of the API server.")
        error.status = status
        return error


def _query(query: Mapping[str, object] | None) -> str:
    return "?" + urlencode(query) if query else ""
