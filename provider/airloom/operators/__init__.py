"""Operators: one task of a plan in an Airflow DAG."""
