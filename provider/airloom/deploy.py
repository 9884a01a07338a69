"""Into service: what a plan names goes into the store, then the DAG file into the DAG folder.

The order is the safety: the DAG file comes last and in one step, so that Airflow never sees
a file whose plan or code is not there.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from airloom.compiler.dagfile import check_templates, render
from airloom.compiler.planner import Compiled
from airloom.errors import CheckFailed, DeployError, FlowError, Place
from airloom.plan import StepPlan
from airloom.runtime.carried import ensure, root_inside
from airloom.settings import Settings
from airloom.sizing.catalogue import problems
from airloom.store.datastore import Datastore


@dataclass(frozen=True, slots=True)
class Deployed:
    """A DAG file, and what the deploy did to it."""

    file: Path
    what: Literal["wrote", "changed", "left unchanged"]


def deploy(
    compiled: Compiled, settings: Settings, dags_folder: Path, *, templates: Path | None = None
) -> Deployed:
    """Deploy a compiled flow into Airflow's DAG folder.

    Raises
    ------
    DeployError
        When the folder is missing or cannot be written, or holds another file of this name.
    FlowError
        When Airflow cannot run the flow. Nothing is written in all these cases.
    """
    if templates is not None:
        check_templates(templates)
    text = render(compiled.plan, templates=templates)
    file = dags_folder / f"{compiled.plan.dag_id.replace('.', '_')}.py"
    before = _existing(file, compiled)
    datastore = Datastore.open(settings)
    _prepare_jobs(compiled, settings, datastore)
    save(compiled, datastore)
    if before == text:
        return Deployed(file, "left unchanged")
    _write(file, text)
    return Deployed(file, "wrote" if before is None else "changed")


def _prepare_jobs(compiled: Compiled, settings: Settings, datastore: Datastore) -> None:
    """Put what containers need into the store, where the flow has steps that run in containers.

    Raises
    ------
    CheckFailed
        When AWS does not offer a step's size where the settings send it.
    DeployError
        When a container would not see the store, or what it needs cannot be had.
    """
    steps = [step for step in compiled.plan.steps if step.target in ("batch", "ecs")]
    _check_sizes(compiled, steps, settings)
    for step in steps:
        root_inside(step, datastore.root)
    if steps:
        ensure(datastore, settings)


def _check_sizes(compiled: Compiled, steps: list[StepPlan], settings: Settings) -> None:
    # The compiler has done it for what the flow says itself: here the settings are known, too.
    file, found = f"{compiled.plan.module}.py", list[FlowError]()
    for step in steps:
        platform = settings.ecs_launch_type if step.target == "ecs" else settings.batch_platform
        place = Place(file, step.line, step.name)
        found += problems(step, place, "FARGATE" if platform == "FARGATE" else "EC2")
    if found:
        raise CheckFailed(found, where=Place(file))


def save(compiled: Compiled, datastore: Datastore) -> None:
    """Put a plan and all that it names into the store: the bytes first, then the plan."""
    datastore.save_code(compiled.package.archive)
    for data in compiled.files.values():
        datastore.save_code(data)
    datastore.save_plan(compiled.plan)


def _existing(file: Path, compiled: Compiled) -> str | None:
    if not file.parent.is_dir():
        raise DeployError(
            f"there is no folder {str(file.parent)!r}",
            where=str(file.parent),
            mend="give Airflow's DAG folder: `airflow config get-value core dags_folder`.",
        )
    try:
        before = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DeployError(
            f"the file of that name cannot be read: {error}", where=str(file), mend="move it away."
        ) from error
    if f"Airflow DAG of the flow {compiled.plan.flow}, compiled by Airloom" not in before:
        raise DeployError(
            f"the DAG folder has a file {file.name!r} that is not the DAG of {compiled.plan.flow}",
            where=str(file),
            mend="rename the flow's file, move the other file away, or choose another folder.",
        )
    return before


def _write(file: Path, text: str) -> None:
    # A name that Airflow does not take for a DAG, in the same folder: the rename is one step.
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=file.parent, prefix=f".{file.stem}-", suffix=".tmp", delete=False
        ) as opened:
            temporary = opened.name
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(file)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise DeployError(
            f"the DAG file cannot be written: {error}",
            where=str(file),
            mend="give a folder that can be written to.",
        ) from error
