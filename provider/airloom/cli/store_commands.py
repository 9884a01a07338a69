"""The verbs that read the store: artifacts, logs, runs, settings."""

from __future__ import annotations

import click

from airloom import settings as settings_of
from airloom.client import Flow, Run, Task
from airloom.errors import NotFound
from airloom.names import Pathspec

_ROOT = click.option("--datastore-root", metavar="FOLDER|URL", help="Where runs and artifacts are kept.")


@click.command("settings", help="List the settings, their values and where each comes from.")
@_ROOT
def settings(datastore_root: str | None) -> None:
    for origin in settings_of.origins({"datastore_root": datastore_root}):
        click.echo(
            f"{settings_of.variable(origin.name)}={origin.value}  ({origin.source})\n    {origin.help}"
        )


@click.command("runs", help="List the runs of a flow, newest first.")
@click.argument("flow")
@click.option("--limit", default=20, show_default=True, help="How many at most.")
@_ROOT
def runs(flow: str, limit: int, datastore_root: str | None) -> None:
    for number, run in enumerate(Flow(flow, datastore=datastore_root, _namespace_check=False)):
        if number == limit:
            break
        state = "succeeded" if run.successful else "failed" if run.finished else "not finished"
        click.echo(f"{run.pathspec}  {run.created_at:%Y-%m-%d %H:%M:%S}  {run.user}  {state}")


@click.command(
    "artifacts", help="Show artifacts: PATHSPEC is Flow, Flow/run, Flow/run/step or Flow/run/step/task."
)
@click.argument("pathspec")
@click.option("--attempt", type=int, help="An older attempt of the task.")
@click.option("--private", is_flag=True, help="Also those whose name begins with an underscore.")
@_ROOT
def artifacts(pathspec: str, attempt: int | None, private: bool, datastore_root: str | None) -> None:
    for task in tasks_of(pathspec, datastore_root, attempt):
        click.echo(f"{task.pathspec}  attempt {task.current_attempt}{_failed(task, '  ')}")
        for artifact in task.artifacts:
            click.echo(
                f"    {artifact.id}: {artifact.type} = {artifact.preview}  ({size_text(artifact.size)})"
            )
        if private:
            for name in task.private_artifacts:
                click.echo(f"    {name}")


@click.command("logs", help="Show what tasks printed: PATHSPEC as for artifacts.")
@click.argument("pathspec")
@click.option("--attempt", type=int, help="An older attempt of the task.")
@click.option("--stdout", "streams", flag_value="stdout", help="Standard output only.")
@click.option("--stderr", "streams", flag_value="stderr", help="Standard error only.")
@click.option("--timestamps", is_flag=True, help="Put the time before each line.")
@_ROOT
def logs(
    pathspec: str, attempt: int | None, streams: str | None, timestamps: bool, datastore_root: str | None
) -> None:
    for task in tasks_of(pathspec, datastore_root, attempt):
        click.echo(f"--- {task.pathspec}, attempt {task.current_attempt}{_failed(task, ', ')}")
        for stream in (streams,) if streams else ("stdout", "stderr"):
            for time, text in task.loglines(stream):
                click.echo(f"{time.isoformat()} {text}" if timestamps else text)


def _failed(task: Task, between: str) -> str:
    """How an attempt failed, to stand behind its number; nothing when it did not."""
    failure = task.failure
    return "" if failure is None else f"{between}failed: {failure.kind.value.replace('_', ' ')}"


STORE_COMMANDS = (settings, runs, artifacts, logs)


def tasks_of(pathspec: str, datastore_root: str | None, attempt: int | None) -> list[Task]:
    """Tasks that a pathspec names, of whatever namespace; a flow's are those of its newest run."""
    spec = Pathspec.parse(pathspec)
    if spec.run is None:
        run = Flow(spec.flow, datastore=datastore_root, _namespace_check=False).latest_run
        if run is None:
            raise NotFound(f"the flow {spec.flow} has no run", where=spec.flow, mend="run it first.")
    else:
        run = Run(f"{spec.flow}/{spec.run}", datastore=datastore_root, _namespace_check=False)
    if spec.step is None:
        return [task for step in run for task in step]
    if spec.task is None:
        return list(run[spec.step])
    return [Task(pathspec, attempt=attempt, datastore=datastore_root, _namespace_check=False)]


def size_text(count: int) -> str:
    """Write a number of bytes for people."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
