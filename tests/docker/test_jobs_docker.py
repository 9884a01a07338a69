"""Steps as jobs in real containers: an image with nothing but Python, held to the memory that it asks for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.aws.emulator import Emulator
from support.docker import Engine
from support.job_flows import FLOWS, source
from support.jobs import Cloud, running_cloud

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(scope="module")
def cloud(
    engine: Engine,
    aws_docker: Emulator,
    python_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cloud]:
    tell = "import sys; print('{}.{}'.format(*sys.version_info))"
    version = engine.run("run", "--rm", python_image, "python3", "-c", tell).split()[-1]
    folder = tmp_path_factory.mktemp("jobs_docker")
    more = {"AIRLOOM_CONTAINER_PYTHONS": version}
    with running_cloud(aws_docker, folder, python_image, more=more) as running:
        yield running


def test_jobs_in_containers_share_artifacts_and_grow_when_they_are_killed(cloud: Cloud) -> None:
    names = ("JobsPlaces", "JobsGrow")
    for name in names:
        cloud.deploy(name, source(name, FLOWS[name]))
    runs = {name: cloud.start(name) for name in names}
    assert {name: cloud.end(name, run).state for name, run in runs.items()} == dict.fromkeys(names, "success")
    found = cloud.run("JobsPlaces", runs["JobsPlaces"])
    assert found["end"].task.data.total == 13
    assert "square of 2" in found["each"].task.stdout
    attempts = cloud.attempts("JobsGrow", runs["JobsGrow"], "start")
    assert [one.memory_mib for one in attempts] == [256, 512, 1024]
    kinds = [None if one.failed is None else one.failed.failure for one in attempts]
    assert kinds == ["out_of_memory", "out_of_memory", None]
