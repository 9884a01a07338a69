# expect: the split 'start' is closed by two joins, 'i' and 'j'
# line: 40
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.a, self.b)

    @step
    def a(self):
        self.next({1: self.c, 2: self.d}, condition="x")

    @step
    def b(self):
        self.next({1: self.e, 2: self.f}, condition="x")

    @step
    def c(self):
        self.next(self.i)

    @step
    def e(self):
        self.next(self.i)

    @step
    def d(self):
        self.next(self.j)

    @step
    def f(self):
        self.next(self.j)

    @step
    def i(self, inputs):
        self.next(self.end)

    @step
    def j(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
