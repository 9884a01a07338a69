"""Into service: what a plan names goes into the store, then the DAG file to where Airflow finds it.

The order is the safety: the DAG file comes last and in one step, so that Airflow never sees
a file whose plan or code is not there. It goes into a DAG folder, or into the store itself, whose
newest version a bundle of Airflow serves (`airloom.bundles`).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from airloom.compiler.dagfile import check_templates, group_function, render, render_group
from airloom.compiler.planner import Compiled
from airloom.compiler.seals import Seal, read_seal
from airloom.deploys.folders import check_folder, taken_by, write
from airloom.deploys.jobs import prepare_jobs
from airloom.errors import DeployError
from airloom.plan import Plan
from airloom.settings import Settings
from airloom.store.datastore import Datastore
from airloom.store.deployments import DeployedFile, Deployments

What = Literal["wrote", "changed", "left unchanged"]


@dataclass(frozen=True, slots=True)
class Deployed:
    """A DAG file, and what the deploy did to it; ``warnings`` are sentences for people."""

    file: Path
    what: What
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """A DAG file in a store, and what the deploy did; ``number`` is that of the change that counts."""

    file: str
    what: What
    number: int
    warnings: tuple[str, ...] = ()


def deploy(
    compiled: Compiled,
    settings: Settings,
    dags_folder: Path,
    *,
    templates: Path | None = None,
    force: bool = False,
) -> Deployed:
    """Deploy a compiled flow into Airflow's DAG folder.

    Parameters
    ----------
    templates
        See `airloom.compiler.dagfile.render`.
    force
        Replace a DAG file that somebody has edited, or that another flow was deployed to.

    Raises
    ------
    DeployError
        When the folder is missing or cannot be written, or holds a file that is not to be replaced,
        or another one with a DAG of this id.
    FlowError
        When Airflow cannot run the flow. Nothing is written in all these cases.
    """
    text = _render(compiled.plan, templates)
    plan, file = compiled.plan, dags_folder / file_name(compiled.plan.dag_id)
    check_folder(dags_folder)
    before = _existing(file)
    if before is not None:
        _refuse_other(_seal_of(before, file), plan, str(file), force=force)
    other = taken_by(dags_folder, plan.dag_id, file)
    if other is not None and not force:
        raise DeployError(
            f"another file of the folder has a DAG {plan.dag_id!r}, too: Airflow would show now one, "
            "now the other",
            where=str(other),
            mend="remove that file, or rename the flow; --force deploys all the same.",
        )
    datastore = Datastore.open(settings)
    open_settings = prepare_jobs(compiled, settings, datastore)
    save(compiled, datastore)
    deployments = Deployments.open(settings)
    warnings = _told_twice(deployments, plan, file)
    if before != text:
        write(file, text)
    _note(deployments, plan, file, changed=before != text)
    what: What = "wrote" if before is None else "left unchanged" if before == text else "changed"
    return Deployed(file, what, (*open_settings, *warnings))


def deploy_group(
    compiled: Compiled,
    settings: Settings,
    folder: Path,
    *,
    templates: Path | None = None,
    force: bool = False,
) -> Deployed:
    """Deploy a compiled flow as a module whose function places it into hand-written DAGs.

    Parameters
    ----------
    folder
        Where those DAGs can import it from, as the DAG folder.
    templates, force
        As for `deploy`.

    Raises
    ------
    DeployError
        When the folder is missing or cannot be written, or holds a file that is not to be replaced.
    FlowError
        When Airflow cannot run the flow. Nothing is written in all these cases.
    """
    if templates is not None:
        check_templates(templates, "task_group.py.j2")
    plan = compiled.plan
    text, file = render_group(plan, templates=templates), folder / group_file_name(plan)
    check_folder(folder)
    before = _existing(file)
    if before is not None:
        _refuse_other(_seal_of(before, file), plan, str(file), force=force)
    datastore = Datastore.open(settings)
    open_settings = prepare_jobs(compiled, settings, datastore)
    save(compiled, datastore)
    if before != text:
        write(file, text)
    what: What = "wrote" if before is None else "left unchanged" if before == text else "changed"
    return Deployed(file, what, tuple(open_settings))


def group_file_name(plan: Plan) -> str:
    """Name of a task group's module: another than that of the flow's own, which it must not hide."""
    project = f"{plan.project.name}_{plan.project.branch}_".replace(".", "_") if plan.project else ""
    return f"{project}{group_function(plan)}_group.py"


def deploy_to_store(
    compiled: Compiled, settings: Settings, *, templates: Path | None = None, force: bool = False
) -> Stored:
    """Deploy a compiled flow into the datastore, for Airflows that have the bundle `AirloomDagBundle`.

    Plan and code are saved, then the text of the DAG file, then one record makes it the newest.

    Parameters
    ----------
    templates, force
        As for `deploy`.

    Raises
    ------
    DeployError
        When the DAG id is another flow's there.
    FlowError
        When Airflow cannot run the flow. Nothing is written in both cases.
    """
    plan = compiled.plan
    text = _render(plan, templates)
    deployments = Deployments.open(settings)
    name = file_name(plan.dag_id)
    before = deployments.current().files.get(name)
    if before is not None:
        own = Seal(before.dag_id, before.flow, before.module, before.plan)
        _refuse_other(own, plan, f"{deployments.root}, {name}", force=force and before.dag_id == plan.dag_id)
    datastore = Datastore.open(settings)
    open_settings = prepare_jobs(compiled, settings, datastore)
    save(compiled, datastore)
    project = plan.project
    file = DeployedFile(
        name=name,
        dag_id=plan.dag_id,
        flow=plan.flow,
        module=plan.module,
        plan=plan.digest,
        text="",
        project=project.name if project else "",
        branch=project.branch if project else "",
        production=project is not None and project.production,
    )
    record = deployments.deploy(file, text.encode("utf-8"))
    warnings = [
        f"{plan.dag_id} was also deployed into a folder, {note.file}: an Airflow that reads both shows now "
        "one, now the other"
        for note in deployments.folders(plan.dag_id)
        if note.host == socket.gethostname() and Path(note.file).is_file()
    ]
    number = record.number if record else deployments.last_change(plan.dag_id).number
    what: What = "left unchanged" if record is None else "wrote" if before is None else "changed"
    return Stored(name, what, number, (*open_settings, *warnings))


def file_name(dag_id: str) -> str:
    """Name of the DAG file of a DAG."""
    return f"{dag_id.replace('.', '_')}.py"


def save(compiled: Compiled, datastore: Datastore) -> None:
    """Put a plan and all that it names into the store: the bytes first, then the plan."""
    datastore.save_code(compiled.package.archive)
    for data in compiled.files.values():
        datastore.save_code(data)
    datastore.save_plan(compiled.plan)


def _render(plan: Plan, templates: Path | None) -> str:
    if templates is not None:
        check_templates(templates)
    return render(plan, templates=templates)


def _existing(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DeployError(
            f"the file of that name cannot be read: {error}", where=str(file), mend="move it away."
        ) from error


def _seal_of(text: str, file: Path) -> Seal:
    found = read_seal(text)
    if found is None:
        raise DeployError(
            f"the DAG folder has a file {file.name!r} that no deploy has written",
            where=str(file),
            mend="rename the flow's file, move the other file away, or choose another folder.",
        )
    return found


def _refuse_other(before: Seal, plan: Plan, where: str, *, force: bool) -> None:
    """Refuse to replace the DAG file of another flow, or one that somebody has edited."""
    if force:
        return
    if not before.is_of(plan):
        raise DeployError(
            f"the DAG {before.dag_id!r} there is that of the flow {before.flow} of {before.module}.py, and "
            f"this is {plan.flow} of {plan.module}.py",
            where=where,
            mend="rename the flow or give it a @project; if it is the same flow, moved: deploy with --force.",
        )
    if before.edited:
        raise DeployError(
            f"the DAG file of {plan.flow} was edited by hand, or cut, since it was deployed",
            where=where,
            mend="move the change into the flow or into --template-dir; --force throws it away.",
        )


def _told_twice(deployments: Deployments, plan: Plan, file: Path) -> list[str]:
    """Say where else the same DAG is deployed, as far as the store and this machine know."""
    found = []
    if deployments.current().of_dag(plan.dag_id) is not None:
        found.append(
            f"{plan.dag_id} is also deployed to the datastore: an Airflow that has its bundle, too, shows "
            "now one, now the other"
        )
    for note in deployments.folders(plan.dag_id):
        other = Path(note.file)
        if note.host != socket.gethostname() or other == file.absolute():
            continue
        if other.is_file():
            found.append(f"{plan.dag_id} is also deployed into {other.parent}")
        else:
            deployments.forget_folder(note)
    return found


def _note(deployments: Deployments, plan: Plan, file: Path, *, changed: bool) -> None:
    note = deployments.note(plan.dag_id, plan.flow, plan.module, plan.digest, file)
    known = [one.file == note.file and one.host == note.host for one in deployments.folders(plan.dag_id)]
    if changed or not any(known):
        deployments.note_folder(note)
