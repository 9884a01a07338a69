# expect: the step 'end' reads self.rows, which the join 'join' does not take over from its branches
# line: 26
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.rows = [1]
        self.next(self.a, self.b)

    @step
    def a(self):
        self.next(self.join)

    @step
    def b(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        print(self.rows)


if __name__ == "__main__":
    Bad()
