"""An Airflow of one's own: started, talked to and ended from Python.

For the first try on a laptop and for system tests; never for production. Nothing here
imports Airflow: it is started as programs, and spoken to over HTTP.
"""

from airloom.airflow_api.api import AirflowApi, DagRun, TaskInstance
from airloom.airflow_api.http import ApiError
from airloom.sandbox.airflow import Sandbox

__all__ = ["AirflowApi", "ApiError", "DagRun", "Sandbox", "TaskInstance"]
