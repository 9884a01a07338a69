# expect: the step 'start' takes more than self and inputs
# line: 8
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self, *, more):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
