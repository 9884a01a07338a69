"""What the source of a step says: its ``self.next``, read from the syntax tree, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

from airloom.errors import ConfigError
from airloom.flow.configs import step_into
from airloom.names import did_you_mean
from airloom.plan import Case, Transition

Definition = ast.FunctionDef | ast.AsyncFunctionDef

FORMS = (
    "self.next(self.a), self.next(self.a, self.b), self.next(self.a, foreach='xs') "
    "or self.next({'k': self.a, ...}, condition='x')"
)

_KEYWORDS = ("foreach", "condition", "num_parallel", "allow_empty")
_BLOCKS = {
    "If": "an if",
    "For": "a for loop",
    "AsyncFor": "a for loop",
    "While": "a while loop",
    "With": "a with block",
    "AsyncWith": "a with block",
    "Try": "a try block",
    "TryStar": "a try block",
    "Match": "a match statement",
    "FunctionDef": "a function of its own",
    "AsyncFunctionDef": "a function of its own",
    "Return": "a return",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a step's transition cannot be read; ``missing`` when there is no ``self.next`` at all."""

    what: str
    line: int
    mend: str
    missing: bool = False


class _Invalid(Exception):
    def __init__(self, what: str, mend: str, node: ast.AST) -> None:
        super().__init__(what)
        self.problem = Problem(what, getattr(node, "lineno", 0), mend)


class Sources:
    """Syntax trees of source files, each parsed once and looked up by name and line."""

    def __init__(self) -> None:
        self._files: dict[str, dict[tuple[str, int], ast.AST]] = {}

    def function(self, code: CodeType) -> Definition | None:
        """Definition that this code was compiled from; None when the file is gone or has changed."""
        found = self._index(code.co_filename).get((code.co_name, code.co_firstlineno))
        return found if isinstance(found, (ast.FunctionDef, ast.AsyncFunctionDef)) else None

    def class_line(self, file: str, name: str) -> int | None:
        """Line of a class; of the last one when several have the name."""
        lines = [
            node.lineno
            for (found, _), node in self._index(file).items()
            if found == name and isinstance(node, ast.ClassDef)
        ]
        return max(lines, default=None)

    def _index(self, file: str) -> dict[tuple[str, int], ast.AST]:
        if file not in self._files:
            try:
                tree = ast.parse(_read(file))
            except (SyntaxError, ValueError):
                self._files[file] = {}
            else:
                self._files[file] = {(node.name, _first_line(node)): node for node in _definitions(tree)}
        return self._files[file]


def _read(file: str) -> bytes | str:
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError:
        # A notebook's cell has a name but no file: its text is only in linecache.
        import linecache

        return "".join(linecache.getlines(file))


def _definitions(tree: ast.AST) -> Iterator[Definition | ast.ClassDef]:
    # Statements only: most nodes of a file are expressions, which define nothing.
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node
        for part in ("body", "handlers", "orelse", "finalbody", "cases"):
            block = getattr(node, part, None)
            if isinstance(block, list):
                waiting.extend(block)


def _first_line(node: Definition | ast.ClassDef) -> int:
    return node.decorator_list[0].lineno if node.decorator_list else node.lineno


def read_transition(
    definition: Definition, configs: Mapping[str, Any] | None = None
) -> tuple[Transition | None, Problem | None]:
    """Read what ``self.next`` at the end of a step says.

    Parameters
    ----------
    configs
        Values of the flow's configs by attribute: the cases of a switch may be named by them.

    Returns
    -------
    The transition, or what is wrong with it; one of them is None.
    """
    own = self_name(definition)
    calls = sorted(_calls(definition, own), key=lambda call: (call.lineno, call.col_offset))
    if not calls:
        what = f"the step {definition.name!r} does not say what comes next"
        return None, Problem(what, definition.lineno, f"end it with one of {FORMS}.", missing=True)
    try:
        _check_position(definition, calls)
        return _read_call(calls[0], own, configs or {}), None
    except _Invalid as error:
        return None, error.problem


def self_name(definition: Definition) -> str:
    """Name of the first argument: ``self`` wherever people keep to the custom."""
    arguments = [*definition.args.posonlyargs, *definition.args.args]
    return arguments[0].arg if arguments else "self"


def assignments(definition: Definition) -> list[tuple[str, int]]:
    """Attributes of ``self`` that a step sets or deletes, each with the line, in the order of lines."""
    own = self_name(definition)
    found = [
        (node.attr, node.lineno)
        for node in _inside(definition, own)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, (ast.Store, ast.Del))
        and _attribute(node, own)
    ]
    return sorted(found, key=lambda item: item[1])


