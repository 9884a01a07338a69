# expect: the join 'j' has no split to close
# expect: write def j(self)
# line: 21
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next({1: self.a, 2: self.b}, condition="x")

    @step
    def a(self):
        self.next(self.j)

    @step
    def b(self):
        self.next(self.j)

    @step
    def j(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
