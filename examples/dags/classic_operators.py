"""Classic operators with artifacts: a file becomes one, and another run's becomes a file."""

from __future__ import annotations

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

from airloom.operators.artifacts import LoadArtifactOperator, SaveArtifactOperator

FOLDER = "/tmp/airloom_example/{{ run_id }}"

with DAG("classic_operators", schedule=None, tags=["airloom", "example"]):
    write = BashOperator(
        task_id="write",
        bash_command=f'mkdir -p "{FOLDER}" && echo "hello from {{{{ run_id }}}}" > "{FOLDER}/in.txt"',
    )
    keep = SaveArtifactOperator(task_id="keep", artifact="text", file=f"{FOLDER}/in.txt")
    note = SaveArtifactOperator(task_id="note", artifact="note", value="kept by {{ dag.dag_id }}")
    fetch = LoadArtifactOperator(
        task_id="fetch", artifact="classic_operators/{{ run_id }}/keep/0/text", file=f"{FOLDER}/out.txt"
    )
    compare = BashOperator(
        task_id="compare",
        bash_command='cmp "$OUT" "$IN" && rm -r "$FOLDER"',
        env={"FOLDER": FOLDER, "IN": f"{FOLDER}/in.txt", "OUT": "{{ ti.xcom_pull('fetch') }}"},
        append_env=True,
    )
    # As an argument, what was saved is its value, in any operator.
    size = PythonOperator(task_id="size", python_callable=len, op_args=[keep.output])
    write >> keep >> fetch >> compare
    keep >> note >> compare
