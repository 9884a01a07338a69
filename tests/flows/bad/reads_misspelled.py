# expect: the step 'end' reads self.totl, which no step sets
# line: 14
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.total = 1
        self.next(self.end)

    @step
    def end(self):
        print(self.totl)


if __name__ == "__main__":
    Bad()
