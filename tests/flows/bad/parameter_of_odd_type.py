# expect: parameter 'rate': the type 'set' is not one a parameter can have
# line: 7
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    rate = Parameter("rate", type=set)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
