"""Flows as texts, and what the check of reads says about them."""

from __future__ import annotations

import functools
import linecache
import textwrap
from itertools import count
from typing import Any

from airloom.compiler.graph import build
from airloom.compiler.reads import unset_reads
from airloom.flow.decorators import catch, step
from airloom.flow.parameters import Parameter
from airloom.flow.spec import FlowSpec

_numbers = count()


def flow_of(body: str, **names: Any) -> type:
    """The class F of a source text, with what flows need at hand."""
    text, file = textwrap.dedent(body), f"<flow {next(_numbers)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    space: dict[str, Any] = {
        "FlowSpec": FlowSpec,
        "Parameter": Parameter,
        "catch": catch,
        "functools": functools,
        "step": step,
        "__name__": "flow_of_a_test",
        **names,
    }
    exec(compile(text, file, "exec"), space)
    found: type = space["F"]
    return found


def line(*body: str, end: str = "pass", members: str = "") -> type:
    """A flow of three steps: ``body`` is what ``middle`` does, ``end`` what comes after it."""
    return flow_of(
        "class F(FlowSpec):\n"
        + textwrap.indent(textwrap.dedent(members), "    ")
        + "\n    @step\n    def start(self):\n        self.given = [1]\n        self.next(self.middle)\n"
        + "\n    @step\n    def middle(self):\n"
        + textwrap.indent("\n".join(map(textwrap.dedent, body)), "        ")
        + "\n        self.next(self.end)\n"
        + f"\n    @step\n    def end(self):\n{textwrap.indent(textwrap.dedent(end), '        ')}\n"
    )


def joined(body: str, end: str = "pass", a: str = "self.x = 1", b: str = "self.x = 2; self.y = 3") -> type:
    """A split into ``a`` and ``b``; ``body`` is what the join does."""
    return flow_of(
        "class F(FlowSpec):\n    SIZE = 3\n    rate = Parameter('rate', default=1)\n"
        "\n    @step\n    def start(self):\n        self.above = 1\n        self.next(self.a, self.b)\n"
        f"\n    @step\n    def a(self):\n        {a}\n        self.next(self.join)\n"
        f"\n    @step\n    def b(self):\n        {b}\n        self.next(self.join)\n"
        "\n    @step\n    def join(self, inputs):\n"
        + textwrap.indent(textwrap.dedent(body), "        ")
        + "\n        self.next(self.end)\n"
        + f"\n    @step\n    def end(self):\n{textwrap.indent(textwrap.dedent(end), '        ')}\n"
    )


def found(flow: type) -> list[str]:
    return [f"{error.what} | {error.mend}" for error in unset_reads(build(flow))]
