"""``deployments``: what is deployed, in the datastore or in a DAG folder: list, show, roll back, delete."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import click

from airloom import settings as settings_of
from airloom.codec import to_json
from airloom.compiler.dagfile import check_templates, render
from airloom.compiler.planner import Compiled
from airloom.deploy import Deployed, Stored, file_name
from airloom.deploys.checking import check_dag
from airloom.deploys.folders import DagFile, dag_files
from airloom.errors import DeployError, NotFound, StoreError
from airloom.names import did_you_mean
from airloom.plan import Plan
from airloom.settings import Settings
from airloom.store.datastore import Datastore
from airloom.store.deployments import DeployedFile, DeploymentRecord, Deployments

_ROOT = click.option("--datastore-root", metavar="FOLDER|URL", help="Where runs and artifacts are kept.")
_FOLDER = click.option(
    "--dags-folder", metavar="FOLDER", help="Look at the DAG files of this folder instead."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("deployments", help="What is deployed: list, show, roll back, delete.")
def deployments() -> None:
    """Group of the verbs."""


@deployments.command("list", help="List the DAGs that are deployed to the datastore, or into a DAG folder.")
@_FOLDER
@_JSON
@_ROOT
def list_(dags_folder: str | None, as_json: bool, datastore_root: str | None) -> None:
    rows = _in_store(_open(datastore_root)) if dags_folder is None else _in_folder(Path(dags_folder))
    if as_json:
        click.echo(json.dumps(rows, indent=2, sort_keys=True))
        return
    if not rows:
        click.echo("nothing is deployed there.")
    for row in rows:
        click.echo(_line(row))


@deployments.command("show", help="Show the history of a DAG's deployments to the datastore, newest first.")
@click.argument("dag_id")
@click.option("--limit", default=20, show_default=True, help="How many changes at most.")
@_JSON
@_ROOT
def show(dag_id: str, limit: int, as_json: bool, datastore_root: str | None) -> None:
    found = _open(datastore_root)
    newest = found.last_change(dag_id)
    records = [record for record, _ in zip(found.history(dag_id), range(limit), strict=False)]
    if as_json:
        click.echo(json.dumps([to_json(record) for record in records], indent=2, sort_keys=True))
        return
    click.echo(f"{dag_id}  {newest.file.flow} of {newest.file.module}.py{_project(newest.file)}")
    for record in records:
        mark = "*" if record is records[0] and record.action != "delete" else " "
        click.echo(f"{mark} {_told(record)}")
    for note in found.folders(dag_id):
        click.echo(f"  {note.deployed_at[:19]}  {note.user}  into {note.file} on {note.host}")


@deployments.command(
    "rollback",
    help="Deploy an older DAG file again, to the datastore: the one before, or the one that --to names.",
)
@click.argument("dag_id")
@click.option("--to", "target", metavar="NUMBER|DIGEST", help="Number of the change, or digest of the plan.")
@_ROOT
def rollback(dag_id: str, target: str | None, datastore_root: str | None) -> None:
    root = _settings(datastore_root)
    found = Deployments.open(root)
    older = _target(found, dag_id, target)
    # Before the pointer moves: a run of a version whose plan is gone would fail in its first task.
    store = Datastore.open(root)
    store.code(store.plan(older.file.flow, older.file.plan).code)
    found.text(older.file)
    record = found.roll_back(older)
    if record is None:
        click.echo(f"{dag_id}: left unchanged, {older.file.plan[:11]} is what is deployed")
        return
    click.echo(f"{dag_id}: rolled back to {older.file.plan[:11]} of change {older.number}")
    click.echo("runs in flight stay on the version that they began with; the next run takes this one")


@deployments.command(
    "delete", help="Take a DAG out of service: from the datastore, or its file from a DAG folder."
)
@click.argument("dag_id")
@_FOLDER
@click.option("--force", is_flag=True, help="Also a DAG file that was edited by hand.")
@_ROOT
def delete(dag_id: str, dags_folder: str | None, force: bool, datastore_root: str | None) -> None:
    if dags_folder is not None:
        file = _delete_file(Path(dags_folder), dag_id, force=force)
        click.echo(f"{dag_id}: deleted {file}")
    else:
        found = _open(datastore_root)
        deployed = found.current().of_dag(dag_id)
        if deployed is None:
            raise NotFound(
                f"no DAG {dag_id!r} is deployed to this store",
                where=found.root,
                mend=did_you_mean(dag_id, sorted(file.dag_id for file in found.current().files.values())),
            )
        found.delete(deployed)
        click.echo(f"{dag_id}: taken out of the newest version; `deployments rollback` brings it back")
    click.echo(
        "its runs, plans and artifacts stay in the datastore, and Airflow keeps its history of the DAG"
    )


def tell_deployed(compiled: Compiled, settings: Settings, done: Deployed | Stored, quiet: bool) -> None:
    """Say what a deploy has done, and what people should look at."""
    plan, root = compiled.plan, settings.datastore_root
    for warning in done.warnings:
        click.echo(f"warning: {warning}", err=True)
    if quiet:
        return
    shown = root if "://" in root else str(Path(root).absolute())
    place = done.file if isinstance(done, Deployed) else f"{done.file} in the store, change {done.number}"
    click.echo(f"{plan.dag_id}: {done.what} {place}")
    click.echo(f"plan {plan.digest[:11]} and code are in {shown}; Airflow must name the same")


def check_dag_file(plan: Plan, template_dir: str | None, quiet: bool) -> None:
    """Have Airflow load the DAG file of a plan.

    Raises
    ------
    DeployError
        With everything that Airflow does not take.
    """
    templates = None if template_dir is None else Path(template_dir)
    if templates is not None:
        check_templates(templates)
    count = check_dag(plan, render(plan, templates=templates), file_name(plan.dag_id))
    if not quiet:
        click.echo(f"{plan.dag_id}: Airflow loads the DAG file, with {count} tasks.")


def warn_if_stale(plan: Plan, settings: Settings) -> None:
    """Say so when what is deployed of a DAG is another plan than the flow's file gives now."""
    plans: list[str] = []
    # Airflow may be asked from where its store cannot be.
    with suppress(StoreError):
        found = Deployments.open(settings)
        file = found.current().of_dag(plan.dag_id)
        plans += [file.plan] if file is not None else []
        plans += [note.plan for note in found.folders(plan.dag_id)]
    if plans and plan.digest not in plans:
        click.echo(
            f"warning: the flow has changed since it was deployed: the run gets the plan {plans[0][:11]}, "
            f"not {plan.digest[:11]}; `airloom diff` says what is other, `airloom deploy` brings it",
            err=True,
        )


