"""One DAG file loaded as Airflow's DAG processor does it: ``python -m airloom.operators.loading FILE``.

It needs Airflow and no database. The last line that it prints is JSON: what does not load, and the
DAGs with their tasks. `airloom.deploys.checking` runs it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from airflow.exceptions import SerializationError


def load(file: Path) -> dict[str, Any]:
    """Load a DAG file, and put its DAGs into the form that Airflow keeps them in."""
    # Airflow 3.1 has both under other names.
    name = "airflow.dag_processing.dagbag"
    bags: Any = import_module(name if find_spec(name) else "airflow.models.dagbag")
    bag = bags.DagBag(dag_folder=file, safe_mode=False)
    errors = [str(trace).strip() for trace in bag.import_errors.values()]
    dags = {}
    for dag_id, dag in bag.dags.items():
        dags[str(dag_id)] = sorted(map(str, dag.task_ids))
        errors += _problems(dag)
    return {"errors": errors, "dags": dags}


def _problems(dag: Any) -> Iterator[str]:
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    for name in dag.params:
        schema = getattr(dag.params.get_param(name), "schema", None) or {}
        try:
            validator_for(schema).check_schema(schema)
        except SchemaError as error:
            yield f"the parameter {name!r} has no JSON Schema: {error.message}"
    forms: Any = import_module("airflow.serialization.serialized_objects")
    form = getattr(forms, "DagSerialization", None) or forms.SerializedDAG
    try:
        form.to_dict(dag)
    except (SerializationError, TypeError, ValueError) as error:
        yield f"Airflow cannot keep the DAG {dag.dag_id!r}: {error}"


if __name__ == "__main__":
    print(json.dumps(load(Path(sys.argv[1]))))  # noqa: T201 - the answer
