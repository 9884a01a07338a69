# expect: the step 'start' sets self.fit, which is a step of the flow
# line: 9
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.fit = 3
        self.next(self.fit)

    @step
    def fit(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
