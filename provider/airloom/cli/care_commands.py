"""The verbs that keep a store in order: verify, gc, copy."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import click

from airloom import settings as settings_of
from airloom.cli.store_commands import size_text
from airloom.names import Pathspec
from airloom.store.objects import Objects, open_objects

if TYPE_CHECKING:
    from airloom.store.gc import Report
    from airloom.store.retention import Rules

_ROOT = click.option("--datastore-root", metavar="FOLDER|URL", help="Where runs and artifacts are kept.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_LEAST_GRACE_S = 2 * 3600.0


class _Age(click.ParamType):  # type: ignore[type-arg]
    """A time such as 30d, in seconds."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", str(value))
        if found is None:
            self.fail(f"{value!r} is no time: write a number and s, m, h, d or w, e.g. 30d.", param, ctx)
        return float(found[1]) * _SECONDS[found[2]]


@click.command(
    "verify",
    help="Read what runs consist of, and compare it with its digests. PATHSPEC is Flow, Flow/run, "
    "Flow/run/step or Flow/run/step/task; without one everything is read.",
)
@click.argument("pathspecs", metavar="[PATHSPEC]...", nargs=-1)
@click.option("--quick", is_flag=True, help="Of blobs only whether they are there, and their lengths.")
@_JSON
@_ROOT
def verify(pathspecs: tuple[str, ...], quick: bool, as_json: bool, datastore_root: str | None) -> int:
    from airloom.store.verify import verify

    specs = [Pathspec.parse(text) for text in pathspecs]
    with _told() as tell:
        report = verify(
            _open(datastore_root),
            specs,
            quick=quick,
            progress=lambda so_far: tell(
                f"{so_far.runs} runs, {so_far.blobs} blobs, {size_text(so_far.size)}"
            ),
        )
    wrong = len(report.findings)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
        return 1 if wrong else 0
    for finding in report.findings:
        click.echo(f"{finding.kind}: {finding.what}")
        click.echo(f"  where: {finding.key}")
        for who in finding.needed_by:
            click.echo(f"  needed by {who}")
        if finding.needed > len(finding.needed_by):
            click.echo(f"  and by {finding.needed - len(finding.needed_by)} others")
        click.echo(f"  mend:  {finding.mend}")
    how = "looked at" if quick else "read"
    click.echo(
        f"{how} {_count(report.runs, 'run')}, {_count(report.records, 'record')} and "
        f"{_count(report.blobs, 'blob')}, {size_text(report.size)}: "
        f"{_count(wrong, 'problem') if wrong else 'all is well'}"
    )
    return 1 if wrong else 0


@click.command(
    "gc",
    help="Delete runs that rules drop, and what no run needs any more. Says what would go; --delete does it. "
    "Runs go only by --older-than, --keep-latest or --only; given together, all must hold. FLOW limits "
    "runs, attempts and plans to flows.",
)
@click.argument("flows", metavar="[FLOW]...", nargs=-1)
@click.option("--delete", is_flag=True, help="Delete, instead of saying what would be deleted.")
@click.option(
    "--older-than", type=_Age(), metavar="AGE", help="Runs that ended longer ago than this, e.g. 30d."
)
@click.option(
    "--keep-latest",
    type=click.IntRange(min=0),
    metavar="N",
    help="Runs but the N newest and the N newest successful ones of each flow, namespace and branch.",
)
@click.option("--only", type=click.Choice(["successful", "failed"]), help="Runs that ended so.")
@click.option("--keep-tag", multiple=True, metavar="TAG", help="Keep runs with this tag.")
@click.option("--keep-namespace", multiple=True, metavar="NAME", help="Keep runs of this namespace.")
@click.option(
    "--unfinished-for",
    type=_Age(),
    default="7d",
    show_default=True,
    metavar="AGE",
    help="A run without an end counts as failed after so long without a word from it.",
)
@click.option(
    "--superseded", is_flag=True, help="Attempts of kept runs, too, that a newer committed one replaced."
)
@click.option(
    "--plans",
    type=_Age(),
    metavar="AGE",
    help="Plans, too, that no kept run names and that were saved longer ago; a DAG deployed before that "
    "and not run since has to be deployed again.",
)
@click.option(
    "--grace",
    type=_Age(),
    default="24h",
    show_default=True,
    metavar="AGE",
    help="Whatever was written within this time stays.",
)
@click.option("--alone", is_flag=True, help="Nobody writes to the store meanwhile: no grace is needed.")
@_JSON
@_ROOT
def gc(
    flows: tuple[str, ...],
    delete: bool,
    older_than: float | None,
    keep_latest: int | None,
    only: Literal["successful", "failed"] | None,
    keep_tag: tuple[str, ...],
    keep_namespace: tuple[str, ...],
    unfinished_for: float,
    superseded: bool,
    plans: float | None,
    grace: float,
    alone: bool,
    as_json: bool,
    datastore_root: str | None,
) -> None:
    from airloom.store.gc import Collection
    from airloom.store.retention import Rules

    if grace < _LEAST_GRACE_S and not alone:
        raise click.BadParameter(
            "less than 2h is too short beside writers; --alone says that there are none.",
            param_hint="--grace",
        )
    rules = Rules(
        flows=flows,
        older_than_s=older_than,
        keep_latest=keep_latest,
        keep_tags=keep_tag,
        keep_namespaces=keep_namespace,
        ended=only,
        superseded=superseded,
        plans_older_than_s=plans,
        grace_s=0.0 if alone else grace,
        unfinished_s=unfinished_for,
    )
    with _told() as tell:
        collection = Collection(_open(datastore_root), rules, progress=tell)
        report = collection.look()
        if delete:
            running = report.running
            report = collection.delete()
            report.running = running
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        _show(report, rules, deleted=delete)


