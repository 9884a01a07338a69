"""Where deployed DAG files lie: folders of Airflow, and versions checked out of a store."""
