"""`Deployer`: a flow into an Airflow, its runs triggered and watched there."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airloom import settings as settings_of
from airloom.airflow_api import FINISHED, AirflowApi, DagRun
from airloom.client import Run
from airloom.errors import DeployError, NotFound, ParameterError, SettingsError
from airloom.names import did_you_mean
from airloom.runner.program import Program, options, python_of
from airloom.runner.runs import datastore_of, existing
from airloom.settings import variable
from airloom.store.datastore import Datastore

_SAID = re.compile(r"^(\S+): (wrote|changed|left unchanged) (.+)$", re.MULTILINE)
_HEAD = re.compile(r"^Airflow DAG of the flow (\S+), compiled by Airloom from (\S+)\.py\.$", re.MULTILINE)
_POLL_S = 0.2


class Deployer:
    """Deploys a flow's file.

    Parameters
    ----------
    flow_file
        The flow's file.
    show_output
        Pass on what the deploy prints.
    profile
        Not offered; None.
    env, cwd, top_level
        As for `airloom.Runner`.
    """

    def __init__(
        self,
        flow_file: str | Path,
        show_output: bool = True,
        profile: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        **top_level: Any,
    ) -> None:
        if profile is not None:
            raise SettingsError(
                f"there is no profile {profile!r}: Airloom has no profiles",
                where="Deployer(profile=...)",
                mend=f"give settings by env={{'{variable('datastore_root')}': ...}} or as options.",
            )
        self.flow_file = existing(flow_file)
        self.show_output = show_output
        self.env = dict(env or {})
        self.cwd = None if cwd is None else Path(cwd)
        self.top_level = top_level

    def airflow(
        self,
        dags_folder: str | Path,
        url: str | None = None,
        user: str | None = None,
        password: str | None = None,
        template_dir: str | Path | None = None,
    ) -> AirflowDeployer:
        """Choose an Airflow.

        Parameters
        ----------
        dags_folder
            Its DAG folder.
        url, user, password
            Its API server and a login; only triggering and watching runs needs them.
        template_dir
            Templates that extend or replace Airloom's.
        """
        return AirflowDeployer(self, Path(dags_folder), _api(url, user, password), template_dir)


@dataclass(frozen=True)
class AirflowDeployer:
    """A flow, and the Airflow that it is to be deployed to."""

    deployer: Deployer
    dags_folder: Path
    api: AirflowApi | None = field(repr=False)
    template_dir: str | Path | None = None

    def create(self) -> DeployedFlow:
        """Deploy the flow, as by ``airloom deploy``.

        Raises
        ------
        DeployError
            When the flow is refused, or the folder cannot be written; with what was said.
        """
        own = self.deployer
        began = datetime.now(timezone.utc)
        program = Program(
            [
                *python_of(own.flow_file, {**own.top_level, "quiet": None}),
                "deploy",
                *options({"dags_folder": self.dags_folder.absolute(), "template_dir": self.template_dir}),
            ],
            env=own.env,
            cwd=own.cwd,
            show=own.show_output,
        )
        try:
            code = program.wait()
        except BaseException:
            program.end()
            raise
        said = _SAID.search(program.text("stdout"))
        if code != 0 or said is None:
            raise DeployError(
                f"{own.flow_file.name} was not deployed:\n{program.text('stderr').strip()}",
                where=str(self.dags_folder),
                mend="mend what it says.",
            )
        root = datastore_of(own.top_level, own.env, own.cwd)
        changed = None if said[2] == "left unchanged" else began
        return _deployed(Path(said[3]), self.api, root, changed)


@dataclass(frozen=True)
class DeployedFlow:
    """A flow that is deployed to an Airflow.

    ``name`` is the id of its DAG, ``flow_name`` that of its class, ``plan`` the digest of the plan
    that new runs get.
    """

    name: str
    flow_name: str
    dag_file: Path
    plan: str
    datastore_root: str
    api: AirflowApi | None = field(default=None, repr=False)
    changed_at: datetime | None = field(default=None, repr=False)

    @classmethod
    def from_deployment(
        cls,
        name: str,
        dags_folder: str | Path,
        url: str | None = None,
        user: str | None = None,
        password: str | None = None,
        datastore_root: str | None = None,
    ) -> DeployedFlow:
        """Find a flow that is deployed already, by the id of its DAG.

        Raises
        ------
        NotFound
            When the folder has no DAG file of that name that Airloom wrote.
        """
        found = {
            flow.name: flow
            for flow in cls.list_deployed_flows(dags_folder, url, user, password, datastore_root)
        }
        if name not in found:
            raise NotFound(
                f"no flow {name!r} is deployed there",
                where=str(dags_folder),
                mend=did_you_mean(name, list(found)),
            )
        return found[name]

    @classmethod
    def list_deployed_flows(
        cls,
        dags_folder: str | Path,
        url: str | None = None,
        user: str | None = None,
        password: str | None = None,
        datastore_root: str | None = None,
    ) -> list[DeployedFlow]:
        """List the flows that are deployed to a DAG folder, by their names."""
        api, root = _api(url, user, password), datastore_of({"datastore_root": datastore_root}, {}, None)
        found = []
        for file in sorted(Path(dags_folder).absolute().rglob("*.py")):
            try:
                found.append(_deployed(file, api, root, None))
            except (NotFound, SyntaxError, UnicodeDecodeError):
                continue
        return sorted(found, key=lambda flow: flow.name)

    def trigger(self, *, timeout: float = 120, **parameters: Any) -> TriggeredRun:
        """Start a run in Airflow.

        Parameters
        ----------
        timeout
            How many seconds Airflow may take to see the DAG file as it was deployed.
        parameters
            Parameters of the flow by name, of a file its text.

        Raises
        ------
        ParameterError
            When the flow has no such parameter.
        DeployError
            When Airflow does not see the DAG, has it paused, or refuses a value.
        """
        api, conf = self._airflow(), self._conf(parameters)
        dag = api.wait_for_dag(self.name, timeout, parsed_after=self.changed_at)
        if dag.get("is_paused"):
            raise DeployError(
                f"the DAG {self.name!r} is paused: the run would wait",
                where=api.url,
                mend="call unpause(), which also lets its schedule begin.",
            )
        return TriggeredRun(self, api.trigger(self.name, conf))

    def pause(self) -> None:
        """Keep new runs from starting."""
        self._airflow().pause(self.name)

    def unpause(self, *, timeout: float = 120) -> None:
        """Let runs start, also those of its schedule."""
        self._airflow().wait_for_dag(self.name, timeout)
        self._airflow().pause(self.name, paused=False)

    def run(self, run_id: str) -> TriggeredRun:
        """Find a run by its id in Airflow; whether there is one, is seen when it is asked."""
        return TriggeredRun(self, run_id)

    def _airflow(self) -> AirflowApi:
        if self.api is None:
            raise SettingsError(
                f"it is not known which Airflow runs {self.name}",
                where=str(self.dag_file),
                mend="give url, user and password along with dags_folder.",
            )
        return self.api

    def _conf(self, given: Mapping[str, Any]) -> dict[str, Any]:
        plan = Datastore.open(_settings(self.datastore_root)).plan(self.flow_name, self.plan)
        known = {parameter.name.replace("-", "_"): parameter.name for parameter in plan.parameters}
        for name in given:
            if name.replace("-", "_") not in known:
                raise ParameterError(
                    f"the flow {self.flow_name} has no parameter {name!r}",
                    where=self.name,
                    mend=did_you_mean(name, list(known.values())),
                )
        return {known[name.replace("-", "_")]: value for name, value in given.items()}


@dataclass(frozen=True)
class TriggeredRun:
    """One run in Airflow; ``run_id`` is its id there and in the store."""

    deployed: DeployedFlow
    run_id: str

    @property
    def pathspec(self) -> str:
        """Its name for the client."""
        return f"{self.deployed.flow_name}/{self.run_id}"

    @property
    def status(self) -> str:
        """State in Airflow: queued, running, success, failed."""
        return self._dag_run().state

    @property
    def run(self) -> Run | None:
        """The run for the client; None as long as its first task has not begun."""
        try:
            return Run(self.pathspec, datastore=self.deployed.datastore_root, _namespace_check=False)
        except NotFound:
            return None

    def wait_for_run(self, timeout: float | None = None) -> Run:
        """Wait until the first task has begun, so that there is a `run`.

        Raises
        ------
        DeployError
            When the run ends without it, or it takes more than ``timeout`` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            state = self.status
            run = self.run
            if run is not None:
                return run
            late = deadline is not None and time.monotonic() > deadline
            if state in FINISHED or late:
                what = "has not begun in time" if late else "has ended without running a task"
                raise DeployError(
                    f"the run {self.pathspec} {what}: it is {state}",
                    where=self.deployed.datastore_root,
                    mend="look at its tasks in Airflow; its datastore_root must be the one named here.",
                )
            time.sleep(_POLL_S)

    def wait_for_completion(self, timeout: float | None = None) -> Run:
        """Wait until the run has succeeded or failed.

        Raises
        ------
        DeployError
            When it takes more than ``timeout`` seconds, or has run no task.
        """
        seconds = float("inf") if timeout is None else timeout
        self.deployed._airflow().wait_for_run(self.deployed.name, self.run_id, seconds)  # noqa: SLF001
        return self.wait_for_run(timeout)

    def terminate(self) -> None:
        """Mark the run as failed; its running tasks are ended."""
        self.deployed._airflow().set_run_state(self.deployed.name, self.run_id, "failed")  # noqa: SLF001

    def _dag_run(self) -> DagRun:
        return self.deployed._airflow().dag_run(self.deployed.name, self.run_id)  # noqa: SLF001


def _api(url: str | None, user: str | None, password: str | None) -> AirflowApi | None:
    if url is None:
        return None
    if user is None or password is None:
        raise SettingsError("a login is missing", where=url, mend="give user and password along with url.")
    return AirflowApi(url, user, password)


def _settings(root: str) -> settings_of.Settings:
    return settings_of.load({"datastore_root": root})


def _deployed(file: Path, api: AirflowApi | None, root: str, changed: datetime | None) -> DeployedFlow:
    """Read what a DAG file says of itself; NotFound when Airloom did not write it."""
    text = file.read_text(encoding="utf-8")
    head = _HEAD.search(text)
    if head is None:
        raise NotFound("Airloom did not write it", where=str(file), mend="deploy the flow.")
    plan, name = "", head[1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PLAN":
            plan = str(ast.literal_eval(node.value))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "DAG":
            name = next(str(ast.literal_eval(one.value)) for one in node.keywords if one.arg == "dag_id")
    return DeployedFlow(name, head[1], file, plan, root, api, changed)
