"""AirloomDagBundle: the DAG files that ``airloom deploy --to-store`` has put into a datastore.

::

    [dag_processor]
    dag_bundle_config_list = [
        {"name": "airloom", "classpath": "airloom.bundles.AirloomDagBundle", "kwargs": {}}]

A version of the bundle is the set of all deployed DAG files, named by its digest. Airflow notes
it with each run, and every task of the run, also one that is cleared later, has that version.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.dag_processing.bundles import base
from airflow.dag_processing.bundles.base import BaseDagBundle, get_bundle_tracking_dir

from airloom.deploys.checkouts import check_out, is_whole, prune, touch
from airloom.errors import AirloomError, StoreUnavailable
from airloom.settings import variable
from airloom.store.deployments import Deployments

if TYPE_CHECKING:
    from airloom.settings import Settings

logger = logging.getLogger(__name__)

KEPT_VERSIONS = 10
"""So many old versions stay on a machine beside the newest one and those that tasks have used."""

_YOUNG_S = 6 * 3600.0
_GRACE_S = 60.0
_CURRENT = "current"


class AirloomDagBundle(BaseDagBundle):
    """Serve the deployed DAG files of a datastore, each version for itself.

    Parameters
    ----------
    datastore_root, airloom_conn_id
        Another datastore than that of the section ``[airloom]``, or a connection of the type
        ``airloom``. Tasks read the section: leave both out unless all of its tasks are told otherwise.
    **arguments
        Those of every bundle of Airflow: ``name``, ``refresh_interval`` in seconds, ``version``,
        ``view_url_template``.

    Notes
    -----
    The store is read when Airflow refreshes the bundle, and on a worker that has not yet seen a
    run's version; never while a DAG file is parsed. A remote store is read in a short process of
    its own, since the DAG processor forks. When the store does not answer, what was there before
    is served on.
    """

    supports_versioning = True

    def __init__(
        self, *, datastore_root: str | None = None, airloom_conn_id: str | None = None, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self.datastore_root = datastore_root
        self.airloom_conn_id = airloom_conn_id

    @property
    def path(self) -> Path:
        """Folder of the DAG files; of the newest version it is always the same, and changes in one step."""
        return self.versions_dir / self.version if self.version else self.base_dir / _CURRENT

    def initialize(self) -> None:
        """Have the bundle's version, or the newest, on this machine.

        Raises
        ------
        AirloomError
            When the datastore has no such version, or it cannot be read and no version is here.
        """
        if self.version:
            touch(self.path)
            if not is_whole(self.path):
                with self.lock():
                    self._check_out(self.version)
        else:
            try:
                self.refresh()
            except AirloomError as error:
                if not self.path.is_dir():
                    raise
                logger.warning("the deployed DAG files of before are served on: %s", error)
        super().initialize()

    def refresh(self) -> None:
        """Go to the newest version that is deployed.

        Raises
        ------
        AirloomError
            When the datastore cannot be read; the version of before stays.
        """
        if self.version:
            return
        with self.lock():
            version = self._check_out(None)
            if version != self._current():
                self._move_to(version)
                # Those that tasks use are Airflow's to remove: it knows which are locked.
                used = {file.name for file in _files(get_bundle_tracking_dir(self.name))}
                prune(self.versions_dir, {version, *used}, KEPT_VERSIONS, _YOUNG_S)

    def get_current_version(self) -> Any:
        """Give the version that `path` shows; None before the first refresh."""
        version = self.version or self._current()
        # Airflow 3.3 wants an object, and those before it know a text only.
        made = getattr(base, "BundleVersion", None)
        return version if made is None or version is None else made(version=version)

    def _current(self) -> str | None:
        try:
            return (self.base_dir / _CURRENT).readlink().name
        except OSError:
            return None

    def _move_to(self, version: str) -> None:
        link = self.base_dir / f".{_CURRENT}-{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(self.versions_dir / version)
        link.replace(self.base_dir / _CURRENT)
        logger.info("the deployed DAG files of the version %s are served", version[:12])

    def _check_out(self, version: str | None) -> str:
        from airloom.operators.runs import airflow_settings

        settings = airflow_settings(self.airloom_conn_id, self.datastore_root)
        before = self._current()
        if "://" not in settings.datastore_root:
            return check_out(Deployments.open(settings), self.versions_dir, version, before)
        return _in_a_process_of_its_own(settings, str(self.versions_dir), version or "", before or "")


def _in_a_process_of_its_own(settings: Settings, *arguments: str) -> str:
    from airloom.operators.connection import variables_of_connection

    environment = {
        **os.environ,
        **{variable(item.name): str(getattr(settings, item.name)) for item in fields(settings)},
        **variables_of_connection(settings),
    }
    command = [sys.executable, "-m", "airloom.deploys.checkouts", *arguments]
    limit_s = float(settings.store_deadline_s) + _GRACE_S
    try:
        ended = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StoreUnavailable(
            f"the deployed DAG files were not there after {limit_s:.0f} s",
            where=settings.datastore_root,
            mend="see whether the store answers; Airflow tries again.",
        ) from error
    said = ended.stdout.strip()
    if ended.returncode != 0 or not said:
        raise StoreUnavailable(
            f"the deployed DAG files cannot be read:\n{ended.stderr.strip()[-2000:]}",
            where=settings.datastore_root,
            mend="mend what is said above; Airflow tries again.",
        )
    return said.splitlines()[-1]


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
