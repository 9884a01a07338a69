# expect: 2 steps are marked @step(end=True): 'one', 'two'
# line: 16
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.one, self.two)

    @step(end=True)
    def one(self):
        pass

    @step(end=True)
    def two(self):
        pass


if __name__ == "__main__":
    Bad()
