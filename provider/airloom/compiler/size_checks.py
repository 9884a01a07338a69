"""Sizes that nobody offers: refused here, with the decorator's line, instead of by AWS an hour later."""

from __future__ import annotations

from collections.abc import Iterator

from airloom.compiler.graph import Graph, Node
from airloom.errors import FlowError, Place
from airloom.flow.targets import TARGETS
from airloom.plan import StepPlan, Transition
from airloom.sizing.catalogue import problems


def sizes(graph: Graph) -> Iterator[FlowError]:
    """Refuse sizes that the step's target does not offer.

    Where a flow leaves the platform to the settings only what holds on all of them is refused;
    a deploy, which knows the settings, looks again.
    """
    for node in graph.nodes.values():
        said = node.declaration
        step = StepPlan(
            node.name,
            Transition("end"),
            target=said.target,
            resources=said.resources,
            recovery=said.recovery,
            batch=said.batch,
            ecs=said.ecs,
        )
        yield from problems(step, _place(node))


def _place(node: Node) -> Place:
    """Line of the decorator that says where the step runs, otherwise of the one that says its size."""
    for names in (TARGETS, ("resources",)):
        for written in node.declaration.written:
            if written.name in names:
                return Place(written.place.file, written.place.line, node.name)
    return Place(node.file, node.line, node.name)
