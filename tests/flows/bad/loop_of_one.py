# expect: the flow goes in a circle: a -> a
# line: 13
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.a)

    @step
    def a(self):
        self.next(self.a)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
