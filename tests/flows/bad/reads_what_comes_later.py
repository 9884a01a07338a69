# expect: the step 'start' reads self.model, which is set only in 'fit', which does not come before it
# line: 9
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        print(self.model)
        self.next(self.fit)

    @step
    def fit(self):
        self.model = 1
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
