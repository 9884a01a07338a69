"""One step of a flow, run in a test: `run_step` gives it artifacts and looks at what it leaves.

The step runs as in a run, through `airloom.runtime.task`, but in this process, with a store in
memory, and without @retry, @catch and @timeout: what it raises reaches the test as it was raised.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from airloom import settings as settings_of
from airloom.codec import Json
from airloom.compiler.planner import compile_flow
from airloom.errors import FlowError, GraphError, Place, StepFailed
from airloom.flow.declarations import config_attributes
from airloom.flow.finishing import finish
from airloom.flow.spec import FlowSpec
from airloom.names import Indices, did_you_mean, task_id
from airloom.plan import Plan, StepPlan
from airloom.runtime.lineage import ITEMS, Lineage, Parent
from airloom.runtime.parameters import parameter_values
from airloom.runtime.start import begin, new_run, run_parameters
from airloom.runtime.task import Task, TaskRequest, now
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.objects import MemoryObjects
from airloom.store.records import ArtifactRecord, DoneRecord, Outcome, Usage

Level: TypeAlias = "tuple[int, int, Any]"
"""One level of foreach as ``self.foreach_stack()`` has it: index, number of splits, item."""


@dataclass(frozen=True, slots=True)
class NextSteps:
    """What a step said by ``self.next``.

    ``targets`` names the steps, of a switch the one that was chosen, after the last step none.
    ``width`` is the number of tasks of a foreach or of ``num_parallel``, ``choice`` the value that
    a switch decided by.
    """

    targets: tuple[str, ...] = ()
    width: int | None = None
    choice: Any = None


class StepResult(Mapping[str, Any]):
    """What a step left: its artifacts by attribute or by key, and ``next``.

    The artifacts are those that the following step would find: what the step set, and what was
    passed down to it. Each is loaded when it is first asked for, from what was saved.
    """

    def __init__(
        self, step: str, records: Mapping[str, ArtifactRecord], datastore: Datastore, outcome: Outcome
    ) -> None:
        self.next = NextSteps(outcome.targets, outcome.cardinality, outcome.choice)
        self._step = step
        self._records = dict(records)
        self._datastore = datastore
        self._values: dict[str, Any] = {}

    @property
    def artifacts(self) -> dict[str, Any]:
        """All artifacts by name."""
        return dict(self)

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            saved = self._records[name]
            self._values[name] = self._datastore.load_artifact(saved, f"{self._step}/{name}").value
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and name not in self.__dict__.get("_records", ()):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            mend = did_you_mean(name, sorted(self._records))
            raise AttributeError(f"the step {self._step!r} left no artifact {name!r}; {mend}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"StepResult({self._step!r}, {sorted(self._records)}, next={self.next})"


Inputs: TypeAlias = "Mapping[str, Any] | Sequence[Mapping[str, Any]]"


def run_step(
    flow: type[FlowSpec],
    step: str,
    *,
    inputs: Inputs | None = None,
    parameters: Mapping[str, Json] | None = None,
    index: int | None = None,
    item: Any = None,
    items: Sequence[Any] | None = None,
    foreach_stack: Sequence[Level] | None = None,
    environment: Mapping[str, str] | None = None,
    retry_count: int = 0,
) -> StepResult:
    """Run one step of a flow and return what it leaves.

    Parameters
    ----------
    inputs
        Artifacts that the step finds on ``self``; the result of an earlier `run_step` will do. For a
        join the artifacts of each branch: a list for a foreach, a dict by step name for a split.
    parameters
        Values by name, as the command line's; the others have their defaults. A file as its text.
    index, item
        ``self.index`` and ``self.input`` in a foreach; the index is 0 when not given. Without an
        item it is taken from ``items``, or from the foreach's artifact among ``inputs``.
    items
        What the foreach iterates over; for its join: the items of the branches.
    foreach_stack
        All levels of foreach around the step, outermost first, in place of index and item.
    environment
        Environment variables while the step runs, besides those of @environment.
    retry_count
        What ``current.retry_count`` says.

    Returns
    -------
    The artifacts and the transition.

    Raises
    ------
    FlowError
        When the flow cannot run, has no such step, or the step gets inputs of the wrong form.
    ArtifactError
        When something that the step set cannot be saved.

    Notes
    -----
    Values are saved and loaded as in a run: a step gets copies, and the test does, too. What the
    step raises is raised.
    """
    objects = MemoryObjects(f"run_step-{uuid.uuid4()}")
    datastore = Datastore(objects)
    settings = settings_of.load({"datastore_root": datastore.root})
    compiled = compile_flow(flow, settings, packed=False)
    plan = _bare(compiled.plan, step, dict(environment or {}))
    for data in compiled.files.values():
        datastore.save_code(data)
    datastore.save_plan(plan)
    record = new_run(
        plan,
        run_parameters(plan, dict(parameters or {}), datastore, where=f"run_step({flow.__name__}, {step!r})"),
        settings.user_name,
        {"scheduler": "test"},
    )
    begin(datastore, record)
    finished = finish(flow, plan.configs, plan.attached)
    shared = parameter_values(finished, plan, record, datastore)
    shared |= {name: getattr(finished, name) for name in plan.constants}
    given = _Given(datastore, plan, record.run, plan.step(step), inputs, shared)
    given.place(index, item, items, foreach_stack)
    request = TaskRequest(record.run, step, given.name, retry_count, last_try=False, alarm=False)
    task = Task(datastore, plan, flow, request)
    task.lineage = given
    error: BaseException | None = None
    try:
        result = task.run()
    except StepFailed as failed:
        error = failed.__cause__ or failed
    finally:
        objects.forget()
    if error is not None:
        raise error
    done = datastore.done(task.key, result.attempt)
    left_out = {ITEMS, *shared, *config_attributes(task.flow)}
    records = {name: saved for name, saved in done.artifacts.items() if name not in left_out}
    return StepResult(step, records, datastore, done.outcome)


def _bare(plan: Plan, step: str, variables: dict[str, str]) -> Plan:
    """Plan whose step has no @catch, and more variables."""
    own = plan.step(step)
    bare = replace(own, catch=None, variables={**own.variables, **variables})
    return replace(plan, steps=tuple(bare if one is own else one for one in plan.steps))


class _Given(Lineage):
    """Parents that a test made up, in place of those of a run."""

    def __init__(
        self,
        datastore: Datastore,
        plan: Plan,
        run: str,
        step: StepPlan,
        inputs: Inputs | None,
        shared: Mapping[str, Any],
    ) -> None:
        super().__init__(datastore, plan, run)
        self._run_id = run
        self._store = datastore
        self._of = plan
        self._step = step
        self._inputs = inputs
        self._shared = shared
        self._levels: list[Level] = []
        self._items: Sequence[Any] | None = None

    @property
    def name(self) -> str:
        """Id of the step's task."""
        return task_id(tuple(level[0] for level in self._levels))

    def place(
        self,
        index: int | None,
        item: Any,
        items: Sequence[Any] | None,
        foreach_stack: Sequence[Level] | None,
    ) -> None:
        """Say where among foreaches the task stands."""
        depth = self._step.depth
        self._items = items
        if foreach_stack is not None:
            self._levels = list(foreach_stack)
        elif depth:
            self._levels = [(0, 1, None)] * (depth - 1) + [self._innermost(index or 0, item, items)]
        elif index is not None:
            raise self._refused("gets an index, and stands in no foreach", "leave index out.")
        if len(self._levels) != depth:
            raise self._refused(
                f"stands in {depth} foreaches, and foreach_stack has {len(self._levels)} levels",
                "give one (index, number of splits, item) a foreach, outermost first.",
            )

    def _innermost(self, index: int, item: Any, items: Sequence[Any] | None) -> Level:
        variable = self._of.step(self._step.foreaches[-1]).transition.variable
        if items is None and item is None and isinstance(self._inputs, Mapping) and variable is not None:
            found = self._inputs.get(variable)
            items = found if isinstance(found, Sequence) else None
        if item is None and items is not None and self._step.joins is None:
            if index >= len(items):
                raise self._refused(f"gets index {index} of {len(items)} items", "give an index below that.")
            item = items[index]
        return index, max(index + 1, 1 if items is None else len(items)), item

    def parents(self, step: StepPlan, indices: Indices) -> list[Parent]:
        """Tasks that have the given artifacts."""
        inputs = {} if self._inputs is None else self._inputs
        if step.joins is None:
            if not isinstance(inputs, Mapping):
                raise self._refused("is no join, and gets several inputs", "give a dict of artifacts.")
            name = next((name for name in step.parents if name != step.name), None)
            if name is None:
                if inputs:
                    raise self._refused("is the first one, and gets inputs", "leave inputs out.")
                return []
            return [self._parent(name, indices[: self._of.step(name).depth], inputs)]
        split = self._of.step(step.joins)
        if split.transition.kind in ("foreach", "parallel"):
            if isinstance(inputs, Mapping):
                raise self._refused("joins a foreach", "give a list: the artifacts of each branch.")
            name = step.parents[0]
            return [self._parent(name, (*indices, number), branch) for number, branch in enumerate(inputs)]
        return self._branches(step, split, indices)

    def _branches(self, step: StepPlan, split: StepPlan, indices: Indices) -> list[Parent]:
        inputs = {} if self._inputs is None else self._inputs
        if not isinstance(inputs, Mapping):
            inputs = dict(zip(step.parents, inputs, strict=len(inputs) == len(step.parents)))
        unknown = [name for name in inputs if name not in step.parents]
        missing = [name for name in step.parents if name not in inputs]
        if unknown:
            what = f"gets a branch {unknown[0]!r}, which does not lead to it"
            raise self._refused(what, did_you_mean(unknown[0], list(step.parents)))
        # After a switch inside of a branch one of its arms arrives, not all.
        if len(inputs) != len(split.transition.targets):
            raise self._refused(
                f"joins {len(split.transition.targets)} branches, and gets {len(inputs)}",
                f"give the artifacts of {', '.join(map(repr, missing))}, too: a dict by step name.",
            )
        return [self._parent(name, indices, inputs[name]) for name in step.parents if name in inputs]

    def _parent(self, step: str, indices: Indices, artifacts: Mapping[str, Any]) -> Parent:
        if not isinstance(artifacts, Mapping):
            raise self._refused(f"gets {artifacts!r} as a branch", "give a dict of artifacts a branch.")
        saved = self._store.save_artifacts({**self._shared, **artifacts})
        return self._made(step, indices, saved, Outcome((self._step.name,)))

    def _made(
        self, step: str, indices: Indices, artifacts: dict[str, ArtifactRecord], outcome: Outcome
    ) -> Parent:
        done = DoneRecord(now(), artifacts, outcome, Usage(0, 0, 0), (), "", "", "")
        key = TaskKey(self._of.flow, self._run_id, step, task_id(indices))
        return Parent(self._store, key, indices, 0, done)

    def committed(self, step: str, indices: Indices) -> Parent:
        """Give a split of the given width; only that is asked of it."""
        width = self._levels[len(indices)][1]
        return self._made(step, indices, {}, Outcome((), width))

    def stack(self, step: StepPlan, indices: Indices) -> list[tuple[int, int, Any]]:
        """Levels of foreach around a task, each with what loads its item."""
        levels = list(self._levels[: step.depth])
        if step.depth > len(levels):
            items = self._items
            number, inputs = indices[-1], self._inputs or ()
            levels.append((number, len(inputs), None if items is None else items[number]))
        return [(index, width, _Item(item)) for index, width, item in levels]

    def _refused(self, what: str, mend: str) -> FlowError:
        place = Place(f"{self._of.module}.py", self._step.line, self._step.name)
        return GraphError(f"run_step: the step {self._step.name!r} {what}", where=place, mend=mend)


@dataclass(frozen=True, slots=True)
class _Item:
    value: Any

    def __call__(self) -> Any:
        return self.value
