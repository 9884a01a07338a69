# expect: 2 steps are marked @step(start=True): 'one', 'two'
# line: 12
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step(start=True)
    def one(self):
        self.next(self.end)

    @step(start=True)
    def two(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
