"""Airflow's REST API, version 2, over HTTP: nothing here imports Airflow."""

from airloom.airflow_api.api import FINISHED, AirflowApi, DagRun, TaskInstance
from airloom.airflow_api.http import ApiError

__all__ = ["FINISHED", "AirflowApi", "ApiError", "DagRun", "TaskInstance"]
