"""Reads of artifacts: refused when no path sets them, and only when that is certain."""

# Each flow stands in one line beside what is said of it.
# ruff: noqa: E501

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airloom.compiler.checks import check
from airloom.compiler.graph import build
from airloom.compiler.planner import compile_flow
from airloom.compiler.reads import unset_reads
from airloom.errors import CheckFailed, GraphError, Place
from airloom.runtime.code import import_flow
from airloom.settings import Settings
from support.reads import flow_of, found, joined, line

ROOT = Path(__file__).parents[2]
@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("print(self.givn)", "the step 'middle' reads self.givn, which no step sets | did you mean 'given'?"),
        ("self.total += 1", "reads self.total before it sets it | set self.total above that line."),
        ("print(self.late)\nself.late = 1", "reads self.late before it sets it"),
        ("self.given.append(self.nothing)", "reads self.nothing, which no step sets"),
        ("self.nothing.x = 1", "reads self.nothing"),
        ("del self.nothing[0]", "reads self.nothing"),
        ("if self.given:\n    print(self.nothing)", "reads self.nothing"),
        ("for x in self.nothing:\n    pass", "reads self.nothing"),
        ("print(f'{self.nothing:>{self.given}}')", "reads self.nothing"),
        ("squares = [x * self.nothing for x in self.given]", "reads self.nothing"),
        ("run = lambda: self.nothing", "reads self.nothing"),
        ("def run():\n    return self.nothing\nrun()", "reads self.nothing"),
        ("try:\n    print(self.nothing)\nexcept KeyError:\n    pass", "reads self.nothing"),
        ("try:\n    pass\nfinally:\n    print(self.nothing)", "reads self.nothing"),
        ("with open(self.nothing):\n    pass", "reads self.nothing"),
        ("self.help()", "reads self.nothing"),
        ("print(self.both)", "reads self.nothing"),
        ("list(map(self.help_each, self.given))", "reads self.nothing"),
        ("setattr(self, 'other', 1)\nprint(self.nothing)", "reads self.nothing"),
        ("print(hasattr(self, 'other'), self.nothing)", "reads self.nothing"),
        ("print(type(self).__name__, isinstance(self, F), self.nothing)", "reads self.nothing"),
        ("match self.given:\n    case [1]:\n        print(self.nothing)", "reads self.nothing"),
    ],
)
def test_a_read_that_no_path_sets_is_refused(body: str, what: str) -> None:
    members = """
        def help(self):
            return self.nothing

        def help_each(self, x):
            return x + self.nothing

        @property
        def both(self):
            return self.given + self.nothing
        """
    (said,) = found(line(body, members=members))
    assert what in said


