"""Parameters of a flow as options, variables and files: from what people write to JSON values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import click

from airloom.codec import Json
from airloom.compiler.planner import Compiled, source_file
from airloom.errors import ConfigError, ParameterError
from airloom.flow.files import find_file
from airloom.flow.parameters import Parameter, from_text, parameters_of
from airloom.flow.spec import FlowSpec
from airloom.names import did_you_mean
from airloom.plan import ParameterPlan

_TYPES = {"int": "INTEGER", "float": "NUMBER", "bool": "BOOLEAN", "json": "JSON", "file": "PATH"}
_ENVIRONMENT = ("AIRLOOM_RUN_", "METAFLOW_RUN_")


def parameter_options(flow: type[FlowSpec]) -> list[click.Option]:
    """Options of the command line for a flow's parameters; their values stay text until the plan is known."""
    return [_option(parameter) for parameter in parameters_of(flow).values()]


def file_option() -> click.Option:
    """Option that names a file with parameters."""
    return click.Option(
        ["--params-file"], metavar="PATH", help="JSON or YAML with parameters; options win over it."
    )


def _option(parameter: Parameter) -> click.Option:
    flags = {f"--{parameter.name}", f"--{parameter.name.replace('_', '-')}"}
    default = parameter.default
    shown = (
        ""
        if default is None or callable(default) or not parameter.show_default
        else f"  [default: {default}]"
    )
    needed = "  [required]" if parameter.required else ""
    choices = None if parameter.typed is None else parameter.typed.schema.get("enum")
    metavar = _TYPES.get(parameter.kind, "TEXT")
    return click.Option(
        [*sorted(flags), f"parameter_{parameter.attribute}"],
        type=click.STRING,
        metavar="|".join(map(str, choices)) if isinstance(choices, list) else metavar,
        help=f"{parameter.help}{shown}{needed}".strip(),
    )


def given(
    compiled: Compiled,
    flow: type[FlowSpec],
    values: Mapping[str, str | None],
    environment: Mapping[str, str],
    file: str | None = None,
) -> dict[str, Json | bytes]:
    """Parameters that options, a file or the variables AIRLOOM_RUN_<NAME> give, the first of these first.

    Returns
    -------
    JSON values, and bytes for files.

    Raises
    ------
    ParameterError
        When a text is not of its parameter's type, or the file names what is no parameter.
    """
    declared = parameters_of(flow)
    written = {} if file is None else _read(Path(file), compiled)
    found: dict[str, Json | bytes] = {}
    for parameter in compiled.plan.parameters:
        text, where = values.get(f"parameter_{parameter.attribute}"), f"--{parameter.name}"
        if text is None and parameter.name in written:
            value, where = written[parameter.name], file or ""
        else:
            if text is None:
                text, where = _variable(parameter, environment)
            if text is None:
                continue
            value = text if parameter.type == "file" else from_text(parameter, text, where)
        if parameter.type == "file":
            path = find_file(parameter.name, str(value), source_file(flow).parent, where)
            found[parameter.name] = path.read_bytes()
        elif value is not None:
            found[parameter.name] = declared[parameter.attribute].check(value, where)
    return found


def _variable(parameter: ParameterPlan, environment: Mapping[str, str]) -> tuple[str | None, str]:
    for prefix in _ENVIRONMENT:
        name = prefix + parameter.name.upper().replace("-", "_")
        if name in environment:
            return environment[name], name
    return None, ""


def _read(file: Path, compiled: Compiled) -> dict[str, Json]:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix in (".yaml", ".yml"):
            from airloom.flow.parsers import yaml_parser

            value = yaml_parser(text)
        else:
            value = json.loads(text)
    except OSError as error:
        raise ParameterError(
            f"the file of parameters cannot be read: {error.strerror}",
            where=f"--params-file {file}",
            mend="give the path of a JSON or YAML file.",
        ) from None
    except ConfigError:
        raise
    except Exception as error:
        raise ParameterError(
            f"the file of parameters cannot be parsed: {error}",
            where=str(file),
            mend="write JSON, or YAML in a file that ends with .yaml.",
        ) from None
    if not isinstance(value, dict):
        raise ParameterError(
            f"the file of parameters holds {type(value).__name__}, not names and values",
            where=str(file),
            mend='write e.g. {"alpha": 0.5}.',
        )
    known = {parameter.name.replace("-", "_"): parameter for parameter in compiled.plan.parameters}
    found: dict[str, Json] = {}
    for name, item in value.items():
        parameter = known.get(str(name).replace("-", "_"))
        if parameter is None:
            names = [one.name for one in compiled.plan.parameters]
            raise ParameterError(
                f"the flow {compiled.plan.flow} has no parameter {name!r}",
                where=str(file),
                mend=did_you_mean(str(name), names),
            )
        split = parameter.type == "list" and isinstance(item, str)
        found[parameter.name] = from_text(parameter, item, str(file)) if split else _plain(item)
    return found


def _plain(value: Any) -> Json:
    """JSON of what YAML gives: it reads dates as such."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def as_conf(given: Mapping[str, Json | bytes]) -> dict[str, Json]:
    """Conf of an Airflow run for given parameters: a file goes as its text."""
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in given.items()}
