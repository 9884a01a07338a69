# expect: self.next() names no step
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next()

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
