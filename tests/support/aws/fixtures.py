"""Fixtures: one emulator a session, its jobs run as processes (``aws``) or as containers (``aws_docker``)."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from support.aws.emulator import Emulator

IMAGE = "airloom-test:latest"
"""The image whose Python is that of the tests, Airloom and all."""
BARE_IMAGE = "python-only:latest"
"""An image that has Python, and no package."""
NO_PYTHON_IMAGE = "busybox:latest"
"""An image without Python."""


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An AWS whose jobs run as processes; what a test lets go wrong, it ends by ``aws.calm()``."""
    images = {
        IMAGE: sys.executable,
        BARE_IMAGE: getattr(sys, "_base_executable", sys.executable),
        NO_PYTHON_IMAGE: None,
    }
    running = Emulator.start(tmp_path_factory.mktemp("aws"), images=images)
    yield running
    running.close()
