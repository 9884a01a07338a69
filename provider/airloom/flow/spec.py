"""FlowSpec: the class that a flow subclasses, and ``self`` inside of its steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from airloom.errors import ArtifactError, GraphError
from airloom.flow.configs import Config
from airloom.flow.declarations import STEP_MARK
from airloom.flow.parameters import Parameter


class Saved(Protocol):
    """A saved artifact as far as a flow needs to know it."""

    @property
    def digest(self) -> str: ...


class Source(Protocol):
    """Artifacts of a finished task, loaded when they are asked for."""

    @property
    def artifacts(self) -> Mapping[str, Saved]: ...

    def load(self, name: str) -> Any: ...


class Frame(NamedTuple):
    """One level of `FlowSpec.foreach_stack`: index, number of splits, the item itself."""

    index: int  # type: ignore[assignment] # Metaflow's name; hides tuple.index
    num_splits: int
    value: Any


class Next(NamedTuple):
    """What ``self.next`` was called with; ``replaced`` where a user's decorator said it instead."""

    targets: tuple[str, ...]
    foreach: str | None
    condition: str | None
    num_parallel: int | None
    choice: Any
    allow_empty: bool
    replaced: bool = False


class NoArtifacts:
    """Source of a task that inherits nothing."""

    artifacts: Mapping[str, Saved] = {}

    def load(self, name: str) -> Any:
        raise KeyError(name)


