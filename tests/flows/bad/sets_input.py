# expect: the step 'start' sets self.input, which is part of every flow
# line: 9
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.input = 3
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
