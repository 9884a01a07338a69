from airloom import FlowSpec, step
from airloom.flow.spec import MissingInMergeArtifacts, UnhandledInMergeArtifacts


class BranchFlow(FlowSpec):
    """Three branches and all ways to bring them together."""

    CONSTANT = 7

    @step
    def start(self):
        self.common = ["the", "same"]
        self.before = 1
        self.next(self.right, self.left, self.middle)

    @step
    def left(self):
        self.x = 1
        self.side = "left"
        self.only_left = "l"
        self.next(self.join)

    @step
    def right(self):
        self.x = 2
        self.side = "right"
        self.agreed = 42
        self.next(self.join)

    @step
    def middle(self):
        self.x = 3
        self.side = "middle"
        self.agreed = 42
        self.common = list(self.common)
        self.next(self.join)

    @step
    def join(self, inputs):
        assert not hasattr(self, "common")
        assert self.CONSTANT == 7
        assert (inputs.left.x, inputs.right.x, inputs.middle.x) == (1, 2, 3)
        self.order = [branch.side for branch in inputs]
        assert self.order == ["right", "left", "middle"]
        assert inputs[0].side == "right"
        assert (inputs[-1].x, len(inputs)) == (3, 3)
        assert not hasattr(inputs.right, "only_left")
        try:
            self.merge_artifacts(inputs)
        except UnhandledInMergeArtifacts as error:
            self.conflicts = error.artifact_names
        try:
            self.merge_artifacts(inputs, include=["no_such"])
        except MissingInMergeArtifacts as error:
            self.missing = error.artifact_names
        self.merge_artifacts(inputs, include=["agreed"])
        assert self.agreed == 42
        assert not hasattr(self, "before")
        self.x = sum(branch.x for branch in inputs)
        self.merge_artifacts(inputs, exclude=["side"])
        self.next(self.end)

    @step
    def end(self):
        assert (self.x, self.agreed, self.only_left, self.before) == (6, 42, "l", 1)
        assert self.conflicts == ["side", "x"]
        assert self.missing == ["no_such"]
        assert self.common == ["the", "same"]
        assert not hasattr(self, "side")


if __name__ == "__main__":
    BranchFlow()
