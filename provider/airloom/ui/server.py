"""The application below /airloom: which page an address is, who may see it, and what an error looks like.

It reads records and logs of the datastore. It loads no artifact and imports no code of a flow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Protocol, cast
from urllib.parse import quote, urlencode

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from airloom.client.facts import RunFacts
from airloom.errors import (
    AirloomError,
    CorruptBlob,
    GraphError,
    NotFound,
    SettingsError,
    StoreError,
    StoreUnavailable,
    VersionSkew,
)
from airloom.names import Pathspec
from airloom.settings import Settings
from airloom.store.datastore import Datastore
from airloom.ui import pages, reading, task_page
from airloom.ui.addresses import PREFIX, Addresses
from airloom.ui.markup import CARD_POLICY, POLICY, link
from airloom.ui.places import place

_STATUS: dict[type[AirloomError], tuple[int, str]] = {
    NotFound: (404, "Not found"),
    GraphError: (404, "Not found"),
    CorruptBlob: (500, "Records of the datastore are damaged"),
    VersionSkew: (500, "Written by another Airloom"),
    SettingsError: (503, "Airloom is not set up on this server"),
    StoreUnavailable: (503, "The datastore cannot be reached"),
    StoreError: (503, "The datastore cannot be read"),
}

_ATTEMPTS = 20


class Visitor(Protocol):
    """Who asks: what they may read, as Airflow has it, and what Airflow knows of a task."""

    def may(self, dag_id: str, entity: str) -> bool:
        """Say whether they may read this of a DAG: RUN, TASK_INSTANCE, TASK_LOGS or XCOM."""

    def rendered_fields(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> dict[str, Any]:
        """What a task was given when it ran the last time; empty when Airflow has it no more."""


Number = Annotated[int, Query(ge=1, le=100_000)]


def create_app(visitor: Callable[..., Visitor], settings: Callable[[], Settings]) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    visitor
        Dependency in FastAPI's sense that gives who asks, and refuses whoever has not logged in.
    settings
        Gives Airloom's settings as they hold on this server.
    """

    def admitted(request: Request, who: Any = Depends(visitor)) -> None:  # noqa: B008 - FastAPI's form
        request.state.visitor = who

    # For every page there is and will be: none can forget it.
    app = FastAPI(title="Airloom", openapi_url=None, dependencies=[Depends(admitted)])
    app.state.settings = settings
    for where, page in (
        ("/flow/{flow}", _flow),
        ("/run/{flow}/{run}", _run),
        ("/step/{flow}/{run}/{step}", _step),
        ("/task/{flow}/{run}/{step}/{task}", _task),
        ("/card/{flow}/{run}/{step}/{task}/{attempt}/{name}", _card),
        ("/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/{map_index}", _of_airflow),
    ):
        app.get(where)(page)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(AirloomError, _failed)
    app.add_exception_handler(OSError, _failed)
    return app


# -- pages --------------------------------------------------------------------------------


def _flow(request: Request, flow: str, page: Number = 1) -> Response:
    who, datastore = _who(request), _datastore(request)
    Pathspec.parse(flow)
    rows, looked_at = reading.newest_runs(datastore, flow, page)
    allowed = {dag_id: who.may(dag_id, "RUN") for dag_id in {row.dag_id for row in rows}}
    if not any(allowed.values()):
        # Who may not read the flow's DAG is not told either whether there is such a flow.
        _check(who, flow, "RUN")
        if not datastore.has_flow(flow):
            raise NotFound(
                f"the datastore has nothing of a flow {flow!r}", where=datastore.root, mend="check its name."
            )
    shown = [row for row in rows if allowed[row.dag_id]]
    return _html(pages.flow_page(_addresses(request), flow, shown, page, looked_at))


def _run(request: Request, flow: str, run: str) -> Response:
    datastore = _datastore(request)
    facts, dag_id = _visited(request, datastore, Pathspec.parse(f"{flow}/{run}"), "RUN")
    end, rows = datastore.last_end(flow, run), reading.step_rows(datastore, facts)
    return _html(pages.run_page(_addresses(request), facts, end, dag_id, facts.user_tags, rows))


def _step(
    request: Request, flow: str, run: str, step: str, page: Number = 1, indices: str | None = None
) -> Response:
    datastore = _datastore(request)
    spec = Pathspec.parse(f"{flow}/{run}/{step}")
    facts, _ = _visited(request, datastore, spec, "TASK_INSTANCE")
    plan, names = facts.plan.step(step), datastore.tasks(flow, run, step)
    if indices is not None:
        wanted = reading.Indices(indices)
        names = [name for name in names if name in wanted]
    keys = [facts.key(step, name) for name in names[(page - 1) * reading.PAGE : page * reading.PAGE]]
    rows = reading.at_once(lambda key: reading.newest_attempt(datastore, key), keys)
    return _html(pages.step_page(_addresses(request), spec, plan, rows, page, len(names), indices))


