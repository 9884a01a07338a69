"""Configs: values that are read when a flow is compiled, and hold for all that follows.

A config is a file or a text that a parser turns into JSON. Its value goes into the plan, so
that a deployed flow sees what it was deployed with, wherever its tasks run. Because it is known
before anything else, decorators, parameters and switches may use it: ``cfg.memory`` in the
class body, or ``config_expr("cfg.memory")`` anywhere, stands for a value that is filled in then.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from airloom.codec import Json
from airloom.errors import ConfigError, Place
from airloom.names import did_you_mean

_UNPACKED = "airloom-unpacked-"


class ConfigValue(dict[str, Any]):
    """A config's value inside of a flow: a dict that cannot be changed, with its keys as attributes.

    >>> value = ConfigValue({"model": {"layers": [3, 4]}})
    >>> value.model.layers, value["model"]["layers"], value.to_dict()
    ([3, 4], [3, 4], {'model': {'layers': [3, 4]}})
    """

    __slots__ = ()

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__({key: _frozen(value) for key, value in data.items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            if name.startswith("__"):
                raise AttributeError(name) from None
            raise AttributeError(f"the config has no key {name!r}: {did_you_mean(name, [*self])}") from None

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and lists, which may be changed."""
        plain: dict[str, Any] = _plain(self)
        return plain

    def copy(self) -> ConfigValue:
        """The value itself: nothing can change it."""
        return self

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(key for key in self if key.isidentifier())})

    def __reduce__(self) -> tuple[type[ConfigValue], tuple[dict[str, Any]]]:
        return ConfigValue, (self.to_dict(),)

    def _refused(self, *_arguments: object, **_more: object) -> NoReturn:
        raise TypeError("a config cannot be changed")

    __setattr__ = __delattr__ = __setitem__ = __delitem__ = __ior__ = _refused
    clear = pop = popitem = setdefault = update = _refused


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value if isinstance(value, ConfigValue) else ConfigValue(value)
    return [_frozen(item) for item in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


class ConfigExpr:
    """An expression over configs that is filled in when their values are known.

    Attributes and items of it are expressions again; ``**expression`` gives keyword arguments.
    """

    def __init__(self, text: str, names: Mapping[str, Any], path: tuple[Any, ...] = ()) -> None:
        self._said = (text, names, path)

    def __getattr__(self, name: str) -> ConfigExpr:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, key: Any) -> ConfigExpr:
        if isinstance(key, str) and key.startswith(_UNPACKED):
            return self
        text, names, path = self._said
        return ConfigExpr(text, names, (*path, key))

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(
            f"{self!r} has no value yet: it can only stand where a decorator or parameter takes it"
        )

    def keys(self) -> list[str]:
        """One name that stands for all keyword arguments of ``**expression``."""
        return [f"{_UNPACKED}{id(self)}"]

    def __repr__(self) -> str:
        text, _, path = self._said
        return text + "".join(f".{key}" if isinstance(key, str) else f"[{key!r}]" for key in path)