def returns(definition: Definition) -> list[int]:
    """Lines of the ``return`` statements of a step, not those of functions defined inside of it."""
    lines = []
    waiting: list[ast.AST] = list(definition.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return):
            lines.append(node.lineno)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            waiting.extend(ast.iter_child_nodes(node))
    return sorted(lines)


def _calls(definition: Definition, own: str) -> list[ast.Call]:
    return [
        node
        for node in _inside(definition, own)
        if isinstance(node, ast.Call) and _attribute(node.func, own) == "next"
    ]


def _inside(definition: Definition, own: str) -> Iterator[ast.AST]:
    """Nodes of a step's body in which ``self`` is the flow; a class inside of it has its own self."""
    waiting: list[ast.AST] = list(definition.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            if any(argument.arg == own for argument in arguments):
                continue
        waiting.extend(ast.iter_child_nodes(node))


def _attribute(node: ast.AST, own: str) -> str | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == own:
        return node.attr
    return None


def _check_position(definition: Definition, calls: list[ast.Call]) -> None:
    step = repr(definition.name)
    block = _block_of(definition, calls[0])
    if block == "an if":
        raise _Invalid(
            f"self.next() of the step {step} stands inside an if",
            "choose with a switch: self.next({'k': self.a, ...}, condition='x').",
            calls[0],
        )
    if block is not None:
        raise _Invalid(
            f"self.next() of the step {step} stands inside {block}",
            "make it the last statement of the step, indented as the first one.",
            calls[0],
        )
    if len(calls) > 1:
        raise _Invalid(
            f"the step {step} calls self.next() {len(calls)} times",
            "keep one call, as the last statement of the step.",
            calls[1],
        )
    last = definition.body[-1]
    if not (isinstance(last, ast.Expr) and last.value is calls[0]):
        raise _Invalid(
            f"self.next() is not the last statement of the step {step}",
            "move what follows it in front of it.",
            calls[0],
        )


def _block_of(definition: Definition, call: ast.Call) -> str | None:
    for statement in definition.body:
        if isinstance(statement, ast.Expr) and statement.value is call:
            return None
        if any(node is call for node in ast.walk(statement)):
            return _BLOCKS.get(type(statement).__name__, "another statement")
    return None


def _read_call(call: ast.Call, own: str, configs: Mapping[str, Any]) -> Transition:
    options = _options(call)
    if len(call.args) == 1 and isinstance(call.args[0], ast.Dict):
        return _read_switch(call, call.args[0], options, own, configs)
    targets = tuple(_target(node, own) for node in call.args)
    if not targets:
        raise _Invalid("self.next() names no step", f"write one of {FORMS}.", call)
    if "condition" in options:
        raise _Invalid(
            "condition is given without the cases of a switch",
            "write self.next({'k': self.a, ...}, condition='x').",
            options["condition"],
        )
    if "foreach" in options and "num_parallel" in options:
        raise _Invalid("foreach and num_parallel are both given", "keep one of them.", call)
    if "allow_empty" in options and "foreach" not in options:
        raise _Invalid("allow_empty is given without foreach", "take it out.", options["allow_empty"])
    if options and len(targets) > 1:
        raise _Invalid(
            f"{next(iter(options))} leads to {len(targets)} steps",
            "name one step; it can branch in turn.",
            call,
        )
    if "foreach" in options:
        variable = _text(options["foreach"], "foreach")
        return Transition("foreach", targets, variable, allow_empty=_flag(options.get("allow_empty")))
    if "num_parallel" in options:
        count, holder = _size(options["num_parallel"], own)
        return Transition("parallel", targets, holder, count=count)
    return Transition("split" if len(targets) > 1 else "linear", targets)


def _options(call: ast.Call) -> dict[str, ast.expr]:
    options: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise _Invalid(
                "self.next() is given **, so that its options stand nowhere to be read",
                "write each option by its name.",
                keyword,
            )
        if keyword.arg not in _KEYWORDS:
            raise _Invalid(
                f"self.next() has no option {keyword.arg!r}",
                did_you_mean(keyword.arg, list(_KEYWORDS)),
                keyword,
            )
        if not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None):
            options[keyword.arg] = keyword.value
    return options


