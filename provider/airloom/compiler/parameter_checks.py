"""Refusals about names: parameters, attributes that every flow has, and what a step may not set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from airloom.compiler.graph import Graph
from airloom.compiler.transitions import assignments
from airloom.errors import ConfigError, FlowError, GraphError, ParameterError, Place
from airloom.flow.configs import configs_of
from airloom.flow.declarations import step_declaration
from airloom.flow.parameters import Parameter, parameters_of
from airloom.flow.spec import FlowSpec, constants_of

FLOW_ATTRIBUTES = frozenset(name for name in vars(FlowSpec) if not name.startswith("_"))
"""What ``self`` has in every flow."""

RESERVED_STEPS = FLOW_ATTRIBUTES | {"cmd"}
"""Names that no step can have."""

RESERVED_PARAMETERS = frozenset(
    {
        "params",
        "params-file",
        "with",
        "tag",
        "namespace",
        "obj",
        "tags",
        "decospecs",
        "run-id-file",
        "max-num-splits",
        "max-workers",
        "max-log-size",
        "user-namespace",
        "run-id",
        "task-id",
        "runner-attribute-file",
        "origin-run-id",
        "debug",
        "help",
        "home",
        "keep",
        "airflow-url",
        "airflow-user",
        "airflow-password",
        "wait-for-end",
    }
)
"""Options of the command line, spelled with dashes."""

CONFIG_OPTIONS = frozenset({"config", "config-value"})
"""Those of a flow that has configs."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


def parameter_names(graph: Graph) -> Iterator[FlowError]:
    """Refuse a name that cannot be an option of the command line."""
    for parameter in parameters_of(graph.flow_class).values():
        if not (isinstance(parameter.name, str) and _NAME.match(parameter.name)):
            yield parameter.refused(
                "that cannot be its name", "use letters, digits, _ and -, with a letter or _ first."
            )


def unique_parameters(graph: Graph) -> Iterator[FlowError]:
    """Refuse two parameters of one name; capitals, - and _ make no difference."""
    seen: dict[str, Parameter] = {}
    for parameter in parameters_of(graph.flow_class).values():
        key = str(parameter.name).lower().replace("-", "_")
        first = seen.setdefault(key, parameter)
        if first is not parameter:
            yield parameter.refused(
                f"the parameter {first.name!r} of line {first.place.line} has the same name",
                "rename one of them; capitals, - and _ make no difference.",
            )


def reserved_parameters(graph: Graph) -> Iterator[FlowError]:
    """Refuse the names of options, of steps and of what every flow has."""
    taken = RESERVED_PARAMETERS | (CONFIG_OPTIONS if configs_of(graph.flow_class) else frozenset())
    for attribute, parameter in parameters_of(graph.flow_class).items():
        spelled = str(parameter.name).replace("-", "_")
        if spelled.lower().replace("_", "-") in taken:
            yield parameter.refused("the command line has an option of that name", "choose another name.")
        elif FLOW_ATTRIBUTES & {attribute, spelled}:
            yield parameter.refused("that name is part of every flow", "choose another name.")
        elif spelled in graph.nodes:
            yield parameter.refused("a step has the same name", "rename the parameter or the step.")


def hidden_attributes(graph: Graph) -> Iterator[FlowError]:
    """Refuse a flow that replaces what every flow has."""
    hidden: dict[str, object] = {}
    for base in graph.flow_class.__mro__:
        if base is FlowSpec:
            break
        for name in FLOW_ATTRIBUTES & set(vars(base)):
            hidden.setdefault(name, vars(base)[name])
    for name, value in sorted(hidden.items()):
        if isinstance(value, Parameter) or step_declaration(value) is not None:
            continue  # told by reserved_parameters and step_names
        code = getattr(value, "__code__", None)
        line = graph.line if code is None else code.co_firstlineno
        yield GraphError(
            f"the flow {graph.flow} replaces {name!r}, which is part of every flow",
            where=Place(graph.file if code is None else code.co_filename, line),
            mend="choose another name.",
        )


def read_only(graph: Graph) -> Iterator[FlowError]:
    """Refuse a step that sets a parameter, a class-level value, a step or what every flow has."""
    parameters = parameters_of(graph.flow_class)
    configs = configs_of(graph.flow_class)
    constants = set(constants_of(graph.flow_class))
    for node in graph.nodes.values():
        told: set[str] = set()
        for name, line in () if node.definition is None else assignments(node.definition):
            if name in told:
                continue
            told.add(name)
            where = Place(node.file, line, node.name)
            if name in FLOW_ATTRIBUTES:
                yield GraphError(
                    f"the step {node.name!r} sets self.{name}, which is part of every flow",
                    where=where,
                    mend="use another name for the artifact.",
                )
            elif name in graph.nodes:
                yield GraphError(
                    f"the step {node.name!r} sets self.{name}, which is a step of the flow",
                    where=where,
                    mend="use another name for the artifact.",
                )
            elif name in configs:
                yield ConfigError(
                    f"the step {node.name!r} changes the config {name!r}, which is read-only",
                    where=where,
                    mend="keep the new value under another name.",
                )
            elif name in parameters:
                yield ParameterError(
                    f"the step {node.name!r} changes the parameter {name!r}, which is read-only",
                    where=where,
                    mend="keep the new value under another name.",
                )
            elif name in constants:
                yield GraphError(
                    f"the step {node.name!r} changes {name!r}, which is read-only: it stands in the class",
                    where=where,
                    mend="keep the new value under another name, or set the first one in a step.",
                )


PARAMETER_RULES: tuple[Callable[[Graph], Iterator[FlowError]], ...] = (
    parameter_names,
    unique_parameters,
    reserved_parameters,
    hidden_attributes,
    read_only,
)
