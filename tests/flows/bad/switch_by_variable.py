# expect: the switch has the case key, which is no text, number, True or False
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next({key: self.end, "b": self.end}, condition="xs")

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