class TaskState:
    """What the runtime hands to a flow object while one of its steps runs.

    ``inherited`` maps the names that were passed down, and what ``merge_artifacts`` took by
    reference, to their sources. ``stack`` holds (index, width, load item) a foreach level.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        inherited: Mapping[str, Source] | None = None,
        stack: Iterable[tuple[int, int, Any]] = (),
    ) -> None:
        self.parameters = dict(parameters)
        self.inherited: dict[str, Source] = dict(inherited or {})
        self.stack = tuple(stack)
        self.next: Next | None = None


class FlowSpec:
    """Base of every flow.

    A step sets artifacts on ``self`` and ends with `next`; the following steps find them there.
    """

    _airloom: TaskState

    def __init__(self, use_cli: bool = True) -> None:
        object.__setattr__(self, "_airloom", TaskState({}))
        if use_cli and type(self).__module__ == "__main__":
            # Metaflow's habit, and how people's flow files end: MyFlow() under __main__ is the
            # command line. The one import upwards of the house, named in the linter's list.
            from airloom.cli.main import main_of_flow_file

            main_of_flow_file(type(self))

    @property
    def name(self) -> str:
        """Name of the flow."""
        return type(self).__name__

    @property
    def index(self) -> int | None:
        """Index of this task in the innermost foreach; None outside."""
        stack = self._airloom.stack
        return stack[-1][0] if stack else None

    @property
    def input(self) -> Any:
        """Item of the innermost foreach that this task is for; None outside."""
        stack = self._airloom.stack
        return stack[-1][2]() if stack else None

    def foreach_stack(self) -> list[Frame]:
        """All levels of foreach around this task, outermost first."""
        return [Frame(index, width, load()) for index, width, load in self._airloom.stack]

    def next(
        self,
        *dsts: Any,
        foreach: str | None = None,
        condition: str | None = None,
        num_parallel: int | None = None,
        allow_empty: bool = False,
    ) -> None:
        """End a step by saying what comes next.

        Parameters
        ----------
        dsts
            The next step, or several that run side by side, or a dict of the cases of a switch.
        foreach
            Artifact to iterate over: the next step runs once for each item.
        condition
            Artifact or parameter whose value chooses among the cases.
        num_parallel
            Run the next step as this many tasks that see each other.
        allow_empty
            A foreach over nothing goes on with its join instead of failing.

        Raises
        ------
        GraphError
            When it is called twice, or the switch has no case for the value.
        """
        state = self._airloom
        if state.next is not None:
            raise GraphError(
                "self.next() was called twice",
                where=self.name,
                mend="call it once, as the step's last statement.",
            )
        choice = None
        if len(dsts) == 1 and isinstance(dsts[0], dict):
            choice = self._choice(dsts[0], condition)
            dsts = (dsts[0][choice],)
        targets = tuple(getattr(dst, "__name__", str(dst)) for dst in dsts)
        state.next = Next(targets, foreach, condition, num_parallel, choice, allow_empty)

    def _choice(self, cases: dict[Any, Any], condition: str | None) -> Any:
        try:
            value = getattr(self, condition) if condition else None
        except AttributeError:
            if condition in self._airloom.inherited:  # it is there, and loading it failed
                raise
            raise GraphError(
                f"the switch decides by self.{condition}, which is not set",
                where=self.name,
                mend=f"set self.{condition} before self.next(), on every path to this step.",
            ) from None
        try:
            known = value in cases
        except TypeError:  # what cannot be hashed is no key of any dict
            known = False
        if not known:
            raise GraphError(
                f"the switch has no case for {condition} = {value!r}",
                where=self.name,
                mend=f"add a case, or set self.{condition} to one of {list(cases)}.",
            )
        # The key as the flow writes it: 1, 1.0 and True are one key for a dict.
        return next(key for key in cases if key == value)

    def merge_artifacts(
        self, inputs: Iterable[Any], exclude: list[str] | None = None, include: list[str] | None = None
    ) -> None:
        """Take over, in a join, what the branches agree on.

        An artifact that is set on ``self`` already is left alone.

        Raises
        ------
        UnhandledInMergeArtifacts
            When branches hold different values under one name.
        MissingInMergeArtifacts
            When a name of ``include`` is in no branch.
        """
        if exclude and include:
            raise ArtifactError(
                "merge_artifacts got exclude and include", where=self.name, mend="give one of them."
            )
        state = self._airloom
        found: dict[str, dict[str, Source]] = {}
        for branch in inputs:
            source = getattr(branch, "airloom_source", None)
            if source is None:
                raise ArtifactError(
                    f"merge_artifacts takes inputs, or a list of some of them; {branch!r} is none",
                    where=self.name,
                    mend="call it in a join: self.merge_artifacts(inputs).",
                )
            for name, saved in source.artifacts.items():
                found.setdefault(name, {}).setdefault(saved.digest, source)
        wanted = set(include) if include else set(found) - set(exclude or ())
        wanted -= set(vars(self)) | set(state.parameters) | set(constants_of(type(self)))
        missing = sorted(wanted - set(found) - set(state.inherited))
        if missing:
            raise MissingInMergeArtifacts(self.name, missing)
        unhandled = sorted(name for name in wanted if len(found.get(name, ())) > 1)
        if unhandled:
            raise UnhandledInMergeArtifacts(self.name, unhandled)
        for name in sorted(wanted & set(found)):
            (state.inherited[name],) = found[name].values()

    def airloom_parameter(self, name: str) -> Any:
        """Value of a parameter in this run; for `Parameter`."""
        try:
            return self._airloom.parameters[name]
        except KeyError:
            raise AttributeError(name) from None  # `__getattr__` finds the words

    def __iter__(self) -> Iterator[Any]:
        from airloom.flow.declarations import step_declaration

        return (
            getattr(self, name) for name in dir(type(self)) if step_declaration(getattr(type(self), name))
        )

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__.get("_airloom")
        source = state.inherited.get(name) if state is not None else None
        if source is None and isinstance(getattr(type(self), name, None), Parameter):
            # Python asks here after the descriptor has refused, and forgets what it said.
            raise AttributeError(f"the parameter {name!r} has no value outside of a run")
        if source is None:
            raise AttributeError(f"Flow {type(self).__name__} has no attribute {name!r}")
        value = source.load(name)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: object) -> None:
        self._refuse(name, "changed")
        if isinstance(value, (FlowSpec, Input, Inputs)):
            # Here, where the line can still be seen, and not only when the step has ended.
            what = {FlowSpec: "a flow", Input: "one of inputs", Inputs: "inputs"}
            (called,) = (text for kind, text in what.items() if isinstance(value, kind))
            raise ArtifactError(
                f"self.{name}: {called} cannot be saved",
                where=f"self.{name}",
                mend="assign the values that you need, e.g. self.scores = [i.score for i in inputs].",
            )
        object.__setattr__(self, name, value)

    def _refuse(self, name: str, done: str) -> None:
        if name in constants_of(type(self)):
            raise AttributeError(
                f"{name!r} cannot be {done}: flow level attributes and parameters are read-only"
            )
        found = getattr(type(self), name, None)
        if found is None or name.startswith("_"):
            return
        if isinstance(found, (Parameter, Config)):
            kind = "config" if isinstance(found, Config) else "parameter"
            called = found.airloom_config.name if isinstance(found, Config) else found.name
            raise AttributeError(
                f"the {kind} {called!r} cannot be {done}: flow level attributes and parameters are read-only"
            )
        if hasattr(FlowSpec, name):
            raise AttributeError(f"self.{name} cannot be {done}: it is part of every flow; take another name")
        if hasattr(found, STEP_MARK):
            raise AttributeError(f"self.{name} cannot be {done}: it is a step; take another name")

    def __delattr__(self, name: str) -> None:
        self._refuse(name, "deleted")
        inherited = self._airloom.inherited
        if name not in self.__dict__ and name not in inherited:
            raise AttributeError(f"Flow {type(self).__name__} has no attribute {name!r}")
        self.__dict__.pop(name, None)
        inherited.pop(name, None)

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *self._airloom.inherited})

    def __getstate__(self) -> Any:
        raise ArtifactError(
            "a flow cannot be saved; maybe self or one of inputs was assigned to an attribute",
            where=type(self).__name__,
            mend="assign the values that you need, not the flow that holds them.",
        )


class Input:
    """One branch in a join: its artifacts, and where it stood in a foreach."""

    def __init__(self, step: str, source: Source, stack: Iterable[tuple[int, int, Any]]) -> None:
        self.airloom_step = step
        self.airloom_source = source
        self._stack = tuple(stack)

    @property
    def index(self) -> int | None:
        """Index of the branch in its foreach."""
        return self._stack[-1][0] if self._stack else None

    @property
    def input(self) -> Any:
        """Item that the branch was for."""
        return self._stack[-1][2]() if self._stack else None

    def foreach_stack(self) -> list[Frame]:
        """All levels of foreach around the branch, outermost first."""
        return [Frame(index, width, load()) for index, width, load in self._stack]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self.airloom_source.artifacts:
            raise AttributeError(f"the branch {self.airloom_step!r} has no artifact {name!r}")
        value = self.airloom_source.load(name)
        self.__dict__[name] = value
        return value

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *self.airloom_source.artifacts})

    def __getstate__(self) -> Any:
        raise ArtifactError(
            "one of inputs cannot be saved",
            where=self.airloom_step,
            mend="assign the values that you need, e.g. self.scores = [i.score for i in inputs].",
        )


class Inputs:
    """The branches of a join: by step name, by position, or one after another."""

    def __init__(self, branches: Iterable[Input]) -> None:
        self._branches = list(branches)

    def __getitem__(self, position: int) -> Input:
        return self._branches[position]

    def __iter__(self) -> Iterator[Input]:
        return iter(self._branches)

    def __len__(self) -> int:
        return len(self._branches)

    def __getattr__(self, name: str) -> Input:
        branches: list[Input] = self.__dict__.get("_branches", [])
        for branch in branches:
            if branch.airloom_step == name:
                return branch
        raise AttributeError(f"no branch of this join ends with the step {name!r}")

    def __getstate__(self) -> Any:
        raise ArtifactError(
            "inputs cannot be saved",
            where="a join",
            mend="assign the values that you need, e.g. self.scores = [i.score for i in inputs].",
        )


class UnhandledInMergeArtifacts(ArtifactError):
    """Branches hold different values under one name; ``artifact_names`` lists them."""

    kind = "unhandled_in_merge"

    def __init__(self, flow: str, names: list[str]) -> None:
        super().__init__(
            f"the branches differ in {', '.join(names)}",
            where=flow,
            mend="set each on self before merge_artifacts, or name it in exclude.",
        )
        self.artifact_names = names


class MissingInMergeArtifacts(ArtifactError):
    """No branch has these names of ``include``; ``artifact_names`` lists them."""

    kind = "missing_in_merge"

    def __init__(self, flow: str, names: list[str]) -> None:
        super().__init__(
            f"no branch has {', '.join(names)}",
            where=flow,
            mend="take the names out of include, or set them.",
        )
        self.artifact_names = names


_constants: dict[type, tuple[str, ...]] = {}


def constants_of(flow: type) -> tuple[str, ...]:
    """Names of class-level values of a flow, which every task sees and none can change."""
    if flow not in _constants:
        names = {
            name
            for base in flow.__mro__
            if issubclass(base, FlowSpec) and base is not FlowSpec
            for name, value in vars(base).items()
            if not name.startswith("_") and _is_constant(value)
        }
        _constants[flow] = tuple(sorted(names))
    return _constants[flow]


def _is_constant(value: object) -> bool:
    if isinstance(value, (Parameter, property, classmethod, staticmethod, type)):
        return False
    return not callable(value) and not hasattr(value, "__get__")
