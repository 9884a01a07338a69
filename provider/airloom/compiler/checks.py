"""Everything that is wrong with a flow, found from its source and told at once.

One small function a rule; each yields its findings. Rules about paths run only when every
transition can be read, those about splits and joins only when there is no loop: a
half-read graph would make the author chase findings that are none.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator

from airloom.compiler.graph import BRANCHING, INDEXED, Clash, Graph, Node, walk
from airloom.compiler.parameter_checks import PARAMETER_RULES, RESERVED_STEPS
from airloom.compiler.reads import unset_reads
from airloom.compiler.size_checks import sizes
from airloom.compiler.transitions import returns
from airloom.errors import CheckFailed, FlowError, GraphError, Place
from airloom.names import did_you_mean

Rule = Callable[[Graph], Iterator[FlowError]]

_STEP_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


def check(graph: Graph) -> None:
    """Refuse a flow that cannot run.

    Raises
    ------
    CheckFailed
        With all findings, each a `GraphError` or a `ParameterError`, in the order of their lines.
    """
    findings = [finding for rule in (*STEP_RULES, *PARAMETER_RULES) for finding in rule(graph)]
    if _readable(graph):
        circles = list(no_loops(graph))
        findings += circles
        if not circles and not _cycles(graph):
            findings += reachable(graph)
            if all(node.arguments in (1, 2) for node in graph.nodes.values()):
                findings += balance(graph)
    if not findings and graph.nodes:
        findings += unset_reads(graph)
    if findings:
        findings.sort(key=lambda finding: _position(graph, finding))
        raise CheckFailed(findings, where=Place(graph.file, graph.line))


def _position(graph: Graph, finding: FlowError) -> tuple[bool, str, int]:
    where = finding.where
    if isinstance(where, str):
        return False, "", 0
    return where.file != graph.file, where.file, where.line or 0


def _readable(graph: Graph) -> bool:
    return bool(graph.start and graph.end) and all(
        node.transition is not None and all(target in graph.nodes for target in node.targets)
        for node in graph.nodes.values()
    )


def _finding(node: Node, what: str, mend: str, line: int | None = None) -> GraphError:
    return GraphError(what, where=Place(node.file, line or node.line, node.name), mend=mend)


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(map(repr, names))


def has_steps(graph: Graph) -> Iterator[FlowError]:
    """Refuse a flow without steps."""
    if not graph.nodes:
        yield GraphError(
            f"the flow {graph.flow} has no step",
            where=Place(graph.file, graph.line),
            mend="put @step above the methods that are its steps, the first called start, the last end.",
        )


def step_names(graph: Graph) -> Iterator[FlowError]:
    """Refuse names that are taken, or are not of small letters, digits and underscores."""
    for name, node in graph.nodes.items():
        if name in RESERVED_STEPS:
            yield _finding(
                node,
                f"a step cannot be called {name!r}: that is part of every flow",
                f"choose another name, e.g. {name}_step.",
            )
        elif not _STEP_NAME.match(name):
            yield _finding(
                node,
                f"a step cannot be called {name!r}",
                "use small letters a to z, digits and underscores, with a letter first.",
            )


def arguments(graph: Graph) -> Iterator[FlowError]:
    """Refuse other arguments than self, and inputs for a join."""
    for node in graph.nodes.values():
        if node.definition is None or node.code is None:
            continue
        if node.arguments == 0:
            yield _finding(node, f"the step {node.name!r} takes no self", f"write def {node.name}(self).")
        elif node.arguments > 2 or node.code.co_kwonlyargcount:
            yield _finding(
                node,
                f"the step {node.name!r} takes more than self and inputs",
                "set what it needs on self in an earlier step, or make it a Parameter.",
            )


def plain_functions(graph: Graph) -> Iterator[FlowError]:
    """Refuse generators and coroutines: calling one would run nothing of it."""
    kinds = (
        (
            inspect.CO_GENERATOR,
            "a generator (it has a yield)",
            "put the yield into a function that it calls.",
        ),
        (inspect.CO_COROUTINE, "async", "call asyncio.run(...) inside of a plain step."),
        (inspect.CO_ASYNC_GENERATOR, "an async generator", "call asyncio.run(...) inside of a plain step."),
    )
    for node in graph.nodes.values():
        for flag, kind, mend in kinds:
            if node.code is not None and node.code.co_flags & flag:
                yield _finding(node, f"the step {node.name!r} is {kind}", mend)


def first_and_last(graph: Graph) -> Iterator[FlowError]:
    """Refuse a flow without exactly one first and one last step, by name or by mark."""
    if len(graph.nodes) < 2:
        return
    for which, word in (("start", "first"), ("end", "last")):
        marked = [node for node in graph.nodes.values() if getattr(node.declaration, which)]
        if len(marked) > 1:
            marked.sort(key=lambda node: node.line)
            yield _finding(
                marked[1],
                f"{len(marked)} steps are marked @step({which}=True): {_listed([n.name for n in marked])}",
                "keep the mark on one of them.",
            )
        elif marked and which in graph.nodes and marked[0].name != which:
            yield _finding(
                marked[0],
                f"the {word} step is ambiguous: {marked[0].name!r} is marked, another is called {which!r}",
                f"take {which}=True out, or rename the step {which!r}.",
            )
        elif not marked and which not in graph.nodes:
            yield _without(graph, which, word)


def _without(graph: Graph, which: str, word: str) -> GraphError:
    mend = f"call a step {which}, or mark it with @step({which}=True)."
    open_ends = _open_ends(graph)
    if which == "end" and len(open_ends) == 1:
        (node,) = open_ends
        return _finding(
            node,
            f"the flow {graph.flow} has no last step, and {node.name!r} does not say what comes next",
            f"mark it with @step(end=True), or end it with self.next(...) and {mend}",
        )
    return GraphError(
        f"the flow {graph.flow} has no {word} step", where=Place(graph.file, graph.line), mend=mend
    )


def _open_ends(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes.values() if node.problem is not None and node.problem.missing]


def end_is_no_join(graph: Graph) -> Iterator[FlowError]:
    """Refuse a last step that takes inputs."""
    if graph.end is not None and graph.nodes[graph.end].is_join:
        yield _finding(
            graph.nodes[graph.end],
            f"the last step {graph.end!r} is a join",
            f"join in a step of its own that leads to it; write def {graph.end}(self).",
        )


def transitions(graph: Graph) -> Iterator[FlowError]:
    """Refuse a step that does not end with one ``self.next`` in one of its forms."""
    told = graph.end is None and len(_open_ends(graph)) == 1
    for node in graph.nodes.values():
        silent = node.problem is not None and node.problem.missing and (told or node.declaration.end)
        if node.problem is not None and not silent:  # first_and_last tells the silent ones
            yield _finding(node, node.problem.what, node.problem.mend, node.problem.line)


def early_returns(graph: Graph) -> Iterator[FlowError]:
    """Refuse a return on the way to ``self.next``."""
    for node in graph.nodes.values():
        if node.definition is not None and node.targets:
            for line in returns(node.definition)[:1]:
                yield _finding(
                    node,
                    f"the step {node.name!r} returns before its self.next()",
                    "turn the condition around, so that every path comes to self.next().",
                    line,
                )


def known_targets(graph: Graph) -> Iterator[FlowError]:
    """Refuse a ``self.next`` to something that is no step of the flow."""
    for node in graph.nodes.values():
        for target in node.targets:
            if target in graph.nodes:
                continue
            mend = did_you_mean(target, list(graph.nodes))
            if callable(getattr(graph.flow_class, target, None)):
                mend = f"put @step above def {target}."
            yield _finding(
                node,
                f"the step {node.name!r} leads to {target!r}, which is not a step of {graph.flow}",
                mend,
                node.next_line,
            )


def distinct_branches(graph: Graph) -> Iterator[FlowError]:
    """Refuse a split that names one step twice."""
    for node in graph.nodes.values():
        if node.transition is not None and node.kind == "split":
            named = node.transition.targets
            twice = [target for target in node.targets if named.count(target) > 1]
            if twice:
                yield _finding(
                    node,
                    f"the split {node.name!r} leads to {twice[0]!r} more than once",
                    f"name it once, or run it several times with self.next(self.{twice[0]}, foreach='xs').",
                    node.next_line,
                )


def start_is_first(graph: Graph) -> Iterator[FlowError]:
    """Refuse a way back to the first step; a switch in it may repeat it."""
    for node in graph.nodes.values():
        if graph.start in node.targets and not (node.name == graph.start and node.recurs):
            yield _finding(
                node,
                f"the step {node.name!r} leads to the first step {graph.start!r}",
                "lead on to another step; to repeat work, let a switch choose its own step again.",
                node.next_line,
            )


def catch_places(graph: Graph) -> Iterator[FlowError]:
    """Refuse @catch where the step decides how many tasks, or which, come next."""
    words = {
        "foreach": "splits by foreach",
        "parallel": "splits by num_parallel",
        "switch": "chooses by a switch",
    }
    for node in graph.nodes.values():
        if node.declaration.catch is not None and node.kind in words:
            yield _finding(
                node,
                f"@catch stands on {node.name!r}, which {words[node.kind]}: a failure would leave that open",
                f"take @catch off, or put the work into a step before {node.name!r}.",
            )


def step_before_join(graph: Graph) -> Iterator[FlowError]:
    """Refuse a split or a switch without a step between it and a join."""
    words = {"switch": "conditional path of the switch", "foreach": "foreach", "parallel": "num_parallel"}
    for node in graph.nodes.values():
        if node.kind not in (*BRANCHING, "switch"):
            continue
        for target in node.targets:
            if target in graph.nodes and graph.nodes[target].is_join and target != graph.end:
                mend = f"put a step between {node.name!r} and {target!r}"
                if node.kind == "switch":
                    mend += f", or write def {target}(self): where only one path arrives there are no inputs"
                word = words.get(str(node.kind), "split")
                yield _finding(
                    node,
                    f"the {word} {node.name!r} leads directly into the join {target!r}",
                    f"{mend}.",
                    node.next_line,
                )


def parallel_steps(graph: Graph) -> Iterator[FlowError]:
    """Refuse all but num_parallel, a @parallel step and a join in a row."""
    for node in graph.nodes.values():
        if node.declaration.parallel:
            joined = node.kind == "linear" and all(
                graph.nodes[target].is_join for target in node.targets if target in graph.nodes
            )
            if node.transition is not None and not joined:
                yield _finding(
                    node,
                    f"the @parallel step {node.name!r} does not lead to a join",
                    "end it with self.next(self.j), where j takes self and inputs.",
                    node.next_line,
                )
        for target in node.targets:
            marked = target in graph.nodes and graph.nodes[target].declaration.parallel
            if marked and node.kind != "parallel":
                yield _finding(
                    node,
                    f"the step {node.name!r} leads to the @parallel step {target!r} without num_parallel",
                    f"write self.next(self.{target}, num_parallel=4), or take @parallel off.",
                    node.next_line,
                )
            elif target in graph.nodes and node.kind == "parallel" and not marked:
                yield _finding(
                    node,
                    f"num_parallel leads to {target!r}, which is not a @parallel step",
                    f"put @parallel above {target!r}, or use foreach.",
                    node.next_line,
                )


def no_loops(graph: Graph) -> Iterator[FlowError]:
    """Refuse circles; only a switch may choose its own step again."""
    for cycle in _cycles(graph):
        if graph.start in cycle:
            continue  # told by start_is_first
        node = graph.nodes[cycle[-2]]
        yield _finding(
            node,
            f"the flow goes in a circle: {' -> '.join(cycle)}",
            "put what repeats into one step, with a switch that can choose that step again.",
            node.next_line,
        )
    for node in graph.nodes.values():
        if node.recurs and len(node.targets) == 1:
            yield _finding(
                node,
                f"all cases of the switch {node.name!r} lead to itself",
                "give it a case that leads on.",
                node.next_line,
            )


def _cycles(graph: Graph) -> list[list[str]]:
    """One cycle a way back that a walk in depth meets, as a, b, a."""
    found: list[list[str]] = []
    done: set[str] = set()
    for first in graph.nodes:
        path: dict[str, Iterator[str]] = {}
        if first not in done:
            path[first] = iter(graph.nodes[first].targets)
        while path:
            name = next(reversed(path))
            target = next(path[name], None)
            if target is None:
                done.add(name)
                del path[name]
            elif target in path and not (target == name and graph.nodes[name].recurs):
                names = list(path)
                found.append([*names[names.index(target) :], target])
            elif target not in done and target not in path:
                path[target] = iter(graph.nodes[target].targets)
    return found


def reachable(graph: Graph) -> Iterator[FlowError]:
    """Refuse steps that no path from the first one reaches."""
    reached: set[str] = set()
    waiting = [str(graph.start)]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(graph.nodes[name].targets)
    for name, node in graph.nodes.items():
        if name not in reached:
            yield _finding(
                node,
                f"no path leads from {graph.start!r} to the step {name!r}",
                "name it in the self.next() of another step, or take it out.",
            )


def balance(graph: Graph) -> Iterator[FlowError]:
    """Refuse a split that is not closed by one join in which all its branches meet."""
    end = graph.nodes[str(graph.end)]
    told: set[str] = set()
    for clash in walk(graph).clashes:
        if clash.kind == "end_inside" and told.issuperset(clash.splits):
            continue  # it is open because a join before it does not close it
        told.update(clash.splits)
        node = graph.nodes[clash.step]
        parents = [other for other in graph.nodes.values() if clash.step in other.targets]
        behind_switch = node.is_join and any(other.kind == "switch" for other in parents)
        # step_before_join and end_is_no_join have told these already.
        if not behind_switch and not (node is end and end.is_join):
            what, mend = _unbalanced(graph, clash)
            yield _finding(node, what, mend)


def _unbalanced(graph: Graph, clash: Clash) -> tuple[str, str]:
    step, splits, steps = repr(clash.step), _listed(clash.splits), _listed(clash.steps)
    if clash.kind == "no_split":
        return (
            f"the join {step} has no split to close",
            f"write def {clash.step}(self): inputs are for steps in which branches or a foreach meet.",
        )
    if clash.kind == "unrelated":
        return (
            f"the join {step} is reached from steps of unrelated splits: {steps}",
            f"close each of {splits} by a join of its own, the innermost first.",
        )
    if clash.kind == "missing_branch":
        return (
            f"the join {step} closes the split {splits}, but not all branches lead there: {steps} is missing",
            f"lead every branch of {splits} to {step}.",
        )
    if clash.kind == "joined_twice":
        return (
            f"the split {splits} is closed by two joins, {steps} and {step}",
            "let all its branches meet in one join.",
        )
    if clash.kind == "end_inside":
        return (
            f"the last step {step} is reached before a join closes {splits}",
            "let the branches meet in a step that takes self and inputs, and lead from there to the end.",
        )
    kinds = {graph.nodes[split].kind for split in clash.splits}
    inside = "the body of the foreach" if kinds <= set(INDEXED) else "branches of the split"
    return (
        f"{steps} lead out of {inside} {splits} to {step}, which is not a join",
        f"write def {clash.step}(self, inputs), or put a join in front of it.",
    )


STEP_RULES: tuple[Rule, ...] = (
    has_steps,
    step_names,
    arguments,
    plain_functions,
    first_and_last,
    end_is_no_join,
    transitions,
    early_returns,
    known_targets,
    distinct_branches,
    start_is_first,
    catch_places,
    step_before_join,
    parallel_steps,
    sizes,
)
