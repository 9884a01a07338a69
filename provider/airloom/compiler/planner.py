"""From a flow class to its plan: the graph, checked, with everything that the decorators say."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airloom.codec import Json
from airloom.compiler.checks import check
from airloom.compiler.graph import Graph, Placement, build, placements
from airloom.compiler.package import CodePackage, pack
from airloom.errors import FlowError, Place
from airloom.flow.config_sources import ConfigSource, resolve_configs
from airloom.flow.configs import ConfigValue, ParameterContext, config_values, configs_of
from airloom.flow.declarations import flow_declaration
from airloom.flow.files import IncludeFile
from airloom.flow.finishing import finish
from airloom.flow.parameters import parameters_of
from airloom.flow.spec import FlowSpec, constants_of
from airloom.flow.user_decorators import wrappers
from airloom.plan import EventTrigger, ExitHooks, ParameterPlan, Plan, Project, StepPlan, Transition
from airloom.version import __version__

if TYPE_CHECKING:
    from airloom.settings import Settings


@dataclass(frozen=True)
class Compiled:
    """A plan, and what it names by digest: the code package and the files that come with parameters."""

    plan: Plan
    package: CodePackage
    files: dict[str, bytes]


def compile_flow(
    flow: type[FlowSpec],
    settings: Settings,
    *,
    branch: str | None = None,
    production: bool = False,
    configs: Mapping[str, Json] | None = None,
    attached: Sequence[str] = (),
    packed: bool = True,
) -> Compiled:
    """Compile a flow class.

    Parameters
    ----------
    branch, production
        Which deployment of a @project this is; they win over what the decorator says.
    configs
        Values of the flow's configs, as `resolve_configs` gives them; their defaults when None.
    attached
        Decorators as texts, for all steps that do not have them.
    packed
        False leaves the code package empty: enough for a plan that only this process reads.

    Raises
    ------
    CheckFailed
        With everything that is wrong with the flow's graph and parameters.
    FlowError
        When its code cannot be packed, or a parameter's default is not of its type.
    """
    if configs is None:
        configs = default_configs(flow, settings)
    flow = finish(flow, configs, attached)
    graph = build(flow)
    check(graph)
    source = source_file(flow)
    package = CodePackage(b"", ())
    if packed:
        package = pack(source, suffixes=settings.suffixes, limit_mib=int(settings.package_limit_mib))
    parameters, files = _parameters(flow, source.parent, settings, configs)
    places = placements(graph)
    said = flow_declaration(flow)
    project = _project(flow, settings.user_name, branch, production)
    plan = Plan(
        flow=flow.__name__,
        module=source.stem,
        steps=tuple(_step(graph, name, places[name], source.stem) for name in graph.nodes),
        start=str(graph.start),
        end=str(graph.end),
        parameters=parameters,
        constants=constants_of(flow),
        configs=dict(configs),
        attached=tuple(attached),
        schedule=said.schedule,
        project=project,
        triggers=tuple(_trigger(one, project) for one in said.triggers),
        exit_hooks=None if said.exit_hooks is None else ExitHooks(*said.exit_hooks),
        code=package.digest,
        doc=_dedent(flow.__dict__.get("__doc__") or ""),
        airloom_version=__version__,
    )
    return Compiled(plan, package, files)


def default_configs(
    flow: type[FlowSpec], settings: Settings, given: Mapping[str, ConfigSource] | None = None
) -> dict[str, Json]:
    """Values of a flow's configs: as given, otherwise their defaults.

    Raises
    ------
    ConfigError
        When one cannot be read.
    """
    if not configs_of(flow) and not given:
        return {}
    return resolve_configs(flow, source_file(flow).parent, settings.user_name, given)


def source_file(flow: type) -> Path:
    """File that defines a flow class.

    Raises
    ------
    FlowError
        When the class comes from no file, or from one that cannot be imported by name.
    """
    file = getattr(sys.modules.get(flow.__module__), "__file__", None)
    if file is None:
        raise FlowError(
            f"the flow {flow.__name__} is not defined in a file",
            where=flow.__module__,
            mend="write the class into a .py file of its own.",
        )
    path = Path(file)
    if not path.stem.isidentifier():
        raise FlowError(
            f"the file {path.name!r} cannot be imported by its name",
            where=Place(str(path)),
            mend=f"rename it, e.g. to {''.join(c if c.isalnum() else '_' for c in path.stem)}.py.",
        )
    return path


def _project(flow: type, user: str, branch: str | None, production: bool) -> Project | None:
    said = flow_declaration(flow).project
    if said is None:
        if branch is not None or production:
            raise FlowError(
                f"a branch or production is named, and {flow.__name__} belongs to no project",
                where="the command line",
                mend="put @project(name=...) on the flow.",
            )
        return None
    name, said_branch, said_production = said
    branch, production = branch or said_branch, production or said_production
    if production:
        return Project(name, f"prod.{branch}" if branch else "prod", production=True)
    return Project(name, f"test.{branch}" if branch else "user." + re.sub(r"[^A-Za-z0-9_-]", "_", user))


def _trigger(said: EventTrigger, project: Project | None) -> EventTrigger:
    """Name the flow of the same project and branch where a name alone is given."""
    if not said.finished or project is None or "." in said.name:
        return said
    return replace(said, name=f"{project.name}.{project.branch}.{said.name}")


def _parameters(
    flow: type, folder: Path, settings: Settings, configs: Mapping[str, Json]
) -> tuple[tuple[ParameterPlan, ...], dict[str, bytes]]:
    plans: list[ParameterPlan] = []
    files: dict[str, bytes] = {}
    kind = settings.datastore_root.partition("://")[0] if "://" in settings.datastore_root else "local"
    values = ConfigValue(config_values(flow, configs))
    for parameter in parameters_of(flow).values():
        context = ParameterContext(flow.__name__, parameter.name, settings.user_name, kind, values)
        if isinstance(parameter, IncludeFile):
            plan, data = parameter.read(context, folder)
            if plan.digest is not None and data is not None:
                files[plan.digest] = data
        else:
            plan = parameter.to_plan(context, folder)
        plans.append(plan)
    return tuple(plans), files


def _step(graph: Graph, name: str, place: Placement, module: str) -> StepPlan:
    node = graph.nodes[name]
    said = node.declaration
    return StepPlan(
        name=name,
        transition=node.transition or Transition("end"),
        parents=place.parents,
        joins=place.joins,
        splits=place.splits,
        foreaches=place.foreaches,
        doc=_dedent(node.doc),
        line=node.line,
        target=said.target,
        resources=said.resources,
        recovery=said.recovery,
        batch=said.batch,
        ecs=said.ecs,
        retry=replace(said.retry, on=tuple(_by_module(kind, module) for kind in said.retry.on)),
        catch=said.catch,
        cards=said.cards,
        timeout_s=said.timeout_s,
        variables=dict(said.variables),
        secrets=tuple(source.name for source in said.secrets),
        wrappers=tuple(one.name for one in wrappers(said)),
        inlets=said.inlets,
        outlets=said.outlets,
    )


def _by_module(name: str, module: str) -> str:
    # A class beside the flow is __main__'s while the file is run, and the module's in every task.
    return re.sub(r"^__main__\.", f"{module}.", name)


def _dedent(doc: str) -> str:
    first, _, rest = doc.strip().partition("\n")
    lines = rest.splitlines()
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join([first, *(line[margin:].rstrip() for line in lines)]).strip()
