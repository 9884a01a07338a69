# expect: the switch has 1 case
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next({"a": self.end}, condition="xs")

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
