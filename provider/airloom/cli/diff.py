"""``diff``: what a deploy of a flow would change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import click

from airloom.cli.choices import FlowFile
from airloom.cli.flow_commands import Options
from airloom.codec import Json, to_json
from airloom.compiler.dagfile import check_templates, render
from airloom.compiler.differences import (
    Differences,
    Files,
    Section,
    Values,
    differences,
    differing_files,
    unified,
)
from airloom.compiler.planner import Compiled
from airloom.compiler.seals import read_seal
from airloom.deploy import file_name
from airloom.errors import NotFound
from airloom.names import did_you_mean
from airloom.plan import Plan
from airloom.settings import Settings
from airloom.store.datastore import Datastore
from airloom.store.deployments import Deployments

_UNITS = {"memory_mib": " MiB", "disk_mib": " MiB", "shared_memory_mib": " MiB", "cpu": " vCPU"}
_SHORT = 60


@dataclass(frozen=True)
class Old:
    """What is compared with: its plan, a word for it, the text of its DAG file where that is known."""

    plan: Plan
    name: str
    text: str | None = None


def diff_verb(source: FlowFile) -> click.Command:
    """Build the verb for one flow."""

    @click.command(
        "diff",
        help="Say what a deploy would change. Exit code 0: nothing; 1: something; 2 and above: an error.",
    )
    @click.option(
        "--against",
        metavar="deployed|DIGEST|RUN",
        default="deployed",
        show_default=True,
        help="What to compare with: what is deployed, a plan, or the plan of a run.",
    )
    @click.option("--dags-folder", metavar="FOLDER", help="What is deployed into this DAG folder.")
    @click.option("--template-dir", metavar="FOLDER", help="Templates that the deploy would use.")
    @click.option("--code", is_flag=True, help="Show the lines of code that differ.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.pass_obj
    def diff(
        options: Options,
        against: str,
        dags_folder: str | None,
        template_dir: str | None,
        code: bool,
        as_json: bool,
    ) -> int:
        compiled, settings = options.compile(source), options.settings
        datastore = Datastore.open(settings)
        folder = None if dags_folder is None else Path(dags_folder)
        old = _old(compiled.plan, datastore, settings, against, folder)
        if old is None:
            _tell_new(compiled, as_json=as_json, quiet=options.quiet)
            return 1
        archive = compiled.package.archive
        same = old.plan.code == compiled.plan.code
        before = archive if same else datastore.code(old.plan.code)
        text = _text(compiled.plan, template_dir) if old.text is not None else None
        found = differences(
            old.plan,
            compiled.plan,
            Files() if same else differing_files(before, archive),
            dag_file=old.text != text and old.plan.digest == compiled.plan.digest,
        )
        lines = list(unified(before, archive)) if code and not same else []
        if as_json:
            click.echo(json.dumps(_json(old, compiled.plan, found, lines), indent=2, sort_keys=True))
        elif not options.quiet:
            for line in [*_lines(old, compiled.plan, found), *lines]:
                click.echo(line)
        return 1 if found else 0

    return diff


def _text(plan: Plan, template_dir: str | None) -> str:
    templates = None if template_dir is None else Path(template_dir)
    if templates is not None:
        check_templates(templates)
    return render(plan, templates=templates)


# -- what it is compared with --------------------------------------------------------------


def _old(
    plan: Plan, datastore: Datastore, settings: Settings, against: str, folder: Path | None
) -> Old | None:
    if folder is not None:
        return _in_folder(plan, datastore, folder)
    if against == "deployed":
        return _deployed(plan, datastore, Deployments.open(settings))
    if against.startswith("b3:"):
        digest = _digest(plan.flow, datastore, against)
        return Old(datastore.plan(plan.flow, digest), f"the plan {digest[:11]}")
    run = against.removeprefix(f"{plan.flow}/")
    record = datastore.run(plan.flow, run)
    return Old(datastore.plan(plan.flow, record.plan), f"the run {plan.flow}/{run}")


def _in_folder(plan: Plan, datastore: Datastore, folder: Path) -> Old | None:
    file = folder / file_name(plan.dag_id)
    if not file.is_file():
        return None
    text = file.read_text(encoding="utf-8")
    seal = read_seal(text)
    if seal is None or not seal.plan:
        raise NotFound(
            "the DAG file does not say which plan it was made of",
            where=str(file),
            mend="deploy the flow there first, or compare with --against DIGEST.",
        )
    return Old(datastore.plan(seal.flow, seal.plan), f"the plan {seal.plan[:11]} in {file}", text)


def _deployed(plan: Plan, datastore: Datastore, deployments: Deployments) -> Old | None:
    file = deployments.current().of_dag(plan.dag_id)
    if file is not None:
        text = deployments.text(file).decode("utf-8")
        return Old(datastore.plan(file.flow, file.plan), f"the plan {file.plan[:11]} in the datastore", text)
    notes = sorted(deployments.folders(plan.dag_id), key=lambda note: note.deployed_at)
    if not notes:
        return None
    last = notes[-1]
    name = f"the plan {last.plan[:11]} in {last.file} on {last.host}"
    return Old(datastore.plan(last.flow, last.plan), name)


def _digest(flow: str, datastore: Datastore, start: str) -> str:
    known = datastore.plans(flow)
    found = [digest for digest in known if digest.startswith(start)]
    if len(found) != 1:
        raise NotFound(
            f"{len(found) or 'no'} plans of {flow} begin with {start}",
            where=f"{datastore.root}",
            mend="give more of the digest." if found else did_you_mean(start, known),
        )
    return found[0]


# -- what is told --------------------------------------------------------------------------


def _tell_new(compiled: Compiled, *, as_json: bool, quiet: bool) -> None:
    plan = compiled.plan
    if as_json:
        said = {"dag_id": plan.dag_id, "before": None, "after": plan.digest, "changed": True}
        click.echo(json.dumps(said, indent=2, sort_keys=True))
    elif not quiet:
        click.echo(f"{plan.dag_id}: is not deployed; a deploy would bring {len(plan.steps)} steps")


def _json(old: Old, plan: Plan, found: Differences, lines: list[str]) -> Json:
    return {
        "dag_id": plan.dag_id,
        "before": old.plan.digest,
        "after": plan.digest,
        "changed": bool(found),
        **{item.name: to_json(getattr(found, item.name)) for item in fields(found)},
        **({"code": "\n".join(lines)} if lines else {}),
    }


def _lines(old: Old, plan: Plan, found: Differences) -> Iterator[str]:
    if not found:
        yield f"{plan.dag_id}: nothing would change against {old.name}"
        return
    yield f"{plan.dag_id}: {plan.digest[:11]} against {old.name}"
    for name, (before, after) in found.flow.items():
        yield f"  {name}: {_shown(name, before)} -> {_shown(name, after)}"
    yield from _section("parameter", found.parameters)
    yield from _section("config", found.configs)
    yield from _section("step", found.steps)
    for sign, names in (("+", found.files.added), ("-", found.files.removed), ("~", found.files.changed)):
        yield from (f"  {sign} file {name}" for name in names)
    if found.dag_file:
        yield "  ~ the DAG file: the templates give another text"


def _section(kind: str, section: Section) -> Iterator[str]:
    yield from (f"  + {kind} {name}" for name in section.added)
    yield from (f"  - {kind} {name}" for name in section.removed)
    for name, values in section.changed.items():
        yield f"  ~ {kind} {name}"
        yield from _changes(values)


def _changes(values: Values) -> Iterator[str]:
    for name, (before, after) in values.items():
        label = f"{name}: " if name else ""
        yield f"      {label}{_shown(name, before)} -> {_shown(name, after)}"


def _shown(name: str, value: Json) -> str:
    text = "none" if value is None else value if isinstance(value, str) and value else json.dumps(value)
    unit = _UNITS.get(name.rpartition(".")[2], "") if value is not None else ""
    return f"{text if len(text) <= _SHORT else text[: _SHORT - 3] + '...'}{unit}"