@pytest.mark.parametrize(
    "body",
    [
        "self.total = 1\nself.total += 1",
        "if self.given:\n    self.x = 1\nprint(self.x)",
        "for n in self.given:\n    if n:\n        print(self.x)\n    self.x = n",
        "while True:\n    if self.given:\n        print(self.x)\n        break\n    self.x = 1",
        "try:\n    print(self.x)\nexcept AttributeError:\n    pass",
        "try:\n    print(self.x)\nexcept (KeyError, Exception):\n    pass",
        "try:\n    print(self.x)\nexcept MyError:\n    pass",
        "try:\n    print(self.x)\nexcept:\n    pass",
        "with suppress(AttributeError):\n    print(self.x)",
        "with pytest.raises(Exception):\n    print(self.x)",
        "if hasattr(self, 'x'):\n    print(self.x)",
        "print(getattr(self, 'x', None) or self.x)",
        "for name in ('x', 'y'):\n    setattr(self, name, 1)\nprint(self.x)",
        "setattr(self, 'x', 1)\nprint(self.x)",
        "for name in dir():\n    if hasattr(self, name):\n        print(self.x)",
        "self.__dict__['x'] = 1\nprint(self.x)",
        "vars(self)['x'] = 1\nprint(self.x)",
        "exec('self.x = 1')\nprint(self.x)",
        "locals()['self'].x = 1\nprint(self.x)",
        "fill(self)\nprint(self.x)",
        "me = self\nme.x = 1\nprint(self.x)",
        "fill(flow=self)\nprint(self.x)",
        "with_self = [self]\nprint(self.x)",
        "def fill():\n    self.x = 1\nfill()\nprint(self.x)",
        "class Inner:\n    def run(self):\n        return self.x",
        "print((lambda self: self.x)(1))",
        "self.fill()\nprint(self.x)",
        "self.outer()\nprint(self.x)",
        "thread = Thread(target=self.work)\nself.queue = 1\nthread.start()",
        "print(self.static(), self.of_class(), self.SIZE, self._hidden, self.rate, self.double)",
        "print(self.name, self.index, self.input, self.foreach_stack(), self.__class__, self.__doc__)",
        "self.odd.anything = 1\nprint(self.x)",
        "self.wrapped()\nprint(self.x)",
        "print(self.cached)\nprint(self.x)",
        "if self.SIZE > 3:\n    print(self.x)",
        "if DEBUG:\n    print(self.x)",
        "print(self.x if self.SIZE else 0)",
        "raise ValueError\nprint(self.x)",
        "self.x, (self.y, *self.z) = 1, (2, 3)\nprint(self.x, self.y, self.z)",
        "with open('f') as self.x:\n    print(self.x)",
        "for self.x in self.given:\n    print(self.x)",
        "self.x: int = 1\nprint(self.x)",
        "self.x = [self.given for self.given in ()]\nprint(self.x)",
        "squares = (n * self.k for n in self.given)\nself.k = 2\nprint(sum(squares))",
        "del self.given\nprint(self.given)",
        "self.maybe(final=False)\nself.result = 1",
        "self.report()",
    ],
)
def test_what_may_be_set_is_accepted(body: str) -> None:
    members = """
        SIZE = 3
        _hidden = 4
        rate = Parameter('rate', default=1)

        def fill(self):
            self.x = 1

        def outer(self):
            if self.given:
                return self.outer()
            self.fill()

        def work(self):
            return self.queue

        def maybe(self, final):
            if final:
                print(self.result)

        def report(self):
            if not self.SIZE:
                return
            print(self.of_another_flow)

        @staticmethod
        def static():
            return 1

        @classmethod
        def of_class(cls):
            return cls.SIZE

        @property
        def double(self):
            return 2 * self.SIZE

        @functools.cached_property
        def cached(self):
            self.x = 1

        @functools.lru_cache
        def wrapped(self):
            self.x = 1

        class Odd:
            def __get__(self, flow, owner):
                flow.x = 1

        odd = Odd()
        """
    assert found(line(body, members=members)) == []


def test_what_is_set_only_later_is_named() -> None:
    flow = flow_of("""
        class F(FlowSpec):
            @step
            def start(self):
                print(self.model, self.x)
                self.next(self.fit)

            @step
            def fit(self):
                self.model = self.x = 1
                self.next(self.again)

            @step
            def again(self):
                self.x = 2
                self.next(self.end)

            @step
            def end(self):
                pass
        """)
    model, x = unset_reads(build(flow))
    assert (
        model.what
        == "the step 'start' reads self.model, which is set only in 'fit', which does not come before it"
    )
    assert "set only in 'fit' and 'again', which do not come before it" in x.what
    assert isinstance(model.where, Place)
    assert (model.where.line, model.where.step) == (5, "start")


def test_what_the_other_branch_sets_is_not_there() -> None:
    (said,) = found(joined("pass", a="print(self.y)"))
    assert "the step 'a' reads self.y, which is set only in 'b', which does not come before it" in said


@pytest.mark.parametrize(
    ("variable", "what"),
    [
        (
            "foreach='itens'",
            "the step 'start' iterates over self.itens, which no step sets | did you mean 'items'?",
        ),
        ("foreach='late'", "iterates over self.late, which is set only in 'each'"),
    ],
)
def test_the_variable_of_a_foreach_is_read(variable: str, what: str) -> None:
    flow = flow_of(f"""
        class F(FlowSpec):
            @step
            def start(self):
                self.items = [1]
                self.next(self.each, {variable})

            @step
            def each(self):
                self.late = self.input
                self.next(self.join)

            @step
            def join(self, inputs):
                self.next(self.end)

            @step
            def end(self):
                pass
        """)
    (said,) = found(flow)
    assert what in said


def test_the_variable_of_a_switch_is_read() -> None:
    body = """
        class F(FlowSpec):
            rate = Parameter('rate', default=1)

            @step
            def start(self):
                self.count = 0
                self.next(self.again)

            @step
            def again(self):
                if self.count:
                    print(self.before)
                self.count += 1
                self.before = self.count
                self.next({True: self.again, False: self.end}, condition='%s')

            @step
            def end(self):
                print(self.before, self.caught)
        """
    assert found(flow_of(body.replace(", self.caught", "") % "count")) == []
    assert found(flow_of(body.replace(", self.caught", "") % "rate")) == []
    decides, reads = found(flow_of(body % "mode"))
    assert "the step 'again' decides by self.mode, which no step sets" in decides
    assert "reads self.caught" in reads


