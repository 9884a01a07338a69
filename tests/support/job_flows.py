"""Flows whose steps are jobs, as texts: what goes well on AWS, and what goes wrong there."""

from __future__ import annotations

HEAD = """
import os, signal, time
from pathlib import Path
from airloom import FlowSpec, Parameter, batch, catch, current, ecs, resources, retry, step, timeout

HERE = Path(__file__).parent
"""

FLOWS = {
    "JobsPlaces": """
class JobsPlaces(FlowSpec):
    @step
    def start(self):
        self.items = [2, 3]
        self.next(self.each, foreach="items")

    @batch(cpu=1, memory=512, aws_batch_tags={"team": "birds"})
    @resources(memory=768)
    @step
    def each(self):
        print("square of", self.input, flush=True)
        self.square = self.input ** 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.squares = [i.square for i in inputs]
        self.next(self.end)

    @ecs(cpu=0.5, memory=1000)
    @step
    def end(self):
        self.total = sum(self.squares)
        print("the total is", self.total)
""",
    "JobsGrow": """
class JobsGrow(FlowSpec):
    @batch(memory=256)
    @retry(times=1, minutes_between_retries=0)
    @step
    def start(self):
        self.retry_count = current.retry_count
        block = bytearray(600 * 2**20)
        for place in range(0, len(block), 4096):
            block[place] = 1
        time.sleep(0.5)
        self.length = len(block)
        self.next(self.end)

    @step
    def end(self):
        pass
""",
    "JobsUser": """
class JobsUser(FlowSpec):
    @batch(memory=512)
    @retry(times=1, minutes_between_retries=0)
    @step
    def start(self):
        self.seen = current.retry_count
        if current.retry_count == 0:
            raise ValueError("not yet")
        self.next(self.caught)

    @batch(memory=512)
    @catch(var="problem")
    @step
    def caught(self):
        raise KeyError("gone")
        self.next(self.slow)

    @ecs(cpu=0.25, memory=512)
    @catch(var="late")
    @timeout(seconds=1)
    @step
    def slow(self):
        time.sleep(60)
        self.next(self.small)

    @batch(memory=256, max_memory=256)
    @catch(var="killed")
    @step
    def small(self):
        os.kill(os.getpid(), signal.SIGKILL)
        self.next(self.end)

    @step
    def end(self):
        self.told = [str(one) for one in (self.problem, self.late, self.killed)]
""",
    "JobsRange": """
class JobsRange(FlowSpec):
    @step
    def start(self):
        self.items = list(range(6))
        self.next(self.each, foreach="items")

    @batch(memory=512)
    @retry(times=1, minutes_between_retries=0)
    @step
    def each(self):
        if self.input == 1 and current.retry_count == 0:
            raise ValueError("not yet")
        self.square = self.input ** 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.squares = [i.square for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        pass
""",
    "JobsImage": """
class JobsImage(FlowSpec):
    @batch(memory=512, image="nobody/knows:1")
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass
""",
    "JobsNoPython": """
class JobsNoPython(FlowSpec):
    @ecs(cpu=0.25, memory=512, image="busybox:latest")
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass
""",
    "JobsSpot": """
class JobsSpot(FlowSpec):
    gate = Parameter("gate", required=True)

    @batch(memory=512, spot_queue="spot")
    @step
    def start(self):
        while not Path(self.gate).exists():
            time.sleep(0.1)
        self.next(self.end)

    @step
    def end(self):
        pass
""",
}
STUCK = """
class JobsStuck(FlowSpec):
    @batch(memory=512, start_timeout=3)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass
"""
WAITS = """
class {name}(FlowSpec):
    gate = Parameter("gate", required=True)

    @{where}
    @step
    def start(self):
        with open(self.gate + ".ran", "a") as file:
            file.write("start\\n")
        while not Path(self.gate).exists():
            time.sleep(0.1)
        self.next(self.end)

    @step
    def end(self):
        pass
"""
WAITING = {
    "JobsWaitBatch": WAITS.format(name="JobsWaitBatch", where="batch(memory=512)"),
    "JobsWaitEcs": WAITS.format(name="JobsWaitEcs", where="ecs(cpu=0.25, memory=512)"),
    "JobsDeferBatch": WAITS.format(name="JobsDeferBatch", where="batch(memory=512)"),
    "JobsDeferEcs": WAITS.format(name="JobsDeferEcs", where="ecs(cpu=0.25, memory=512)"),
}


def source(name: str, body: str) -> str:
    return f'{HEAD}{body}\nif __name__ == "__main__":\n    {name}()\n'


HAND = """\
import math
from datetime import timedelta

from airflow.sdk import DAG, task

FACTOR = 3


def times(number):
    return number * FACTOR


class Model:
    def __init__(self, total):
        self.total = total


with DAG("jobs_by_hand", schedule=None):

    @task.artifacts(outputs=("rows", "name"))
    def load():
        return [1, 2, 3], "three"

    @task.artifacts(target="batch", resources={"memory": 256}, deferrable=True, poll_interval=1)
    def fit(rows, name, run_id, *, scale):
        print("fitting", name)
        return Model(sum(map(times, rows)) * scale)

    @task.artifacts(
        resources={"memory": 256, "max_memory": 512}, batch={"aws_batch_tags": {"team": "birds"}},
        retries=1, poll_interval=1, retry_delay=timedelta(seconds=1),
    )
    def each(row, *, model):
        if row == 2:
            block = bytearray(300 << 20)
        return row * model.total

    @task.artifacts(target="ecs", outputs=("total", "pi"), poll_interval=1)
    def add(parts):
        return sum(parts), math.pi

    @task
    def show(total):
        print("the total is", total)

    loaded = load()
    model = fit(loaded["rows"], loaded["name"], scale=2)
    show(add(each.partial(model=model).expand(row=[1, 2]))["total"])
"""
"""A DAG by hand whose functions run as jobs: values are loaded there, and one outgrows its memory."""
