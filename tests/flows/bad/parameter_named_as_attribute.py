# expect: parameter 'input': that name is part of every flow
# line: 7
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    input = Parameter("input", default=1)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
