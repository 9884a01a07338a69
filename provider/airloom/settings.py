"""AIRLOOM_* variables and Airflow's ``[airloom]`` section, read in one place.

A value comes from, in this order: an argument, the environment variable, Airflow's
configuration (handed in by the Airflow side, which alone imports Airflow), the default.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from airloom.errors import SettingsError

Verify = Literal["auto", "always"]


def _setting(default: str, help_: str) -> str:
    return field(default=default, metadata={"help": help_})


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, as text; the properties give them their types."""

    datastore_root: str = _setting(
        ".airloom", "where runs and artifacts are kept: a folder or a URL (s3://bucket/prefix, ...)"
    )
    verify: str = _setting(
        "auto",
        "auto: check blobs that crossed a network or are under 64 MiB against their digest; always: all",
    )
    cache_dir: str = _setting(
        "", "folder for unpacked code packages and cached blobs; ~/.cache/airloom when empty"
    )
    package_suffixes: str = _setting(
        ".py,.sql,.txt,.json,.yaml,.yml,.toml", "which files beside the flow belong to its code package"
    )
    package_limit_mib: str = _setting("64", "a code package larger than this is refused")
    max_workers: str = _setting("", "how many tasks run at once on this machine; its processors when empty")
    user: str = _setting("", "who starts runs; the login name when empty")
    fsync: str = _setting("false", "true: force every record of a local store to the disk before going on")

    def __post_init__(self) -> None:
        if self.verify not in ("auto", "always"):
            raise _refused("verify", self.verify, "write auto or always.")
        if self.fsync not in ("true", "false"):
            raise _refused("fsync", self.fsync, "write true or false.")
        for name in ("package_limit_mib", "max_workers"):
            text = getattr(self, name)
            if text and not (text.isdecimal() and int(text) > 0):
                raise _refused(name, text, "write a whole number above 0.")

    @property
    def workers(self) -> int:
        """How many tasks the local runner runs at once."""
        return int(self.max_workers) if self.max_workers else (os.cpu_count() or 1)

    @property
    def user_name(self) -> str:
        """Who starts runs."""
        if self.user:
            return self.user
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # no passwd entry, as in many containers
            return "unknown"

    @property
    def cache_folder(self) -> Path:
        """Where unpacked code packages and cached blobs lie."""
        return Path(self.cache_dir).expanduser() if self.cache_dir else Path.home() / ".cache" / "airloom"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of the files that belong to a code package."""
        return tuple(part.strip() for part in self.package_suffixes.split(",") if part.strip())


@dataclass(frozen=True, slots=True)
class Origin:
    """One setting with its value and where the value came from, for ``airloom settings``."""

    name: str
    value: str
    source: str
    help: str


def variable(name: str) -> str:
    """Environment variable of a setting.

    >>> variable("datastore_root")
    'AIRLOOM_DATASTORE_ROOT'
    """
    return f"AIRLOOM_{name.upper()}"


def load(
    overrides: Mapping[str, str | None] | None = None, configured: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings.

    Parameters
    ----------
    overrides
        Values given as arguments; None means not given.
    configured
        Values of Airflow's ``[airloom]`` section, where Airflow is at hand.

    Raises
    ------
    SettingsError
        When a value is not of its form.
    """
    return Settings(**{origin.name: origin.value for origin in origins(overrides, configured)})


def origins(
    overrides: Mapping[str, str | None] | None = None, configured: Mapping[str, str] | None = None
) -> list[Origin]:
    """Every setting with its value and source; see `load`."""
    found = []
    for item in fields(Settings):
        default = str(item.default)
        candidates = (
            ("argument", (overrides or {}).get(item.name)),
            (variable(item.name), os.environ.get(variable(item.name))),
            (f"airflow.cfg [airloom] {item.name}", (configured or {}).get(item.name)),
            ("default", default),
        )
        source, value = next((source, value) for source, value in candidates if value is not None)
        found.append(Origin(item.name, value, source, item.metadata["help"]))
    return found


def _refused(name: str, value: str, mend: str) -> SettingsError:
    return SettingsError(f"{value!r} is no value for the setting {name}", where=variable(name), mend=mend)
