# expect: self.next() of the step 'start' stands inside another statement
# line: 9
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        lambda: self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
