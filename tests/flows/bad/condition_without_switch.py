# expect: condition is given without the cases of a switch
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next(self.end, condition="xs")

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
