from airloom import FlowSpec, step


class NestedBranchesFlow(FlowSpec):
    """A branch in a branch, and a join that branches again."""

    @step
    def start(self):
        self.path = ["start"]
        self.next(self.a, self.b)

    @step
    def a(self):
        self.path.append("a")
        self.next(self.a1, self.a2)

    @step
    def a1(self):
        self.path.append("a1")
        self.next(self.a_join)

    @step
    def a2(self):
        self.path.append("a2")
        self.next(self.a3)

    @step
    def a3(self):
        self.path.append("a3")
        self.next(self.a_join)

    @step
    def a_join(self, inputs):
        self.path = [inputs.a1.path, inputs.a3.path]
        self.next(self.join)

    @step
    def b(self):
        self.path.append("b")
        self.next(self.join)

    @step
    def join(self, inputs):
        self.paths = {"a": inputs.a_join.path, "b": inputs.b.path}
        self.next(self.c, self.d)

    @step
    def c(self):
        self.who = "c"
        self.next(self.join_again)

    @step
    def d(self):
        self.who = "d"
        self.next(self.join_again)

    @step
    def join_again(self, inputs):
        self.who = [branch.who for branch in inputs]
        self.merge_artifacts(inputs)
        self.next(self.end)

    @step
    def end(self):
        assert self.paths == {
            "a": [["start", "a", "a1"], ["start", "a", "a2", "a3"]],
            "b": ["start", "b"],
        }
        assert self.who == ["c", "d"]


if __name__ == "__main__":
    NestedBranchesFlow()