def _settings(datastore_root: str | None) -> Settings:
    return settings_of.load({"datastore_root": datastore_root})


def _open(datastore_root: str | None) -> Deployments:
    return Deployments.open(_settings(datastore_root))


def _in_store(found: Deployments) -> list[dict[str, object]]:
    left = {file.dag_id: file for file in found.current().files.values()}
    rows = []
    for record in found.history():
        if not left:
            break
        file = left.pop(record.file.dag_id, None)
        if file is not None:
            rows.append(
                {
                    **_row(file),
                    "file": file.name,
                    "number": record.number,
                    "deployed_at": record.deployed_at,
                    "user": record.user,
                    "edited": False,
                }
            )
    return sorted(rows, key=lambda row: str(row["dag_id"]))


def _in_folder(folder: Path) -> list[dict[str, object]]:
    return [
        {
            "dag_id": file.seal.dag_id,
            "flow": file.seal.flow,
            "module": file.seal.module,
            "plan": file.seal.plan,
            "file": file.path.relative_to(folder).as_posix(),
            "edited": file.seal.edited,
        }
        for file in dag_files(folder)
    ]


def _row(file: DeployedFile) -> dict[str, object]:
    return {
        "dag_id": file.dag_id,
        "flow": file.flow,
        "module": file.module,
        "plan": file.plan,
        "project": file.project,
        "branch": file.branch,
        "production": file.production,
    }


def _line(row: dict[str, object]) -> str:
    parts = [str(row["dag_id"]), f"{row['flow']} of {row['module']}.py"]
    if row.get("project"):
        parts.append(f"project {row['project']}, {'production' if row['production'] else row['branch']}")
    parts.append(f"plan {str(row['plan'])[:11] or 'unknown'}")
    if "deployed_at" in row:
        parts += [f"change {row['number']}", str(row["deployed_at"])[:19].replace("T", " "), str(row["user"])]
    else:
        parts.append(str(row["file"]))
    if row["edited"]:
        parts.append("edited by hand")
    return "  ".join(parts)


def _project(file: DeployedFile) -> str:
    if not file.project:
        return ""
    return f"  project {file.project}, {'production' if file.production else file.branch}"


def _told(record: DeploymentRecord) -> str:
    back = "" if record.restores is None else f" of change {record.restores}"
    when = record.deployed_at[:19].replace("T", " ")
    return f"{record.number}  {record.action}  plan {record.file.plan[:11]}{back}  {when}  {record.user}"


def _target(found: Deployments, dag_id: str, wanted: str | None) -> DeploymentRecord:
    now = found.last_change(dag_id)
    older = [record for record in found.history(dag_id) if record.action != "delete"]
    if wanted is None:
        if now.action == "delete":
            return older[0]
        before = [record for record in older if record.file != now.file]
        if not before:
            raise NotFound(
                f"{dag_id} was deployed in one version only",
                where=found.root,
                mend="deploy another one; `airloom deployments show` lists them.",
            )
        return before[0]
    for record in older:
        plan = record.file.plan
        if wanted == str(record.number) or (
            len(wanted.removeprefix("b3:")) >= 6 and plan.startswith((wanted, f"b3:{wanted}"))
        ):
            return record
    raise NotFound(
        f"{dag_id} has no change {wanted!r}",
        where=found.root,
        mend=f"`airloom deployments show {dag_id}` lists its changes and their plans.",
    )


def _delete_file(folder: Path, dag_id: str, *, force: bool) -> Path:
    files: list[DagFile] = dag_files(folder)
    matching = [file for file in files if file.seal.dag_id == dag_id]
    if not matching:
        raise DeployError(
            f"the folder has no DAG file of Airloom's for {dag_id!r}",
            where=str(folder),
            mend=did_you_mean(dag_id, sorted(file.seal.dag_id for file in files)),
        )
    if len(matching) > 1:
        raise DeployError(
            f"{len(matching)} files of the folder have the DAG {dag_id!r}",
            where=", ".join(str(file.path) for file in matching),
            mend="remove those that are too much by hand.",
        )
    (file,) = matching
    if file.seal.edited and not force:
        raise DeployError(
            "the DAG file was edited by hand since it was deployed",
            where=str(file.path),
            mend="keep what is needed of it, then delete it with --force.",
        )
    file.path.unlink()
    return file.path
