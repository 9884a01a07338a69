"""Every case by its name, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks import airflow_tasks, buckets, dag_files, local_runs, readers, values, xcoms
from benchmarks.measure import Bench, Row

Case = Callable[[Bench], Iterator[Row]]

CASES: dict[str, Case] = {
    "import": local_runs.importing,
    "hello": local_runs.hello,
    "linear10": local_runs.linear,
    "foreach100": local_runs.foreach,
    "nested": local_runs.nested,
    "foreach1000": local_runs.thousand,
    "random": values.random,
    "compressible": values.compressible,
    "ints": values.ints,
    "frame": values.frame,
    "texts": values.texts,
    "s3": buckets.s3,
    "client": readers.successful,
    "parse": dag_files.parsing,
    "step": airflow_tasks.steps,
    "xcom": xcoms.backends,
}
"""Case by name; one case can give several rows."""

GROUPS: dict[str, tuple[str, ...]] = {
    "store": ("random", "compressible", "ints", "frame", "texts", "s3", "client"),
}
"""Names for several cases at once."""
