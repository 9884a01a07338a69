"""Reads of artifacts in joins and behind them: what the branches have, and what is taken over."""

# Each flow stands in one line beside what is said of it.

from __future__ import annotations

import pytest

from support.reads import found, joined


@pytest.mark.parametrize(
    ("body", "end", "what"),
    [
        ("print(self.x)", "pass", "the step 'join' reads self.x, which the join 'join' does not take over"),
        (
            "print(self.x)",
            "pass",
            "write self.merge_artifacts(inputs, include=['x']) before that, or set self.x.",
        ),
        (
            "pass",
            "print(self.above)",
            "the step 'end' reads self.above, which the join 'join' does not take over",
        ),
        (
            "pass",
            "print(self.y)",
            "write self.merge_artifacts(inputs, include=['y']) in 'join', or set self.y.",
        ),
        ("self.merge_artifacts(inputs, exclude=['y'])", "print(self.y)", "reads self.y"),
        ("self.merge_artifacts(inputs, include=['x'])", "print(self.above)", "reads self.above"),
        ("self.merge_artifacts(inputs)", "print(self.abvoe)", "did you mean 'above'?"),
        (
            "print(inputs.a.y)",
            "pass",
            "reads 'y' of inputs.a, which is not set there | read it from inputs.b.",
        ),
        ("print(inputs.c.x)", "pass", "reads inputs.c, and no branch ends with that step"),
        ("print(inputs[0].z)", "pass", "reads 'z' of its inputs, which no branch sets"),
        ("for i in inputs:\n    print(i.z)", "pass", "reads 'z' of its inputs"),
        ("self.zs = [i.z for i in inputs]", "pass", "reads 'z' of its inputs"),
        ("self.zs = [i.z for i in inputs[1:] if i.x]", "pass", "reads 'z' of its inputs"),
        ("self.zs = {n: i.z for n, i in enumerate(inputs)}", "pass", "reads 'z' of its inputs"),
        ("self.zs = sum(i.z for i in inputs)", "pass", "reads 'z' of its inputs"),
        ("best = max(inputs, key=lambda i: i.z)", "pass", "reads 'z' of its inputs"),
        ("best = max(inputs, key=lambda i: i.x)\nself.z = best.z", "pass", "reads 'z' of its inputs"),
        ("first = inputs.a\nprint(first.y)", "pass", "reads 'y' of inputs.a"),
        ("self.merge_artifacts(inputs)\nprint(inputs.a.z)", "pass", "reads 'z' of inputs.a"),
    ],
)
def test_a_join_reads_what_its_branches_have(body: str, end: str, what: str) -> None:
    (said,) = found(joined(body, end))
    assert what in said


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ("self.merge_artifacts(inputs)", "print(self.x, self.y, self.above)"),
        ("self.merge_artifacts(inputs, exclude=['x'])", "print(self.y, self.above)"),
        ("self.merge_artifacts(inputs, include=['x'])\nprint(self.x)", "print(self.x)"),
        ("names = ['x']\nself.merge_artifacts(inputs, include=names)", "print(self.x, self.y)"),
        ("self.merge_artifacts(inputs, ['x'])", "print(self.y)"),
        ("self.merge_artifacts([inputs.a])", "print(self.x)"),
        ("def merge():\n    self.merge_artifacts(inputs)\nmerge()", "print(self.x)"),
        ("if self.rate:\n    self.merge_artifacts(inputs)", "print(self.x)"),
        ("self.x = inputs.a.x + inputs.b.y", "print(self.x)"),
        (
            "print(self.SIZE, self.rate, inputs.a.SIZE, inputs[0].rate, inputs[1].index, inputs.b.input)",
            "pass",
        ),
        ("print([i.y for i in inputs])", "pass"),
        ("for i in inputs:\n    i.z = 1\n    print(i.z)", "pass"),
        ("prepare(inputs)\nprint(inputs[0].z)", "pass"),
        ("prepare(inputs.a)\nprint(inputs.a.z)", "pass"),
        ("for i in inputs:\n    prepare(i)\n    print(i.z)", "pass"),
        ("print([i.z for i in inputs if hasattr(i, 'z')])", "pass"),
        ("print([getattr(i, 'z', 0) or i.z for i in inputs])", "pass"),
        ("try:\n    print(inputs.a.z)\nexcept AttributeError:\n    pass", "pass"),
        ("for i in inputs:\n    pass\nfor i in range(3):\n    print(i.real)", "pass"),
        ("inputs = list(inputs)\nprint(inputs[0].z)", "pass"),
        ("print([i.real for i in range(3)], len(inputs), list(inputs), inputs[0] is inputs[-1])", "pass"),
        ("for i, x in zip(inputs, [1]):\n    print(i.x, x.real)", "pass"),
        (
            "best = inputs[0]\nfor i in inputs:\n    if i.x > best.x:\n        best = i\nself.x = best.x",
            "pass",
        ),
        ("if hasattr(inputs, 'c'):\n    print(inputs.c.x)", "pass"),
        ("scores = sorted(inputs, key=lambda i: i.x)\nprint(scores[0].x)", "pass"),
    ],
)
def test_a_join_that_may_find_it_is_accepted(body: str, end: str) -> None:
    assert found(joined(body, end)) == []
