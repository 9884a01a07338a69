"""Reads of artifacts that no path sets: refused here, instead of an AttributeError after an hour's run.

The finding is one only when it is certain. What a step may set counts as set; of a step in which
`uses` loses sight of ``self`` nothing is said, nor of the steps that get their artifacts from it.
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, TypeAlias

from airloom.compiler.graph import Graph, Node
from airloom.compiler.uses import Event, Uses, uses_of
from airloom.errors import FlowError, GraphError, Place
from airloom.flow.parameters import Parameter
from airloom.flow.spec import FlowSpec, Input
from airloom.names import did_you_mean

Names: TypeAlias = "frozenset[str] | None"
"""Artifacts that there may be; None when nobody can say."""

_OVERRIDES = ("__init__", "__new__", "__getattr__", "__getattribute__", "__setattr__")


def unset_reads(graph: Graph) -> Iterator[FlowError]:
    """Refuse a read of an artifact that no path from the first step sets; the graph is in order."""
    bases = [base for base in graph.flow_class.__mro__ if base not in FlowSpec.__mro__]
    plain = type(graph.flow_class) in (type(FlowSpec), ABCMeta)
    if plain and not any(name in vars(base) for base in bases for name in _OVERRIDES):
        yield from _Reads(graph).findings()


@dataclass(frozen=True)
class _Method:
    """A method of the flow, with the class that it stands in."""

    function: FunctionType
    owner: type
    uses: Uses


@dataclass
class _Step:
    """What is known of one step: artifacts at its beginning and its end, what it may set itself."""

    node: Node
    parents: tuple[str, ...]
    before: Names = frozenset()
    sets: set[str] = field(default_factory=set)
    opaque: bool = False
    after: Names = frozenset()


@dataclass(frozen=True)
class _Missing:
    """A read that finds nothing."""

    step: str
    event: Event
    place: Place
    in_helper: bool


class _Reads:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._methods: dict[tuple[str, type | None], _Method | str] = {}
        self._steps: dict[str, _Step] = {}
        parents: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for name, node in graph.nodes.items():
            for target in node.targets:
                if target != name:
                    parents[target].append(name)
        self._parents = parents
        flow = graph.flow_class
        self._members = {name for base in flow.__mro__ for name in vars(base)} | {"_airloom"}
        self._of_all = {name for base in FlowSpec.__mro__ for name in vars(base)}
        declared = {
            name
            for base in flow.__mro__
            for name, value in vars(base).items()
            if isinstance(value, Parameter)
        }
        self._switches = self._members - self._of_all - declared
        self._of_branches = {name for base in Input.__mro__ for name in vars(base)} | self._members

    def findings(self) -> Iterator[FlowError]:
        missing: list[_Missing] = []
        for name, node in self._graph.nodes.items():
            missing += self._step(name, node)
        told: set[tuple[str, str, int | None]] = set()
        for found in missing:
            again = (found.event.name, found.place.file, found.place.line)
            per_step = (found.event.name, found.step, None)
            if again in told or per_step in told or (found.in_helper and not self._certain(found.event)):
                continue
            told |= {again, per_step}
            yield self._finding(found)

    def _certain(self, event: Event) -> bool:
        # What a helper reads under a condition may be meant for the steps that come later.
        anywhere = any(event.name in step.sets or step.opaque for step in self._steps.values())
        return event.sure or not anywhere

    def _step(self, name: str, node: Node) -> list[_Missing]:
        step = self._steps[name] = _Step(node, tuple(self._parents[name]))
        if not node.is_join:
            step.before = _union(self._steps[parent].after for parent in step.parents)
        method = self.method(name, None)
        wrapped = any(written.maker is not None for written in node.declaration.written)
        if wrapped or not isinstance(method, _Method):
            step.opaque = True  # what the user's own decorators do to self is anybody's guess
            step.after = None
            return []
        walk = _Walk(self, step)
        walk.collect(method)
        caught = node.declaration.catch
        if caught is not None and caught.variable is not None:
            walk.sets.add(caught.variable)
        step.sets = walk.sets
        step.opaque = walk.opaque
        if step.opaque or step.before is None:
            step.after = None
            return []
        if walk.merges is None:
            step.after = None
        else:
            step.after = step.before | walk.sets | walk.merges
        walk.begin(step.before | (walk.sets if node.recurs else set()))
        walk.run(method)
        return walk.missing

    # -- methods of the flow -------------------------------------------------------------

    def method(self, name: str, above: type | None) -> _Method | str:
        """Look a method or property up: "plain" when it runs nothing, "opaque" when nobody can tell."""
        key = (name, above)
        if key not in self._methods:
            self._methods[key] = self._method(name, above)
        return self._methods[key]

    def _method(self, name: str, above: type | None) -> _Method | str:
        mro = self._graph.flow_class.__mro__
        bases = mro if above is None else mro[mro.index(above) + 1 :]
        owner = next((base for base in bases if name in vars(base)), None)
        if owner is None or owner in FlowSpec.__mro__:
            return "plain"
        found = vars(owner)[name]
        if isinstance(found, property):
            found = found.fget
        elif isinstance(found, (staticmethod, classmethod, Parameter, type)) or not hasattr(found, "__get__"):
            return "plain"
        if not isinstance(found, FunctionType) or hasattr(found, "__wrapped__"):
            return "opaque"  # a wrapper of somebody's own gets self, too
        definition = self._graph.sources.function(found.__code__)
        if definition is None:
            return "opaque"
        node = self._graph.nodes.get(name)
        is_join = node is not None and node.function is found and node.is_join
        return _Method(found, owner, uses_of(definition, self._switches, is_join=is_join))

    @property
    def members(self) -> set[str]:
        """Names that the class itself has."""
        return self._members

    @property
    def of_branches(self) -> set[str]:
        """Names that a branch has besides its artifacts."""
        return self._of_branches

    def after(self, steps: Iterable[str]) -> Names:
        """Artifacts that there may be at the end of these steps."""
        return _union(self._steps[step].after for step in steps)

    # -- sentences -----------------------------------------------------------------------

    def _finding(self, found: _Missing) -> GraphError:
        event, step = found.event, self._steps[found.step]
        what, mend = self._of_branch(found, step) if event.kind == "branch" else self._of_self(found, step)
        return GraphError(what, where=found.place, mend=mend)

    def _of_branch(self, found: _Missing, step: _Step) -> tuple[str, str]:
        name, steps = found.event.name, found.event.branches
        reads = f"the join {found.step!r} reads {name!r} of"
        if steps is not None and not steps & set(step.parents):
            (branch,) = sorted(steps)[:1]
            what = f"the join {found.step!r} reads inputs.{branch}, and no branch ends with that step"
            return what, did_you_mean(branch, sorted(step.parents))
        near = self.after(steps & set(step.parents) if steps else step.parents) or frozenset()
        if steps is None:
            return f"{reads} its inputs, which no branch sets", self._near(name, near)
        what = f"{reads} inputs.{sorted(steps)[0]}, which is not set there"
        others = [parent for parent in step.parents if name in (self._steps[parent].after or ())]
        mend = f"read it from inputs.{others[0]}." if others else self._near(name, near)
        return what, mend

    def _of_self(self, found: _Missing, step: _Step) -> tuple[str, str]:
        name, word = found.event.name, found.event.word
        verb = {"foreach": "iterates over", "condition": "decides by"}.get(word, "reads")
        reads = f"the step {found.step!r} {verb} self.{name}"
        lost = self._lost_in(name, found.step)
        if lost is not None:
            inputs = self._inputs_of(lost)
            what = f"{reads}, which the join {lost!r} does not take over from its branches"
            where = "before that" if lost == found.step else f"in {lost!r}"
            return (
                what,
                f"write self.merge_artifacts({inputs}, include=[{name!r}]) {where}, or set self.{name}.",
            )
        if name in step.sets:
            return f"{reads} before it sets it", f"set self.{name} above that line."
        setters = [other.node.name for other in self._steps.values() if name in other.sets]
        if setters:
            listed = " and ".join(map(repr, setters))
            does = "does not" if len(setters) == 1 else "do not"
            what = f"{reads}, which is set only in {listed}, which {does} come before it"
            return what, f"set self.{name} in a step on the way to {found.step!r}."
        near = (step.before or frozenset()) | step.sets
        return f"{reads}, which no step sets", self._near(name, near)

    def _near(self, name: str, names: Iterable[str]) -> str:
        known = sorted({*names, *(self._members - self._of_all)} - set(self._graph.nodes))
        known = [other for other in known if not other.startswith("_") or name.startswith("_")]
        return did_you_mean(name, known) if known else f"set self.{name} in a step before it."

    def _lost_in(self, name: str, at: str) -> str | None:
        """Join, at the step or before it, to whose branches the artifact comes and that drops it."""
        waiting, seen = [at], {at}
        while waiting:
            step = self._steps[waiting.pop(0)]
            if step.node.is_join and name in (self.after(step.parents) or ()):
                return step.node.name
            for parent in step.parents:
                if parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)
        return None

    def _inputs_of(self, join: str) -> str:
        code = self._steps[join].node.code
        return "inputs" if code is None else code.co_varnames[1]


class _Walk:
    """Goes through what one step does, into its methods, with the artifacts that there may be by then."""

    def __init__(self, reads: _Reads, step: _Step) -> None:
        self._reads = reads
        self._step = step
        self._seen: set[Callable[..., Any]] = set()
        self._now: set[str] = set()
        self.sets: set[str] = set()
        self.merges: Names = frozenset()
        self.opaque = False
        self.missing: list[_Missing] = []
        self._asked: set[str] | None = set()
        self._held: set[str] | None = set()

    # First: what may be set at all.

    def collect(self, method: _Method) -> None:
        if method.function in self._seen:
            return
        self._seen.add(method.function)
        self.opaque = self.opaque or method.uses.opaque
        self._asked = _both(self._asked, method.uses.asked)
        self._held = _both(self._held, method.uses.held)
        self._collect(method, method.uses.events)

    def _collect(self, method: _Method, events: list[Event]) -> None:
        for event in events:
            if event.kind == "set":
                self.sets.add(event.name)
            elif event.kind == "merge":
                self._merge(event)
            elif event.kind in ("loop", "later"):
                self._collect(method, event.events)
            elif event.kind == "read" and (event.above or event.name in self._reads.members):
                found = self._reads.method(event.name, method.owner if event.above else None)
                if isinstance(found, _Method):
                    self.collect(found)
                elif found == "opaque":
                    self.opaque = True

    def _merge(self, event: Event) -> None:
        taken = self._taken(event)
        self.merges = None if taken is None or self.merges is None else self.merges | taken

    def _taken(self, event: Event) -> Names:
        if event.include is not None:
            return event.include
        found = self._reads.after(self._step.parents) if self._step.node.is_join else None
        return None if found is None else found - event.exclude

    # Then: what is read when.

    def begin(self, before: Iterable[str]) -> None:
        self._now = set(before)
        self._seen.clear()

    def run(self, method: _Method, *, quiet: bool = False, later: bool = False) -> None:
        if method.function in self._seen:
            return
        self._seen.add(method.function)
        self._run(method, method.uses.events, quiet, later)

    def _run(self, method: _Method, events: list[Event], quiet: bool, later: bool) -> None:
        for event in events:
            if event.kind == "set":
                self._now.add(event.name)
            elif event.kind == "merge":
                self._now |= self._taken(event) or frozenset()
            elif event.kind == "loop":
                # What a later line of its body sets is there in the next round.
                self._now |= self._all(method, event.events)
                self._run(method, event.events, quiet, later)
            elif event.kind == "later":
                self._now |= self._all(method, event.events)
                self._run(method, event.events, quiet, True)
            elif event.kind == "branch":
                self._branch(method, event, quiet)
            elif event.above or event.name in self._reads.members:
                self._member(method, event, quiet, later)
            else:
                self._read(method, event, quiet, later)

    def _member(self, method: _Method, event: Event, quiet: bool, later: bool) -> None:
        found = self._reads.method(event.name, method.owner if event.above else None)
        if not isinstance(found, _Method):
            return
        is_property = found.function is not vars(found.owner).get(event.name)
        # Handed on, it is called whenever somebody likes.
        after = later or not (event.is_call or is_property)
        self.run(found, quiet=quiet or event.quiet, later=after)
        if after:
            self._now |= self._all(found, found.uses.events)

    def _all(self, method: _Method, events: list[Event]) -> set[str]:
        walk = _Walk(self._reads, self._step)
        walk._collect(method, events)
        return walk.sets | (walk.merges or set())

    def _read(self, method: _Method, event: Event, quiet: bool, later: bool) -> None:
        name = event.name
        known = self._now if not later else self._now | self.sets
        if quiet or event.quiet or name in known or name.startswith("__") or self.merges is None:
            return
        if later and name in self.merges:
            return
        if self._asked is not None and name not in self._asked:
            self._miss(method, event)

    def _branch(self, method: _Method, event: Event, quiet: bool) -> None:
        held, parents = self._held, set(self._step.parents)
        if quiet or held is None or method.function is not self._step.node.function:
            return
        if event.name in held | self._reads.of_branches or (event.branches or set()) & held:
            return
        wanted = parents if event.branches is None else event.branches & parents
        names = self._reads.after(wanted)
        if names is not None and event.name not in names:
            self._miss(method, event)

    def _miss(self, method: _Method, event: Event) -> None:
        code = method.function.__code__
        place = Place(code.co_filename, event.line, self._step.node.name)
        in_helper = method.function is not self._step.node.function
        self.missing.append(_Missing(self._step.node.name, event, place, in_helper))


def _union(many: Iterable[Names]) -> Names:
    found: frozenset[str] = frozenset()
    for names in many:
        if names is None:
            return None
        found |= names
    return found


def _both(one: set[str] | None, other: set[str] | None) -> set[str] | None:
    return None if one is None or other is None else one | other
