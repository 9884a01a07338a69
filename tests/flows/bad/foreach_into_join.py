# expect: the foreach 'start' leads directly into the join 'j'
# expect: put a step between 'start' and 'j'
# line: 11
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next(self.j, foreach="xs")

    @step
    def j(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
