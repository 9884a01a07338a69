# expect: @timeout: the time is 0
# line: 7
from airloom import FlowSpec, step, timeout


class Bad(FlowSpec):
    @timeout(seconds=0)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
