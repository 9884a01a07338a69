"""What a task of any DAG can wait for."""
