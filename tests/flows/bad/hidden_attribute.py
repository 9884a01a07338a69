# expect: the flow Bad replaces 'index', which is part of every flow
# line: 6
from airloom import FlowSpec, step


class Bad(FlowSpec):
    index = 3

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
