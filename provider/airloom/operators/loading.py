"""One DAG file loaded as Airflow's DAG processor does it: ``python -m airloom.operators.loading FILE``.

It needs Airflow and no database. The last line that it prints is JSON: what does not load, and the
DAGs with their tasks. `airloom.deploys.checking` runs it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def load(file: Path) -> dict[str, Any]:
    """Load a DAG file, and put its DAGs into the form that Airflow keeps them in."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag
    from airflow.serialization import serialized_objects
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    # Airflow 3.1 has another name for it.
    serialize = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
    bag = DagBag(dag_folder=file, safe_mode=False)
    errors = [str(trace).strip() for trace in bag.import_errors.values()]
    dags: dict[str, list[str]] = {}
    for name, dag in bag.dags.items():
        dags[str(name)] = sorted(map(str, dag.task_ids))
        for param, value in dag.params.items():
            schema = getattr(dag.params.get_param(param), "schema", None) or {}
            try:
                validator_for(schema).check_schema(schema)
            except SchemaError as error:
                errors.append(f"the schema of the parameter {param!r} ({value!r}) is none: {error.message}")
        try:
            serialize.to_dict(dag)
        except Exception as error:  # noqa: BLE001 - whatever Airflow cannot keep is a finding
            errors.append(f"Airflow cannot serialize the DAG {name!r}: {error}")
    return {"errors": errors, "dags": dags}


if __name__ == "__main__":
    print(json.dumps(load(Path(sys.argv[1]))))  # noqa: T201 - the answer
