"""Which expressions of a join are its branches: ``inputs.a``, ``inputs[0]``, ``i`` of ``for i in inputs``."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from airloom.compiler.transitions import Definition

SEQUENCES = ("list", "tuple", "sorted", "reversed", "iter", "set")
"""Builtins that give the branches again when they are given them."""
CHOOSING = ("max", "min", "next")
"""Builtins that give one of them."""

Branches: TypeAlias = "frozenset[str] | None"
"""Steps that a branch may end with; None for any of them."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Names that stand for all branches (``inputs``) and for one of them (``variables``)."""

    inputs: str | None = None
    variables: Mapping[str, Branches] = field(default_factory=dict)

    def is_inputs(self, node: ast.AST) -> bool:
        """Say whether the expression is the argument itself."""
        return self.inputs is not None and isinstance(node, ast.Name) and node.id == self.inputs

    def is_many(self, node: ast.AST) -> bool:
        """Say whether the expression gives branches, one after another."""
        if isinstance(node, ast.Subscript):
            return isinstance(node.slice, ast.Slice) and self.is_many(node.value)
        if isinstance(node, ast.Call):
            return called(node) in SEQUENCES and bool(node.args) and self.is_many(node.args[0])
        return self.is_inputs(node)

    def branch(self, node: ast.AST) -> tuple[bool, Branches]:
        """Say whether the expression is one branch, and which ones it can be."""
        if isinstance(node, ast.Name):
            return node.id in self.variables, self.variables.get(node.id)
        if isinstance(node, ast.Attribute):
            return self.is_inputs(node.value), frozenset({node.attr})
        if isinstance(node, ast.Subscript):
            return not isinstance(node.slice, ast.Slice) and self.is_many(node.value), None
        if isinstance(node, ast.Call):
            return called(node) in CHOOSING and len(node.args) == 1 and self.is_many(node.args[0]), None
        return False, None

    def without(self, names: Iterable[str]) -> Scope:
        """Scope in which these names are something else."""
        hidden = set(names)
        kept = {name: found for name, found in self.variables.items() if name not in hidden}
        return Scope(None if self.inputs in hidden else self.inputs, kept)

    def over(self, target: ast.expr, iterable: ast.expr) -> Scope:
        """Scope in which the names of ``target`` stand for the items of ``iterable``."""
        inner = self.without(_names(target))
        found = {name: branches for name, is_branch, branches in self.items(target, iterable) if is_branch}
        return Scope(inner.inputs, {**inner.variables, **found})

    def with_any(self, name: str) -> Scope:
        """Scope in which this name stands for any branch."""
        return Scope(self.inputs, {**self.variables, name: None})

    def items(self, target: ast.expr, iterable: ast.expr) -> Iterator[tuple[str, bool, Branches]]:
        """Give the names of a loop's target, with whether each stands for a branch, and for which."""
        if isinstance(target, ast.Name):
            yield target.id, self.is_many(iterable), None
            return
        parts: list[ast.expr] = [iterable]
        if isinstance(iterable, ast.Call) and called(iterable) in ("enumerate", "zip"):
            counts: list[ast.expr] = [ast.Constant(0)] if called(iterable) == "enumerate" else []
            parts = [*counts, *iterable.args]
        elements = target.elts if isinstance(target, (ast.Tuple, ast.List)) else []
        for position, element in enumerate(elements):
            fits = len(parts) > 1 and position < len(parts) and isinstance(element, ast.Name)
            for name in _names(element):
                yield name, fits and self.is_many(parts[position]), None


def scope_of(definition: Definition, inputs: str) -> Scope:
    """Scope of a join: a variable is a branch when nothing else is ever put into it."""
    stores: Counter[str] = Counter()
    bindings: list[tuple[ast.expr, ast.expr | None, ast.expr | None]] = []
    for node in _statements_and_names(definition.body):
        if isinstance(node, ast.Name):
            stores[node.id] += 1
        elif isinstance(node, ast.ExceptHandler) and node.name:
            stores[node.name] += 1
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            bindings.append((node.targets[0], None, node.value))
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            bindings.append((node.target, node.iter, None))
    scope = Scope(None if stores[inputs] else inputs)
    while True:
        found: dict[str, list[Branches]] = {}
        for target, iterable, value in bindings:
            for name, is_branch, branches in _bound(scope, target, iterable, value):
                if is_branch:
                    found.setdefault(name, []).append(branches)
        known = {name: _union(kinds) for name, kinds in found.items() if len(kinds) == stores[name]}
        if known.keys() == scope.variables.keys():
            return scope
        scope = Scope(scope.inputs, known)


def _bound(
    scope: Scope, target: ast.expr, iterable: ast.expr | None, value: ast.expr | None
) -> Iterator[tuple[str, bool, Branches]]:
    if iterable is not None:
        yield from scope.items(target, iterable)
    elif isinstance(target, ast.Name) and value is not None:
        yield target.id, *scope.branch(value)


def _union(kinds: list[Branches]) -> Branches:
    known = [kind for kind in kinds if kind is not None]
    return frozenset().union(*known) if len(known) == len(kinds) else None


def _statements_and_names(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes, but of the names only those that are set, and those of comprehensions not at all."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
            yield node
        if isinstance(node, ast.comprehension):
            waiting += [node.iter, *node.ifs]
        else:
            waiting.extend(ast.iter_child_nodes(node))


def _names(target: ast.AST) -> Iterator[str]:
    return (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def called(node: ast.Call) -> str | None:
    """Name that a call calls, None when it is not a plain one."""
    return node.func.id if isinstance(node.func, ast.Name) else None
