# expect: the conditional path of the switch 'a' leads directly into the join 'j'
# expect: or write def j(self)
# line: 14
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.a, self.b)

    @step
    def a(self):
        self.next({1: self.c, 2: self.j}, condition="x")

    @step
    def b(self):
        self.next(self.j)

    @step
    def c(self):
        self.next(self.j)

    @step
    def j(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
