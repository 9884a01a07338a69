# expect: the step 'start' is a generator
# expect: put the yield into a function
# line: 9
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        yield 1
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
