"""A flow class as a graph of steps, read from its source; no user code runs.

Building never fails on a bad flow: what cannot be read is kept as a `Problem` on its
node, and `compiler.checks` tells the author about all of them at once.
"""

from __future__ import annotations

import ast
import heapq
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Literal

from airloom.compiler.transitions import Definition, Problem, Sources, read_transition
from airloom.errors import GraphError
from airloom.flow.declarations import StepDeclaration, config_attributes, step_declaration, steps_of
from airloom.flow.spec import FlowSpec
from airloom.plan import Transition

BRANCHING = ("split", "foreach", "parallel")
"""Kinds of transitions that a join has to close."""
INDEXED = ("foreach", "parallel")
"""Of these the ones that give the tasks of their body an index."""


@dataclass(frozen=True, eq=False)
class Node:
    """One step as its source has it.

    ``file`` stands as in the code object, ``line`` is that of the ``def``. ``arguments`` counts
    ``self``: 2 make a join. ``transition`` is None when ``problem`` says why; that of the end
    step is of the kind ``end``. ``definition`` is None when the source cannot be found.
    """

    name: str
    function: Callable[..., Any]
    file: str
    line: int
    doc: str
    arguments: int
    declaration: StepDeclaration
    transition: Transition | None
    problem: Problem | None = None
    code: CodeType | None = field(default=None, repr=False)
    definition: Definition | None = field(default=None, repr=False)

    @property
    def is_join(self) -> bool:
        """Whether the step takes ``inputs``."""
        return self.arguments == 2

    @property
    def kind(self) -> str | None:
        """Kind of the transition, None when there is none."""
        return None if self.transition is None else self.transition.kind

    @property
    def targets(self) -> tuple[str, ...]:
        """Steps that come next, each once, in the order of the branches or cases."""
        return () if self.transition is None else tuple(dict.fromkeys(self.transition.targets))

    @property
    def next_line(self) -> int:
        """Line of ``self.next``; that of the ``def`` where there is none."""
        return self.definition.body[-1].lineno if self.definition and self.targets else self.line

    @property
    def recurs(self) -> bool:
        """Whether the step is a switch that can choose itself."""
        return self.kind == "switch" and self.name in self.targets


