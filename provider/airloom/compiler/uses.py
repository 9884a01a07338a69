"""What a method does with ``self``, and a join with ``inputs``, in the order of its doing; nothing runs.

A method becomes a list of events. Loops and functions inside of it are events with a list of
their own. Where ``self`` goes out of sight, into a call or a variable, the method is ``opaque``:
then nobody can say what is set on it. A read that cannot happen, or is meant to fail, is quiet:
one under ``except AttributeError``, behind a ``return``, or under a switch of the class's own.
"""

# The visitors' names are those of ast.NodeVisitor.
# ruff: noqa: N815

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Literal

from airloom.compiler.branches import CHOOSING, SEQUENCES, Branches, Scope, called, scope_of
from airloom.compiler.transitions import Definition, self_name


@dataclass(slots=True)
class Event:
    """One thing that is done.

    ``read`` and ``set`` are of ``self.name``, which is a method's name when it is called or handed
    on; ``branch`` reads ``name`` of a branch of a join; ``merge`` is ``merge_artifacts``; ``loop`` and
    ``later`` hold ``events``. ``sure`` says that it happens whenever the method is called, ``above``
    that the name is looked up by ``super()``. ``word`` is foreach or condition for what those name.
    """

    kind: Literal["read", "set", "branch", "merge", "loop", "later"]
    name: str = ""
    line: int = 0
    sure: bool = True
    quiet: bool = False
    is_call: bool = False
    above: bool = False
    word: str = ""
    branches: Branches = None
    include: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class Uses:
    """Events of one method.

    ``asked`` holds the names that it asks for with ``hasattr`` or ``getattr`` before it may read
    them, ``held`` those of branches that it asks for or sets; None stands for any name.
    """

    events: list[Event] = field(default_factory=list)
    opaque: bool = False
    asked: set[str] | None = field(default_factory=set)
    held: set[str] | None = field(default_factory=set)


def uses_of(definition: Definition, switches: Container[str], *, is_join: bool = False) -> Uses:
    """Read what a method does.

    Parameters
    ----------
    switches
        Names of the class, parameters left out: what stands under ``if self.NAME`` may be meant for
        another class of the family.
    is_join
        Whether the second argument is ``inputs``.
    """
    arguments = [*definition.args.posonlyargs, *definition.args.args]
    if not arguments:
        return Uses(opaque=True)
    scope = scope_of(definition, arguments[1].arg) if is_join else Scope()
    scan = _Scan(self_name(definition), scope, switches)
    scan.block(definition.body)
    return scan.uses


