"""Execute and serialize two DAG files in turn: ``parse_dags.py OURS THEIRS PAIRS``."""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization


def parsed(file: Path) -> tuple[float, float]:
    """Seconds until the file's DAG is made, and until it is serialized, too."""
    gc.collect()
    began = time.perf_counter()
    names: dict[str, object] = {"__name__": file.stem, "__file__": str(file)}
    exec(compile(file.read_text(), str(file), "exec"), names)
    dag = names["dag"]
    assert isinstance(dag, DAG)
    executed = time.perf_counter() - began
    text = json.dumps(DagSerialization.to_dict(dag))
    whole = time.perf_counter() - began
    assert len(dag.tasks) == 50, text
    return executed, whole


def main(ours: Path, theirs: Path, pairs: int) -> None:
    """Print the seconds of each, pair by pair, as JSON; the first two pairs do not count."""
    sys.path.insert(0, str(theirs.parent))
    found = [(parsed(ours), parsed(theirs)) for _ in range(pairs + 2)][2:]
    answer = {
        "ours_executed": [pair[0][0] for pair in found],
        "theirs_executed": [pair[1][0] for pair in found],
        "ours": [pair[0][1] for pair in found],
        "theirs": [pair[1][1] for pair in found],
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