@dataclass(frozen=True, eq=False)
class Graph:
    """A flow's steps in topological order, those of one rank in the order of their declaration.

    Steps on or behind a cycle come last. ``start`` and ``end`` are None when none could be told.
    """

    flow: str
    file: str
    line: int | None
    nodes: dict[str, Node]
    start: str | None
    end: str | None
    flow_class: type = FlowSpec
    sources: Sources = field(default_factory=Sources, repr=False)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a step stands among splits and joins; the fields mean what they do in `plan.StepPlan`.

    A step that repeats itself is not counted among its own parents.
    """

    parents: tuple[str, ...] = ()
    joins: str | None = None
    splits: tuple[str, ...] = ()
    foreaches: tuple[str, ...] = ()


ClashKind = Literal["no_split", "unrelated", "missing_branch", "joined_twice", "unjoined", "end_inside"]


@dataclass(frozen=True, slots=True)
class Clash:
    """A step at which splits and joins do not match.

    ``splits`` and ``steps`` are the ones that the sentence about it has to name: the parents
    for no_split, unrelated and unjoined, the first steps of the branches for missing_branch,
    the earlier join for joined_twice.
    """

    kind: ClashKind
    step: str
    splits: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


Frame = tuple[str, int]  # a split and the position of one of its branches
_Key = tuple[int, ...]


@dataclass(slots=True)
class Walk:
    """Outcome of one walk from the start: placements of the steps that it reached, and clashes."""

    placements: dict[str, Placement] = field(default_factory=dict)
    clashes: list[Clash] = field(default_factory=list)


def build(flow_class: type) -> Graph:
    """Read the graph of a flow class, inherited steps included.

    Raises
    ------
    GraphError
        When the class is not a flow.
    """
    if not (isinstance(flow_class, type) and issubclass(flow_class, FlowSpec)):
        name = getattr(flow_class, "__name__", repr(flow_class))
        raise GraphError(
            f"{name} is not a flow",
            where=str(getattr(flow_class, "__module__", name)),
            mend=f"subclass FlowSpec: class {name}(FlowSpec).",
        )
    sources = Sources()
    steps = steps_of(flow_class)
    start, end = (_marked(steps, "start"), _marked(steps, "end"))
    if len(steps) == 1:
        start = end = next(iter(steps))
    configs = config_attributes(flow_class)
    nodes = {name: _node(name, function, name == end, sources, configs) for name, function in steps.items()}
    file = _file_of(flow_class, nodes)
    line = sources.class_line(file, flow_class.__name__) if file else None
    return Graph(flow_class.__name__, file, line, _ordered(nodes), start, end, flow_class, sources)


def _marked(steps: dict[str, Callable[..., Any]], which: Literal["start", "end"]) -> str | None:
    marked = [name for name, function in steps.items() if getattr(step_declaration(function), which)]
    if marked:
        return marked[0] if len(marked) == 1 else None
    return which if which in steps else None


def _node(
    name: str, function: Callable[..., Any], is_end: bool, sources: Sources, configs: Mapping[str, Any]
) -> Node:
    declaration = step_declaration(function)
    assert declaration is not None  # noqa: S101 - only steps come here
    code = _code_of(function)
    definition = None if code is None else sources.function(code)
    transition: Transition | None = None
    problem: Problem | None = None
    first = 0 if code is None else code.co_firstlineno
    if code is None or code.co_name != name:
        called = "something else than a function" if code is None else f"a function called {code.co_name!r}"
        problem = Problem(
            f"the step {name!r} is {called}",
            first,
            f"define it as def {name}(self); a decorator of your own needs functools.wraps.",
        )
    elif definition is None:
        problem = Problem(
            f"the source of the step {name!r} cannot be found",
            first,
            "keep the flow in a file, and do not change it while it runs.",
        )
    else:
        transition, problem = read_transition(definition, configs)
        if is_end:
            transition, problem = _last(name, definition, problem)
    return Node(
        name=name,
        function=function,
        file="" if code is None else code.co_filename,
        line=definition.lineno if definition else first,
        doc=(ast.get_docstring(definition) if definition else function.__doc__) or "",
        arguments=0 if code is None else code.co_argcount,
        declaration=declaration,
        transition=transition,
        problem=problem,
        code=code,
        definition=definition,
    )


def _last(
    name: str, definition: Definition, problem: Problem | None
) -> tuple[Transition | None, Problem | None]:
    if problem is not None and problem.missing:
        return Transition("end"), None
    line = definition.body[-1].lineno if problem is None else problem.line
    return None, Problem(f"the last step {name!r} calls self.next()", line, "take the call out.")


def _code_of(function: object) -> CodeType | None:
    # functools.wraps leaves the user's own function under a decorator of the user's.
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None


def _file_of(flow_class: type, nodes: dict[str, Node]) -> str:
    for name in vars(flow_class):
        if name in nodes:
            return nodes[name].file
    module = sys.modules.get(flow_class.__module__)
    file = getattr(module, "__file__", None)
    return file or next((node.file for node in nodes.values()), "")


def _ordered(nodes: dict[str, Node]) -> dict[str, Node]:
    ranks = {name: rank for rank, name in enumerate(nodes)}
    names = list(nodes)
    edges = {
        name: [to for to in node.targets if to in nodes and not (to == name and node.recurs)]
        for name, node in nodes.items()
    }
    waits = dict.fromkeys(nodes, 0)
    for targets in edges.values():
        for target in targets:
            waits[target] += 1
    ready = [ranks[name] for name, count in waits.items() if not count]
    found: dict[str, Node] = {}
    while ready:
        name = names[heapq.heappop(ready)]
        found[name] = nodes[name]
        for target in edges[name]:
            waits[target] -= 1
            if not waits[target]:
                heapq.heappush(ready, ranks[target])
    return found | {name: node for name, node in nodes.items() if name not in found}


def placements(graph: Graph) -> dict[str, Placement]:
    """Place every step of a checked graph among its splits and joins.

    Returns
    -------
    One placement a step, in the order of ``graph.nodes``. Tasks behind ``num_parallel`` have
    an index as those of a foreach, so a parallel step counts among ``foreaches``.
    """
    found = walk(graph).placements
    return {name: found.get(name, Placement()) for name in graph.nodes}


def walk(graph: Graph) -> Walk:
    """Follow all paths from the start and match each join with the split that it closes.

    A step lies in the same splits on every path to it; where it does not, the walk notes a
    clash and goes on with what the paths have in common.
    """
    out = Walk()
    edges: dict[str, list[tuple[_Key, str, tuple[Frame, ...]]]] = {}
    keys: dict[str, _Key] = {}
    closed: dict[str, str] = {}
    for name, node in graph.nodes.items():
        incoming = sorted(edges.get(name, ()))
        if not incoming and name != graph.start:
            continue
        frames, joins = _enter(graph, node, incoming, closed, out)
        keys[name] = keys[joins] if joins else incoming[0][0] if incoming else ()
        splits = tuple(split for split, _ in frames)
        out.placements[name] = Placement(
            parents=tuple(parent for _, parent, _ in incoming),
            joins=joins,
            splits=splits,
            foreaches=tuple(split for split in splits if graph.nodes[split].kind in INDEXED),
        )
        for position, target in enumerate(node.targets):
            if target == name or target not in graph.nodes:
                continue
            # The key is the way from the start, a number a branch: sorting by it puts the
            # parents of a join in the order of the branches, at any depth.
            key = (*keys[name], position) if len(node.targets) > 1 else keys[name]
            inner = (*frames, (name, position)) if node.kind in BRANCHING else frames
            edges.setdefault(target, []).append((key, name, inner))
    return out


def _enter(
    graph: Graph,
    node: Node,
    incoming: list[tuple[_Key, str, tuple[Frame, ...]]],
    closed: dict[str, str],
    out: Walk,
) -> tuple[tuple[Frame, ...], str | None]:
    """Frames inside of a step, and the split that it joins."""
    stacks = [frames for _, _, frames in incoming]
    parents = tuple(parent for _, parent, _ in incoming)
    if node.is_join and node.name != graph.end:
        return _join(graph, node.name, stacks, parents, closed, out)
    common = _common(stacks)
    if node.name == graph.end and any(stacks):
        open_splits = dict.fromkeys(split for frames in stacks for split, _ in frames)
        out.clashes.append(Clash("end_inside", node.name, tuple(open_splits), parents))
    elif any(frames != common for frames in stacks):
        beyond = dict.fromkeys(split for frames in stacks for split, _ in frames[len(common) :])
        out.clashes.append(Clash("unjoined", node.name, tuple(beyond), parents))
    return common, None


def _join(
    graph: Graph,
    name: str,
    stacks: list[tuple[Frame, ...]],
    parents: tuple[str, ...],
    closed: dict[str, str],
    out: Walk,
) -> tuple[tuple[Frame, ...], str | None]:
    splits = tuple(dict.fromkeys(frames[-1][0] for frames in stacks if frames))
    if not splits:
        out.clashes.append(Clash("no_split", name, (), parents))
        return (), None
    if len(splits) > 1 or not all(stacks):
        out.clashes.append(Clash("unrelated", name, splits, parents))
        return _common([frames[:-1] for frames in stacks]), None
    (split,) = splits
    heads = graph.nodes[split].targets
    arrived = {frames[-1][1] for frames in stacks}
    if len(arrived) < len(heads):
        missing = tuple(head for position, head in enumerate(heads) if position not in arrived)
        out.clashes.append(Clash("missing_branch", name, splits, missing))
    elif split in closed:
        out.clashes.append(Clash("joined_twice", name, splits, (closed[split],)))
    closed.setdefault(split, name)
    return stacks[0][:-1], split


def _common(stacks: list[tuple[Frame, ...]]) -> tuple[Frame, ...]:
    if not stacks:
        return ()
    shortest = min(stacks, key=len)
    for position, frame in enumerate(shortest):
        if any(frames[position] != frame for frames in stacks):
            return shortest[:position]
    return shortest
