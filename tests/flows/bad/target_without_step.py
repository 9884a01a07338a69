# expect: the step 'start' leads to 'fit', which is not a step of Bad
# expect: put @step above def fit
# line: 11
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next(self.fit)

    def fit(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