def _task(
    request: Request,
    flow: str,
    run: str,
    step: str,
    task: str,
    attempt: Annotated[int | None, Query(ge=0, le=10**9)] = None,
    page: Number = 1,
) -> Response:
    who, datastore = _who(request), _datastore(request)
    spec = Pathspec.parse(f"{flow}/{run}/{step}/{task}")
    facts, dag_id = _visited(request, datastore, spec, "TASK_INSTANCE")
    plan, key = facts.plan.step(step), facts.key(step, task)
    numbers = datastore.attempts(key)
    if not numbers or attempt not in (None, *numbers):
        what = f"{spec} has no attempt {attempt}" if numbers else f"the task {spec} has not begun"
        raise NotFound(
            what, where=str(spec), mend="look at its step or its run for the tasks that have begun."
        )
    counting = reading.newest_attempt(datastore, key) if attempt is None else None
    shown = counting or reading.attempt(datastore, key, numbers[-1] if attempt is None else attempt)
    others = reading.at_once(lambda number: reading.attempt(datastore, key, number), numbers[-_ATTEMPTS:])
    begin = datastore.begin(key, shown.number)
    owner = reading.log_owner(key, shown.number, begin)
    sees_artifacts, sees_log = who.may(dag_id, "XCOM"), who.may(dag_id, "TASK_LOGS")
    view = task_page.TaskView(
        run=facts,
        step=plan,
        shown=shown,
        begin=begin,
        job=datastore.job(key, shown.number),
        attempts=others,
        owner=owner,
        page=page,
        sees_artifacts=sees_artifacts,
        sees_log=sees_log,
        cards=datastore.cards(*owner) if sees_artifacts else (),
        log=reading.log_lines(datastore, *owner) if sees_log else None,
    )
    return _html(task_page.task_page(_addresses(request), view))


def _card(
    request: Request,
    flow: str,
    run: str,
    step: str,
    task: str,
    attempt: int,
    name: str,
) -> Response:
    datastore = _datastore(request)
    spec = Pathspec.parse(f"{flow}/{run}/{step}/{task}")
    facts, _ = _visited(request, datastore, spec, "XCOM")
    key = facts.key(step, task)
    found = next((one for one in datastore.cards(key, attempt) if str(one) == name), None)
    if found is None:
        raise NotFound(f"{spec}@{attempt} has no card {name!r}", where=str(spec), mend="see the task's page.")
    return _secured(HTMLResponse(datastore.card(key, attempt, found)[1]), CARD_POLICY)


def _of_airflow(
    request: Request,
    dag_id: str,
    run_id: str,
    task_id: str,
    map_index: str,
) -> Response:
    who, datastore = _who(request), _datastore(request)
    _check(who, dag_id, "TASK_INSTANCE")
    # Airflow leaves the words {MAP_INDEX} in the addresses of tabs where a task is not mapped.
    number = int(map_index) if map_index.isdecimal() else -1
    given = who.rendered_fields(dag_id, run_id, task_id, number) or dict(request.query_params)
    where = place(_addresses(request), datastore, dag_id, run_id, task_id, number, given)
    return _secured(RedirectResponse(where, 303))


# -- who asks -----------------------------------------------------------------------------


def _who(request: Request) -> Visitor:
    return cast("Visitor", request.state.visitor)


def _datastore(request: Request) -> Datastore:
    return reading.open_store(request.app.state.settings())


def _check(who: Visitor, dag_id: str, entity: str) -> None:
    if not who.may(dag_id, entity):
        raise HTTPException(403, f"You may not read the DAG {dag_id}.")


def _visited(request: Request, datastore: Datastore, spec: Pathspec, entity: str) -> tuple[RunFacts, str]:
    """Facts of a run that whoever asks may see, and the DAG that decided it."""
    who = _who(request)
    try:
        facts = reading.run_facts(datastore, spec.flow, spec.run or "")
    except NotFound:
        # Who may not read the flow's DAG is not told either whether there is such a run.
        _check(who, spec.flow, entity)
        raise
    dag_id = reading.dag_of(facts)
    _check(who, dag_id, entity)
    return facts, dag_id


# -- answers ------------------------------------------------------------------------------


def _addresses(request: Request) -> Addresses:
    return Addresses(str(request.scope.get("root_path", "")).removesuffix(PREFIX))


def _html(text: str, status: int = 200) -> Response:
    return _secured(HTMLResponse(text.encode("utf-8", "replace"), status))


def _secured(answer: Response, policy: str = POLICY) -> Response:
    answer.headers["Content-Security-Policy"] = policy
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["Cache-Control"] = "no-store"
    return answer


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
    at = _addresses(request)
    login = f"{at.airflow}/api/v2/auth/login?{urlencode({'next': _here(request)})}"
    if error.status_code == 401 and "text/html" in request.headers.get("accept", ""):
        return _secured(RedirectResponse(login, 303))
    titles = {401: "Not logged in", 403: "Not allowed", 404: "Not found"}
    title = titles.get(error.status_code, "Refused")
    more = link(login, "Log in to Airflow") if error.status_code in (401, 403) else None
    return _html(pages.error_page(at, str(error.detail), title, more), error.status_code)


async def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for these
    names = ", ".join(sorted({str(one["loc"][-1]) for one in error.errors()}))
    text = f"The address is not that of a page: check {names}."
    return _html(pages.error_page(_addresses(request), text, "Not found"), 404)


async def _failed(request: Request, error: Exception) -> Response:
    at = _addresses(request)
    if not isinstance(error, AirloomError):
        return _html(pages.error_page(at, str(error), "The datastore cannot be read"), 503)
    status, title = next(
        (_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), (500, "Something is wrong")
    )
    return _html(pages.error_page(at, error, title), status)


def _here(request: Request) -> str:
    root, path = str(request.scope.get("root_path", "")), str(request.scope["path"])
    query = f"?{request.url.query}" if request.url.query else ""
    # Escaped, also each +: Airflow 3.1 takes one layer of escapes off before its login page does.
    return f"{root}{quote(path.removeprefix(root), safe='/~:@')}{query}"
