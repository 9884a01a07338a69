"""Plans and DAG files of nine flows are what they were: a change shows in the diff of tests/golden."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from airloom import settings
from airloom.compiler.dagfile import render
from airloom.compiler.planner import compile_flow
from airloom.plan import Plan
from airloom.runtime.code import import_flow

# Each with the files that it needs beside it: alone, so that no other flow changes its code package.
GOLDEN_FLOWS = {
    "hello": (),
    "assets_of_steps": (),
    "all_parameters": ("helper_of_flows.py", "data_of_flows.txt"),
    "branch_join": (),
    "foreach_join": (),
    "jobs_on_aws": (),
    "nested_foreach": (),
    "switch_in_foreach": (),
    "failing_steps": (),
    "inherited": ("base_of_flows.py",),
}


@pytest.fixture(params=sorted(GOLDEN_FLOWS))
def golden_plan(request: pytest.FixtureRequest, alone: Callable[..., Path], clean_imports: None) -> Plan:
    file = alone(f"{request.param}.py", *GOLDEN_FLOWS[request.param])
    return compile_flow(import_flow(file), settings.load({"user": "golden"})).plan


def test_plan_is_the_golden_one(golden_plan: Plan, golden: Callable[[str, str], None]) -> None:
    text = json.dumps(json.loads(golden_plan.to_bytes()), indent=1, ensure_ascii=False)
    golden(f"plans/{golden_plan.module}.json", text + "\n")


def test_dag_file_is_the_golden_one(golden_plan: Plan, golden: Callable[[str, str], None]) -> None:
    golden(f"dags/{golden_plan.module}.py.txt", render(golden_plan))


def test_golden_plan_is_read_back_whole(golden_plan: Plan) -> None:
    again = Plan.from_bytes(golden_plan.to_bytes())
    assert again == golden_plan
    assert again.digest == golden_plan.digest
    assert render(again) == render(golden_plan)
