"""Between artifacts and files of a worker: what the operators for artifacts do when they run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from airloom.client import DataArtifact, Flow, Task
from airloom.codec import Json
from airloom.errors import ArtifactError, FlowError, NotFound
from airloom.names import Pathspec
from airloom.operators import references
from airloom.operators.artifacts import LATEST
from airloom.runtime.references import reference
from airloom.store.datastore import TaskKey
from airloom.store.pickles import pickled_whole
from airloom.store.previews import type_name


def find(artifact: str) -> tuple[dict[str, Json], Callable[[], Any]]:
    """Find an artifact by its pathspec; give the reference to it, and what loads its value.

    Raises
    ------
    NotFound
        When there is none, or the pathspec names something else.
    """
    datastore = references.datastore()
    spec = Pathspec.parse(artifact)
    if spec.artifact is None:
        raise NotFound(
            f"{artifact!r} is not the pathspec of an artifact",
            where=artifact,
            mend="write Flow/run/step/task/artifact, e.g. Train/latest/end/0/model.",
        )
    run, step, task = str(spec.run), str(spec.step), str(spec.task)
    if run == LATEST:
        newest = Flow(spec.flow, datastore=datastore, _namespace_check=False).latest_successful_run
        if newest is None:
            raise NotFound(
                f"no run of {spec.flow} was successful",
                where=artifact,
                mend=f"wait for one, or name the run in the place of {LATEST!r}.",
            )
        run = newest.id
    found = Task(f"{spec.flow}/{run}/{step}/{task}", datastore=datastore, _namespace_check=False)
    one: DataArtifact = found[spec.artifact]
    attempt = found.current_attempt
    record = datastore.done(TaskKey(spec.flow, run, step, task), attempt).artifacts[spec.artifact]
    made = reference(TaskKey(spec.flow, run, step, task), attempt, spec.artifact, record)
    references.note(made)
    return made, lambda: one.data


def write(file: str, value: object) -> str:
    """Write a value into a file, which is there as a whole or not at all; return its path.

    Raises
    ------
    ArtifactError
        When the value is neither bytes nor text, and cannot be pickled.
    FlowError
        When the file cannot be written.
    """
    path = Path(file)
    fresh = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(_bytes_of(value, file))
        fresh.rename(path)
    except OSError as error:
        raise FlowError(
            f"the file cannot be written: {error}",
            where=file,
            mend="name a path that the worker can write to.",
        ) from error
    finally:
        with suppress(OSError):
            fresh.unlink()
    return str(path)


def _bytes_of(value: object, file: str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    try:
        return pickled_whole(value)
    except Exception as error:  # what pickles a value is code of its class
        raise ArtifactError(
            f"the value, a {type_name(value)}, cannot be pickled into a file: {error}",
            where=file,
            mend="hand the reference on, and let the task that needs the value load it.",
        ) from error


def read(file: str, task_id: str) -> bytes:
    """Read the bytes of a file.

    Raises
    ------
    FlowError
        When it cannot be read.
    """
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise FlowError(
            f"the file cannot be read: {error}",
            where=f"the task {task_id!r}",
            mend="name a file that is on the worker when the task runs there.",
        ) from error
