"""DAG files: what Airflow's DAG processor pays for a generated one, beside one that a person wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import flows
from benchmarks.measure import Bench, Row, told, wall

_TASKS = 50
_OPERATOR = '''\
"""A plain custom operator."""

from airflow.sdk import BaseOperator


class PlainOperator(BaseOperator):
    template_fields = ("step",)

    def __init__(self, *, step, **kwargs):
        super().__init__(**kwargs)
        self.step = step

    def execute(self, context):
        return self.step
'''


def parsing(bench: Bench) -> Iterator[Row]:
    """Fifty tasks, executed and serialized in one process that has Airflow loaded."""
    with bench.fresh() as folder:
        file = flows.write(folder / "flow", "airloom", "Fifty", flows.linear(_TASKS))
        generated = deploy(bench, file, folder / "generated", folder)
        written = _by_hand(folder / "by_hand")
        pairs = bench.times(51)
        answer = told(bench.ours, "parse_dags.py", folder, generated, written, str(pairs))
    for what, ours, theirs in (
        (f"generated DAG file of {_TASKS} tasks: execute and serialize", "ours", "theirs"),
        (f"generated DAG file of {_TASKS} tasks: execute alone", "ours_executed", "theirs_executed"),
    ):
        target = 1.2 if ours == "ours" else None
        yield Row(what, "DAG by hand", "s", answer[ours], answer[theirs], target=target)


def deploy(bench: Bench, flow: Path, dags: Path, home: Path) -> Path:
    """Compile a flow into a folder without DAG files; gives the one that it has then."""
    dags.mkdir(exist_ok=True)
    wall([bench.ours, "-m", "airloom", "deploy", flow, "--dags-folder", dags], home)
    (file,) = dags.glob("*.py")
    return file


def _by_hand(folder: Path) -> Path:
    folder.mkdir()
    (folder / "plain_operator.py").write_text(_OPERATOR)
    names = [name for name, _ in flows.linear(_TASKS)]
    lines = [
        '"""Fifty tasks in a row."""',
        "",
        "from airflow.sdk import DAG",
        "from plain_operator import PlainOperator",
        "",
        'with DAG(dag_id="by_hand", schedule=None, tags=["by hand"], doc_md=__doc__) as dag:',
        *(f'    {name} = PlainOperator(task_id="{name}", step="{name}")' for name in names),
        "",
        f"    {' >> '.join(names)}",
        "",
    ]
    file = folder / "by_hand.py"
    file.write_text("\n".join(lines))
    return file
