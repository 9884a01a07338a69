"""What a command line chooses before a flow is compiled: its configs, and decorators for all steps.

These are taken out of the command line first, wherever they stand: the options of the verbs
depend on them, because configs and mutators may add parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import click

from airloom import settings as settings_of
from airloom.codec import Json
from airloom.compiler.planner import default_configs
from airloom.errors import ConfigError, FlowError, Place
from airloom.flow.config_sources import ConfigSource
from airloom.flow.configs import configs_of
from airloom.flow.finishing import finish
from airloom.flow.spec import FlowSpec

_OPERANDS = {"--config": 2, "--config-value": 2, "--with": 1}
_VARIABLE = "AIRLOOM_FLOW_CONFIG_"


@dataclass(frozen=True)
class Choices:
    """Configs that were given, by name, and decorators as texts."""

    configs: Mapping[str, ConfigSource] = field(default_factory=dict)
    attached: tuple[str, ...] = ()


def take(arguments: Sequence[str], flow: type[FlowSpec]) -> tuple[Choices, list[str]]:
    """Take the choices out of a command line; give them and what is left.

    Options of configs are left alone where the flow has none: it may have a parameter of that name.

    Raises
    ------
    ConfigError
        When one config is given twice.
    """
    configs: dict[str, ConfigSource] = {}
    attached: list[str] = []
    rest: list[str] = []
    waiting = list(arguments)
    known = {option: count for option, count in _OPERANDS.items() if count == 1 or configs_of(flow)}
    while waiting:
        argument = waiting.pop(0)
        option, equals, value = argument.partition("=")
        if argument == "--":
            rest += [argument, *waiting]
            break
        if option not in known:
            rest.append(argument)
            continue
        count = known[option]
        operands = [value] if equals else []
        while len(operands) < count and waiting:
            operands.append(waiting.pop(0))
        if len(operands) < count:
            raise click.UsageError(f"{option} takes {count} value{'s' if count > 1 else ''}")
        if option == "--with":
            attached.append(operands[0])
        else:
            _give(configs, option, *operands)
    return Choices(configs, tuple(attached)), rest


def _give(configs: dict[str, ConfigSource], option: str, name: str, value: str) -> None:
    if name in configs:
        raise ConfigError(
            f"the config {name!r} is given twice", where=option, mend="give one path or one value."
        )
    as_path = option == "--config"
    configs[name] = ConfigSource(
        f"{option} {name}", path=value if as_path else None, text=None if as_path else value
    )


def offered(flow: type[FlowSpec]) -> list[click.Parameter]:
    """The same options for the help; by then `take` has read them."""
    found: list[click.Parameter] = [
        click.Option(
            ["--with"],
            multiple=True,
            expose_value=False,
            metavar="DECORATOR",
            help="Put a decorator on all steps that have none of its name, e.g. retry:times=2.",
        )
    ]
    if configs_of(flow):
        names = ", ".join(config.airloom_config.name for config in configs_of(flow).values())
        for option, metavar, what in (
            ("--config", "NAME PATH", f"File of a config ({names})."),
            ("--config-value", "NAME JSON", "Value of a config, as the text that its parser reads."),
        ):
            found.append(
                click.Option([option], nargs=2, multiple=True, expose_value=False, metavar=metavar, help=what)
            )
    return found


@dataclass(frozen=True)
class FlowFile:
    """A flow class, the file that it was read from, and what was chosen for it."""

    file: Path
    flow: type[FlowSpec]
    choices: Choices = Choices()
    environment: Mapping[str, str] = field(default_factory=dict)
    finishing: bool = True

    @classmethod
    def read(cls, file: Path, name: str | None) -> FlowFile:
        """Import a flow's file.

        Raises
        ------
        FlowError
            When there is no such file or no such flow in it.
        """
        from airloom.runtime.code import import_flow

        if not file.is_file():
            raise FlowError(
                "there is no such file", where=Place(str(file)), mend="give the path of a flow's file."
            )
        return cls(file, import_flow(file, name))

    @cached_property
    def configs(self) -> dict[str, Json]:
        """Values of the configs: from the command line, AIRLOOM_FLOW_CONFIG_<NAME>, or their defaults.

        Raises
        ------
        ConfigError
            When one cannot be read.
        """
        given = {**self._from_environment(), **self.choices.configs}
        return default_configs(self.flow, settings_of.load(), given)

    def _from_environment(self) -> dict[str, ConfigSource]:
        found: dict[str, ConfigSource] = {}
        for config in configs_of(self.flow).values():
            name = config.airloom_config.name
            path, text = (
                prefix + name.upper().replace("-", "_") for prefix in (_VARIABLE, _VARIABLE + "VALUE_")
            )
            if text in self.environment:
                found[name] = ConfigSource(text, text=self.environment[text])
            elif path in self.environment:
                found[name] = ConfigSource(path, path=self.environment[path])
        return found

    @cached_property
    def finished(self) -> type[FlowSpec]:
        """The class that is compiled: configs filled in, mutators done.

        Raises
        ------
        FlowError
            When a config cannot be read, or a mutator fails.
        """
        return finish(self.flow, self.configs, self.choices.attached) if self.finishing else self.flow
