"""What AWS offers is what its own reference says, and sizes are rounded up to it."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import botocore
import pytest

from airloom.errors import SizeError
from airloom.plan import BatchPlan, EcsPlan, Platform, Resources, StepPlan, Target, Tmpfs, Transition
from airloom.sizing.catalogue import (
    EPHEMERAL_GIB,
    FARGATE,
    Size,
    declared,
    fit,
    most_memory_mib,
    problems,
    rounded,
)


def model(service: str) -> Any:
    """The API reference of a service, as botocore ships it."""
    (file,) = Path(botocore.__file__).parent.glob(f"data/{service}/*/service-2.json*")
    data = file.read_bytes()
    return json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)["shapes"]


def test_the_pairs_are_those_of_the_reference_of_batch() -> None:
    text = model("batch")["ResourceRequirement"]["members"]["value"]["documentation"]
    memory = text.split('type="VCPU"')[0]
    found: dict[int, set[float]] = {}
    for sizes, cpus in re.findall(
        r"value = ([\d, or]+)</dt> <dd> <p> <code>VCPU</code> = ([\d., or]+)", memory
    ):
        for size in re.findall(r"\d+", sizes):
            found.setdefault(int(size), set()).update(float(cpu) for cpu in re.findall(r"[\d.]+", cpus))
    ours = {size: {row.cpu for row in FARGATE if size in row.memory_mib} for size in found}
    assert found == ours
    # The reference leaves some multiples of 1024 out that the pairs of ECS name.
    assert {one for row in FARGATE for one in row.memory_mib} - set(found) <= {
        18432,
        20480,
        21504,
        24576,
        28672,
    }


def test_the_pairs_are_those_of_the_reference_of_ecs() -> None:
    text = model("ecs")["RegisterTaskDefinitionRequest"]["members"]["memory"]["documentation"]
    found: dict[float, tuple[int, ...]] = {}
    for item in re.findall(r"<li> <p>(.*?)</li>", text):
        cpu = float(re.findall(r"\(([\d.]+) vCPU\)", item)[0])
        sizes = re.split(r" - Available", item)[0]
        if sizes.startswith("Between"):
            gib = [int(one) for one in re.findall(r"(\d+) ?GB", sizes)]
            found[cpu] = tuple(one * 1024 for one in range(gib[0], gib[1] + 1, gib[2]))
        else:
            found[cpu] = tuple(int(one) for one in re.findall(r"(\d+) \(", sizes))
    assert found == {row.cpu: row.memory_mib for row in FARGATE if "ecs" in row.targets}


@pytest.mark.parametrize("service", ["batch", "ecs"])
def test_the_disk_is_that_of_the_reference(service: str) -> None:
    text = model(service)["EphemeralStorage"]["members"]["sizeInGiB"]["documentation"]
    assert tuple(int(one) for one in re.findall(r"<code>(\d+)</code> GiB", text)) == EPHEMERAL_GIB


FITS: list[tuple[Target, Platform, tuple[float | None, int | None], tuple[float, int]]] = [
    ("batch", "FARGATE", (0.25, 512), (0.25, 512)),
    ("batch", "FARGATE", (None, None), (0.25, 512)),
    ("batch", "FARGATE", (0.1, 100), (0.25, 512)),
    ("batch", "FARGATE", (1, 4096), (1, 4096)),
    ("batch", "FARGATE", (1, 4097), (1, 5120)),
    ("batch", "FARGATE", (1, 9000), (2, 9216)),
    ("batch", "FARGATE", (4, 2048), (4, 8192)),
    ("batch", "FARGATE", (1, 61440), (8, 61440)),
    ("batch", "FARGATE", (1, 61441), (16, 65536)),
    ("batch", "FARGATE", (3, 130000), (32, 249856)),
    ("ecs", "FARGATE", (3, 122880), (16, 122880)),
    ("batch", "EC2", (0.5, 700), (1, 700)),
    ("batch", "EC2", (2.5, 700), (3, 700)),
    ("ecs", "EC2", (0.5, 700), (0.5, 700)),
]


@pytest.mark.parametrize(("target", "platform", "asked", "given"), FITS)
def test_a_size_is_rounded_up_to_the_next_that_is_offered(
    target: Target, platform: Platform, asked: tuple[Any, Any], given: tuple[float, int]
) -> None:
    found = fit(Size(*asked), target, platform, where="x")
    assert (found.cpu, found.memory_mib) == given


@pytest.mark.parametrize("target", ["batch", "ecs"])
def test_every_pair_fits_itself_and_nothing_smaller_is_cheaper(target: Target) -> None:
    for row in FARGATE:
        for memory in row.memory_mib:
            if target in row.targets:
                found = fit(Size(row.cpu, memory), target, "FARGATE", where="x")
                assert (found.cpu, found.memory_mib) == (row.cpu, memory)


REFUSED: list[tuple[Target, Platform | None, Size, str]] = [
    ("batch", "FARGATE", Size(64, 512), "64 vCPU with 512 MiB is more than Fargate offers on batch"),
    ("ecs", "FARGATE", Size(1, 122881), "1 vCPU with 122881 MiB is more than Fargate offers on ecs"),
    ("ecs", "EC2", Size(200, 4096), "200 vCPU cannot be asked from ECS"),
    ("batch", None, Size(1, 3), "3 MiB is less than the 4 MiB"),
    ("ecs", None, Size(1, 5), "5 MiB is less than the 6 MiB"),
]


@pytest.mark.parametrize(("target", "platform", "size", "what"), REFUSED)
def test_what_nobody_offers_is_refused(
    target: Target, platform: Platform | None, size: Size, what: str
) -> None:
    with pytest.raises(SizeError) as caught:
        fit(size, target, platform, where="flow.py:7")
    assert what in caught.value.what
    assert caught.value.where == "flow.py:7"
    assert caught.value.mend


def test_a_worker_gets_what_it_asks_for() -> None:
    assert fit(Size(0.1, 1), "worker", None, where="x") == Size(0.1, 1)
    assert declared(Resources(), "worker") == Size()


def test_a_job_without_sizes_gets_those_of_metaflow() -> None:
    assert declared(Resources(), "batch") == Size(1.0, 4096)
    assert declared(Resources(max_memory_mib=2000), "ecs") == Size(1.0, 2000)
    assert declared(Resources(min_memory_mib=9000), "ecs") == Size(1.0, 9000)


def test_only_fargate_has_a_most() -> None:
    assert most_memory_mib("batch", "FARGATE") == 244 * 1024
    assert most_memory_mib("ecs", "FARGATE") == 120 * 1024
    assert most_memory_mib("batch", "EC2") is None


def planned(target: Target, said: BatchPlan | EcsPlan | None = None, **needs: Any) -> StepPlan:
    batch = said if isinstance(said, BatchPlan) else None
    ecs = said if isinstance(said, EcsPlan) else None
    return StepPlan(
        "fit", Transition("end"), target=target, resources=Resources(**needs), batch=batch, ecs=ecs
    )


def test_all_that_fargate_has_not_is_told_at_once() -> None:
    said = BatchPlan(
        platform="FARGATE",
        tmpfs=Tmpfs(),
        max_swap_mib=1,
        inferentia=1,
        efa=1,
        privileged=True,
        ephemeral_storage_gib=201,
    )
    step = planned("batch", said, gpu=1, shared_memory_mib=64, disk_mib=201 * 1024)
    found = [error.what for error in problems(step, "x")]
    for word in (
        "GPU",
        "shared",
        "tmpfs",
        "swap",
        "Inferentia",
        "EFA",
        "privileged",
        "storage=201",
        "a disk of",
    ):
        assert sum(word in what for what in found) == 1, (word, found)
    assert all(error.mend for error in problems(step, "x"))


def test_the_settings_platform_counts_where_the_flow_says_none() -> None:
    step = planned("batch", BatchPlan(), gpu=1)
    assert not list(problems(step, "x"))
    assert [error.what for error in problems(step, "x", "FARGATE")] == ["Fargate has no GPUs"]
    assert not list(problems(planned("batch", BatchPlan(platform="EC2"), gpu=1), "x", "FARGATE"))


def test_a_capacity_provider_tells_the_platform() -> None:
    assert EcsPlan(capacity_provider="FARGATE_SPOT").platform == "FARGATE"
    assert EcsPlan(capacity_provider="my-instances").platform == "EC2"
    assert EcsPlan(launch_type="EC2", spot_capacity_provider="FARGATE_SPOT").platform == "EC2"
    assert EcsPlan().platform is None


def test_ephemeral_storage_is_for_fargate() -> None:
    (error,) = problems(planned("batch", BatchPlan(platform="EC2", ephemeral_storage_gib=30)), "x")
    assert "on EC2 the disk is that of the instance" in error.what


def test_rounding_up_is_told() -> None:
    step = planned("batch", BatchPlan(platform="FARGATE"), cpu=1, memory_mib=9000)
    assert rounded(step) == "1 vCPU with 9000 MiB becomes 2 vCPU, 9216 MiB, the next size on FARGATE"
    assert rounded(planned("batch", BatchPlan(platform="FARGATE"), cpu=1, memory_mib=4096)) is None
    assert rounded(planned("batch", BatchPlan(), cpu=0.5, memory_mib=4096)) is None
