"""@resources, @batch, @ecs and @kubernetes: what they leave for the plan, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airloom import batch, ecs, kubernetes, resources, step
from airloom.errors import FlowError, Place, SizeError
from airloom.flow.declarations import StepDeclaration, step_declaration
from airloom.plan import BatchPlan, EcsPlan, Recovery, Resources, Tmpfs, Volume


def said(*decorators: Callable[[Any], Any]) -> StepDeclaration:
    def work(self: Any) -> None:
        pass

    function: Any = step(work)
    for decorator in decorators:
        function = decorator(function)
    declaration = step_declaration(function)
    assert declaration is not None
    return declaration


def test_batch_takes_what_metaflow_takes() -> None:
    found = said(
        batch(
            cpu="2",
            gpu=1,
            memory=8000,
            image="python:3.12",
            queue="q",
            iam_role="job",
            execution_role="exec",
            shared_memory=64,
            max_swap=100,
            swappiness=0,
            use_tmpfs=True,
            tmpfs_size=512,
            tmpfs_path="/fast",
            trainium=1,
            efa=2,
            host_volumes=["/a", "/b:/c"],
            efs_volumes="fs-1,fs-2:/data",
            log_driver="awslogs",
            log_options=["awslogs-group:a:b"],
            aws_batch_tags={"team": "x"},
            privileged=True,
        )
    )
    assert found.target == "batch"
    assert found.resources == Resources(cpu=2, gpu=1, memory_mib=8000, shared_memory_mib=64)
    assert found.batch == BatchPlan(
        queue="q",
        image="python:3.12",
        job_role="job",
        execution_role="exec",
        max_swap_mib=100,
        swappiness=0,
        tmpfs=Tmpfs("/fast", 512),
        inferentia=1,
        efa=2,
        host_volumes=(Volume("/a", "/a"), Volume("/b", "/c")),
        efs_volumes=(Volume("fs-1", "/mnt/fs-1"), Volume("fs-2", "/data")),
        log_driver="awslogs",
        log_options={"awslogs-group": "a:b"},
        tags={"team": "x"},
        privileged=True,
    )


def test_ecs_says_where() -> None:
    found = said(ecs(cluster="c", launch_type="fargate", subnets="s1, s2", security_groups=["g"]))
    assert (found.target, found.resources) == ("ecs", Resources())
    assert found.ecs == EcsPlan(
        cluster="c", launch_type="FARGATE", subnets=("s1", "s2"), security_groups=("g",)
    )


@pytest.mark.parametrize("order", [1, -1])
def test_the_largest_of_several_counts_in_any_order(order: int) -> None:
    both = [
        resources(cpu=4, memory=1000, gpu=1, max_memory=5000, growths=1),
        batch(cpu=2, memory=8000, max_memory=6000, growths=3, reclaims=9),
    ]
    found = said(*both[::order])
    assert found.resources == Resources(cpu=4, memory_mib=8000, gpu=1, max_memory_mib=6000)
    assert found.recovery == Recovery(growths=3, reclaims=9)


def test_a_budget_below_the_usual_counts_where_one_says_it() -> None:
    assert said(resources(growths=0), batch()).recovery == Recovery(growths=0)
    assert said(resources(growth=1.5)).recovery == Recovery(factor=1.5)


def test_auto_stands_beside_the_number_to_begin_with() -> None:
    found = said(resources(memory=2048), batch(memory="auto", cpu="auto", min_memory=256))
    assert found.resources == Resources(memory_mib=2048, min_memory_mib=256, learned=("cpu", "memory"))


def test_a_size_can_be_a_function() -> None:
    def rows(flow: Any) -> float:
        return float(flow.rows)

    found = said(resources(memory=rows, cpu=1))
    assert found.resources == Resources(cpu=1, computed=("memory",))
    assert found.size_functions == (("memory", rows),)


def test_kubernetes_says_sizes() -> None:
    found = said(kubernetes(cpu=2, memory=500, image="x", namespace="n", tolerations=[]))
    assert (found.target, found.resources) == ("kubernetes", Resources(cpu=2, memory_mib=500))


REFUSED: list[tuple[Callable[[], object], type[FlowError], str]] = [
    (lambda: batch(inferentia=1, trainium=1), FlowError, "two names of one thing"),
    (lambda: batch(platform="LAMBDA"), FlowError, "platform='LAMBDA' is refused"),
    (lambda: batch(host_volumes=["data"]), FlowError, "'data' does not begin with /"),
    (lambda: batch(use_tmpfs=True, tmpfs_path="tmp"), FlowError, "'tmp' does not begin with /"),
    (lambda: batch(log_options=["group"]), FlowError, "'group' has no value"),
    (lambda: batch(aws_batch_tags={"a": 1}), FlowError, "are no tags"),  # type: ignore[dict-item]
    (lambda: batch(memory="lots"), SizeError, "memory='lots' is refused"),
    (lambda: batch(gpu=0.5), SizeError, "gpu=0.5 is refused"),  # type: ignore[arg-type]
    (lambda: batch(shared_memory="auto"), SizeError, "only cpu and memory are learned"),
    (lambda: ecs(launch_type="EC2", capacity_provider="x"), FlowError, "exclude each other"),
    (lambda: ecs(subnets=[1]), FlowError, "no list of texts"),  # type: ignore[list-item]
    (lambda: resources(growth=0.5), SizeError, "does not make memory grow"),
    (lambda: resources(max_memory=-1), SizeError, "max_memory=-1 is refused"),
]


@pytest.mark.parametrize(("use", "kind", "what"), REFUSED, ids=[what for _, _, what in REFUSED])
def test_wrong_arguments_are_refused_with_their_line(
    use: Callable[[], object], kind: type[FlowError], what: str
) -> None:
    with pytest.raises(kind) as caught:
        use()
    assert what in caught.value.what
    assert isinstance(caught.value.where, Place)
    assert (caught.value.where.file, caught.value.where.line) == (__file__, use.__code__.co_firstlineno)


@pytest.mark.parametrize("others", [(batch(), ecs()), (kubernetes(), batch()), (ecs(), kubernetes())])
def test_a_step_runs_in_one_place(others: tuple[Any, Any]) -> None:
    with pytest.raises(FlowError, match="already"):
        said(*others)
