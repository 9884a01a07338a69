"""What people write, for the type checker only: nothing here runs, and nothing needs an ignore."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airloom import (
    DataArtifact,
    DeployedFlow,
    Deployer,
    Flow,
    FlowSpec,
    IncludeFile,
    JSONType,
    NBRunner,
    Parameter,
    Run,
    Runner,
    Step,
    Task,
    batch,
    card,
    catch,
    current,
    ecs,
    environment,
    exit_hook,
    parallel,
    project,
    resources,
    retry,
    schedule,
    secrets,
    step,
    timeout,
    trigger,
    trigger_on_finish,
)
from airloom.runner import ExecutingRun, TriggeredRun
from airloom.testing import StepResult, run_step

if TYPE_CHECKING:
    from typing_extensions import assert_type


def tell(run: Run) -> None:
    print(run.pathspec)


@schedule(daily=True)
@trigger(event="data_ready")
@project(name="demo")
@exit_hook(on_success=[tell])
class TypedFlow(FlowSpec):
    """A flow in which every decorator stands in both of its forms."""

    rate = Parameter("rate", default=0.5)
    count = Parameter("count", type=int, required=True, help="how many")
    tree = Parameter("tree", type=JSONType, default={})
    notes = IncludeFile("notes", default="notes.txt", is_text=False)
    LIMIT = 10

    @step
    def start(self) -> None:
        self.rows = list(range(self.count))
        self.half: float = self.rate / 2
        self.at_most: int = self.LIMIT
        assert_type(self.index, int | None)
        self.next(self.fit, foreach="rows", allow_empty=True)

    @retry
    @catch
    @batch(queue="q", memory="auto", gpu=1, efs_volumes=["fs-1:/data"], aws_batch_tags={"team": "x"})
    @resources(cpu=2, memory=512, max_memory=4096)
    @step
    def fit(self) -> None:
        assert_type(self.half, float)
        self.score = self.input * self.half
        self.next(self.more)

    @card
    @retry(times=2, minutes_between_retries=0)
    @catch(var="problem")
    @timeout(minutes=5)
    @environment(vars={"THREADS": 2})
    @secrets(sources=["inline.x"])
    @ecs(cluster="c", launch_type="FARGATE", cpu=0.5, memory=lambda flow: 512 + 2 * flow.count)
    @step
    def more(self) -> None:
        levels = [frame.value for frame in self.foreach_stack()]
        print(current.run_id, current.get("pathspec"), "task_id" in current, levels)
        self.next(self.join)

    @card(type="blank", id="of_join")
    @step
    def join(self, inputs: Any) -> None:
        self.merge_artifacts(inputs, exclude=["score"])
        self.scores = [branch.score for branch in inputs]
        self.mode = "big" if len(self.scores) > self.LIMIT else "small"
        self.next({"big": self.big, "small": self.end}, condition="mode")

    @step
    def big(self) -> None:
        self.next(self.gang, num_parallel=4)

    @parallel
    @step
    def gang(self) -> None:
        self.node = current.parallel.node_index
        self.next(self.meet)

    @step
    def meet(self, inputs: Any) -> None:
        self.next(self.end)

    @step(end=True)
    def end(self) -> None:
        assert_type(self.scores, list[Any])
        assert_type(self.name, str)

    def helper(self) -> int:
        return len(self.rows)


@trigger_on_finish(flow="TypedFlow")
@schedule(cron="0 6 * * *", timezone="Europe/Vienna")
class OtherFlow(FlowSpec):
    @step(start=True)
    def begin(self) -> None:
        self.next(self.left, self.right)

    @step
    def left(self) -> None:
        self.next(self.join)

    @step
    def right(self) -> None:
        self.next(self.join)

    @step
    def join(self, inputs: Any) -> None:
        print(inputs.left, inputs[0], len(inputs))
        self.next(self.end)

    @step
    def end(self) -> None: ...


def decorated_steps_keep_their_types(flow: TypedFlow) -> None:
    assert_type(flow.helper(), int)
    flow.start()
    flow.fit()
    flow.more()
    flow.join([])
    flow.end()


def parameters_are_declared_on_the_class() -> str:
    assert_type(TypedFlow.rate, Parameter)
    return TypedFlow.rate.name + TypedFlow.notes.name


def results_are_read() -> object:
    run = Run("TypedFlow/1")
    assert_type(run, Run)
    assert_type(run["start"], Step)
    assert_type(run["start"].task, Task)
    assert_type(run["start"].task.data.x, Any)
    assert_type(run["start"].task["rows"], DataArtifact)
    assert_type(run["start"]["0"].successful, bool)
    assert_type(run.finished_at, datetime | None)
    assert_type(iter(run), Iterator[Step])
    for found in Flow("TypedFlow"):
        for one in found:
            for task in one:
                print(task.index, task.stdout, task.exception, [artifact.id for artifact in task])
    latest = Flow("TypedFlow").latest_successful_run
    return None if latest is None or latest.data is None else latest.data.scores


def flows_are_run() -> None:
    with Runner("typed_flow.py", show_output=False, env={"A": "b"}, cwd=Path(), quiet=True).run(
        rate=1
    ) as run:
        assert_type(run, ExecutingRun)
        assert_type(run.run, Run)
        assert_type(run.status, str)
        assert_type(run.returncode, int | None)
        if run.status == "running":
            print(run.stdout, run.stderr)
    with Runner(Path("typed_flow.py")) as runner:
        assert_type(runner.resume("fit", origin_run_id="1"), ExecutingRun)
    with NBRunner(TypedFlow, base_dir=".") as notebook:
        assert_type(notebook.nbrun(rate=1), Run)
        assert_type(notebook.nbresume("fit"), Run)


async def flows_are_followed() -> None:
    async with await Runner("typed_flow.py").async_run(rate=1) as executing:
        async for position, line in executing.stream_log("stdout"):
            assert_type(position, int)
            assert_type(line, str)
        assert_type(await executing.wait(timeout=1), ExecutingRun)


def flows_are_deployed() -> None:
    deployed = (
        Deployer("typed_flow.py").airflow("dags", url="http://localhost", user="me", password="x").create()
    )
    assert_type(deployed, DeployedFlow)
    triggered = deployed.trigger(rate=1)
    assert_type(triggered, TriggeredRun)
    assert_type(triggered.run, Run | None)
    assert_type(triggered.wait_for_completion(timeout=1), Run)
    for found in DeployedFlow.list_deployed_flows("dags"):
        assert_type(DeployedFlow.from_deployment(found.name, "dags"), DeployedFlow)


def steps_are_tested() -> None:
    start = run_step(TypedFlow, "start", parameters={"count": 3, "tree": {"a": [1]}})
    assert_type(start, StepResult)
    assert_type(start.rows, Any)
    assert_type(start.next.targets, tuple[str, ...])
    fit = [run_step(TypedFlow, "fit", inputs=start, index=index) for index in range(3)]
    run_step(TypedFlow, "join", inputs=fit, items=[1, 2, 3], environment={"A": "b"})
    run_step(TypedFlow, "join", inputs=[{"score": 1}])
    run_step(OtherFlow, "join", inputs={"left": {"x": 1}, "right": fit[0]})
