# expect: the step 'middle' leads to the first step 'start'
# line: 13
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.middle)

    @step
    def middle(self):
        self.next({1: self.start, 2: self.end}, condition="again")

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
