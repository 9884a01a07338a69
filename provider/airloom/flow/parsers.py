"""Parsers of configs that are not JSON."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from airloom.errors import ConfigError


def yaml_parser(text: str) -> Any:
    """Read YAML.

    Raises
    ------
    ConfigError
        When PyYAML is not installed.
    """
    try:
        import yaml  # type: ignore[import-untyped] # its stubs are a package of their own
    except ImportError:
        raise ConfigError(
            "PyYAML is not installed", where="parser='yaml'", mend="install it: pip install pyyaml."
        ) from None
    return yaml.safe_load(text)


def toml_parser(text: str) -> Any:
    """Read TOML.

    Raises
    ------
    ConfigError
        On Python 3.10, whose library has no reader for it.
    """
    if sys.version_info < (3, 11):
        raise ConfigError(
            "Python 3.10 cannot read TOML", where="parser='toml'", mend="use Python 3.11, JSON or YAML."
        )
    # By name: mypy looks for what Python 3.10 has.
    return importlib.import_module("tomllib").loads(text)