def config_expr(expression: str) -> Any:
    """Stand for the value that an expression over the flow's configs will have.

    Parameters
    ----------
    expression
        Python, with the configs by their names and what the calling module defines.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - what the flow's module defines can be named
    return ConfigExpr(expression, frame.f_globals)


def evaluate(value: Any, configs: Mapping[str, Any]) -> Any:
    """Fill the expressions in a value in, also those inside of lists and dicts.

    Raises
    ------
    ConfigError
        When a config or a key does not exist, or the expression fails; its place is the caller's to name.
    """
    if isinstance(value, Config):
        return _evaluated(ConfigExpr(value.airloom_config.name, {}), configs)
    if isinstance(value, ConfigExpr):
        return _evaluated(value, configs)
    if isinstance(value, Mapping) and waits(value):
        found: dict[Any, Any] = {}
        for key, item in value.items():
            filled = evaluate(item, configs)
            if not (isinstance(key, str) and key.startswith(_UNPACKED)):
                found[evaluate(key, configs)] = filled
            elif isinstance(filled, Mapping):
                found |= filled
            else:
                raise ConfigError(f"{item!r} is not a mapping", where="**", mend="unpack a mapping only.")
        return found
    if isinstance(value, (list, tuple, set)) and waits(value):
        return type(value)(evaluate(item, configs) for item in value)
    return value


def waits(value: Any) -> bool:
    """Say whether a value holds an expression that is yet to be filled in."""
    if isinstance(value, (ConfigExpr, Config)):
        return True
    if isinstance(value, Mapping):
        return any(waits(key) or waits(item) for key, item in value.items())
    return isinstance(value, (list, tuple, set)) and any(map(waits, value))


def _evaluated(expression: ConfigExpr, configs: Mapping[str, Any]) -> Any:
    text, names, path = expression._said  # noqa: SLF001 - a friend, whose other attributes are keys
    try:
        steps = _steps(ast.parse(text, mode="eval").body)
    except SyntaxError as error:
        raise _failed(expression, f"it is not Python ({error.msg})", "write e.g. 'cfg.memory'.") from None
    if steps is None or (steps[0] not in configs and steps[0] in names):
        try:
            found = eval(text, dict(names), dict(configs))  # noqa: S307 - it is the flow's own code
        except Exception as error:
            raise _failed(expression, f"{type(error).__name__}: {error}", "mend the expression.") from error
        if waits(found):
            raise _failed(expression, "it names a config of another class", did_you_mean(text, list(configs)))
    elif steps[0] not in configs:
        raise _failed(
            expression, f"there is no config {steps[0]!r}", did_you_mean(str(steps[0]), list(configs))
        )
    else:
        found = configs[str(steps[0])]
        path = (*steps[1:], *path)
    for key in path:
        found = step_into(found, evaluate(key, configs), repr(expression))
    return found


def step_into(value: Any, key: Any, expression: str) -> Any:
    """Item of a config's value.

    Raises
    ------
    ConfigError
        When there is no such key.
    """
    if isinstance(value, Mapping) and key not in value and not hasattr(dict, str(key)):
        raise _failed(expression, f"there is no key {key!r}", did_you_mean(str(key), [str(k) for k in value]))
    try:
        if isinstance(value, Mapping) and key in value:
            return value[key]
        return getattr(value, key) if isinstance(key, str) else value[key]
    except (AttributeError, LookupError, TypeError):
        what = "the config has no value" if value is None else f"{type(value).__name__} has no {key!r}"
        raise _failed(expression, what, "look at what the config holds.") from None


def _steps(node: ast.expr) -> list[Any] | None:
    """Name, attributes and constant items of a plain path like ``cfg.a['b']``; None for all else."""
    if isinstance(node, ast.Name):
        return [node.id]
    inner = _steps(node.value) if isinstance(node, (ast.Attribute, ast.Subscript)) else None
    if inner is not None and isinstance(node, ast.Attribute):
        return [*inner, node.attr]
    if inner is not None and isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return [*inner, node.slice.value]
    return None


def _failed(expression: object, why: str, mend: str) -> ConfigError:
    return ConfigError(f"the config expression {expression} has no value: {why}", where="a config", mend=mend)


@dataclass(frozen=True, slots=True)
class ParameterContext:
    """What a callable default is called with, when the flow is compiled.

    ``ds_type`` is ``local`` or the scheme of the datastore's URL. ``configs`` holds the configs by
    their names; None for the default of a config.
    """

    flow_name: str
    parameter_name: str
    user_name: str
    ds_type: str = "local"
    configs: ConfigValue | None = None
    logger: Callable[..., None] = print


@dataclass(slots=True)
class Declared:
    """What a config was declared with; kept under one name of it, beside which all else are keys."""

    name: str
    attribute: str
    default: Any
    default_value: Any
    help: str
    required: bool
    parser: str | Callable[[str], Any] | None
    plain: bool
    show_default: bool
    place: Place


class Config:
    """A value that is read when the flow is compiled; read-only ever after.

    In the class body its attributes and items stand for values that are filled in then.

    Parameters
    ----------
    name
        How it is called on the command line and in `config_expr`.
    default
        Path of its file, from the flow's folder or the working folder; or a callable that gives it.
    default_value
        Its value where no file is given: a dict, or a text that is parsed; or a callable.
    required
        The flow is refused without a value; otherwise the config is None then.
    parser
        What turns the text into a value: ``"yaml"``, ``"toml"``, a dotted name, a callable;
        JSON when not given.
    plain
        Give the parser's result as it is, or the text itself where there is no parser.
    """

    airloom_config: Declared

    def __init__(
        self,
        name: str,
        default: Any = None,
        default_value: Any = None,
        help: str | None = None,  # noqa: A002 - Metaflow's name
        required: bool | None = None,
        parser: str | Callable[[str], Any] | None = None,
        plain: bool = False,
        show_default: bool = True,
    ) -> None:
        frame = sys._getframe(1)  # noqa: SLF001 - the line in the flow's file
        place = Place(frame.f_code.co_filename, frame.f_lineno)
        if default is not None and default_value is not None:
            raise ConfigError(
                f"the config {name!r} has a default and a default_value",
                where=place,
                mend="keep one of them: default is a path, default_value the value itself.",
            )
        # Under one name of ours: every other attribute of a config stands for a key of its value.
        self.__dict__["airloom_config"] = Declared(
            name, name, default, default_value, help or "", bool(required), parser, plain, show_default, place
        )

    def __set_name__(self, owner: type, name: str) -> None:
        self.airloom_config.attribute = name

    def __get__(self, flow: Any, owner: type | None = None) -> Any:
        return self if flow is None else flow.airloom_parameter(self.airloom_config.attribute)

    def __set__(self, flow: Any, value: object) -> None:
        raise AttributeError(
            f"the config {self.airloom_config.name!r} cannot be changed: "
            "flow level attributes and parameters are read-only"
        )

    # Any, so that type checkers let expressions stand where a number or a text is asked for.
    def __getattr__(self, name: str) -> Any:
        return getattr(self._expression(), name)

    def __getitem__(self, key: Any) -> Any:
        return self._expression()[key]

    def keys(self) -> list[str]:
        """Make ``**config`` possible; see `ConfigExpr.keys`."""
        return self._expression().keys()

    def _expression(self) -> ConfigExpr:
        return ConfigExpr(self.airloom_config.name, {})


def configs_of(flow: type) -> dict[str, Config]:
    """Configs of a flow class by attribute, in the order of declaration, inherited ones first."""
    found: dict[str, Config] = {}
    for base in reversed(flow.__mro__):
        found |= {name: value for name, value in vars(base).items() if isinstance(value, Config)}
    return found


def config_values(flow: type, configs: Mapping[str, Json]) -> dict[str, Any]:
    """Values of the configs by their names, as the flow's code sees them."""
    return {
        said.name: frozen_config(said.plain, configs.get(said.name))
        for said in (config.airloom_config for config in configs_of(flow).values())
    }


def frozen_config(plain: bool, value: Json) -> Any:
    """Value of one config as the flow's code sees it; a plain one is nobody else's to change."""
    return json.loads(json.dumps(value)) if plain else _frozen(value)
