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


_ONE_OF = {
    "verify": ("auto", "always"),
    "fsync": ("true", "false"),
    "enforce_memory": ("true", "false"),
    "sizes": ("apply", "suggest"),
    "batch_platform": ("EC2", "FARGATE"),
    "ecs_launch_type": ("EC2", "FARGATE"),
    "ecs_assign_public_ip": ("true", "false"),
    "store_addressing": ("path", "virtual"),
    "store_create": ("strict", "weak"),
}
_ABOVE_0 = ("store_timeout_s", "store_deadline_s", "store_connections")


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
    cache_limit_mib: str = _setting(
        "4096", "how large the cache of blobs of a remote store may grow on this machine; 0: no cache"
    )
    package_suffixes: str = _setting(
        ".py,.sql,.txt,.json,.yaml,.yml,.toml", "which files beside the flow belong to its code package"
    )
    package_limit_mib: str = _setting("64", "a code package larger than this is refused")
    container_pythons: str = _setting(
        "3.10,3.11,3.12,3.13", "for which Pythons of images a deploy puts the needed packages into the store"
    )
    container_machines: str = _setting(
        "x86_64,aarch64", "for which processors of containers it does: x86_64, aarch64"
    )
    max_workers: str = _setting("", "how many tasks run at once on this machine; its processors when empty")
    user: str = _setting("", "who starts runs; the login name when empty")
    enforce_memory: str = _setting(
        "false", "true: steps on this machine are held to the memory that they ask for, and may grow"
    )
    sizes: str = _setting(
        "apply", "apply: memory='auto' and growths of former runs count; suggest: they are only noted"
    )
    prices: str = _setting(
        "", "JSON file with what vCPU and memory cost, for airloom sizes; a table for comparing when empty"
    )
    batch_queue: str = _setting("", "job queue of AWS Batch, for @batch without queue=")
    batch_spot_queue: str = _setting("", "job queue on spot instances that is tried first; none when empty")
    batch_platform: str = _setting("EC2", "EC2 or FARGATE: what the compute environments of the queue are")
    batch_image: str = _setting("", "container image of @batch steps without image=")
    batch_job_role: str = _setting("", "ARN of the role that the step's code has on AWS Batch")
    batch_execution_role: str = _setting("", "ARN of the role that Batch starts the container with")
    ecs_cluster: str = _setting("", "ECS cluster, for @ecs without cluster=; AWS's default one when empty")
    ecs_launch_type: str = _setting("FARGATE", "EC2 or FARGATE: where ECS starts tasks")
    ecs_image: str = _setting("", "container image of @ecs steps without image=")
    ecs_task_role: str = _setting("", "ARN of the role that the step's code has on ECS")
    ecs_execution_role: str = _setting("", "ARN of the role that ECS starts the container with")
    ecs_subnets: str = _setting("", "subnets of ECS tasks, with commas")
    ecs_security_groups: str = _setting("", "security groups of ECS tasks, with commas")
    ecs_assign_public_ip: str = _setting("false", "true: ECS tasks get a public address")
    ecs_log_group: str = _setting("/ecs/airloom", "group of CloudWatch logs of @ecs steps")
    fsync: str = _setting("false", "true: force every record of a local store to the disk before going on")
    store_endpoint: str = _setting(
        "", "URL of the server of a remote store, where it is not the cloud's own; http:// allows plain HTTP"
    )
    store_region: str = _setting(
        "", "region of an S3 store; what the AWS settings of the machine say when empty"
    )
    store_addressing: str = _setting("path", "path: server/bucket/key; virtual: bucket.server/key")
    store_timeout_s: str = _setting(
        "30", "seconds for a request to a remote store; 4 times for a part of a large object"
    )
    store_deadline_s: str = _setting(
        "240", "seconds after which a request to a remote store is not tried again"
    )
    store_retries: str = _setting("10", "how often a request to a remote store is tried again at most")
    store_connections: str = _setting(
        "8", "how many parts of one object go to or come from a remote store at once"
    )
    store_create: str = _setting(
        "strict", "strict: refuse a store that cannot create an object only where there is none; weak: use it"
    )
    xcom_inline_bytes: str = _setting(
        "4096", "the XCom backend leaves plain values of up to so many bytes in Airflow's table; 0: none"
    )
    datastore_connection: str = _setting(
        "", "Airflow connection whose credentials open the datastore, for tasks in Airflow; none when empty"
    )

    def __post_init__(self) -> None:
        for name, offered in _ONE_OF.items():
            if getattr(self, name) not in offered:
                raise _refused(name, getattr(self, name), f"write {' or '.join(offered)}.")
        if not self.store_retries.isdecimal():
            raise _refused("store_retries", self.store_retries, "write a whole number, 0 for no second try.")
        if not self.xcom_inline_bytes.isdecimal():
            raise _refused(
                "xcom_inline_bytes",
                self.xcom_inline_bytes,
                "write a whole number, 0 to keep all in the datastore.",
            )
        if not self.cache_limit_mib.isdecimal():
            raise _refused("cache_limit_mib", self.cache_limit_mib, "write a whole number, 0 for no cache.")
        if self.store_endpoint and not self.store_endpoint.startswith(("https://", "http://")):
            raise _refused(
                "store_endpoint", self.store_endpoint, "write a URL, e.g. https://minio.example.com."
            )
        for name in ("package_limit_mib", "max_workers", *_ABOVE_0):
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
    def pythons(self) -> tuple[str, ...]:
        """Pythons that containers may have, such as 3.11."""
        return tuple(part.strip() for part in self.container_pythons.split(",") if part.strip())

    @property
    def machines(self) -> tuple[str, ...]:
        """Processors that containers may have, as ``uname -m`` calls them."""
        return tuple(part.strip() for part in self.container_machines.split(",") if part.strip())

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
