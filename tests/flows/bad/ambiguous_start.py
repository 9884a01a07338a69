# expect: the first step is ambiguous: 'begin' is marked, another is called 'start'
# line: 8
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step(start=True)
    def begin(self):
        self.next(self.start)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
