"""``sizes``: what the steps of a flow ask for, what they used, what they could ask for, and its price."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from airloom import codec
from airloom import settings as settings_of
from airloom.errors import NotFound
from airloom.plan import Plan, StepPlan
from airloom.runtime.sizes import done_records, observed
from airloom.settings import Settings
from airloom.sizing import prices
from airloom.sizing.catalogue import Size
from airloom.sizing.recovery import GROWN
from airloom.sizing.report import Growth, StepReport, report
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import DoneRecord

_SHOWN = 3


@click.command(
    "sizes", help="Show what the steps of FLOW ask for, what they used, and what they could ask for."
)
@click.argument("flow")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--datastore-root", metavar="FOLDER|URL", help="Where runs and artifacts are kept.")
def sizes(flow: str, as_json: bool, datastore_root: str | None) -> None:
    found = settings_of.load({"datastore_root": datastore_root})
    datastore = Datastore.open(found)
    reports = [_report(datastore, flow, step, found) for step in _newest_plan(datastore, flow).steps]
    if as_json:
        click.echo(json.dumps(codec.to_json(reports), indent=2))
        return
    for line in _table(reports):
        click.echo(line)
    if any(one.cost is not None for one in reports):
        click.echo(f"Prices are of 1000 attempts: {prices.read(found.prices).source}.")


def _newest_plan(datastore: Datastore, flow: str) -> Plan:
    run = datastore.latest_run(flow)
    if run is None:
        raise NotFound(
            f"the flow {flow} has no run in this store",
            where=datastore.root,
            mend="run it first, or name its store with --datastore-root.",
        )
    return datastore.plan(flow, datastore.run(flow, run).plan)


def _report(datastore: Datastore, flow: str, step: StepPlan, found: Settings) -> StepReport:
    records = done_records(datastore, flow, step.name)
    platform = found.ecs_launch_type if step.target == "ecs" else found.batch_platform
    return report(
        step,
        [observed(record) for _, record in records],
        runs=len({key.run for key, _ in records}),
        platform="FARGATE" if platform == "FARGATE" else "EC2",
        prices=prices.read(found.prices),
        growths=list(_growths(datastore, records)),
    )


def _growths(datastore: Datastore, records: list[tuple[TaskKey, DoneRecord]]) -> Iterator[Growth]:
    """Growths of the newest tasks that had to grow: only these are asked for all their attempts."""
    grown = [key for key, record in records if record.size is not None and record.size.why == GROWN]
    for key in grown[:_SHOWN]:
        begun = [datastore.begin(key, attempt).size for attempt in datastore.attempts(key)]
        memory = [size.memory_mib for size in begun if size is not None and size.memory_mib is not None]
        yield Growth(key.pathspec, tuple(dict.fromkeys(memory)))


def _table(reports: list[StepReport]) -> Iterator[str]:
    head = ("step", "target", "attempts", "asked", "used", "suggested", "unused", "cost", "suggested cost")
    rows = [head, *(_row(one) for one in reports)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
    for one in reports:
        for growth in one.growths:
            sizes_of = " -> ".join(map(str, growth.memory_mib))
            yield f"{growth.task} grew after out of memory: {sizes_of} MiB"


def _row(one: StepReport) -> tuple[str, ...]:
    used = "-" if one.used_mib is None else f"{one.used_mib:.0f} MiB"
    if one.used_cpu is not None:
        used = f"{one.used_cpu:g} vCPU, {used}"
    return (
        one.step,
        one.target,
        f"{one.attempts} of {one.runs} run{'' if one.runs == 1 else 's'}",
        _size(one.asked),
        used,
        "-" if one.suggested is None else _size(one.suggested),
        "-" if one.waste is None else f"{one.waste:.0%}",
        _money(one.cost, one.currency),
        _money(one.suggested_cost, one.currency),
    )


def _size(size: Size) -> str:
    text = str(size)
    return "-" if text == "no size" else text


def _money(cost: float | None, currency: str) -> str:
    return "-" if cost is None else f"{cost:.2f} {currency}"