def _show(report: Report, rules: Rules, *, deleted: bool) -> None:
    word = "deleted" if deleted else "would delete"
    for name in report.dropped:
        click.echo(f"{word} {name}")
    for name in report.returned:
        click.echo(f"kept {name}: somebody wrote to it or resumed it meanwhile")
    size = 0
    for flow, freed in sorted(report.flows.items()):
        size += freed.size
        counts = [
            _count(number, name)
            for name, number in (
                ("run", freed.runs),
                ("attempt", freed.attempts),
                ("plan", freed.plans),
                ("record", freed.records),
                ("blob", freed.blobs),
            )
            if number
        ]
        click.echo(
            f"{flow or 'of no run'}: {', '.join(counts) or 'unfinished files'}, {size_text(freed.size)}"
        )
    click.echo(
        f"{word} {size_text(size)} in all; kept {_count(report.kept_runs, 'run')}, {report.running} running"
    )
    if report.young:
        click.echo(f"{_count(report.young, 'blob')} that no run names stay for the grace period")
    if report.relisted:
        listed = "listed again" if deleted else "would list again"
        click.echo(f"{listed} {_count(report.relisted, 'run')} that the list of the flow had lost")
    if not rules.drop_runs:
        click.echo("no run goes without --older-than, --keep-latest or --only")
    if not deleted:
        click.echo("nothing is deleted without --delete")


@click.command(
    "copy",
    help="Copy runs into another store: RUN is Flow/run, or Flow for all runs of a flow. What is there "
    "already is not copied again.",
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--to", "to", required=True, metavar="FOLDER|URL", help="The store to copy into.")
@click.option("--from", "from_", metavar="FOLDER|URL", help="The store to copy from; else the setting's.")
@_JSON
def copy(runs: tuple[str, ...], to: str, from_: str | None, as_json: bool) -> None:
    from airloom.store.copying import copy

    specs = [Pathspec.parse(text) for text in runs]
    with _told() as tell:
        copied = copy(
            _open(from_),
            _open(to),
            specs,
            progress=lambda so_far: tell(
                f"{so_far.runs} of the runs, {so_far.blobs} blobs, {size_text(so_far.size)}"
            ),
        )
    if as_json:
        click.echo(json.dumps(asdict(copied), indent=2))
        return
    kept = f", {_count(copied.objects, 'object')} kept with them" if copied.objects else ""
    click.echo(
        f"copied {_count(copied.runs, 'run')}: {_count(copied.records, 'record')}{kept} and "
        f"{_count(copied.blobs, 'blob')}, {size_text(copied.size)}; "
        f"{_count(copied.present, 'blob')} were there already"
    )


CARE_COMMANDS = (verify, gc, copy)


def _open(root: str | None) -> Objects:
    settings = settings_of.load({"datastore_root": root})
    return open_objects(settings.datastore_root, settings)


def _count(number: int, name: str) -> str:
    return f"1 {name}" if number == 1 else f"{number} {name}s"


@contextmanager
def _told() -> Iterator[Callable[[str], None]]:
    """Give a function that shows on a terminal what is being done, and elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        yield status.update
