"""What is deployed to a store: the DAG files that a bundle of Airflow serves, and their history.

::

    deployments/
        history/<reversed number>.json     create-only: one change each; the newest counts
        versions/<id>.json                 create-only: a set of DAG files, by the digests of their texts
        folders/<dag id>/<host and folder>.json   replaced: where else a flow's DAG file was written

The texts are blobs. A deploy saves the text, then the set that has it, then the one record that
moves the pointer: the next number, created only if it is not there. Of two deploys at the same
moment one is first, and the other begins again from what the first has left. A version's id
follows from the set alone, so going back to an older set goes back to its id.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from airloom import codec
from airloom.digests import PREFIX, digest_of
from airloom.errors import AlreadyExists, CorruptBlob, NotFound
from airloom.names import did_you_mean, escape
from airloom.settings import Settings
from airloom.store.blobs import Blobs
from airloom.store.objects import Objects, open_objects
from airloom.store.shelf import Shelf
from airloom.version import __version__

Action = Literal["deploy", "rollback", "delete"]

_ROOT = "deployments"
_DIGITS = 8
_LAST = 10**_DIGITS - 1
_VERSION = re.compile(r"[0-9a-f]{64}\Z")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]*\.py\Z")


@dataclass(frozen=True, slots=True)
class DeployedFile:
    """A DAG file: its name in the bundle, whose it is, and the digest of its text."""

    name: str
    dag_id: str
    flow: str
    module: str
    plan: str
    text: str
    project: str = ""
    branch: str = ""
    production: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """A set of DAG files, by their names."""

    files: dict[str, DeployedFile] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name of the set: the same texts under the same names give the same one."""
        said = "".join(f"{name}\0{file.text}\n" for name, file in sorted(self.files.items()))
        return digest_of([said.encode()]).removeprefix(PREFIX)

    def of_dag(self, dag_id: str) -> DeployedFile | None:
        """Find the file of a DAG."""
        return next((file for file in self.files.values() if file.dag_id == dag_id), None)


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """One change of what is deployed: who, when, which file came, and the version after it.

    ``file`` is the one that was taken away, with ``delete``; ``restores`` is the number of the
    change that a rollback goes back to.
    """

    number: int
    action: Action
    file: DeployedFile
    version: str
    deployed_at: str
    user: str
    airloom: str = __version__
    restores: int | None = None


@dataclass(frozen=True, slots=True)
class FolderNote:
    """A DAG file was written into a folder of a machine."""

    dag_id: str
    flow: str
    module: str
    plan: str
    host: str
    file: str
    deployed_at: str
    user: str


