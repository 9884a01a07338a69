"""Airloom beside its peers, measured in pairs: ``python -m benchmarks [names...]``.

- `measure`: processes in a clean environment, pairs, and the rows that come of them
- `flows`: the texts of the flows that both sides run
- `peer`: the peer's interpreter
- `cases`: every case by its name, in the order of the table
- `local_runs`, `values`, `buckets`, `readers`, `dag_files`, `airflow_tasks`: the cases
- `children`: scripts that a case runs in a fresh process, where only what is compared is installed
- `report`: the Markdown table
"""