_LOOKING = ("type", "isinstance", "id")
_BY_NAME = ("hasattr", "getattr", "setattr", "delattr")
_HARMLESS = (*SEQUENCES, *CHOOSING, "enumerate", "zip", "len", "bool", "type", "print")
_LOAD = ast.Load()
_LEAVING = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class _Scan(ast.NodeVisitor):
    def __init__(self, own: str, scope: Scope, switches: Container[str]) -> None:
        self.uses = Uses()
        self._own = own
        self._scope = scope
        self._switches = switches
        self._out = self.uses.events
        self._quiet = False
        self._unsure = 0
        self._left = False

    # -- statements ----------------------------------------------------------------------

    def block(self, body: Iterable[ast.AST], *, quiet: bool = False) -> None:
        """Visit statements one after another; what follows a return is never reached."""
        before = self._quiet
        self._quiet = before or quiet
        for statement in body:
            self.visit(statement)
            if isinstance(statement, _LEAVING):
                self._left = self._quiet = True
        self._quiet = before

    def _maybe(self, body: Iterable[ast.AST], *, quiet: bool = False) -> None:
        self._unsure += 1
        self.block(body, quiet=quiet)
        self._unsure -= 1

    def visit_Constant(self, _node: ast.Constant) -> None:
        """Nothing is done."""

    def visit_If(self, node: ast.If) -> None:
        self._glance(node.test)
        switched = self._is_switch(node.test)
        self._maybe(node.body, quiet=switched)
        self._maybe(node.orelse, quiet=switched)
        if switched and any(isinstance(last, _LEAVING) for last in (*node.body[-1:], *node.orelse[-1:])):
            self._quiet = True  # the rest of the block is under the switch as well

    def _is_switch(self, test: ast.expr) -> bool:
        bases = {id(node.value) for node in ast.walk(test) if isinstance(node, ast.Attribute)}
        for node in ast.walk(test):
            if isinstance(node, ast.Name):
                if node.id.isupper() or (node.id == self._own and id(node) not in bases):
                    return True
            elif isinstance(node, ast.Attribute) and (
                node.attr.isupper() or (self._is_own(node.value) and node.attr in self._switches)
            ):
                return True
        return False

    def visit_While(self, node: ast.While) -> None:
        self._inside("loop", lambda: self._maybe([node.test, *node.body]))
        self._maybe(node.orelse)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._iterable(node.iter)
        self.visit(node.target)
        self._inside("loop", lambda: self._maybe(node.body))
        self._maybe(node.orelse)

    visit_AsyncFor = visit_For

    def _inside(self, kind: Literal["loop", "later"], fill: Callable[[], None]) -> None:
        outer, event = self._out, Event(kind)
        self._out = event.events
        fill()
        self._out = outer
        outer.append(event)

    def visit_Try(self, node: ast.Try) -> None:
        self.block(node.body, quiet=any(_catches(handler.type) for handler in node.handlers))
        for handler in node.handlers:
            self._maybe(handler.body)
        self._maybe(node.orelse)
        self.block(node.finalbody)

    visit_TryStar = visit_Try

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item)
        self.block(node.body, quiet=any(_suppresses(item.context_expr) for item in node.items))

    visit_AsyncWith = visit_With

    def visit_Match(self, node: ast.Match) -> None:
        self._glance(node.subject)
        for case in node.cases:
            self._maybe([case.pattern, *([case.guard] if case.guard else []), *case.body])

    def visit_Assign(self, node: ast.Assign) -> None:
        self._glance(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        target = node.target
        if isinstance(target, ast.Attribute) and self._is_own(target.value):
            self._read(target.attr, target.lineno)
        self.visit(node.value)
        self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._glance(node.value)
        self.visit(node.target)

    def visit_FunctionDef(self, node: _Function) -> None:
        arguments = node.args
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self.visit(default)
        for decorator in getattr(node, "decorator_list", ()):
            self.visit(decorator)
        names = {item.arg for item in ast.walk(arguments) if isinstance(item, ast.arg)}
        if self._own in names:
            return  # it has a self of its own
        scope, left = self._scope, self._left
        self._scope, self._left = scope.without(names), False
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        self._inside("later", lambda: self._maybe(body))
        self._scope, self._left = scope, left

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_Lambda = visit_FunctionDef

    # -- self ----------------------------------------------------------------------------

    def _is_own(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self._own

    def visit_Name(self, node: ast.Name) -> None:
        if node.id == self._own:
            self.uses.opaque = True

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self._is_own(node.value):
            if isinstance(node.ctx, ast.Load):
                self._read(node.attr, node.lineno)
            elif isinstance(node.ctx, ast.Store):
                self._out.append(Event("set", node.attr))
            return
        found, branches = self._scope.branch(node.value)
        self._glance(node.value)
        if isinstance(node.ctx, ast.Store):
            self.uses.held = _with(self.uses.held, node.attr)
        elif found and not self._quiet:
            self._out.append(Event("branch", node.attr, node.lineno, self._sure, branches=branches))

    @property
    def _sure(self) -> bool:
        return not self._unsure and not self._left

    def _read(self, name: str, line: int, *, word: str = "", is_call: bool = False) -> None:
        if name == "__dict__":
            self.uses.opaque = True
        else:
            event = Event("read", name, line, self._sure, self._quiet, word=word, is_call=is_call)
            self._out.append(event)

    # -- expressions ---------------------------------------------------------------------

    def visit(self, node: ast.AST) -> None:
        """Visit a node; a branch of the join that is met here goes to where it can be changed."""
        scope = self._scope
        if scope.inputs is not None and isinstance(getattr(node, "ctx", _LOAD), ast.Load):
            self.uses.held = None if scope.is_many(node) or scope.branch(node)[0] else self.uses.held
        super().visit(node)

    def _glance(self, node: ast.expr) -> None:
        """Visit an expression that is only looked at: a branch stays what it is."""
        super().visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        first, *others = node.values
        self._glance(first)
        self._unsure += 1
        for value in others:
            self._glance(value)
        self._unsure -= 1

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._glance(node.test)
        before = self._quiet
        self._quiet = before or self._is_switch(node.test)
        self._unsure += 1
        self._glance(node.body)
        self._glance(node.orelse)
        self._unsure -= 1
        self._quiet = before

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self._glance(node.operand)

    def visit_Compare(self, node: ast.Compare) -> None:
        for part in (node.left, *node.comparators):
            self._glance(part)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._glance(node.value)
        self.visit(node.slice)

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        scope = self._scope
        self._unsure += 1
        for generator in node.generators:
            self._iterable(generator.iter)
            self._scope = self._scope.over(generator.target, generator.iter)
            self.visit(generator.target)
            for condition in generator.ifs:
                self._glance(condition)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self._glance(part)
        self._unsure -= 1
        self._scope = scope

    visit_SetComp = visit_ListComp
    visit_DictComp = visit_ListComp

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._inside("later", lambda: self.visit_ListComp(node))

    def _iterable(self, node: ast.expr) -> None:
        if isinstance(node, ast.Call) and called(node) in ("enumerate", "zip"):
            for argument in node.args:
                self._iterable(argument)
        else:
            self._glance(node)

    def visit_Call(self, node: ast.Call) -> None:
        method, name = node.func, called(node)
        if name in ("exec", "eval") or (name in ("locals", "vars") and not node.args):
            self.uses.opaque = True
        if name in _BY_NAME and len(node.args) > 1:
            self._by_name(str(name), node)
        elif name in _LOOKING and node.args and self._is_own(node.args[0]):
            self._arguments(node, node.args[1:])
        elif name in _HARMLESS:
            self._of_branches(node)
        elif isinstance(method, ast.Attribute) and self._is_own(method.value):
            self._method(node, method)
        elif isinstance(method, ast.Attribute) and _is_super(method.value):
            self._arguments(node, node.args)
            event = Event("read", method.attr, node.lineno, self._sure, self._quiet, is_call=True, above=True)
            self._out.append(event)
        else:
            self.visit(method)
            self._arguments(node, node.args)

    def _arguments(self, node: ast.Call, positional: Iterable[ast.expr]) -> None:
        for argument in positional:
            self.visit(argument)
        for keyword in node.keywords:
            self.visit(keyword.value)

    def _by_name(self, function: str, node: ast.Call) -> None:
        first, second = node.args[:2]
        name = second.value if isinstance(second, ast.Constant) and isinstance(second.value, str) else None
        if not self._is_own(first):
            self._glance(first)
            self.uses.held = _with(self.uses.held, name)
        elif function != "setattr":
            self.uses.asked = _with(self.uses.asked, name)
        self._arguments(node, node.args[1:])
        if function == "setattr" and self._is_own(first):
            self.uses.opaque = self.uses.opaque or name is None
            self._out.append(Event("set", name or ""))

    def _of_branches(self, node: ast.Call) -> None:
        for argument in node.args:
            self._glance(argument)
        many = bool(node.args) and self._scope.is_many(node.args[0])
        for keyword in node.keywords:
            key = keyword.value
            if many and isinstance(key, ast.Lambda) and len(key.args.args) == 1:
                scope = self._scope
                self._scope = scope.with_any(key.args.args[0].arg)
                self._maybe([key.body])
                self._scope = scope
            else:
                self.visit(key)

    def _method(self, node: ast.Call, method: ast.Attribute) -> None:
        if method.attr == "next":
            self._next(node)
        elif method.attr == "merge_artifacts":
            self._merge(node)
        else:
            self._arguments(node, node.args)
            self._read(method.attr, method.lineno, is_call=True)

    def _next(self, node: ast.Call) -> None:
        # The steps that it names are no reads. What decides is read when the step has ended.
        for keyword in node.keywords:
            value = keyword.value
            if keyword.arg in ("foreach", "condition") and isinstance(value, ast.Constant):
                self._read(str(value.value), value.lineno, word=keyword.arg)
            else:
                self.visit(value)

    def _merge(self, node: ast.Call) -> None:
        options: dict[str | None, ast.expr] = dict(zip(("exclude", "include"), node.args[1:], strict=False))
        options |= {keyword.arg: keyword.value for keyword in node.keywords}
        include, exclude = _texts(options.get("include")), _texts(options.get("exclude"))
        self._out.append(Event("merge", line=node.lineno, include=include, exclude=exclude or frozenset()))


def _with(names: set[str] | None, name: str | None) -> set[str] | None:
    return None if names is None or name is None else {*names, name}


def _texts(node: ast.expr | None) -> frozenset[str] | None:
    """Texts of a literal list; None for what is not one, or empty."""
    if not isinstance(node, (ast.List, ast.Tuple)):
        return None
    texts = [ast.literal_eval(item) for item in node.elts if isinstance(item, ast.Constant)]
    return frozenset(texts) if texts and len(texts) == len(node.elts) else None


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and called(node) == "super" and not node.args


def _catches(kind: ast.expr | None) -> bool:
    """Say whether an ``except`` may catch an AttributeError; of a name that it does not know: yes."""
    if kind is None:
        return True
    if isinstance(kind, ast.Tuple):
        return any(_catches(item) for item in kind.elts)
    found = getattr(builtins, kind.id, None) if isinstance(kind, ast.Name) else None
    return not isinstance(found, type) or issubclass(AttributeError, found)


def _suppresses(context: ast.expr) -> bool:
    """Say whether a ``with`` looks as if it let an AttributeError pass: suppress, pytest.raises."""
    if not isinstance(context, ast.Call):
        return False
    function = context.func
    name = function.attr if isinstance(function, ast.Attribute) else called(context)
    errors = {getattr(node, "attr", getattr(node, "id", None)) for node in context.args}
    return name in ("suppress", "raises", "assertRaises") or bool(
        errors & {"AttributeError", "Exception", "BaseException"}
    )
