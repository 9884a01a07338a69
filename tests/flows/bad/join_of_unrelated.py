# expect: the join 'j' is reached from steps of unrelated splits: 'c', 'd', 'b'
# expect: the innermost first
# line: 29
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.a, self.b)

    @step
    def a(self):
        self.next(self.c, self.d)

    @step
    def b(self):
        self.next(self.j)

    @step
    def c(self):
        self.next(self.j)

    @step
    def d(self):
        self.next(self.j)

    @step
    def j(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