class Deployments(Shelf):
    """What is deployed to a store, now and before.

    Parameters
    ----------
    objects
        The store's bytes.
    user
        Who makes changes.
    """

    def __init__(self, objects: Objects, user: str = "unknown") -> None:
        super().__init__(objects)
        self._blobs = Blobs(objects, "always")
        self._user = user

    @classmethod
    def open(cls, settings: Settings) -> Deployments:
        """Open the store that the settings name; nothing is read yet."""
        return cls(open_objects(settings.datastore_root, settings), settings.user_name)

    # -- reading ---------------------------------------------------------------------------

    def newest(self) -> DeploymentRecord | None:
        """Read the change that counts; None when nothing was ever deployed."""
        return next(self.history(), None)

    def history(self, dag_id: str | None = None) -> Iterator[DeploymentRecord]:
        """Read the changes lazily, the newest first; of one DAG when it is named."""
        for key in self._objects.list(f"{_ROOT}/history"):
            record = self._get(key, DeploymentRecord)
            if dag_id is None or record.file.dag_id == dag_id:
                yield record

    def current(self) -> Version:
        """Read which DAG files are deployed now."""
        newest = self.newest()
        return Version() if newest is None else self.version(newest.version)

    def version(self, id_: str) -> Version:
        """Read a set of DAG files by its id.

        Raises
        ------
        NotFound
            When the store has no such version.
        CorruptBlob
            When the record is not the one that was saved, or names files that no bundle could hold.
        """
        if id_ == Version().id:
            return Version()
        key = _version_key(id_)
        try:
            found = self._get(key, Version)
        except NotFound:
            raise NotFound(
                f"the store has no version {id_[:12]} of the deployed DAG files",
                where=f"{self.root}/{key}",
                mend="point the bundle at the store that it was deployed to, or deploy again.",
            ) from None
        if found.id != id_ or not all(_is_name(name, file) for name, file in found.files.items()):
            raise CorruptBlob(
                f"the version {id_[:12]} of the deployed DAG files is not the one that was saved",
                where=f"{self.root}/{key}",
                mend="see who writes to the store; delete the file and deploy again.",
            )
        return found

    def text(self, file: DeployedFile) -> bytes:
        """Read the text of a DAG file; its digest is checked.

        Raises
        ------
        NotFound
            When the store does not have it any more.
        CorruptBlob
            When its bytes are not the ones that were saved.
        """
        return bytes(self._blobs.get(file.text))

    def last_change(self, dag_id: str) -> DeploymentRecord:
        """Read the newest change of a DAG.

        Raises
        ------
        NotFound
            When it was never deployed to the store.
        """
        found = next(self.history(dag_id), None)
        if found is None:
            known = sorted({file.dag_id for file in self.current().files.values()})
            raise NotFound(
                f"no DAG {dag_id!r} was deployed to this store",
                where=f"{self.root}/{_ROOT}",
                mend=did_you_mean(dag_id, known),
            )
        return found

    # -- changing --------------------------------------------------------------------------

    def deploy(self, file: DeployedFile, text: bytes) -> DeploymentRecord | None:
        """Deploy a DAG file; None when the very same one is deployed already.

        The plan and the code that the text names have to be in the store before.

        Raises
        ------
        AlreadyExists
            When the file's name is that of another DAG.
        """
        file = replace(file, text=self._blobs.put([text]))
        return self._change("deploy", file)

    def roll_back(self, target: DeploymentRecord) -> DeploymentRecord | None:
        """Deploy the file of an older change again; None when it is the one that is deployed."""
        return self._change("rollback", target.file, restores=target.number)

    def delete(self, file: DeployedFile) -> DeploymentRecord | None:
        """Take a DAG file out of the newest version; None when it is not in it. Older ones stay."""
        return self._change("delete", file)

    def _change(
        self, action: Action, file: DeployedFile, restores: int | None = None
    ) -> DeploymentRecord | None:
        while True:
            newest = self.newest()
            files = dict(self.version(newest.version).files) if newest is not None else {}
            before = files.pop(file.name, None)
            if before is not None and before.dag_id != file.dag_id:
                raise AlreadyExists(
                    f"the file {file.name} is that of the DAG {before.dag_id!r}",
                    where=f"{self.root}/{_ROOT}",
                    mend=f"rename the project or the flow, or delete the deployment of {before.dag_id!r}.",
                )
            if action == "delete":
                if before is None:
                    return None
            elif before == file:
                return None
            else:
                files[file.name] = file
            version = Version(files)
            self._put_new(_version_key(version.id), version)
            record = DeploymentRecord(
                number=1 if newest is None else newest.number + 1,
                action=action,
                file=file,
                version=version.id,
                deployed_at=_now(),
                user=self._user,
                restores=restores,
            )
            # The pointer: whoever is second begins again from what the first has left.
            if self._put_new(f"{_ROOT}/history/{_LAST - record.number:0{_DIGITS}}.json", record):
                return record

    # -- folders ---------------------------------------------------------------------------

    def note_folder(self, note: FolderNote) -> None:
        """Note that a DAG file was written into a folder."""
        self._objects.put(_folder_key(note.dag_id, note.host, note.file), [codec.dumps(note)])

    def forget_folder(self, note: FolderNote) -> None:
        """Forget a note whose file is gone."""
        self._objects.delete(_folder_key(note.dag_id, note.host, note.file))

    def folders(self, dag_id: str) -> list[FolderNote]:
        """Read into which folders the DAG file of a DAG was written, as far as it was noted."""
        below = f"{_ROOT}/folders/{escape(dag_id)}"
        return [self._get(f"{below}/{name}", FolderNote) for name in self._objects.children(below)]

    def note(self, dag_id: str, flow: str, module: str, plan: str, file: Path) -> FolderNote:
        """Make the note for a file of this machine."""
        place = (socket.gethostname(), str(file.absolute()))
        return FolderNote(dag_id, flow, module, plan, *place, _now(), self._user)


def _version_key(id_: str) -> str:
    if not _VERSION.match(id_):
        raise NotFound(
            f"{id_!r} is no version of the deployed DAG files",
            where=_ROOT,
            mend="a version is 64 hexadecimal digits; Airflow notes it with each run.",
        )
    return f"{_ROOT}/versions/{id_}.json"


def _folder_key(dag_id: str, host: str, file: str) -> str:
    return f"{_ROOT}/folders/{escape(dag_id)}/{escape(f'{host}:{file}')}.json"


def _is_name(name: str, file: DeployedFile) -> bool:
    return name == file.name and _NAME.match(name) is not None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
