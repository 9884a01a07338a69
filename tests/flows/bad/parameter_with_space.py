# expect: parameter 'learning rate': that cannot be its name
# line: 7
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    rate = Parameter("learning rate", default=1)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
