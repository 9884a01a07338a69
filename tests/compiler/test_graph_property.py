"""Whatever nesting of splits, foreaches, switches and repetitions: it is accepted and placed right."""

from __future__ import annotations

import random
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from airloom.compiler.checks import check
from airloom.compiler.graph import Graph, Placement, build, placements


@dataclass(frozen=True)
class Part:
    """One construct of a random flow; ``fused`` lets the join before it be its first step."""

    kind: str
    arms: tuple[tuple[Part, ...], ...] = ()
    fused: bool = False


Chain = tuple[Part, ...]


def chains(inner: st.SearchStrategy[Chain]) -> st.SearchStrategy[Chain]:
    fused = st.booleans()
    arms = st.lists(inner, min_size=2, max_size=3).map(tuple)
    gaps = st.lists(inner | st.just(()), min_size=2, max_size=3).map(tuple)
    part = (
        st.builds(Part, st.just("split"), arms, fused)
        | st.builds(Part, st.just("foreach"), st.tuples(inner), fused)
        | st.builds(Part, st.just("switch"), gaps, fused)
    )
    return st.lists(st.one_of(plain(), part), min_size=1, max_size=3).map(tuple)


def plain() -> st.SearchStrategy[Part]:
    return st.sampled_from([Part("linear"), Part("loop")])


FLOWS = st.recursive(st.lists(plain(), min_size=1, max_size=2).map(tuple), chains, max_leaves=12)


@dataclass
class Step:
    kind: str = "linear"
    targets: list[str] = field(default_factory=list)
    is_join: bool = False


Exit = tuple[str, int]  # a step, and which of its targets is still open


class Writer:
    """Writes a random flow, and what is true of it."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self.truth: dict[str, Placement] = {}

    def step(
        self, exits: list[Exit], splits: tuple[str, ...], each: tuple[str, ...], joins: str | None = None
    ) -> str:
        name = f"s{len(self.steps)}" if self.steps else "start"
        self.steps[name] = Step(is_join=joins is not None)
        for parent, position in exits:
            self.steps[parent].targets[position] = name
        parents = tuple(dict.fromkeys(parent for parent, _ in exits))
        self.truth[name] = Placement(parents, joins, splits, each)
        return name

    def chain(
        self, chain: Chain, exits: list[Exit], splits: tuple[str, ...] = (), each: tuple[str, ...] = ()
    ) -> list[Exit]:
        for part in chain:
            exits = self.part(part, exits, splits, each)
        return exits

    def part(
        self, part: Part, exits: list[Exit], splits: tuple[str, ...], each: tuple[str, ...]
    ) -> list[Exit]:
        if part.fused and len(exits) == 1 and self.fusible(exits[0][0]):
            ((name, _),) = exits
            self.steps[name].targets.clear()
        else:
            name = self.step(exits, splits, each)
        own = self.steps[name]
        own.kind = part.kind
        if part.kind == "linear":
            own.targets = [""]
            return [(name, 0)]
        if part.kind == "loop":
            own.kind = "switch"
            own.targets = [name, ""]
            return [(name, 1)]
        own.targets = [""] * len(part.arms)
        inside = splits if part.kind == "switch" else (*splits, name)
        deeper = (*each, name) if part.kind == "foreach" else each
        left: list[Exit] = []
        for position, arm in enumerate(part.arms):
            ends = self.chain(arm, [(name, position)], inside, deeper)
            if part.kind != "switch" and any(self.steps[end].kind == "switch" for end, _ in ends):
                ends = self.part(Part("linear"), ends, inside, deeper)
            left += ends
        if part.kind == "switch":
            return left
        join = self.step(left, splits, each, joins=name)
        self.steps[join].targets = [""]
        return [(join, 0)]

    def fusible(self, name: str) -> bool:
        return self.steps[name].is_join and self.steps[name].kind == "linear"

    def source(self, order: random.Random) -> str:
        names = list(self.steps)
        order.shuffle(names)
        lines = ["from airloom.flow.decorators import step", "from airloom.flow.spec import FlowSpec"]
        lines += ["class Flow(FlowSpec):"]
        for name in names:
            own = self.steps[name]
            targets = [f"self.{target}" for target in own.targets]
            if own.kind == "switch":
                cases = ", ".join(f"{number}: {target}" for number, target in enumerate(targets))
                targets = [f"{{{cases}}}", "condition='x'"]
            if own.kind == "foreach":
                targets.append("foreach='xs'")
            arguments = "self, inputs" if own.is_join else "self"
            lines += [
                "    @step",
                f"    def {name}({arguments}):",
                "        self.x = self.xs = None",
                f"        self.next({', '.join(targets)})",
            ]
        lines += ["    @step", "    def end(self):", "        pass"]
        return "\n".join(lines)


def built(text: str) -> Graph:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random_flow.py"
        path.write_text(text)
        spec = spec_from_file_location("random_flow", path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules["random_flow"] = module
        try:
            spec.loader.exec_module(module)
            return build(module.Flow)
        finally:
            del sys.modules["random_flow"]


@settings(deadline=None, max_examples=150)
@given(FLOWS, st.integers(0, 2**16))
def test_well_formed_flow_is_accepted_and_placed_as_it_was_made(flow: Chain, seed: int) -> None:
    writer = Writer()
    exits = writer.chain(flow, [])
    for parent, position in exits:
        writer.steps[parent].targets[position] = "end"
    writer.truth["end"] = Placement(tuple(dict.fromkeys(parent for parent, _ in exits)))
    graph = built(writer.source(random.Random(seed)))
    check(graph)
    assert placements(graph) == writer.truth
    ranks = {name: rank for rank, name in enumerate(graph.nodes)}
    for name, placement in writer.truth.items():
        assert all(ranks[parent] < ranks[name] for parent in placement.parents)
