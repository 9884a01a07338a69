# expect: lead out of the body of the foreach 'each' to 'late', which is not a join
# line: 28
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next({1: self.each, 2: self.late}, condition="x")

    @step
    def each(self):
        self.next(self.body, foreach="xs")

    @step
    def body(self):
        self.next({1: self.inner, 2: self.late}, condition="x")

    @step
    def inner(self):
        self.next(self.j)

    @step
    def j(self, inputs):
        self.next(self.late)

    @step
    def late(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
