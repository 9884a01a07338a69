"""Hooks: what other people's tasks reach Airloom by, at the import path that Airflow users expect."""
