# expect: parameter 'Alpha': the parameter 'alpha' of line
# expect: capitals, - and _ make no difference
# line: 9
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    alpha = Parameter("alpha", default=1)
    other = Parameter("Alpha", default=1)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
