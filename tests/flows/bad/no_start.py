# expect: the flow Bad has no first step
# expect: call a step start, or mark it with @step(start=True)
# line: 7
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def begin(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
