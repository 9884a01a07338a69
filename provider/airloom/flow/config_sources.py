"""Where the values of configs come from: files, texts and defaults, and the parsers that read them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airloom.codec import Json
from airloom.errors import ConfigError, Place
from airloom.flow.configs import Declared, ParameterContext, configs_of
from airloom.names import did_you_mean

_PARSERS = {"yaml": "airloom.flow.parsers.yaml_parser", "toml": "airloom.flow.parsers.toml_parser"}


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """A config's value that was given from outside: a file's path, or the text itself."""

    where: str
    path: str | None = None
    text: str | None = None


def resolve_configs(
    flow: type, folder: Path, user: str, given: Mapping[str, ConfigSource] | None = None
) -> dict[str, Json]:
    """Read and parse the configs of a flow class.

    Raises
    ------
    ConfigError
        When a given name is none, a file is missing, a text cannot be parsed, or a required value is missing.
    """
    declared = {config.airloom_config.name: config.airloom_config for config in configs_of(flow).values()}
    for name, source in (given or {}).items():
        if name not in declared:
            raise ConfigError(
                f"the flow {flow.__name__} has no config {name!r}",
                where=source.where,
                mend=did_you_mean(name, list(declared)),
            )
    return {
        name: _resolve(said, flow.__name__, folder, user, (given or {}).get(name))
        for name, said in declared.items()
    }


def _resolve(said: Declared, flow: str, folder: Path, user: str, source: ConfigSource | None) -> Json:
    where: Place | str = source.where if source is not None else said.place
    value: Any = None
    if source is not None and source.text is not None:
        value = source.text
    elif source is not None and source.path is not None:
        value = _read(said, source.path, (Path(), folder), where)
    else:
        context = ParameterContext(flow, said.name, user)
        path, value = (_called(said, default, context) for default in (said.default, said.default_value))
        if path is not None:
            value = _read(said, str(path), (folder, Path()), where)
    if value is None:
        if said.required:
            raise ConfigError(
                f"the config {said.name!r} is required and has no value",
                where=said.place,
                mend=f"give --config {said.name} PATH or --config-value {said.name} JSON.",
            )
        return None
    if not isinstance(value, str):
        if said.parser is None:
            return _json(said, value, where)
        value = json.dumps(_json(said, value, where))
    return _json(said, _parsed(said, value, where), where)


def _called(said: Declared, default: Any, context: ParameterContext) -> Any:
    if not callable(default):
        return default
    try:
        return default(context)
    except Exception as error:
        raise ConfigError(
            f"the default of the config {said.name!r} raised {error!r}", where=said.place, mend="mend it."
        ) from error


def _read(said: Declared, path: str, folders: tuple[Path, Path], where: Place | str) -> str:
    for folder in folders:
        file = folder / Path(path).expanduser()
        if file.is_file():
            try:
                return file.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise ConfigError(
                    f"the config {said.name!r}: the file {path!r} is not UTF-8 text ({error})",
                    where=where,
                    mend="save it as UTF-8.",
                ) from error
    raise ConfigError(
        f"the config {said.name!r}: the file {path!r} does not exist",
        where=where,
        mend=f"write the file, or give --config {said.name} PATH or --config-value {said.name} JSON.",
    )


def _parsed(said: Declared, text: str, where: Place | str) -> Any:
    if said.parser is None:
        if said.plain:
            return text
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ConfigError(
                f"the config {said.name!r} is not JSON ({error})",
                where=where,
                mend="mend the text, or name a parser, e.g. parser='yaml'.",
            ) from None
    else:
        parser = _parser(said)
        try:
            value = parser(text)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"the config {said.name!r} cannot be parsed: {error}", where=where, mend="mend the text."
            ) from error
    if not said.plain and not isinstance(value, Mapping):
        raise ConfigError(
            f"the config {said.name!r} is {type(value).__name__}, not a mapping",
            where=where,
            mend="give keys and values, or declare it with plain=True.",
        )
    return value


def _parser(said: Declared) -> Callable[[str], Any]:
    if callable(said.parser):
        return said.parser
    name = str(said.parser)
    module, _, function = _PARSERS.get(name, name).rpartition(".")
    mend = f"write one of {', '.join(map(repr, _PARSERS))}, or the dotted name of a function."
    try:
        found = getattr(importlib.import_module(module), function) if module else None
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the config {said.name!r}: the parser {name!r} cannot be imported ({error})",
            where=said.place,
            mend=mend,
        ) from error
    if not callable(found):
        raise ConfigError(
            f"the config {said.name!r}: the parser {name!r} is no function", where=said.place, mend=mend
        )
    parser: Callable[[str], Any] = found
    return parser


def _json(said: Declared, value: Any, where: Place | str) -> Json:
    try:
        found: Json = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"the config {said.name!r} holds what is not JSON ({error})",
            where=where,
            mend="let its parser give texts, numbers, true, false, null, lists and mappings with text keys.",
        ) from error
    return found
