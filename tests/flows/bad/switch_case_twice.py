# expect: the switch has the case 'a' twice
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next({"a": self.a, "a": self.end}, condition="xs")

    @step
    def a(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
