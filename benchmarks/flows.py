"""Texts of the flows that both sides run: the same but for the line that imports."""

from __future__ import annotations

from pathlib import Path

_HEAD = '''\
from {library} import FlowSpec, step


class {name}(FlowSpec):
    """Steps that do nothing: what is left is the price of running them."""
'''
_TAIL = """

if __name__ == "__main__":
    {name}()
"""
_STEP = """
    @step
    def {step}(self{inputs}):
        {body}
"""


def write(folder: Path, library: str, name: str, steps: list[tuple[str, str]]) -> Path:
    """Write a flow's file into a folder of its own.

    Parameters
    ----------
    library
        ``airloom`` or ``metaflow``.
    steps
        Name and body of each step, in order; a join's name ends with ``(inputs)``.
    """
    text = _HEAD.format(library=library, name=name)
    for step, body in steps:
        plain = step.removesuffix("(inputs)")
        inputs = ", inputs" if plain != step else ""
        text += _STEP.format(step=plain, inputs=inputs, body=body.replace("\n", "\n        "))
    file = folder / f"{library}_flows" / f"{name.lower()}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + _TAIL.format(name=name))
    return file


def linear(count: int) -> list[tuple[str, str]]:
    """A chain of so many steps."""
    names = ["start", *(f"step_{number:02}" for number in range(1, count - 1)), "end"]
    following = [f"self.next(self.{name})" for name in names[1:]]
    return list(zip(names, [*following, "pass"], strict=True))


def foreach(width: int) -> list[tuple[str, str]]:
    """A foreach over so many items: three tasks more than items."""
    return [
        ("start", f'self.items = list(range({width}))\nself.next(self.work, foreach="items")'),
        ("work", "self.next(self.join)"),
        ("join(inputs)", "self.next(self.end)"),
        ("end", "pass"),
    ]


def nested() -> list[tuple[str, str]]:
    """Nine groups of four: 36 leaves, 60 tasks."""
    return [
        ("start", "self.next(self.prepare)"),
        ("prepare", 'self.groups = list(range(9))\nself.next(self.group, foreach="groups")'),
        ("group", 'self.leaves = list(range(4))\nself.next(self.leaf, foreach="leaves")'),
        ("leaf", "self.next(self.collect)"),
        ("collect(inputs)", "self.next(self.gather)"),
        ("gather(inputs)", "self.next(self.summarise)"),
        ("summarise", "self.next(self.report)"),
        ("report", "self.next(self.end)"),
        ("end", "pass"),
    ]
