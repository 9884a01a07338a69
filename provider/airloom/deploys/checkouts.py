"""Versions of the deployed DAG files as folders of this machine: whole ones only, old ones go.

::

    <folder>/<version>/*.py          as they were deployed; the same file in two versions is one file
    <folder>/<version>/.version.json which files belong to it
    <folder>/.making-...             a folder that is being made, or that goes

``python -m airloom.deploys.checkouts FOLDER VERSION BEFORE`` does it in a process of its own and
prints the version's id: Airflow's DAG processor forks, and a process that forks must not use the
clients of the clouds.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from airloom import codec
from airloom import settings as settings_of
from airloom.errors import AirloomError, StoreError
from airloom.store.deployments import Deployments, Version

_LIST = ".version.json"
_MAKING = ".making-"
_LEFT_BEHIND_S = 3600


def check_out(
    deployments: Deployments, folder: Path, version: str | None = None, before: str | None = None
) -> str:
    """Have a version of the deployed DAG files below a folder; gives its id.

    A folder that is there as a whole is used as it is, and the store is not asked for its files.

    Parameters
    ----------
    version
        None for the newest.
    before
        The version that Airflow has parsed: files that differ from it get a new time, so that Airflow
        parses them at once, and only them.

    Raises
    ------
    NotFound
        When the store has no such version, or lacks one of its files.
    CorruptBlob
        When a text is not the one that was deployed.
    StoreError
        When the store cannot be read, or the folder cannot be written.
    """
    if version is not None and is_whole(folder / version):
        return version
    if version is None:
        newest = deployments.newest()
        version = Version().id if newest is None else newest.version
    if not is_whole(folder / version):
        files = deployments.version(version)
        held = _listed(folder / before).files if before is not None else {}
        same = {name for name, file in files.files.items() if name in held and held[name].text == file.text}
        texts = {name: deployments.text(file) for name, file in files.files.items() if name not in same}
        lent = {} if before is None else {name: folder / before / name for name in same}
        try:
            _make(folder, version, codec.dumps(files), texts, lent)
        except OSError as error:
            raise StoreError(
                f"the version {version[:12]} of the deployed DAG files cannot be written: {error}",
                where=str(folder),
                mend="let Airflow's processes write there: [dag_processor] dag_bundle_storage_path.",
            ) from error
    if before is not None and before != version:
        _tell_changed(folder / before, folder / version)
    return version


def is_whole(folder: Path) -> bool:
    """Say whether all files of a version are in its folder; Airflow may be removing it right now."""
    found = _listed(folder)
    whole = (folder / _LIST).is_file() and found.id == folder.name
    return whole and all((folder / name).is_file() for name in found.files)


def prune(folder: Path, kept: Collection[str], most: int, younger_than_s: float) -> list[str]:
    """Remove old versions below a folder; gives their ids.

    Parameters
    ----------
    kept
        Versions that stay in any case.
    most
        So many of the others stay, those that were checked out last.
    younger_than_s
        Those that were checked out, or asked for, less than so many seconds ago stay.
    """
    found = []
    now = time.time()
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):
            age_s = now - path.stat().st_mtime
            if path.name.startswith(_MAKING):
                if age_s > _LEFT_BEHIND_S:
                    shutil.rmtree(path, ignore_errors=True)
            elif path.name not in kept:
                found.append((age_s, path))
    gone = [path for age_s, path in sorted(found)[most:] if age_s > younger_than_s]
    for path in gone:
        # Out of sight first: nobody ever sees half of a version.
        away = Path(tempfile.mkdtemp(prefix=_MAKING, dir=folder))
        with suppress(OSError):
            path.rename(away / path.name)
        shutil.rmtree(away, ignore_errors=True)
    return [path.name for path in gone]


def touch(folder: Path) -> None:
    """Note that a version is asked for, so that `prune` leaves it for a while."""
    with suppress(OSError):
        os.utime(folder)


def _listed(folder: Path) -> Version:
    """Read which files a folder has; none when it cannot be read."""
    try:
        return codec.loads(Version, (folder / _LIST).read_bytes())
    except (OSError, ValueError):
        return Version()


def _make(folder: Path, version: str, listed: bytes, texts: dict[str, bytes], lent: dict[str, Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=folder))
    try:
        whole = making / version
        whole.mkdir()
        for name, text in texts.items():
            (whole / name).write_bytes(text)
        for name, file in lent.items():
            os.link(file, whole / name)
        (whole / _LIST).write_bytes(listed)
        target = folder / version
        if target.exists():  # a part of it, that somebody has left or is removing
            with suppress(OSError):
                target.rename(making / "old")
        try:
            whole.rename(target)
        except OSError:
            # Another process was faster.
            if not is_whole(target):
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _tell_changed(before: Path, after: Path) -> None:
    """Let Airflow see the files as changed that are.

    It parses a file again when its time is newer than the last parse. After a rollback the folder
    is there already, and its files are older than that.
    """
    old, new = _listed(before).files, _listed(after).files
    for name, file in new.items():
        if name not in old or old[name].text != file.text:
            with suppress(OSError):
                os.utime(after / name)


def main(arguments: list[str]) -> int:
    """Check out a version as the settings of the environment say; print its id."""
    folder, version, before = arguments
    try:
        deployments = Deployments.open(settings_of.load())
        print(check_out(deployments, Path(folder), version or None, before or None))  # noqa: T201 - the answer
    except AirloomError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the answer
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
