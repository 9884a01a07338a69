"""Steps with @batch and @ecs in a DAG file: what is written, and what is refused before anything is."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from airloom.compiler.dagfile import render
from airloom.errors import DeployError, FlowError
from airloom.plan import (
    BatchPlan,
    Catch,
    EcsPlan,
    Plan,
    Resources,
    Retry,
    StepPlan,
    Transition,
    Volume,
)
from airloom.runtime.carried import root_inside

FIT = StepPlan(
    "fit",
    Transition("linear", ("end",)),
    parents=("start",),
    line=7,
    target="batch",
    batch=BatchPlan(queue="fast", spot_queue="cheap", image="an/image:1"),
    resources=Resources(cpu=4.0, memory_mib=8192),
)


def a_plan(fit: StepPlan) -> Plan:
    steps = (
        StepPlan("start", Transition("linear", ("fit",))),
        fit,
        StepPlan("end", Transition("end"), parents=("fit",)),
    )
    return Plan("MadeFlow", "made_flow", steps, "start", "end", code="b3:0")


def call_of(fit: StepPlan) -> tuple[str, dict[str, object]]:
    """Name of the operator of the step, and its arguments as far as they are literals."""
    for node in ast.walk(ast.parse(render(a_plan(fit)))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            given = {
                str(one.arg): one.value.value for one in node.keywords if isinstance(one.value, ast.Constant)
            }
            if given.get("task_id") == "fit":
                return node.func.id, given
    raise AssertionError("there is no such call")


def test_a_batch_step_says_where_it_goes_and_what_it_gets() -> None:
    name, given = call_of(FIT)
    assert name == "BatchStepOperator"
    assert given == {
        "task_id": "fit",
        "job_queue": "fast",
        "spot_queue": "cheap",
        "image": "an/image:1",
        "cpu": 4.0,
        "memory_mib": 8192,
        "retries": 11,
    }
    assert "from airloom.operators.batch import BatchStepOperator" in render(a_plan(FIT))


def test_an_ecs_step_leaves_to_the_settings_what_the_flow_does_not_say() -> None:
    fit = replace(FIT, target="ecs", batch=None, ecs=EcsPlan(), retry=Retry(2, 60.0))
    name, given = call_of(fit)
    assert name == "EcsStepOperator"
    assert given == {"task_id": "fit", "cpu": 4.0, "memory_mib": 8192, "retries": 13}
    assert "retry_delay=timedelta(minutes=1)" in render(a_plan(fit))


def test_catch_in_the_worker_has_one_retry_for_a_killed_process() -> None:
    fit = replace(FIT, target="worker", batch=None, catch=Catch("problem"), retry=Retry(2))
    assert call_of(fit)[1]["retries"] == 3


@pytest.mark.parametrize(
    ("fit", "told"),
    [
        (replace(FIT, target="kubernetes", batch=None), "'fit' has @kubernetes"),
        (replace(FIT, foreaches=("start",)), "'fit' is a num_parallel step with @batch"),
    ],
    ids=["kubernetes", "gang"],
)
def test_what_no_operator_can_run_is_refused_with_its_line(fit: StepPlan, told: str) -> None:
    plan = a_plan(fit)
    if fit.foreaches:
        start = replace(plan.steps[0], transition=Transition("parallel", ("fit",)))
        plan = replace(plan, steps=(start, *plan.steps[1:]))
    with pytest.raises(FlowError, match=told) as caught:
        render(plan)
    assert "made_flow.py:7" in str(caught.value)


def test_a_container_sees_an_object_store_and_mounted_folders_only() -> None:
    assert root_inside(FIT, "s3://bucket/store") == "s3://bucket/store"
    host = replace(FIT, batch=BatchPlan(host_volumes=(Volume("/srv", "/mnt/srv"),)))
    assert root_inside(host, "/srv/store") == "/mnt/srv/store"
    efs = replace(FIT, batch=None, ecs=EcsPlan(efs_volumes=(Volume("fs-1", "/mnt/efs"),)))
    assert root_inside(efs, "/mnt/efs/store") == "/mnt/efs/store"
    with pytest.raises(DeployError, match="does not see the datastore's folder"):
        root_inside(efs, "/srv/store")
