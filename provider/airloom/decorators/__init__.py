"""Decorators of TaskFlow, at the import path where Airflow's users expect them."""
