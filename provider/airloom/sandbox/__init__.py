"""An Airflow of one's own: started, talked to and ended from Python.

For the first try on a laptop and for system tests; never for production. Nothing here
imports Airflow: it is started as programs, and spoken to over HTTP.
"""

from airloom.sandbox.airflow import Sandbox
from airloom.sandbox.api import AirflowApi, DagRun, TaskInstance
from airloom.sandbox.http import ApiError

__all__ = ["AirflowApi", "ApiError", "DagRun", "Sandbox", "TaskInstance"]
