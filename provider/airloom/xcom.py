"""The XCom backend: values of any size as artifacts with versions, small pointers in Airflow's table.

::

    [core]
    xcom_backend = airloom.xcom.ArtifactXComBackend

Airflow calls a backend in task processes only. Its scheduler reads the length of a list, which is
noted before; its API server shows what the table holds: of a value in the datastore the reference,
with type, size, preview and pathspec. Nothing there is loaded.
"""

from __future__ import annotations

import logging
from datetime import date, datetime
from functools import lru_cache
from math import isfinite
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

from airloom.operators.references import are_loaded, are_references, may_be_last, resolve

logger = logging.getLogger(__name__)

load = resolve

# What Airflow's own JSON gives back as it was.
_SCALARS = (type(None), bool, int)
_TEXT_OF_A_TIME = 64


class ArtifactXComBackend(BaseXCom):
    """XComs as artifacts below ``<dag id>/<run>/<task>/<index>``.

    A plain value of up to ``xcom_inline_bytes`` stays in Airflow's table and has no version.
    """

    @staticmethod
    def serialize_value(
        value: Any,
        *,
        key: str | None = None,
        task_id: str | None = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        map_index: int | None = None,
    ) -> Any:
        """Give what goes into the table: the value itself, or the reference to the artifact.

        Raises
        ------
        ArtifactError
            When neither Airloom nor Airflow can save the value.
        StoreError
            When the datastore cannot take it.
        """
        named = key and task_id and dag_id and run_id
        if not named or stays(value, _inline_bytes()) or are_references(value):
            return BaseXCom.serialize_value(value)
        from airloom.errors import AlreadyExists, ArtifactError
        from airloom.operators.recording import TaskName, end_run_if_last, push

        name = TaskName(str(dag_id), str(run_id), str(task_id), -1 if map_index is None else map_index)
        try:
            made = push(name, str(key), value)
        except ArtifactError as error:
            try:
                return BaseXCom.serialize_value(value)
            except Exception:
                # What Airloom says of it tells which part of the value it is.
                raise error from None
        except AlreadyExists as error:
            # Steps of a flow with the DAG's id: their data is in the datastore already.
            logger.warning("the XCom %s stays in Airflow's table: %s", key, error.what)
            return BaseXCom.serialize_value(value)
        last = may_be_last(name.dag_id, name.run_id, name.task_id, name.map_index)
        if key == BaseXCom.XCOM_RETURN_KEY and last:
            end_run_if_last(_datastore(), name)
        return BaseXCom.serialize_value(made)

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        """Give the value that was pushed, loaded from the datastore where it is there.

        Raises
        ------
        NotFound, CorruptBlob
            When it is gone from the datastore, or is not what was saved.
        ArtifactError
            When its class or a package of it is missing.
        """
        value = BaseXCom.deserialize_value(result)
        return resolve(value) if are_loaded() and are_references(value) else value


def stays(value: object, limit: int) -> bool:
    """Say whether a value is plain, and so small that it stays in Airflow's table.

    >>> stays({"rows": 3, "files": ["a.csv"]}, 4096), stays("x" * 5000, 4096), stays({1, 2}, 4096)
    (True, False, False)
    """
    return limit > 0 and _rest(value, limit) >= 0


def _rest(value: object, left: int) -> int:
    """What is left of the bytes after a value; below 0 when it is not plain or takes more."""
    kind = type(value)
    if kind is str:
        return left - len(value) - 2  # type: ignore[arg-type]
    if kind in _SCALARS:
        # The text of a huge number is not worth making.
        return left - (value.bit_length() // 3 + 1 if kind is int else 5)  # type: ignore[attr-defined]
    if kind is float:
        return left - 24 if isfinite(value) else -1  # type: ignore[arg-type]
    if kind is datetime or kind is date:
        return left - _TEXT_OF_A_TIME
    if kind is list or kind is tuple:
        left -= 2
        for item in value:  # type: ignore[attr-defined]
            left = _rest(item, left - 2)
            if left < 0:
                return -1
        return left
    if kind is dict:
        left -= 2
        for name, item in value.items():  # type: ignore[attr-defined]
            if type(name) is not str or name.startswith("__"):
                return -1
            left = _rest(item, left - len(name) - 6)
            if left < 0:
                return -1
        return left
    return -1


@lru_cache(maxsize=1)
def _inline_bytes() -> int:
    from airflow.providers.common.compat.sdk import conf

    from airloom import settings

    given = conf.get("airloom", "xcom_inline_bytes", fallback=None)
    found = settings.load(None, {"xcom_inline_bytes": given} if given else None)
    return int(found.xcom_inline_bytes)


def _datastore() -> Any:
    from airloom.operators.references import datastore

    return datastore()
