"""``sandbox``: a flow through a whole Airflow of its own, down to its artifacts on the terminal."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import click

from airloom.cli.parameters import as_conf
from airloom.client import Run
from airloom.codec import Json
from airloom.compiler.planner import Compiled
from airloom.deploy import deploy
from airloom.errors import DeployError
from airloom.sandbox import AirflowApi, Sandbox, TaskInstance
from airloom.settings import Settings
from airloom.settings import load as load_settings


def run_in_sandbox(
    compiled: Compiled, settings: Settings, home: Path, given: dict[str, Json | bytes], *, keep: bool
) -> int:
    """Deploy a compiled flow into an Airflow below ``home``, trigger it, print its artifacts.

    Returns the exit code.

    Raises
    ------
    DeployError
        When Airflow does not start, or does not take the DAG.
    """
    plan = compiled.plan
    root = settings.datastore_root
    if "://" not in root:
        root = str(Path(root).absolute())
    settings = load_settings({"datastore_root": root})
    sandbox = Sandbox(home, datastore_root=root)
    done = deploy(compiled, settings, sandbox.dags_folder)
    click.echo(f"compiled {plan.flow}: {done.what} {done.file}")
    click.echo("starting Airflow (SQLite, LocalExecutor, on 127.0.0.1 only) ...")
    sandbox.start()
    try:
        click.echo(f"Airflow answers at {sandbox.url}")
        sandbox.api.wait_for_dag(plan.dag_id)
        run_id = sandbox.api.trigger(plan.dag_id, as_conf(given))
        click.echo(f"triggered {plan.dag_id}, run {run_id}")
        successful = _watch(sandbox.api, plan.dag_id, run_id)
        if successful:
            _show(plan.flow, plan.run_in_airflow(run_id), root)
        if keep:
            click.echo(f"\nAirflow goes on at {sandbox.url}/dags/{plan.dag_id}/runs/{run_id}")
            click.echo(
                f"log in as {sandbox.user} with {sandbox.password}; to end it: airloom sandbox-stop {home}"
            )
            sandbox.detach()
        return 0 if successful else 1
    finally:
        sandbox.stop() if not keep else None


def _watch(api: AirflowApi, dag_id: str, run_id: str) -> bool:
    began = time.monotonic()
    seen: dict[tuple[str, int], str] = {}

    def changed(tasks: list[TaskInstance]) -> None:
        for task in tasks:
            key, before = (task.task_id, task.map_index), seen.get((task.task_id, task.map_index))
            seen[key] = task.state
            if before != task.state and task.state in (
                "running",
                "success",
                "failed",
                "up_for_retry",
                "skipped",
            ):
                name = task.task_id if task.map_index < 0 else f"{task.task_id}[{task.map_index}]"
                counts = Counter(seen.values())
                click.echo(
                    f"  {time.monotonic() - began:5.1f} s  {name} {task.state}  "
                    f"({counts['success']} of {len(seen)} done)"
                )

    run = api.wait_for_run(dag_id, run_id, 1800, on_change=changed)
    click.echo(f"the DAG run is a {run.state} after {time.monotonic() - began:.1f} s")
    if run.state != "success":
        for task in api.task_instances(dag_id, run_id):
            if task.state == "failed":
                click.echo(f"--- {task.task_id}[{task.map_index}]", err=True)
                log = api.task_log(dag_id, run_id, task.task_id, task.try_number, map_index=task.map_index)
                click.echo("\n".join(log.splitlines()[-20:]), err=True)
    return run.state == "success"


def _show(flow: str, run_id: str, root: str) -> None:
    click.echo("\nartifacts, read through the client:")
    run = Run(f"{flow}/{run_id}", datastore=root, _namespace_check=False)
    shown: set[tuple[str, str]] = set()
    for step in run:
        for task in step:
            click.echo(f"{task.pathspec}")
            for artifact in task.artifacts:
                # What was only handed down is the same version again.
                if (artifact.id, artifact.sha) not in shown:
                    click.echo(f"    {artifact.id} = {artifact.preview[:100]}")
                shown.add((artifact.id, artifact.sha))


@click.command("sandbox-stop", help="End the Airflow that `airloom sandbox --keep` left running in HOME.")
@click.argument("home", default=".sandbox")
def sandbox_stop(home: str) -> None:
    if not Path(home).is_dir():
        raise DeployError("there is no such folder", where=home, mend="give the folder that --home named.")
    Sandbox(Path(home), datastore_root="").stop()
    sys.stdout.write(f"the Airflow in {home} is ended\n")
