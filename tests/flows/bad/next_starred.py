# expect: self.next() is given *self.steps, which is not a step
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next(*self.steps)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
