"""The code package of a run or an attempt: its files, as they were when it began."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import overload

from airloom.client.facts import RunFacts
from airloom.codec import Json
from airloom.errors import NotFound
from airloom.names import did_you_mean
from airloom.store.blobs import blob_key


class Code:
    """A code package; its bytes are read when something of them is asked for."""

    def __init__(self, facts: RunFacts, digest: str) -> None:
        self._facts = facts
        self.digest = digest

    @property
    def script_name(self) -> str:
        """Name of the flow's file."""
        return f"{self._facts.plan.module}.py"

    @property
    def flowspec(self) -> str:
        """Source text of the flow's file."""
        return self.read(self.script_name)

    @property
    def info(self) -> dict[str, Json]:
        """What is known of it without its bytes, and with what it was run."""
        record = self._facts.record
        return {
            "script": self.script_name,
            "digest": self.digest,
            "plan": record.plan,
            "user": record.user,
            "created_at": record.created_at,
            "python_version": record.python,
            "airloom_version": record.airloom,
        }

    @property
    def path(self) -> str:
        """Where it lies: the store's folder or URL, and the key in it."""
        return f"{self._facts.datastore.root}/{blob_key(self.digest)}"

    @cached_property
    def archive(self) -> bytes:
        """Its bytes, a zip file; verified.

        Raises
        ------
        NotFound
            When the store does not have it any more.
        CorruptBlob
            When its bytes are not the ones that were saved.
        """
        return self._facts.datastore.code(self.digest)

    @cached_property
    def files(self) -> dict[str, int]:
        """Names of its files with their sizes in bytes, sorted."""
        with self._open() as opened:
            return {item.filename: item.file_size for item in opened.infolist()}

    def read(self, name: str) -> str:
        """Text of one of its files.

        Raises
        ------
        NotFound
            When it has no such file.
        """
        if name not in self.files:
            raise NotFound(
                f"the code package has no file {name!r}",
                where=self.path,
                mend=did_you_mean(name, list(self.files)),
            )
        with self._open() as opened:
            return opened.read(name).decode("utf-8", "replace")

    @overload
    def extract(self) -> TemporaryDirectory[str]: ...
    @overload
    def extract(self, folder: str | Path) -> Path: ...
    def extract(self, folder: str | Path | None = None) -> Path | TemporaryDirectory[str]:
        """Unpack it into a folder, which is made; without one into a temporary folder, for ``with``.

        Files of the same names are overwritten.
        """
        made = TemporaryDirectory(prefix="airloom-code-") if folder is None else None
        target = Path(made.name if made is not None else folder or ".")
        target.mkdir(parents=True, exist_ok=True)
        with self._open() as opened:
            opened.extractall(target)
        return target if made is None else made

    def _open(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(io.BytesIO(self.archive))

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Code) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<Code {self.script_name} {self.digest[:11]}>"
