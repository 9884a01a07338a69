"""A flow to deploy, and other versions of it."""

from __future__ import annotations

from dataclasses import replace

from airloom.compiler.planner import Compiled

FLOW = '''
from airloom import FlowSpec, Parameter, resources, step

class ShopFlow(FlowSpec):
    """Sum up."""

    least = Parameter("least", default={least})

    @resources(memory={memory})
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        print("{word}")

if __name__ == "__main__":
    ShopFlow()
'''


def other_word(compiled: Compiled, word: str) -> Compiled:
    """The same flow with another first line of its documentation: another plan."""
    return replace(compiled, plan=replace(compiled.plan, doc=word))
