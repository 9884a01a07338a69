# expect: parameter 'start': a step has the same name
# line: 7
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    first = Parameter("start", default=1)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
