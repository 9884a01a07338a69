"""Pages of runs, tasks and artifacts on Airflow's API server, behind its login."""
