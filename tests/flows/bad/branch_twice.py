# expect: the split 'start' leads to 'a' more than once
# expect: foreach='xs'
# line: 11
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next(self.a, self.a)

    @step
    def a(self):
        self.next(self.j)

    @step
    def j(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