def _target(node: ast.expr, own: str) -> str:
    name = _attribute(node, own)
    if name is None:
        raise _Invalid(
            f"self.next() is given {_shown(node)}, which is not a step",
            f"name each step as {own}.step, right in the call: {FORMS}.",
            node,
        )
    return name


def _read_switch(
    call: ast.Call, cases: ast.Dict, options: dict[str, ast.expr], own: str, configs: Mapping[str, Any]
) -> Transition:
    if "condition" not in options:
        raise _Invalid(
            "the switch has no condition",
            "name the artifact or parameter that decides, e.g. condition='mode'.",
            call,
        )
    if len(options) > 1:
        other = next(name for name in options if name != "condition")
        raise _Invalid(
            f"a switch cannot have {other} as well",
            "do that in one of the steps it leads to.",
            options[other],
        )
    variable = _text(options["condition"], "condition")
    if len(cases.keys) < 2:
        count = "no case" if not cases.keys else "1 case"
        raise _Invalid(
            f"the switch has {count}", "give it two or more, or name the one step without a condition.", call
        )
    found: list[Case] = []
    for key, value in zip(cases.keys, cases.values, strict=True):
        case = _key(key, call, own, configs)
        if any(case == other.value for other in found):
            raise _Invalid(f"the switch has the case {case!r} twice", "keep one of them.", key or call)
        found.append(Case(case, _target(value, own)))
    targets = tuple(dict.fromkeys(case.target for case in found))
    return Transition("switch", targets, variable, cases=tuple(found))


def _key(
    key: ast.expr | None, call: ast.Call, own: str, configs: Mapping[str, Any]
) -> str | int | float | bool:
    if key is None:
        raise _Invalid(
            "the switch takes cases by **, so that they stand nowhere to be read",
            "write each case out.",
            call,
        )
    node, sign = key, 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node, sign = node.operand, -1
    if isinstance(node, ast.Constant):
        value = node.value
        if sign == 1 and isinstance(value, (str, bool, int, float)):
            return value
        if sign == -1 and isinstance(value, (int, float)):
            return -value
    path = _path(key, own)
    if path is not None and len(path) > 1:
        return _of_config(key, path, configs)
    raise _Invalid(
        f"the switch has the case {_shown(key)}, which is no text, number, True or False",
        "write the value itself, e.g. {'big': self.a, 'small': self.b}.",
        key,
    )


def _path(node: ast.expr, own: str) -> list[Any] | None:
    """Attributes and constant items of ``self.config.a['b']``, without ``self``."""
    name = _attribute(node, own)
    if name is not None:
        return [name]
    inner = _path(node.value, own) if isinstance(node, (ast.Attribute, ast.Subscript)) else None
    if inner is not None and isinstance(node, ast.Attribute):
        return [*inner, node.attr]
    if inner is not None and isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return [*inner, node.slice.value]
    return None


def _of_config(key: ast.expr, path: list[Any], configs: Mapping[str, Any]) -> str | int | float | bool:
    """Case that a config's value names: the plan holds the value."""
    if path[0] not in configs:
        raise _Invalid(
            f"the switch has the case {_shown(key)}, and the flow has no config {path[0]!r}",
            did_you_mean(str(path[0]), list(configs)),
            key,
        )
    value = configs[path[0]]
    try:
        for part in path[1:]:
            value = step_into(value, part, _shown(key))
    except ConfigError as error:
        raise _Invalid(f"the switch has the case {_shown(key)}: {error.what}", error.mend, key) from None
    if not isinstance(value, (str, bool, int, float)):
        raise _Invalid(
            f"the switch has the case {_shown(key)}, which is {type(value).__name__} in the config",
            "let it be a text, a number, true or false.",
            key,
        )
    return value


def _text(node: ast.expr, option: str) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        return node.value
    raise _Invalid(
        f"{option}={_shown(node)} does not name an artifact",
        f"write the name of an artifact as a text, e.g. {option}='xs' for self.xs.",
        node,
    )


def _flag(node: ast.expr | None) -> bool:
    if node is None:
        return False
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return node.value
    raise _Invalid(f"allow_empty={_shown(node)} is not a literal", "write True or False.", node)


def _size(node: ast.expr, own: str) -> tuple[int | None, str | None]:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, int) and not isinstance(node.value, bool) and node.value > 0:
            return node.value, None
        raise _Invalid(
            f"num_parallel={_shown(node)} is not a number of tasks", "write a whole number above 0.", node
        )
    return None, _attribute(node, own)


def _shown(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else text[:57] + "..."
