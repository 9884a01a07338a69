# expect: the step 'start' leads to 'fitt', which is not a step of Bad
# expect: did you mean 'fit'?
# line: 11
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next(self.fitt)

    @step
    def fit(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
