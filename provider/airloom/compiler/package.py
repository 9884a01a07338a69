"""The code package: a deterministic archive of the flow's folder, named by its digest.

The archive is an uncompressed zip with sorted names and fixed times, so that the same
files give the same bytes on every machine and with every zlib.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from airloom.compiler.seals import is_sealed
from airloom.digests import Digest, digest_of
from airloom.errors import FlowError

_EPOCH = (1980, 1, 1, 0, 0, 0)
_SKIPPED = frozenset({"__pycache__", "node_modules", "build", "dist"})


@dataclass(frozen=True)
class CodePackage:
    """Archive of a flow's code; ``files`` names what is in it, sorted."""

    archive: bytes
    files: tuple[str, ...]

    @cached_property
    def digest(self) -> Digest:
        """Digest of the archive's bytes."""
        return digest_of([self.archive])


def pack(flow_file: Path, *, suffixes: tuple[str, ...], limit_mib: int) -> CodePackage:
    """Archive the folder of a flow's file.

    Taken are the files with one of the suffixes. Hidden folders, virtual environments, datastores,
    deployed DAG files and what builds leave behind are passed over; the flow's own file always
    belongs to it.

    Raises
    ------
    FlowError
        When the files together are larger than ``limit_mib``.
    """
    folder = flow_file.resolve().parent
    found = code_files(folder, suffixes)
    found.setdefault(flow_file.name, flow_file)
    sizes = {name: path.stat().st_size for name, path in found.items()}
    if sum(sizes.values()) > limit_mib * 1024 * 1024:
        largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
        raise FlowError(
            f"the code package would have {sum(sizes.values()) / 2**20:.0f} MiB, more than {limit_mib}",
            where=str(folder),
            mend=f"move data out of the folder (largest: {', '.join(largest)}), "
            "or set AIRLOOM_PACKAGE_SUFFIXES or AIRLOOM_PACKAGE_LIMIT_MIB.",
        )
    return _archive(found)


def pack_file(file: Path) -> CodePackage:
    """Archive one file alone, under its own name."""
    return _archive({file.name: file})


def _archive(found: dict[str, Path]) -> CodePackage:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(found):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), found[name].read_bytes())
    return CodePackage(buffer.getvalue(), tuple(sorted(found)))


def code_files(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files below a folder that belong to a code package, by their names in it."""
    return {path.relative_to(folder).as_posix(): path for path in _walk(folder, suffixes)}


def _walk(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for base, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED
            and not name.endswith(".egg-info")
            and not (Path(base) / name / "pyvenv.cfg").exists()
            and not _is_datastore(Path(base) / name)
        )
        for name in files:
            path = Path(base) / name
            wanted = name.endswith(suffixes) and not name.startswith(".")
            if wanted and path.is_file() and not is_sealed(path):
                yield path


def _is_datastore(folder: Path) -> bool:
    # Its records are JSON files: with them, no two packages would be the same.
    return (folder / "blobs").is_dir() and (folder / "flows").is_dir()
