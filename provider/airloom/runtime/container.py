"""In a container: find or add the packages that a task needs, then run its tasks.

`airloom.runtime.bootstrap` has put Airloom's own modules on the path; what is imported here
before `add` is of the standard library or Airloom's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

NEEDED = {
    "blake3": "1.0",
    "cloudpickle": "3.0",
    "markdown-it-py": "3",
    "mdurl": "0.1",
    "obstore": "0.11",
    "typing-extensions": "4.6",
    "zstandard": "0.23",
}
"""The packages that a task needs, and the oldest version of each: those of setup.cfg without Airflow,
the command line and the compiler."""


def tag() -> str:
    """Name what compiled packages depend on: ``cp311-x86_64``, or ``cp311-x86_64-musl`` as in Alpine."""
    libc = "" if "CS_GNU_LIBC_VERSION" in os.confstr_names else "-musl"
    return f"cp{sys.version_info[0]}{sys.version_info[1]}-{os.uname().machine}{libc}"


def lacking() -> list[str]:
    """Name the needed packages that this image has not, or in a version that is too old."""
    missing: list[str] = []
    for name, oldest in NEEDED.items():
        try:
            found = _numbers(metadata.version(name))
        except metadata.PackageNotFoundError:
            found = []
        if found < _numbers(oldest):
            missing.append(name)
    return missing


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")[:3] if part.isdecimal()]


def refusal(missing: Sequence[str], offered: Iterable[str]) -> str:
    """Say why the task cannot run here: the store has nothing for this Python and machine."""
    return (
        f"the image lacks {', '.join(missing)}, and for its {tag()} the store has none of them (it has "
        f"{', '.join(sorted(offered)) or 'nothing'}): name another image with image=, install them there, or "
        "set container_pythons and container_machines and deploy again."
    )


def add(folder: Path, missing: Sequence[str]) -> None:
    """Put unpacked packages on the path, those that the image lacks; each has a folder of its own."""
    sys.path[1:1] = [str(folder / name) for name in missing]


def run(text: str) -> int:
    """Run the tasks that the command names; give the exit code."""
    from airloom.runtime.__main__ import run as run_command
    from airloom.runtime.command import parse

    return run_command(parse([text]))
