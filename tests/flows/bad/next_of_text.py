# expect: self.next() is given 'end', which is not a step
# expect: name each step as self.step
# line: 11
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next("end")

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
