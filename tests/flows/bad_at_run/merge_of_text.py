# expect: merge_artifacts takes inputs
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.left, self.right)

    @step
    def left(self):
        self.size = 1
        self.next(self.join)

    @step
    def right(self):
        self.size = 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.merge_artifacts("inputs")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
