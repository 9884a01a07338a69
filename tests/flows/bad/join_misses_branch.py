# expect: the join 'j' closes the split 'start', but not all branches lead there: 'c' is missing
# expect: lead every branch of 'start' to 'j'
# line: 21
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.a, self.b, self.c)

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
    def c(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
