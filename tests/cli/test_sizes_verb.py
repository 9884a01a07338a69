"""Sizes on the command line: what check, show and deploy say about them, and airloom sizes without runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airloom.deploys.jobs import open_settings
from airloom.plan import BatchPlan, StepPlan, Transition
from airloom.settings import Settings

FLOW = """
from airloom import batch, resources


class Sized(FlowSpec):
    @batch({arguments})
    @resources(cpu=1, memory=9000)
    @step
    def start(self):
        self.next(self.end)

    @resources(memory="auto", cpu=lambda flow: 1)
    @step
    def end(self):
        pass
"""
Airloom = Callable[..., Any]
Write = Callable[..., Path]


def test_check_and_show_tell_which_sizes_are_rounded_up(airloom: Airloom, write: Write) -> None:
    write("sized.py", FLOW.format(arguments='platform="FARGATE"'))
    text = "size of start: 1 vCPU with 9000 MiB becomes 2 vCPU, 9216 MiB, the next size on FARGATE"
    assert text in airloom("check", "sized.py").out
    shown = airloom("show", "sized.py").out
    assert text in shown
    assert "start (on batch, 1 vCPU, 9000 MiB)" in shown
    assert "end (vCPU computed, MiB learned)" in shown


def test_deploy_refuses_what_the_settings_platform_does_not_offer(
    airloom: Airloom, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write("sized.py", FLOW.format(arguments="gpu=1, shared_memory=64"))
    assert airloom("check", "sized.py").code == 0
    monkeypatch.setenv("AIRLOOM_BATCH_PLATFORM", "FARGATE")
    refused = airloom("deploy", "sized.py", "--dags-folder", str(tmp_path))
    assert refused.code == 2
    assert "Fargate has no GPUs" in refused.err
    assert "Fargate has no shared memory" in refused.err
    assert "sized.py:" in refused.err
    assert not (tmp_path / "Sized.py").exists()


def test_deploy_warns_of_settings_that_only_airflow_can_have() -> None:
    steps = [StepPlan(name, Transition("end"), target="batch", batch=BatchPlan()) for name in ("fit", "rate")]
    (warning,) = open_settings(steps, Settings(batch_image="i"))
    assert warning.startswith(
        "fit, rate: the setting batch_queue (AIRLOOM_BATCH_QUEUE) must be set in Airflow"
    )
    assert open_settings(steps, Settings(batch_image="i", batch_queue="q")) == []


def test_with_batch_leaves_steps_alone_that_run_elsewhere(airloom: Airloom, write: Write) -> None:
    write(
        "sized.py", FLOW.replace("@batch", "@ecs").replace("import batch", "import ecs").format(arguments="")
    )
    shown = airloom("show", "sized.py", "--with", "batch:cpu=4,memory=8000").out
    assert "start (on ecs, 1 vCPU, 9000 MiB)" in shown
    assert "end (on batch, vCPU computed, at least 4, MiB learned, 8000 at first)" in shown


def test_a_flow_without_runs_has_no_sizes(airloom: Airloom) -> None:
    ended = airloom("sizes", "Sized")
    assert ended.code == 5
    assert "the flow Sized has no run in this store" in ended.err


def test_a_broken_price_table_is_told(
    airloom: Airloom, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write("sized.py", FLOW.format(arguments=""))
    assert airloom("run", "sized.py").code == 0
    assert "Prices are of 1000 attempts: us-east-1" in airloom("sizes", "Sized").out
    monkeypatch.setenv("AIRLOOM_PRICES", str(tmp_path / "none.json"))
    ended = airloom("sizes", "Sized")
    assert ended.code == 3
    assert "none.json (setting prices)" in ended.err
