# expect: self.next() is given **
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next(self.end, **options)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