def test_the_artifact_of_catch_is_set() -> None:
    body = """
        class F(FlowSpec):
            @catch(var='problem')
            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                print(self.%s)
        """
    assert found(flow_of(body % "problem")) == []
    assert "did you mean 'problem'?" in found(flow_of(body % "problems"))[0]


def test_a_step_out_of_sight_hides_what_follows_it() -> None:
    assert found(line("fill(self)", end="print(self.anything)")) == []
    assert found(line("self.x = 1", end="fill(self)\nprint(self.anything)")) == []
    assert found(joined("pass", "print(self.z)", a="fill(self)")) != []
    assert (
        found(
            joined(
                "self.merge_artifacts(inputs)\nprint(inputs.a.z, inputs[0].z)",
                "print(self.z)",
                a="fill(self)",
            )
        )
        == []
    )


def test_steps_and_methods_of_a_base_are_looked_into() -> None:
    body = """
        class Base(FlowSpec):
            @step
            def start(self):
                self.prepare()
                print(self.prepared)
                self.next(self.end)

            def prepare(self):
                self.prepared = 1

            @step
            def end(self):
                print(self.prepared, self.more)

        class F(Base):
            def prepare(self):
                %s
                self.more = 1
        """
    assert found(flow_of(body % "super().prepare()")) == []
    first, *_ = found(flow_of(body % "pass"))
    assert "the step 'start' reads self.prepared, which no step sets" in first


@pytest.mark.parametrize(
    "method", ["__getattr__(self, name)", "__setattr__(self, name, value)", "__init__(self)"]
)
def test_a_class_with_its_own_ways_is_left_alone(method: str) -> None:
    assert found(line("print(self.x)", members=f"def {method}:\n    pass\n")) == []


def test_a_wrapped_step_is_left_alone() -> None:
    def connected(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(self: Any) -> None:
            self.database = 1
            function(self)

        return inner

    flow = flow_of(
        """
        class F(FlowSpec):
            @step
            @connected
            def start(self):
                print(self.database)
                self.next(self.end)

            @step
            def end(self):
                print(self.database)
        """,
        connected=connected,
    )
    assert found(flow) == []


def test_one_name_is_told_once_a_step() -> None:
    assert len(found(line("print(self.x)\nprint(self.x)", end="print(self.x)"))) == 2


def test_the_check_refuses_and_names_the_line() -> None:
    with pytest.raises(CheckFailed) as refused:
        check(build(line("x = 1", "y = self.nothing")))
    (finding,) = refused.value.findings
    assert isinstance(finding, GraphError)
    assert isinstance(finding.where, Place)
    assert finding.where.line == 11


def test_a_good_flow_is_accepted(good_flow: Path, clean_imports: None) -> None:
    flow = import_flow(good_flow, good_flow.read_text().rsplit("__main__", 1)[1].split("(")[0].split()[-1])
    assert compile_flow(flow, Settings(), packed=False)


@pytest.mark.parametrize("file", sorted((ROOT / "examples").rglob("*_flow.py")), ids=lambda file: file.stem)
def test_an_example_is_accepted(file: Path, clean_imports: None) -> None:
    assert compile_flow(import_flow(file), Settings(), packed=False)


def test_twenty_steps_that_read_each_other_are_accepted() -> None:
    steps = "".join(
        f"    @step\n    def s{n}(self):\n"
        f"        rows = [row * self.x for row in self.rows if row > {n}]\n"
        "        for number, row in enumerate(rows):\n"
        "            if row % 2 and self.table.get(number):\n"
        "                self.table[number] = {'row': row, 'text': f'{row:>10}', 'before': self.x}\n"
        "            else:\n"
        "                self.rows.append(max(row, number, key=lambda one: one * self.x))\n"
        "        with open('file') as lines:\n"
        "            self.x = sum(int(text) for text in lines) + len(self.helper(rows))\n"
        f"        self.next(self.{'end' if n == 17 else f's{n + 1}'})\n\n"
        for n in range(18)
    )
    flow = flow_of(
        "class F(FlowSpec):\n    def helper(self, rows):\n        return [self.x, *rows]\n\n"
        "    @step\n    def start(self):\n        self.x, self.rows, self.table = 1, [], {}\n        self.next(self.s0)\n\n"
        f"{steps}    @step\n    def end(self):\n        print(self.x)\n"
    )
    assert not list(unset_reads(build(flow)))
