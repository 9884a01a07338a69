"""Operators: one task of a plan in an Airflow DAG.

Every DAG file imports them, so an Airflow that is too old is told here, as an import error in its UI.
"""

from airflow import __version__

NEEDED = (3, 1)
"""The oldest Airflow that runs flows: major and minor version."""

if tuple(int(part) for part in __version__.split(".")[:2]) < NEEDED:
    raise ImportError(
        f"Airloom needs Airflow {NEEDED[0]}.{NEEDED[1]} or newer, and this is Airflow {__version__}: "
        "update Airflow, or use an Airflow of its own for flows"
    )
