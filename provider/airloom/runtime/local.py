"""A whole run on this machine: no Airflow, no database, one process a task."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from airloom.names import Indices, indices_of, task_id
from airloom.plan import Plan
from airloom.runtime.executors import ENDED, Ended, Executor, end_of
from airloom.runtime.limits import Limit
from airloom.runtime.logs import Stream
from airloom.runtime.retries import Retries
from airloom.runtime.task import TaskRequest
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import FailedRecord, Outcome, RunRecord


class Reporter(Protocol):
    """Is told what happens in a run, as it happens."""

    def run_started(self, plan: Plan, run: str) -> None: ...
    def task_started(self, key: TaskKey, retry_count: int) -> None: ...
    def line(self, key: TaskKey, stream: Stream, text: str) -> None: ...
    def task_ended(self, key: TaskKey, problem: str | None, retried: bool) -> None: ...
    def run_ended(self, run: str, successful: bool) -> None: ...


class LocalRun:
    """Drives one run: starts what is ready, counts what has arrived at joins.

    Parameters
    ----------
    limit
        How steps are held to their sizes; only then what runs out of memory gets more and is tried again.
    apply_sizes
        False only notes which sizes were learned.
    """

    def __init__(
        self,
        datastore: Datastore,
        plan: Plan,
        executor: Executor,
        reporter: Reporter,
        *,
        limit: Limit = "none",
        apply_sizes: bool = True,
    ) -> None:
        self._retries = Retries(plan, limit)
        self._apply_sizes = apply_sizes
        self._datastore = datastore
        self._plan = plan
        self._executor = executor
        self._reporter = reporter
        self._ready: deque[tuple[str, Indices, int]] = deque()
        self._running = 0
        self._arrived: dict[tuple[str, Indices], int] = {}
        self._widths: dict[tuple[str, Indices], int] = {}
        self._failed = False
        self._joins = {step.joins: step.name for step in plan.steps if step.joins is not None}

    def execute(
        self, record: RunRecord, workers: int, finished: Mapping[tuple[str, Indices], Outcome] | None = None
    ) -> bool:
        """Run it; return whether every task succeeded.

        The tasks of ``finished`` are committed already, and so are all that they read. A failed
        task lets those that run already come to their end, and starts no others.
        """
        self._reporter.run_started(self._plan, record.run)
        self._ready.append((self._plan.start, (), 0))
        self._replay(finished or {})
        killed = True
        try:
            while self._running or (self._ready and not self._failed):
                while self._ready and not self._failed and self._may_start(workers):
                    self._start(record.run, *self._ready.popleft())
                for event in self._executor.poll():
                    self._take(event)
            killed = False
        finally:
            self._executor.close(kill=killed)
        self._datastore.end_run(self._plan.flow, record.run, not self._failed)
        self._reporter.run_ended(record.run, not self._failed)
        return not self._failed

    def _may_start(self, workers: int) -> bool:
        # The tasks of a @parallel step wait for each other: once one runs, all of them must.
        around = self._plan.step(self._ready[0][0]).foreaches
        first = self._ready[0][1][-1:] == (0,)
        gang = bool(around) and self._plan.step(around[-1]).transition.kind == "parallel" and not first
        return gang or self._running < workers

    def _replay(self, finished: Mapping[tuple[str, Indices], Outcome]) -> None:
        """Go on from tasks that are finished, until only those are ready that are not."""
        waiting: list[tuple[str, Indices, int]] = []
        while self._ready:
            step, indices, retry_count = self._ready.popleft()
            outcome = finished.get((step, indices))
            if outcome is None:
                waiting.append((step, indices, retry_count))
            else:
                self._follow(step, indices, outcome)
        self._ready.extend(waiting)

    def _start(self, run: str, step: str, indices: Indices, retry_count: int) -> None:
        request = TaskRequest(
            run,
            step,
            task_id(indices),
            retry_count,
            retry_count >= self._plan.step(step).retry.times,
            size=self._retries.size((step, indices)),
            last_size=self._retries.is_last((step, indices)),
            limit=self._retries.limit,
            apply_sizes=self._apply_sizes,
            origin={"scheduler": "local"},
        )
        self._running += 1
        self._reporter.task_started(self._key(request), retry_count)
        self._executor.submit(request)

    def _key(self, request: TaskRequest) -> TaskKey:
        return TaskKey(self._plan.flow, request.run, request.step, request.task)

    def _take(self, event: Ended | tuple[TaskRequest, Stream, str]) -> None:
        if not isinstance(event, Ended):
            self._reporter.line(self._key(event[0]), event[1], event[2])
            return
        self._running -= 1
        request, key = event.request, self._key(event.request)
        indices = indices_of(request.task, self._plan.step(request.step).depth)
        # What is committed counts, also where its process ended badly afterwards.
        if event.done is not None:
            self._reporter.task_ended(key, None, retried=False)
            self._follow(request.step, indices, event.done.outcome)
            return
        failed = None if event.attempt is None else self._datastore.failed(key, event.attempt)
        verdict = self._retries.failed((request.step, indices), request, failed)
        problem = verdict.sentence or _problem(failed, event.status)
        caught = not verdict.again and self._can_catch(request, failed)
        told = f"{problem}; @catch keeps it" if caught else problem
        self._reporter.task_ended(key, told, retried=verdict.again)
        if verdict.again:
            self._ready.appendleft((request.step, indices, verdict.retry_count))
        elif caught:
            self._running += 1
            self._executor.submit(
                replace(request, killed=problem, size=None if failed is None else failed.size)
            )
        else:
            self._failed = True

    def _can_catch(self, request: TaskRequest, failed: FailedRecord | None) -> bool:
        """Say whether @catch has still to act: the process of the last attempt could not do it itself."""
        lost = failed is not None and failed.error.type == ENDED
        return lost and request.killed is None and self._plan.step(request.step).catch is not None

    def _follow(self, step: str, indices: Indices, outcome: Outcome) -> None:
        plan = self._plan.step(step)
        if plan.transition.kind in ("foreach", "parallel"):
            width = outcome.cardinality or 0
            self._widths[step, indices] = width
            (target,) = outcome.targets
            self._ready.extend((target, (*indices, index), 0) for index in range(width))
            if width == 0:
                self._ready.append((self._joins[step], indices, 0))
            return
        for target in outcome.targets:
            self._arrive(target, indices)

    def _arrive(self, target: str, indices: Indices) -> None:
        split = self._plan.step(target).joins
        if split is None:
            self._ready.append((target, indices, 0))
            return
        at = indices[: self._plan.step(target).depth]
        place = (target, at)
        self._arrived[place] = self._arrived.get(place, 0) + 1
        wanted = self._widths.get((split, at)) or len(self._plan.step(split).transition.targets)
        if self._arrived[place] == wanted:
            del self._arrived[place]
            self._ready.append((target, at, 0))


def _problem(failed: FailedRecord | None, status: int) -> str:
    if failed is None:
        return f"the task's process {end_of(status)}"
    first = failed.error.message.partition("\n")[0]
    kind = failed.error.type.removeprefix("builtins.")
    return first if kind == ENDED else f"{kind}: {first}"
